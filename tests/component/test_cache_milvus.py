"""The whole path with a real Milvus server behind it: real encoder, real Envoy, and a link that slows down,
falls silent or breaks. No client may fail, and none may wait longer than the lookup's budget."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Gateway, answered, gateway, question
from tests.support.milvus import PASSWORD, USER, MilvusServer
from tests.support.processes import wait_until
from tests.support.slow_link import SlowLink

pytestmark = pytest.mark.asyncio(loop_scope="function")

BUDGET_MS = 200
SLACK = 0.4
"""Seconds that everything but the lookups may take on a busy machine: Envoy, the encoder, the upstream."""


def milvus_document(host: str, port: int) -> dict[str, Any]:
    return {
        "connection": {
            "host": host,
            "port": port,
            "auth": {"enabled": True, "username": USER, "password_env": "TEST_MILVUS_PASSWORD"},
        },
        "search": {"consistency_level": "Strong"},
    }


@asynccontextmanager
async def behind(folder: Path, host: str, port: int, backend: str = "hybrid") -> AsyncIterator[Gateway]:
    async with gateway(
        folder,
        milvus=milvus_document(host, port),
        backend_type=backend,
        backend_config_path="cache/milvus.yaml",
        lookup_timeout_ms=BUDGET_MS,
        coalesce_timeout_ms=0,
    ) as opened:
        yield opened


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_MILVUS_PASSWORD", PASSWORD)


async def up(gate: Gateway) -> bool:
    return (await gate.metrics())["router_store_up"] == 1.0


async def asked(gate: Gateway, text: str) -> float:
    """Seconds of one request that must reach the upstream and succeed."""
    gate.upstream.discard()
    gate.upstream.script(answered())
    began = time.monotonic()
    answer = await gate.ask(question(text))
    assert (answer.status, answer.is_hit) == (200, False)
    return time.monotonic() - began


@pytest.mark.parametrize("backend", ["milvus", "hybrid"])
async def test_what_one_router_stored_another_one_answers_with(
    tmp_path: Path, milvus_server: MilvusServer, backend: str
) -> None:
    text = f"Solve x^2 = 40001 in {backend}."
    host, port = milvus_server.host, milvus_server.port
    async with behind(tmp_path / "one", host, port, backend) as one:
        one.upstream.script(answered())
        await one.ask(question(text))
        await one.hit(question(text))
        async with behind(tmp_path / "two", host, port, backend) as two:
            assert (await two.hit(question(text))).is_hit
            other = await two.ask(question(text), token="another")
            assert not other.is_hit


@pytest.mark.parametrize("fault", ["slow", "silent", "dead"])
async def test_a_milvus_that_fails_costs_no_client_more_than_the_budget(
    tmp_path: Path, milvus_server: MilvusServer, fault: str
) -> None:
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(SlowLink(milvus_server.host, milvus_server.port).running())
        gate = await stack.enter_async_context(behind(tmp_path, "127.0.0.1", link.port))
        await asked(gate, f"Solve x^2 = 41001 before it is {fault}.")
        assert await up(gate)
        link.delay = {"slow": 1.0, "silent": 3600.0, "dead": 0.0}[fault]
        if fault == "dead":
            link.cut()
        worst = 0.0
        for number in range(12):
            worst = max(worst, await asked(gate, f"Solve x^2 = {41_003 + number} while it is {fault}."))
        assert worst < BUDGET_MS / 1000 + SLACK
        assert not await up(gate)
        failures = await gate.metrics()
        assert sum(v for k, v in failures.items() if 'router_port_failures_total{port="store"' in k) >= 5

        # What is kept in memory still answers.
        hit = await gate.hit(question(f"Solve x^2 = 41003 while it is {fault}."))
        assert hit.is_hit
        link.delay = 0.0
        link.broken = False

        async def back() -> bool:
            await gate.ask(question("Solve x^2 = 41999, is it back?"))
            return await up(gate)

        await wait_until(back, "the breaker to close by itself", 60.0)


async def test_a_server_killed_in_the_middle_of_traffic_fails_nobody(
    tmp_path: Path, milvus_server: MilvusServer
) -> None:
    async with behind(tmp_path, milvus_server.host, milvus_server.port) as gate:
        stop = asyncio.Event()
        statuses: list[int] = []

        async def traffic(seed: int) -> None:
            number = 0
            while not stop.is_set():
                number += 1
                gate.upstream.script(answered())
                answer = await gate.ask(question(f"Solve x^2 = {50_000 + 1000 * seed + number}."))
                statuses.append(answer.status)

        tasks = [asyncio.create_task(traffic(seed)) for seed in range(2)]
        try:
            await wait_until(lambda: len(statuses) > 10, "some traffic", 20.0)
            await asyncio.to_thread(milvus_server.kill)

            async def noticed() -> bool:
                return not await up(gate)

            await wait_until(noticed, "the breaker to open", 30.0)
            await asyncio.to_thread(milvus_server.start)

            async def back() -> bool:
                return await up(gate)

            await wait_until(back, "the breaker to close", 60.0)
        finally:
            stop.set()
            await asyncio.gather(*tasks)
        assert set(statuses) == {200}
