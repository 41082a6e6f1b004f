"""The HTTP API (health and readiness) and the metrics endpoint. Knows nothing of exchanges."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp import web

from router_extproc.base.errors import PortTakenError

Check = Callable[[], Awaitable[bool]]
"""One condition of readiness. Bounded in time by whoever makes it; must not raise."""


@dataclass(frozen=True, slots=True)
class HttpServer:
    """A running aiohttp site."""

    runner: web.AppRunner

    async def stop(self) -> None:
        await self.runner.cleanup()


async def serve_api(host: str, port: int, checks: Mapping[str, Check]) -> HttpServer:
    """`GET /health`: 200 while the process runs. `GET /ready`: 200 when every check holds, else 503;
    the body names each check. Raises PortTakenError."""

    async def health(_: web.Request) -> web.Response:
        return _json(200, {"status": "healthy", "service": "router-extproc"})

    async def ready(_: web.Request) -> web.Response:
        results = await asyncio.gather(*(check() for check in checks.values()))
        named = dict(zip(checks, results, strict=True))
        ok = all(results)
        return _json(200 if ok else 503, {"status": "ready" if ok else "not ready", "checks": named})

    return await _serve(host, port, {"/health": health, "/ready": ready}, "listeners.api")


async def serve_metrics(
    host: str, port: int, exposition: Callable[[], bytes], content_type: str
) -> HttpServer:
    """`GET /metrics` in Prometheus's text format. Raises PortTakenError."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=exposition(), headers={"content-type": content_type})

    return await _serve(host, port, {"/metrics": metrics}, "listeners.metrics")


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


async def _serve(
    host: str, port: int, routes: Mapping[str, Callable[[web.Request], Awaitable[web.Response]]], key: str
) -> HttpServer:
    application = web.Application(client_max_size=64 * 1024)
    for path, handler in routes.items():
        application.router.add_get(path, handler)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise PortTakenError(
            f"{host}:{port} cannot be opened ({error.strerror or error}); "
            f"stop what listens there or change {key} in the configuration"
        ) from error
    return HttpServer(runner)


def _json(status: int, document: object) -> web.Response:
    return web.Response(status=status, body=json.dumps(document).encode(), content_type="application/json")
