"""Where the HTTP API and the metrics are served. Knows nothing of exchanges, nor of what the routes do."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from router_extproc.base.errors import PortTakenError
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


async def serve_metrics(
    host: str, port: int, exposition: Callable[[], bytes], content_type: str
) -> HttpServer:
    """`GET /metrics` in Prometheus's text format. Raises PortTakenError."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=exposition(), headers={"content-type": content_type})

    return await _serve(host, port, (web.get("/metrics", metrics),), "listeners.metrics")


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
    protocols = runner.server

    def accept() -> asyncio.Protocol:
        if protocols is None or len(protocols.connections) >= MAX_CONNECTIONS:
            return _TooMany()
        return protocols()

    try:
        listening = await asyncio.get_running_loop().create_server(accept, host, port)
    except OSError as error:
        await runner.cleanup()
        raise PortTakenError(
            f"{host}:{port} cannot be opened ({error.strerror or error}); "
            f"stop what listens there or change {key} in the configuration"
        ) from error
    return HttpServer(runner, listening)
