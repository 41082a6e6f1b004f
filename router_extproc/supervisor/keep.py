"""A child process that is to be there: watched, and started again when it ended or hangs."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from router_extproc.base.errors import OperatorError
from router_extproc.supervisor.process import Child

log = logging.getLogger(__name__)

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
STEADY_SECONDS: Final = 60.0
"""A child that ran for so long is started again without having to wait for longer than the first time."""

PROBE_SECONDS: Final = 10.0
"""Between two questions whether it still answers."""

MOST_UNANSWERED: Final = 6
"""One after the other: then it is taken for hung. A start on a busy machine may take half a minute."""


@dataclass(frozen=True, slots=True)
class Pace:
    """In seconds: the wait after the first end, which doubles; how long a child has to run for the wait to be
    the first one again; between two questions; and what the child is given to end by itself. After
    `most_unanswered` questions in a row without an answer it is taken for hung."""

    first_wait: float = FIRST_WAIT
    steady: float = STEADY_SECONDS
    between: float = PROBE_SECONDS
    stop: float = 3.0
    most_unanswered: int = MOST_UNANSWERED


async def kept_running(
    start: Callable[[], Awaitable[Child]],
    answers: Callable[[], Awaitable[bool]],
    pace: Pace,
    ended: Callable[[OperatorError], None] = lambda _: None,
) -> None:
    """A child that `start` gives, and another whenever it ends or hangs; until cancelled, which stops it.
    `answers` has a deadline of its own. `ended` is told of each end, and may raise OperatorError to have no
    other child."""
    loop, wait = asyncio.get_running_loop(), pace.first_wait
    while True:
        began = loop.time()
        try:
            child = await start()
        except OperatorError as error:
            why = error
        else:
            try:
                hung = await _hung(child, answers, pace)
            finally:
                await child.stop(pace.stop)
            why = child.failure()
            if hung:
                why = OperatorError(f"{child.name} did not answer any more and was ended")
        ended(why)
        if loop.time() - began >= pace.steady:
            wait = pace.first_wait
        log.error("%s; it is started again in %g s", why, wait)
        await asyncio.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)


async def _hung(child: Child, answers: Callable[[], Awaitable[bool]], pace: Pace) -> bool:
    """Wait until it ends by itself (False) or has left too many questions unanswered (True)."""
    unanswered = 0
    while unanswered < pace.most_unanswered:
        with contextlib.suppress(TimeoutError):  # it still runs
            async with asyncio.timeout(pace.between):
                await child.process.wait()
                return False
        unanswered = 0 if await answers() else unanswered + 1
    return True
