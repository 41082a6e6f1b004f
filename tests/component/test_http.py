"""Health, readiness and metrics over real sockets."""

import asyncio

import aiohttp
import pytest

from router_extproc.base.errors import PortTakenError
from router_extproc.server.api.dispatch import served
from router_extproc.server.api.status import status_routes
from router_extproc.server.http import MAX_CONNECTIONS, Site, probe, serve_api, serve_metrics
from tests.support.processes import free_port, wait_until


def api_at(port: int) -> Site:
    return Site("127.0.0.1", port, "listeners.api")


async def test_ready_says_which_check_does_not_hold() -> None:
    port, state = free_port(), {"envoy": False}

    async def envoy() -> bool:
        return state["envoy"]

    server = await serve_api(api_at(port), served(status_routes({"envoy": envoy}), None))
    try:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/ready") as response:
                assert response.status == 503
                assert await response.json() == {
                    "status": "not ready",
                    "checks": {"envoy": False},
                    "configuration": {},
                }
            state["envoy"] = True
            async with session.get(f"http://127.0.0.1:{port}/ready") as response:
                assert (response.status, (await response.json())["status"]) == (200, "ready")
            async with session.get(f"http://127.0.0.1:{port}/health") as response:
                assert await response.json() == {"status": "healthy", "service": "router-extproc"}
            async with session.get(f"http://127.0.0.1:{port}/other") as response:
                assert response.status == 404
        assert await probe(f"http://127.0.0.1:{port}/health", 2.0)()
        assert not await probe(f"http://127.0.0.1:{port}/other", 2.0)()
    finally:
        await server.stop()
    assert not await probe(f"http://127.0.0.1:{port}/health", 2.0)()


async def test_metrics_are_served_as_prometheus_reads_them() -> None:
    port = free_port()
    site = Site("127.0.0.1", port, "listeners.metrics")
    server = await serve_metrics(site, lambda: b"x 1\n", "text/plain; version=1.0.0")
    try:
        url = f"http://127.0.0.1:{port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert response.headers["content-type"] == "text/plain; version=1.0.0"
            assert await response.read() == b"x 1\n"
        with pytest.raises(PortTakenError, match=rf"127\.0\.0\.1:{port} cannot be opened .*listeners\.api"):
            await serve_api(api_at(port), served(status_routes({}), None))
    finally:
        await server.stop()


async def test_connections_that_say_nothing_are_bounded() -> None:
    port = free_port()
    server = await serve_api(api_at(port), served(status_routes({}), None))
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        while len(idle) < MAX_CONNECTIONS:
            idle.append(await asyncio.open_connection("127.0.0.1", port))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        idle.pop()[1].close()

        async def answers() -> bool:
            return await probe(f"http://127.0.0.1:{port}/health", 2.0)()

        await wait_until(answers, "a place to be free again", 5.0)
    finally:
        for _, each in idle:
            each.close()
        await server.stop()
