"""Writes off the request path: a bounded queue and one task that empties it.

Offering never blocks and never waits for a store; a store that is slow or down costs entries, not requests.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from router_extproc.base.refusals import Failure
from router_extproc.caching.entry import Entry
from router_extproc.ports import Clock, PortError
from router_extproc.stores.memory import size_of

_LOG = logging.getLogger(__name__)


class WriteQueue:
    """Made inside the event loop that uses it; its task runs until `close`.

    At most `max_pending` entries wait, and at most `max_pending_bytes` bytes as `memory.size_of` charges
    them; the one being written is beside both bounds. `put` writes one entry and may raise PortError;
    `put_timeout` (seconds) bounds it. `on_failed` is told why a write failed. `on_dropped` is told how many
    entries were given up unwritten: they expired while waiting, or the queue was closed.
    """

    def __init__(
        self,
        put: Callable[[Entry], Awaitable[None]],
        max_pending: int,
        clock: Clock,
        *,
        max_pending_bytes: int,
        put_timeout: float,
        on_dropped: Callable[[int], None],
        on_failed: Callable[[Failure], None],
    ) -> None:
        self._put = put
        self._max_pending = max_pending
        self._max_pending_bytes = max_pending_bytes
        self._clock = clock
        self._put_timeout = put_timeout
        self._on_dropped = on_dropped
        self._on_failed = on_failed
        self._pending: OrderedDict[str, tuple[Entry, int]] = OrderedDict()
        """Entries and what they are charged, by id."""
        self._bytes = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._interrupted = 0
        """1 while an entry is being written, which a cancellation would lose."""
        self._closed = False
        self._task = asyncio.create_task(self._run(), name="cache-writer")

    def __len__(self) -> int:
        """Entries waiting; the one being written is not counted."""
        return len(self._pending)

    @property
    def bytes(self) -> int:
        """What the entries waiting are charged."""
        return self._bytes

    def offer(self, entry: Entry) -> bool:
        """Take `entry` to be written soon; False when the queue is closed, or has no room for it.

        An entry waiting under the same id is replaced and keeps its turn: the newer answer is written once.
        """
        if self._closed:
            return False
        size = size_of(entry)
        _, freed = self._pending.get(entry.id, (None, 0))
        count = len(self._pending) + (entry.id not in self._pending)
        if count > self._max_pending or self._bytes - freed + size > self._max_pending_bytes:
            return False
        self._pending[entry.id] = entry, size
        self._bytes += size - freed
        self._idle.clear()
        self._wake.set()
        return True

    async def drain(self, within: float) -> bool:
        """Wait until nothing is pending or being written; False after `within` seconds."""
        try:
            async with asyncio.timeout(within):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def close(self, within: float) -> None:
        """Take no more, write what is pending for up to `within` seconds, give up the rest."""
        self._closed = True
        await self.drain(within)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # the cancellation asked for in the line above
            await self._task
        left = len(self._pending) + self._interrupted
        if left:
            self._on_dropped(left)
        self._pending.clear()
        self._bytes = 0
        self._interrupted = 0
        self._idle.set()

    async def _run(self) -> None:
        while True:
            while self._pending:
                _, (entry, size) = self._pending.popitem(last=False)
                self._bytes -= size
                self._interrupted = 1
                await self._write(entry)
                self._interrupted = 0
            self._idle.set()
            self._wake.clear()
            await self._wake.wait()

    async def _write(self, entry: Entry) -> None:
        if self._clock.now() >= entry.expires_at:
            self._on_dropped(1)
            return
        try:
            async with asyncio.timeout(self._put_timeout):
                await self._put(entry)
        except PortError as error:
            self._on_failed(error.reason)
        except TimeoutError:
            self._on_failed(Failure.TIMEOUT)
        except Exception as error:
            # A bug of a store's must not end this task and with it the cache. Its message may quote the
            # entry, so only the kind is logged.
            _LOG.error("the store raised %s", type(error).__qualname__)
            self._on_failed(Failure.INVALID)
