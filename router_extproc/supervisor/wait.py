"""Waiting for a process that has no way to tell us that it is ready."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from router_extproc.base.errors import OperatorError
from router_extproc.supervisor.process import Child

POLL_SECONDS = 0.05


async def until(
    check: Callable[[], Awaitable[bool]],
    what: str,
    seconds: float,
    *,
    children: Sequence[Child] = (),
    stop: asyncio.Event | None = None,
) -> None:
    """Returns when `check` holds or `stop` is set.

    Raises OperatorError when one of `children` ends, or when `seconds` have passed; `what` names what was
    waited for.
    """
    stopped = stop or asyncio.Event()
    deadline = asyncio.get_running_loop().time() + seconds
    while not stopped.is_set() and not await check():
        for child in children:
            if child.process.returncode is not None:
                raise child.failure()
        if asyncio.get_running_loop().time() > deadline:
            logs = ", ".join(str(child.log) for child in children)
            raise OperatorError(f"{what} did not answer within {seconds:.0f} s; see {logs}")
        with contextlib.suppress(TimeoutError):  # then it is time to look again
            await asyncio.wait_for(stopped.wait(), POLL_SECONDS)
