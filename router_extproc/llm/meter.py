"""How many tokens an answer had, read from its bytes as they pass. For statistics, not for bills.

Looks at nothing but the count that servers write at the end, and counts the events of a stream that has none.
Holds a few kilobytes whatever the size of the answer, and never fails: bytes it cannot read count as nothing.
"""

import re

_TAIL = 4096
"""Bytes kept. The usage stands at the end of a JSON answer and in one of the last events of a stream."""

_COMPLETION = re.compile(rb'"completion_tokens"\s*:\s*(\d{1,9})(?!\d)')
"""In a text of the model the quotes are escaped, so this is the member of that name and nothing quoted."""
_PROMPT = re.compile(rb'"prompt_tokens"\s*:\s*(\d{1,9})(?!\d)')

_EVENT = b"data:"
_FRAME_EVENTS = 2
"""Events of a stream that carry no token: the one with the finish reason, and `[DONE]`."""


class Meter:
    """Feed it every piece of the body, wherever the pieces end."""

    __slots__ = ("_events", "_tail", "event_stream", "pieces")

    def __init__(self, *, event_stream: bool) -> None:
        self.event_stream = event_stream
        self._events = 0
        self._tail = b""
        self.pieces = 0
        """Pieces that were not empty."""

    def feed(self, piece: bytes) -> None:
        if not piece:
            return
        self.pieces += 1
        if self.event_stream:
            overlap = self._tail[1 - len(_EVENT) :] if self._tail else b""
            self._events += (overlap + piece).count(_EVENT)
        self._tail = (self._tail + piece[-_TAIL:])[-_TAIL:]

    @property
    def completion_tokens(self) -> int | None:
        """What the server counted; without that the events of a stream; else None."""
        counted = _last(_COMPLETION, self._tail)
        if counted is not None or not self.event_stream:
            return counted
        return max(0, self._events - _FRAME_EVENTS)

    @property
    def prompt_tokens(self) -> int | None:
        """What the server counted, else None."""
        return _last(_PROMPT, self._tail)


def _last(pattern: re.Pattern[bytes], text: bytes) -> int | None:
    found = pattern.findall(text)
    return int(found[-1]) if found else None
