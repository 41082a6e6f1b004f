"""`top`: how a running router does, again and again."""

import asyncio
import os
import sys
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from router_extproc.app.glance import Glance
from router_extproc.app.glance_view import top_view
from router_extproc.app.router_api import Place, RouterApi, glance_of, opened
from router_extproc.app.screen import (
    Canvas,
    Pages,
    Picture,
    draws,
    keys,
    signals_draw,
    signals_end,
    whole_screen,
)
from router_extproc.app.status import not_asked
from router_extproc.base.errors import OperatorError

SHORTEST_SECONDS: Final = 0.1
LONGEST_SECONDS: Final = 3600.0

DECISIONS: Final = 50
"""How many of the latest are asked for; no usual terminal shows more."""

PAGE_DECISIONS: Final = 10
"""On a page of plain text, which has no end."""


def top(config: Path, *, api: str | None, interval: float, once: bool) -> int:
    """Until `q`, or a signal; with `once` after one picture. 0, or `status.NOT_ASKED` where there is no first
    picture, or for an interval that makes no sense."""
    try:
        if not SHORTEST_SECONDS <= interval <= LONGEST_SECONDS:
            raise OperatorError(f"--interval: from {SHORTEST_SECONDS:g} to {LONGEST_SECONDS:g} seconds")
        place = Place.of(config, api)
        return asyncio.run(_run(place, interval, once=once))
    except OperatorError as error:
        return not_asked(error)


async def _run(place: Place, interval: float, *, once: bool) -> int:
    on_screen = draws(sys.stdout, os.environ) and not once
    async with opened() as session:
        watch = _Watch(place, RouterApi(place, session), DECISIONS if on_screen else PAGE_DECISIONS)
        # Before the terminal is taken: who cannot be asked at all is told so in the shell.
        first = await watch.look()
        if once:
            Pages(sys.stdout).print(first(None))
            return 0
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        with ExitStack() as stack:
            if sys.stdout.isatty():
                stack.enter_context(signals_end(ended))
            keyboard = stack.enter_context(keys(ended))
            canvas: Canvas = Pages(sys.stdout)
            if on_screen:
                canvas = screen = stack.enter_context(whole_screen())
                stack.enter_context(signals_draw(screen, keyboard))
            following = asyncio.create_task(_follow(watch, canvas, first, interval))
            return await _until(ended, following)


async def _until(ended: "asyncio.Future[int]", following: "asyncio.Task[None]") -> int:
    """What `ended` says. `following` ends before that by an error only, which is raised."""
    try:
        await asyncio.wait((ended, following), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            await following
        return ended.result()
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):  # cancelled in the line before
            await following


async def _follow(watch: "_Watch", canvas: Canvas, first: Picture, interval: float) -> None:
    """Draw `first`, and every `interval` seconds another."""
    loop = asyncio.get_running_loop()
    picture, drawn = first, loop.time()
    while True:
        canvas.draw(picture)
        await asyncio.sleep(drawn + interval - loop.time())
        drawn = loop.time()
        picture = await watch.look_again()


class _Watch:
    """The last look that there was, and since when there has been none."""

    def __init__(self, place: Place, api: RouterApi, decisions: int) -> None:
        self._place = place
        self._api = api
        self._decisions = decisions
        self._glance: Glance | None = None
        self._silent_since: datetime | None = None

    async def look(self) -> Picture:
        """Raises OperatorError."""
        self._glance = glance = glance_of(self._place, await self._api.look(self._decisions))
        self._silent_since = None
        at = _time(datetime.now(UTC))
        return lambda height: top_view(glance, at, height)

    async def look_again(self) -> Picture:
        """Where there is nothing to see, the last picture with a word about that: a router that is being
        restarted comes back."""
        try:
            return await self.look()
        except OperatorError as error:
            if self._glance is None:
                raise
            now = datetime.now(UTC)
            self._silent_since = self._silent_since or now
            glance, trouble = self._glance, f"since {_time(self._silent_since)}: {error}"
            return lambda height: top_view(glance, _time(now), height, trouble)


def _time(at: datetime) -> str:
    return f"{at:%H:%M:%S} UTC"
