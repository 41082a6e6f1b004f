"""Lets the guards read answers before they are kept, off the request path: a bounded queue and one task.

One passage is read at a time, so that requests, which wait for the same encoder, come in between. Owns the
deadlines and those who wait for an answer under way; what follows from a find is the exchange's business.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from router_extproc.base.refusals import Failure, Uncached
from router_extproc.caching.entry import Entry
from router_extproc.exchange.effects import CacheSkipped, Land, ScreenAnswer, Store
from router_extproc.exchange.keeping import needs_of, passages_of, settled, together
from router_extproc.ports import Analyst, Clock, PortError, Telemetry
from router_extproc.screening.reading import Screening
from router_extproc.server.driver import Landing, keep, log_bug

MAX_CHARACTERS = 16 * 1024 * 1024


class AnswerScreener:
    """Made inside the event loop that uses it; its task runs until `close`. At most `max_pending` answers of
    at most `max_characters` characters together, questions included, wait or are read. `fill` keeps an entry;
    False says that there was no room."""

    def __init__(
        self,
        analyst: Analyst,
        fill: Callable[[Entry], bool],
        telemetry: Telemetry,
        clock: Clock,
        *,
        max_pending: int = 64,
        max_characters: int = MAX_CHARACTERS,
    ) -> None:
        self._analyst = analyst
        self._fill = fill
        self._telemetry = telemetry
        self._clock = clock
        self._max_pending = max_pending
        self._max_characters = max_characters
        self._pending: deque[tuple[ScreenAnswer, Landing]] = deque()
        self._characters = 0
        self._closed = False
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="answer-screener")

    def offer(self, asked: ScreenAnswer, land: Landing) -> bool:
        """Take an answer to be read soon, and whoever waits for it; False when closed, or when there is no
        room: `land` is then still the caller's."""
        size = _size(asked.entry)
        full = len(self._pending) >= self._max_pending or self._characters + size > self._max_characters
        if self._closed or full:
            return False
        self._pending.append((asked, land))
        self._characters += size
        self._wake.set()
        return True

    async def close(self) -> None:
        """Take no more and end the task. What was not read by then is not kept, and nobody waits for it."""
        self._closed = True
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # the cancellation asked for in the line above
            await self._task
        for _, land in self._pending:
            land(None)
            self._telemetry.note(CacheSkipped(Uncached.QUEUE_FULL, storing=True))
        self._pending.clear()
        self._characters = 0

    async def _run(self) -> None:
        while True:
            while self._pending:
                asked, land = self._pending[0]
                found = await self._read(asked)
                self._pending.popleft()
                self._characters -= _size(asked.entry)
                self._settle(asked, found, land)
            self._wake.clear()
            await self._wake.wait()

    async def _read(self, asked: ScreenAnswer) -> Screening | Failure | None:
        """What the guards found in all passages; the first that cannot be read ends it."""
        policy, found = asked.policy, list[Screening]()
        passages = passages_of(asked.entry.completion, policy.max_tokens)
        try:
            for text in passages.texts:
                async with asyncio.timeout(asked.timeout):
                    analysis = await self._analyst.analyse(text, needs_of(policy.answers))
                if analysis.screening is None:
                    return None
                found.append(analysis.screening)
        except TimeoutError:
            return Failure.TIMEOUT
        except PortError as error:
            return error.reason
        except Exception as error:
            # Raised here it would end the task, and with it every answer's way into the cache from now on.
            log_bug("ScreenAnswer", error)
            return Failure.INVALID
        return together(found, passages.skipped)

    def _settle(self, asked: ScreenAnswer, found: Screening | Failure | None, land: Landing) -> None:
        try:
            for effect in settled(asked, found, self._clock.now()):
                if isinstance(effect, Land):
                    land(effect.candidate)
                elif isinstance(effect, Store):
                    keep(effect.entry, self._fill, self._telemetry)
                else:
                    self._telemetry.note(effect)
        except Exception as error:
            log_bug("keeping an answer", error)  # as in `_read`
        finally:
            land(None)


def _size(entry: Entry) -> int:
    said = entry.completion
    return len(entry.text) + len(said.content) + sum(len(text) for _, text in said.extras)
