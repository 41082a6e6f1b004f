"""Ports, and waiting for a condition. Knows nothing of what is waited for."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

POLL_SECONDS = 0.01


def free_port() -> int:
    """A TCP port of the loopback address that was free a moment ago.

    Another process may take it before it is used: prefer letting a server bind port 0 and tell its port.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@overload
async def wait_until(
    condition: Callable[[], Awaitable[T]], what: str, deadline: float = ..., clock: Callable[[], float] = ...
) -> T: ...


@overload
async def wait_until(
    condition: Callable[[], T], what: str, deadline: float = ..., clock: Callable[[], float] = ...
) -> T: ...


async def wait_until(
    condition: Callable[[], object],
    what: str,
    deadline: float = 10.0,
    clock: Callable[[], float] = time.monotonic,
) -> object:
    """The first true value that `condition` gives, asked every 10 ms.

    Raises TimeoutError naming `what` when `deadline` seconds have passed.
    """
    end = clock() + deadline
    while True:
        asked = condition()
        value = await asked if isinstance(asked, Awaitable) else asked
        if value:
            return value
        if clock() >= end:
            raise TimeoutError(f"waited {deadline:g} s for {what}")
        await asyncio.sleep(POLL_SECONDS)
