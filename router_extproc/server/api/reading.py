"""The encoder for calls of the HTTP API: the same queue and deadline as requests have, and few at a time."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from router_extproc.base.refusals import Failure
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.ports import Analyst, Clock, PortError
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.compiled import Needs
from router_extproc.routing.world import World
from router_extproc.server.pool import Pool
from router_extproc.server.replies import Code, RefusedError

MOST_CALLS: Final = 4
"""Calls that use the encoder at once: it is the clients'."""

NO_DRAW: Final = 0.999999
"""A chance by which no request is used to find out how a model does: what is shown is the rule."""

READING_CODES: Final = (
    Code.TOO_MANY_REQUESTS,
    Code.CLASSIFICATION_ERROR,
    Code.OVERLOADED,
    Code.DEADLINE_EXCEEDED,
)
"""What a call that reads texts may be refused with."""

_CODES: Final = {Failure.OVERLOADED: Code.OVERLOADED, Failure.TIMEOUT: Code.DEADLINE_EXCEEDED}


class Stopwatch:
    """Milliseconds since it was made."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    @property
    def millis(self) -> float:
        return round(1e3 * (time.perf_counter() - self._since), 3)


class Reader:
    """One for all calls of an API. `plan` gives the one in force."""

    def __init__(
        self, analyst: Analyst, plan: Callable[[], Snapshot], pool: Pool, clock: Clock, most: int = MOST_CALLS
    ) -> None:
        self._analyst = analyst
        self._plan = plan
        self._pool = pool
        self._clock = clock
        self._most = most
        self._free = asyncio.Semaphore(most)

    @property
    def encoder(self) -> str:
        return self._analyst.encoder

    @property
    def plan(self) -> Snapshot:
        return self._plan()

    @property
    def world(self) -> World:
        """What the decision for a new conversation goes by now."""
        return replace(self._pool.world(None, self._clock.now()), chance=NO_DRAW)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Stopwatch]:
        """The right to read, for one call. RefusedError where too many have it: nobody waits for it."""
        if self._free.locked():
            raise RefusedError(Code.TOO_MANY_REQUESTS, f"{self._most} such calls are under way; try again")
        async with self._free:
            yield Stopwatch()

    async def read(self, text: str, needs: Needs | None = None, others: Sequence[str] = ()) -> Analysis:
        """One analysis, within the deadline that requests have. Raises RefusedError."""
        within = self._plan().analysis_timeout
        try:
            async with asyncio.timeout(within):
                return await self._analyst.analyse(text, needs, others)
        except PortError as error:
            code = _CODES.get(error.reason, Code.CLASSIFICATION_ERROR)
            raise RefusedError(code, f"the encoder did not read the text: {error}") from None
        except TimeoutError:
            raise RefusedError(
                Code.DEADLINE_EXCEEDED,
                f"the encoder did not read a text within {within:g} s (encoder.timeout_ms); try later, or "
                "send less text",
            ) from None
