"""Ports, child processes, and waiting for a condition. Knows nothing of what is waited for."""

import asyncio
import itertools
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, overload

T = TypeVar("T")

POLL_SECONDS = 0.01


_CANDIDATES = itertools.islice(itertools.cycle(range(20_000, 32_000)), os.getpid() * 97 % 12_000, None)
"""Below the range that the system draws from where a server binds port 0, so that no such server takes a port
that was promised here. Every port comes once in a long while, so that two askers get two ports."""


def free_port() -> int:
    """A TCP port of the loopback address that was free a moment ago, and that nobody else here was given.

    Another process may take it before it is used: prefer letting a server bind port 0 and tell its port.
    """
    for port in _CANDIDATES:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("the candidates never end")


def free_ports_in_a_row(count: int) -> int:
    """The first of them."""
    found = [free_port()]
    while len(found) < count:
        port = free_port()
        found = [*found, port] if port == found[-1] + 1 else [port]
    return found[0]


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


def children(module: str) -> list[int]:
    """Processes that this one has started with `python -m module`, and that have not ended."""
    return [pid for pid in with_words(module) if f"PPid:\t{os.getpid()}\n" in _status(pid)]


def with_words(*words: str) -> list[int]:
    """Processes whose command has these words, and that have not ended."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it has ended in between
                command = (folder / "cmdline").read_bytes().split(b"\0")
                if {word.encode() for word in words} <= set(command):
                    found.append(int(folder.name))
    return [pid for pid in found if "State:\tZ" not in _status(pid)]


def _status(pid: int) -> str:
    with suppress(OSError):  # it has ended
        return Path(f"/proc/{pid}/status").read_text()
    return "State:\tZ"
