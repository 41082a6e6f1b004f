"""How late the event loop is: whatever blocks it makes every request wait, and shows here first."""

import asyncio
from collections.abc import Callable

INTERVAL = 0.25
"""Seconds. Often enough to catch what holds the loop for as long, and nothing beside the work of requests."""


async def watch_lag(tell: Callable[[float], None], interval: float = INTERVAL) -> None:
    """Until cancelled: every `interval` seconds tell how many seconds later than that the loop came back."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval
        await asyncio.sleep(interval)
        tell(max(0.0, loop.time() - due))
