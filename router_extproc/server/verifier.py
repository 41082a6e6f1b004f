"""Compares cached answers with fresh ones, off the request path: a bounded queue and one task.

A comparison costs a few passes of the encoder, and requests come first: what does not fit is not compared.
"""

import asyncio
import contextlib
from collections import deque

import numpy as np

from router_extproc.base.refusals import Verified
from router_extproc.base.vector import Vector
from router_extproc.caching.verify import compare_answers
from router_extproc.exchange.effects import CacheVerified, Verify
from router_extproc.ports import Analyst, PortError, Telemetry
from router_extproc.routing.compiled import Needs
from router_extproc.server.driver import log_bug

WINDOW = 1_000
"""Characters: about 250 tokens of English, of the 256 that the encoder takes by default."""

ONLY_VECTOR = Needs(vector=True)


class Verifier:
    """Made inside the event loop that uses it; its task runs until `close`. At most `max_pending` comparisons
    wait, and at most `max_characters` of each answer are compared."""

    def __init__(
        self,
        analyst: Analyst,
        telemetry: Telemetry,
        *,
        max_pending: int = 64,
        max_characters: int = 4000,
        timeout: float = 5.0,
    ) -> None:
        self._analyst = analyst
        self._telemetry = telemetry
        self._max_pending = max_pending
        self._max_characters = max_characters
        self._timeout = timeout
        self._pending: deque[Verify] = deque()
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="cache-verifier")

    def offer(self, verify: Verify) -> bool:
        """Take a comparison to be made soon; False when there is no room for it."""
        if len(self._pending) >= self._max_pending:
            return False
        self._pending.append(verify)
        self._wake.set()
        return True

    async def close(self) -> None:
        """End the task. What is pending is not compared."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # the cancellation asked for in the line above
            await self._task
        self._pending.clear()

    async def _run(self) -> None:
        while True:
            while self._pending:
                verify = self._pending.popleft()
                outcome = await self._compare(verify)
                entry = verify.hit.entry
                self._telemetry.note(CacheVerified(outcome, entry.category, entry.id))
            self._wake.clear()
            await self._wake.wait()

    async def _compare(self, verify: Verify) -> Verified:
        cached = verify.hit.entry.completion.content[: self._max_characters]
        fresh = verify.fresh.content[: self._max_characters]
        try:
            async with asyncio.timeout(self._timeout):
                one, two = await self._vector(cached), await self._vector(fresh)
            return compare_answers(cached, fresh, float(np.dot(one, two)))
        except (PortError, TimeoutError):
            return Verified.UNDECIDED
        except Exception as error:
            # Raised here it would end the task, and with it every comparison from now on.
            log_bug("Verify", error)
            return Verified.UNDECIDED

    async def _vector(self, text: str) -> Vector:
        """The mean direction of the text's parts, each short enough for the encoder to see all of it."""
        starts = range(0, max(1, len(text)), WINDOW)
        parts = [
            (await self._analyst.analyse(text[start : start + WINDOW], ONLY_VECTOR)).vector
            for start in starts
        ]
        mean: Vector = np.mean(parts, axis=0, dtype=np.float32)
        return mean / max(float(np.linalg.norm(mean)), 1e-6)
