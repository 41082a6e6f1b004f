"""Where the HTTP API and the metrics are served. Knows nothing of exchanges, nor of what the routes do."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from router_extproc.base.errors import OperatorError, PortTakenError
from router_extproc.server.api.status import Check
from router_extproc.server.replies import errors_as_json

LINGER_SECONDS = 2.0
"""How long a body that nobody wants is read on, so that its sender sees the answer."""

MAX_CONNECTIONS = 128
"""Of one server, idle ones included; one more is closed at once. Whoever holds them all keeps others from
health and metrics, and not the router from the sockets that requests need."""

STOP_SECONDS = 5.0
"""How long a stop waits for answers under way; an export may take minutes."""


@dataclass(frozen=True, slots=True)
class HttpServer:
    """A running aiohttp application, and where it listens."""

    runner: web.AppRunner
    listening: asyncio.Server

    async def stop(self) -> None:
        self.listening.close()
        await self.runner.cleanup()


class _TooMany(asyncio.Protocol):
    """A connection that is not served."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


async def serve_api(host: str, port: int, routes: Sequence[web.RouteDef]) -> HttpServer:
    """The HTTP API. Raises PortTakenError."""
    return await _serve(host, port, routes, "listeners.api")


Exposition = Callable[[], bytes] | Callable[[], Awaitable[bytes]]


async def serve_metrics(host: str, port: int, exposition: Exposition, content_type: str) -> HttpServer:
    """`GET /metrics` in Prometheus's text format. Raises PortTakenError."""
    return await _serve(host, port, (metrics_route(exposition, content_type),), "listeners.metrics")


def metrics_route(exposition: Exposition, content_type: str) -> web.RouteDef:
    async def metrics(_: web.Request) -> web.Response:
        said = exposition()
        body = said if isinstance(said, bytes) else await said
        return web.Response(body=body, headers={"content-type": content_type})

    return web.get("/metrics", metrics)


async def serve_socket(path: Path, routes: Sequence[web.RouteDef]) -> HttpServer:
    """`routes` on the Unix socket `path`, whose folder only the owner may enter. Raises OperatorError."""
    runner = await _runner(routes)
    try:
        listening = await asyncio.get_running_loop().create_unix_server(_accepting(runner), path)
    except OSError as error:
        await runner.cleanup()
        raise OperatorError(f"{path}: cannot be opened ({error.strerror or error})") from error
    return HttpServer(runner, listening)


def probe(url: str, timeout: float) -> Check:
    """A check that holds when `url` answers 200 within `timeout` seconds."""
    limit = aiohttp.ClientTimeout(total=timeout)

    async def answers() -> bool:
        try:
            async with aiohttp.ClientSession(timeout=limit) as session, session.get(url) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    return answers


async def _serve(host: str, port: int, routes: Sequence[web.RouteDef], key: str) -> HttpServer:
    runner = await _runner(routes)
    try:
        listening = await asyncio.get_running_loop().create_server(_accepting(runner), host, port)
    except OSError as error:
        await runner.cleanup()
        raise PortTakenError(
            f"{host}:{port} cannot be opened ({error.strerror or error}); "
            f"stop what listens there or change {key} in the configuration"
        ) from error
    return HttpServer(runner, listening)


async def _runner(routes: Sequence[web.RouteDef]) -> web.AppRunner:
    application = web.Application(middlewares=[errors_as_json])
    application.add_routes(routes)
    # Bodies stay as they came: a small compressed one may be a very large one.
    runner = web.AppRunner(
        application,
        access_log=None,
        auto_decompress=False,
        lingering_time=LINGER_SECONDS,
        shutdown_timeout=STOP_SECONDS,
    )
    await runner.setup()
    return runner


def _accepting(runner: web.AppRunner) -> Callable[[], asyncio.Protocol]:
    protocols = runner.server

    def accept() -> asyncio.Protocol:
        if protocols is None or len(protocols.connections) >= MAX_CONNECTIONS:
            return _TooMany()
        return protocols()

    return accept
