"""The event loop's lag is told, and only that."""

import asyncio
import time

from router_extproc.server.lag import watch_lag

DEADLINE = 10.0
HELD = 0.05


class Told:
    """Holds the loop once, as a blocking call would, and ends after `enough` tellings."""

    def __init__(self, enough: int) -> None:
        self.lags: list[float] = []
        self.over = asyncio.Event()
        self._enough = enough

    def __call__(self, seconds: float) -> None:
        self.lags.append(seconds)
        if len(self.lags) == 1:
            asyncio.get_running_loop().call_soon(hold)
        if len(self.lags) == self._enough:
            self.over.set()


def hold() -> None:
    until = time.perf_counter() + HELD
    while time.perf_counter() < until:
        pass


async def test_a_loop_that_is_held_shows() -> None:
    told = Told(2)
    watching = asyncio.create_task(watch_lag(told, interval=0.01))
    async with asyncio.timeout(DEADLINE):
        await told.over.wait()
    watching.cancel()
    await asyncio.wait({watching}, timeout=DEADLINE)
    assert watching.cancelled()
    assert all(lag >= 0.0 for lag in told.lags)
    assert told.lags[1] >= HELD - 0.02
