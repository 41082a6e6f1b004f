"""How a router ends: told by signals, seen by Envoy before anything is refused, and within a bounded time."""

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from router_extproc.server.listener import Listener
from router_extproc.settings.schema import Shutdown

log = logging.getLogger(__name__)

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """`asked` is set by the first signal. SIGTERM is how orchestrators replace a router, so it `drains`; who
    presses Ctrl-C or closes the terminal (SIGHUP) waits for nothing but what is under way. A second signal
    hurries: what is waited for then ends at once. Made inside the event loop that uses it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()
        self.drains = False
        self._when_hurried: list[Callable[[], None]] = []

    @classmethod
    def at_signals(cls) -> "Stop":
        """By SIGNALS, from now on. Under nohup SIGHUP stays ignored."""
        stop, loop = cls(), asyncio.get_running_loop()
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, stop.ask, number)
        return stop

    def ask(self, number: int) -> None:
        """As the signal `number` does."""
        if self.asked.is_set():
            self.hurried.set()
            for call in self._when_hurried:
                call()
            return
        self.drains = number == signal.SIGTERM
        self.asked.set()

    def when_hurried(self, call: Callable[[], None]) -> None:
        self._when_hurried.append(call)


async def drained(listener: Listener, stop: Stop, shutdown: Shutdown) -> None:
    """To be awaited between the wish to stop and the stop: Envoy and whoever else asks for readiness is told
    to turn away, and everything is served until they had the time to."""
    stop.when_hurried(listener.hurry)
    await listener.drain()
    if stop.drains and shutdown.drain_seconds:
        log.info("not ready from now on; requests are taken for another %g s", shutdown.drain_seconds)
        with suppress(TimeoutError):  # the time that Envoy was to have
            async with asyncio.timeout(shutdown.drain_seconds):
                await stop.hurried.wait()
    log.info("taking no more requests; those under way have %g s", shutdown.grace_seconds)
