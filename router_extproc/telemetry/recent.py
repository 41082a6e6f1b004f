"""The latest decisions, in memory: for whoever looks at a router now. Older ones are in the log."""

from collections import deque
from collections.abc import Sequence
from itertools import islice, takewhile

from router_extproc.telemetry.decision import DecisionRecord


class Recent:
    """Up to `size` records, of which the oldest makes room. Used in the event loop's thread alone."""

    __slots__ = ("_records",)

    def __init__(self, size: int) -> None:
        self._records: deque[DecisionRecord] = deque(maxlen=size)

    @property
    def size(self) -> int:
        return self._records.maxlen or 0

    def resize(self, size: int) -> None:
        """Hold up to `size` from now on; the latest stay."""
        if size != self.size:
            self._records = deque(self._records, maxlen=size)

    def keep(self, record: DecisionRecord) -> None:
        self._records.append(record)

    def latest(self, limit: int, after: str | None = None) -> Sequence[DecisionRecord]:
        """Up to `limit`, the latest first; with `after`, only those that ended later than the request of this
        id. Where that one is not there any more, as without it: whoever asks has missed some."""
        newest = reversed(self._records)
        if after is not None and any(each.request_id == after for each in self._records):
            return list(islice(takewhile(lambda each: each.request_id != after, newest), limit))
        return list(islice(newest, limit))
