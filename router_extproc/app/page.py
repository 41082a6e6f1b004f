"""The page's process: started, watched, started again. What it shows, and how, is not known here.

It runs at low priority, in a session of its own. Whatever becomes of it, requests are served: it shares no
event loop, no lock and no memory with the router.
"""

import asyncio
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router_extproc.app.configuration import Configuration, reachable
from router_extproc.base.errors import OperatorError
from router_extproc.server.forward import Forward
from router_extproc.supervisor.environment import inherited
from router_extproc.supervisor.keep import FIRST_WAIT, PROBE_SECONDS, STEADY_SECONDS, Pace, kept_running
from router_extproc.supervisor.process import Child

LIBRARY: Final = "nicegui"
STOP_SECONDS: Final = 3.0
SOCKET: Final = "page.sock"
API_SOCKET: Final = "api.sock"
"""In the same folder, which is this user's alone: how the page calls the router, whatever certificates the
API's own address asks for."""


@dataclass(frozen=True, slots=True)
class Page:
    """What leads to the page, and the Unix socket on which the page expects the HTTP API."""

    forward: Forward
    api: Path


@asynccontextmanager
async def page_of(configuration: Configuration, *, guarded: bool) -> AsyncIterator[Page | None]:
    """The page, whose process runs until the context is left; None where the page is off.
    `guarded`: the router has a token, and people must give it. Raises OperatorError."""
    settings = configuration.settings
    if not settings.page.enabled:
        yield None
        return
    require_library()
    folder = Path(tempfile.mkdtemp(prefix="router-extproc-page-"))
    forward = Forward(folder / SOCKET, settings.page.max_viewers)
    page = keep_running(
        command(configuration, folder, guarded=guarded),
        folder / "output.log",
        forward.answers,
        env=inherited(os.environ),
    )
    watch = asyncio.create_task(page, name="page")
    try:
        yield Page(forward, folder / API_SOCKET)
    finally:
        watch.cancel()
        await asyncio.wait({watch})
        await forward.close()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def require_library(library: str = LIBRARY) -> None:
    """Raises OperatorError where what the page is made with is not installed."""
    if importlib.util.find_spec(library) is None:
        raise OperatorError(
            "page.enabled: needs NiceGUI, which is not installed; `pip install 'router-extproc[page]'`, "
            "or set page.enabled to false"
        )


def command(configuration: Configuration, folder: Path, *, guarded: bool) -> Sequence[str]:
    """Of the page's process. It has no secret: people sign in with theirs."""
    settings = configuration.settings
    envoy = settings.page.envoy_url or f"http://{reachable(settings.listeners.envoy)}"
    return (
        sys.executable,
        "-m",
        "router_extproc.page",
        f"--folder={folder}",
        f"--socket={folder / SOCKET}",
        f"--api={folder / API_SOCKET}",
        f"--envoy={envoy}",
        f"--parent={os.getpid()}",
        *(("--guarded",) if guarded else ()),
        *(("--secure",) if settings.listeners.api.tls is not None else ()),
    )


async def keep_running(
    command: Sequence[str],
    output: Path,
    answers: Callable[[], Awaitable[bool]],
    *,
    env: Mapping[str, str] | None = None,
    first_wait: float = FIRST_WAIT,
    steady: float = STEADY_SECONDS,
    between: float = PROBE_SECONDS,
) -> None:
    """Run `command` again whenever it ends, or has not answered for long; until cancelled. `answers` asks it,
    with a deadline of its own. `env` is its whole environment; None: ours."""
    await kept_running(
        lambda: Child.start("the page", command, output, env),
        answers,
        Pace(first_wait=first_wait, steady=steady, between=between, stop=STOP_SECONDS),
    )
