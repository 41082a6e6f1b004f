"""Where the HTTP API and the metrics are served. Knows nothing of exchanges, nor of what the routes do."""

import asyncio
import ipaddress
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from router_extproc.base.errors import OperatorError, PortTakenError
from router_extproc.server.api.status import Check
from router_extproc.server.replies import Code, error_reply, errors_as_json
from router_extproc.server.tls import Certificates

LINGER_SECONDS = 2.0
"""How long a body that nobody wants is read on, so that its sender sees the answer."""

MAX_CONNECTIONS = 128
"""Of one server, idle ones included; one more is closed at once. Whoever holds them all keeps others from
health and metrics, and not the router from the sockets that requests need."""

HANDSHAKE_SECONDS: Final = 5.0
"""For the whole of a TLS handshake."""

STOP_SECONDS = 5.0
"""How long a stop waits for answers under way; an export may take minutes."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a server listens. `key` is the configuration's, for errors. With `certificates` TLS only.

    `names` are those that clients may call it by, beside IP addresses and `localhost`; None means any.
    `private` is a Unix socket on which the same is served without TLS, in a folder that is this user's alone.
    """

    host: str
    port: int
    key: str
    certificates: Certificates | None = None
    names: Collection[str] | None = None
    private: Path | None = None


@dataclass(frozen=True, slots=True)
class HttpServer:
    """A running aiohttp application, and where it listens."""

    runner: web.AppRunner
    listening: Sequence[asyncio.Server]

    async def stop(self) -> None:
        for each in self.listening:
            each.close()
        await self.runner.cleanup()


class _TooMany(asyncio.Protocol):
    """A connection that is not served."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Counted(asyncio.Protocol):
    """`served`, and the handshake before it: until that is through, the connection counts in `pending`."""

    def __init__(self, served: web.RequestHandler, pending: "dict[_Counted, float]") -> None:
        self._served = served
        self._pending = pending
        pending[self] = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._pending.pop(self, None)
        self._served.connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._served.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._served.data_received(data)

    def eof_received(self) -> None:
        self._served.eof_received()

    def pause_writing(self) -> None:
        self._served.pause_writing()

    def resume_writing(self) -> None:
        self._served.resume_writing()


class _Door:
    """Makes the protocol of each connection, at most MAX_CONNECTIONS at a time with those in a handshake. One
    whose handshake failed counts until HANDSHAKE_SECONDS after its beginning."""

    def __init__(self, protocols: web.Server) -> None:
        self._protocols = protocols
        self._pending: dict[_Counted, float] = {}

    def __call__(self) -> asyncio.Protocol:
        late = time.monotonic() - HANDSHAKE_SECONDS
        for each in [each for each, began in self._pending.items() if began < late]:
            del self._pending[each]
        if len(self._protocols.connections) + len(self._pending) >= MAX_CONNECTIONS:
            return _TooMany()
        return _Counted(self._protocols(), self._pending)


async def serve_api(site: Site, routes: Sequence[web.RouteDef]) -> HttpServer:
    """The HTTP API. Raises PortTakenError."""
    return await _serve(site, routes)


Exposition = Callable[[], bytes] | Callable[[], Awaitable[bytes]]


async def serve_metrics(site: Site, exposition: Exposition, content_type: str) -> HttpServer:
    """`GET /metrics` in Prometheus's text format. Raises PortTakenError."""
    return await _serve(site, (metrics_route(exposition, content_type),))


def metrics_route(exposition: Exposition, content_type: str) -> web.RouteDef:
    async def metrics(_: web.Request) -> web.Response:
        said = exposition()
        body = said if isinstance(said, bytes) else await said
        return web.Response(body=body, headers={"content-type": content_type})

    return web.get("/metrics", metrics)


async def serve_socket(path: Path, routes: Sequence[web.RouteDef]) -> HttpServer:
    """`routes` on the Unix socket `path`, whose folder only the owner may enter. Raises OperatorError."""
    runner, door = await _opened(routes, None)
    try:
        listening = await asyncio.get_running_loop().create_unix_server(door, path)
    except OSError as error:
        await runner.cleanup()
        raise OperatorError(f"{path}: cannot be opened ({error.strerror or error})") from error
    return HttpServer(runner, [listening])


def probe(
    url: str, timeout: float, tls: ssl.SSLContext | None = None, server_name: str | None = None
) -> Check:
    """A check that holds when `url` answers 200 within `timeout` seconds. `tls` verifies who answers, by
    `server_name` instead of the name in `url`."""
    limit = aiohttp.ClientTimeout(total=timeout)

    async def answers() -> bool:
        try:
            async with (
                aiohttp.ClientSession(timeout=limit) as session,
                session.get(url, ssl=tls or True, server_hostname=server_name) as response,
            ):
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    return answers


async def _opened(
    routes: Sequence[web.RouteDef], names: Collection[str] | None
) -> tuple[web.AppRunner, _Door]:
    """What serves `routes`, and what makes the protocol of each connection."""
    application = web.Application(middlewares=[errors_as_json, *_named(names)])
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
    if runner.server is None:
        raise RuntimeError("aiohttp's runner has no server after its setup")
    return runner, _Door(runner.server)


async def _serve(site: Site, routes: Sequence[web.RouteDef]) -> HttpServer:
    runner, door = await _opened(routes, site.names)
    loop = asyncio.get_running_loop()
    listening = []
    try:
        if site.private is not None:
            listening.append(await loop.create_unix_server(door, site.private))
        if site.certificates is None:
            listening.append(await loop.create_server(door, site.host, site.port))
        else:
            context = site.certificates.for_http()
            listening.append(
                await loop.create_server(
                    door,
                    site.host,
                    site.port,
                    ssl=context,
                    ssl_handshake_timeout=HANDSHAKE_SECONDS,
                    ssl_shutdown_timeout=LINGER_SECONDS,
                )
            )
    except OSError as error:
        for each in listening:
            each.close()
        await runner.cleanup()
        raise PortTakenError(
            f"{site.host}:{site.port} cannot be opened ({error.strerror or error}); "
            f"stop what listens there or change {site.key} in the configuration"
        ) from error
    return HttpServer(runner, listening)


def _named(names: Collection[str] | None) -> Sequence[Middleware]:
    """Refuses requests to another name. A page of any site may have its own name lead to this address after
    it was loaded (DNS rebinding), and the browser then lets it read the answers: only `Host` gives it
    away."""
    if names is None:
        return ()
    known = frozenset(name.lower().rstrip(".") for name in names)

    @web.middleware
    async def named(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = _name_in(request.headers.get("host", ""))
        if host in known or host == "localhost" or _is_address(host):
            return await handler(request)
        return error_reply(
            Code.UNKNOWN_HOST,
            "this address is not known by the name in `Host`; use its IP address or localhost, or add the "
            "name to allowed_hosts in the configuration",
        )

    return (named,)


def _name_in(host: str) -> str:
    """Of a `Host` field, without the port; "" where it has none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
