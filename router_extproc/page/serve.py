"""The page's server: the library set up, the views at their paths, until the router ends."""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from nicegui import app, ui

from router_extproc.page.design import STYLE
from router_extproc.page.envoy import Envoy
from router_extproc.page.frame import ENTER, TITLE
from router_extproc.page.frame import VIEWS as FRAMED
from router_extproc.page.options import Options
from router_extproc.page.parts import Parts
from router_extproc.page.router import Latest, Router
from router_extproc.page.sessions import Sessions
from router_extproc.page.views.cache import cache
from router_extproc.page.views.configuration import configuration
from router_extproc.page.views.live import live
from router_extproc.page.views.playground import playground
from router_extproc.page.views.pool import pool
from router_extproc.page.views.requests import requests

log = logging.getLogger(__name__)

PREFIX: Final = "/ui"
LOOK_SECONDS: Final = 1.0
MESSAGE_BYTES: Final = 1024 * 1024
MOST_CONNECTIONS: Final = 128
STOP_SECONDS: Final = 2
SWEEP_SECONDS: Final = 60.0
RECONNECT_SECONDS: Final = 30.0
"""How long a browser may be away, or slow, before its view is built anew."""
ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" '
    'fill="#3450c8"/><path d="M8 23h5c6 0 4-14 10-14M8 9h5c2 0 3 2 4 4M19 19c1 2 2 4 4 4M20 6l4 3-4 3'
    'M20 20l4 3-4 3" fill="none" stroke="#fff" stroke-width="2.4" stroke-linecap="round" '
    'stroke-linejoin="round"/></svg>'
)

VIEWS: Final[dict[str, Callable[[Parts], None]]] = {
    "/": live,
    "/requests": requests,
    "/playground": playground,
    "/cache": cache,
    "/pool": pool,
    "/configuration": configuration,
}


def serve(options: Options) -> bool:
    """Until the process that started this one has ended (True), or SIGTERM (False)."""
    server = uvicorn.Server(
        uvicorn.Config(
            application(options),
            uds=str(options.socket),
            log_config=None,
            access_log=False,
            ws_max_size=MESSAGE_BYTES,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=STOP_SECONDS,
            server_header=False,
        )
    )
    return asyncio.run(_until_alone(server, options.parent))


async def _until_alone(server: uvicorn.Server, parent: int) -> bool:
    async def watch() -> None:
        # Nothing tells a process that its parent has ended.
        while os.getppid() == parent:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)
        log.warning("the router has ended")
        server.should_exit = True

    if os.getppid() != parent:  # it has ended while this process was starting
        return True
    watching = asyncio.create_task(watch(), name="router-watch")
    try:
        await server.serve()
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):  # asked for in the line above
            await watching
    return os.getppid() != parent


def application(options: Options) -> FastAPI:
    """The views under PREFIX."""
    parts: list[Parts] = []

    @asynccontextmanager
    async def connected(_: FastAPI) -> AsyncIterator[None]:
        async with _parts(options) as made:
            parts.append(made)
            yield

    served = FastAPI(lifespan=connected, openapi_url=None, docs_url=None, redoc_url=None)
    for path, view in VIEWS.items():
        ui.page(path)(_shown(view, parts))
    app.get(f"/{ENTER}")(_entering(parts))
    ui.add_css(STYLE, shared=True)
    app.config.socket_io_js_transports = ["websocket"]
    ui.run_with(
        served,
        mount_path=PREFIX,
        title=TITLE,
        favicon=ICON,
        dark=None,
        reconnect_timeout=RECONNECT_SECONDS,
        tailwind=False,
        storage_secret=secrets.token_urlsafe(32),
        session_middleware_kwargs={
            "path": PREFIX,
            "same_site": "lax",
            "session_cookie": "router_page",
            "https_only": options.secure,
        },
        show_welcome_message=False,
    )
    return served


@asynccontextmanager
async def _parts(options: Options) -> AsyncIterator[Parts]:
    """What the views are given, connected while the page is served."""
    router, envoy, sessions = Router(options.api), Envoy(options.envoy), Sessions(time.monotonic)
    overview = Latest(router, "/api/v1/overview")
    sweeping = asyncio.create_task(_sweep(sessions), name="sweep")
    try:
        yield Parts(router, envoy, overview, sessions, guarded=options.guarded)
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):  # asked for in the line above
            await sweeping
        await router.close()
        await envoy.close()


async def _sweep(sessions: Sessions) -> None:
    """A token is not held for longer because nobody comes."""
    while True:  # the sweep is the only thing that is due then
        await asyncio.sleep(SWEEP_SECONDS)
        sessions.sweep()


def _entering(parts: list[Parts]) -> Callable[[Request], Awaitable[RedirectResponse]]:
    """Signing in needs an answer of its own: only an answer can give the browser another name."""

    async def enter(request: Request) -> RedirectResponse:
        name = parts[0].sessions.enter(str(request.session["id"]), request.query_params.get("ticket", ""))
        if name:
            request.session["id"] = name
        view = request.query_params.get("view", "")
        known = any(view == path for path, _, _ in FRAMED)
        return RedirectResponse(
            f"./{view}" if known else "./",
            303,
            {"cache-control": "no-store", "referrer-policy": "no-referrer"},
        )

    return enter


def _shown(view: Callable[[Parts], None], parts: list[Parts]) -> Callable[[], None]:
    def show() -> None:
        view(parts[0])

    return show
