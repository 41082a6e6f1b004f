"""The whole path with a real Milvus server that hangs, or that is full and refuses what is to be written: no
client fails, what is lost is counted, and what had been taken is there afterwards."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.component.test_cache_milvus import BUDGET_MS, asked, behind, up
from tests.support.gateway import Gateway, question
from tests.support.milvus import PASSWORD, MilvusServer
from tests.support.processes import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="function")

HUNG, HUNG_SECONDS = 8, 4.0
"""Requests while it hangs, and for how long new ones are made: a server that stalls for ten seconds takes
itself for dead, and starts anew."""
PATIENCE = 1.0
"""Seconds that all but the lookups may take on a busy machine; without budgets a call takes minutes."""
NUMBERS = itertools.count(80_000)
REFUSED = 'router_port_failures_total{port="writer",reason='


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_MILVUS_PASSWORD", PASSWORD)


async def unwritten(gate: Gateway) -> float:
    """Answers that Milvus did not take, as the router counts them."""
    return sum(value for name, value in (await gate.metrics()).items() if name.startswith(REFUSED))


async def written(gate: Gateway) -> None:
    """Waits until nothing is to be written any more."""

    async def nothing() -> bool:
        return (await gate.metrics())["router_cache_pending_writes"] == 0.0

    await wait_until(nothing, "every write to be over", 30.0)


async def known(folder: Path, server: MilvusServer, texts: list[str]) -> None:
    """A router that has just been started answers all of `texts` from the cache."""
    async with behind(folder, server.host, server.port) as other:
        for text in texts:
            assert (await other.hit(question(text))).is_hit


async def test_a_hung_server_costs_no_client_more_than_the_budget_and_nothing_that_it_had_taken(
    tmp_path: Path, milvus_server: MilvusServer
) -> None:
    taken = [f"Solve x^2 = {61_000 + number} before it hangs." for number in range(5)]
    async with behind(tmp_path / "one", milvus_server.host, milvus_server.port) as gate:
        for text in taken:
            await asked(gate, text)
        await written(gate)
        assert await unwritten(gate) == 0.0
        milvus_server.freeze()
        try:
            worst, began = 0.0, time.monotonic()
            for number in range(HUNG):
                if number and time.monotonic() - began > HUNG_SECONDS:
                    break
                worst = max(worst, await asked(gate, f"Solve x^2 = {62_000 + number} while it hangs."))
            assert worst < BUDGET_MS / 1000 + PATIENCE
            assert not await up(gate)
            # What memory has still answers.
            for text in taken:
                assert (await gate.hit(question(text))).is_hit
        finally:
            milvus_server.thaw()

        tries = itertools.count()

        async def back() -> bool:
            next(tries)
            await gate.ask(question("Solve x^2 = 63000, is it back?"))
            return await up(gate)

        await wait_until(back, "the breaker to close by itself", 60.0)
        await written(gate)
        assert 1.0 <= await unwritten(gate) <= HUNG + next(tries)
    await known(tmp_path / "two", milvus_server, taken)


async def test_a_full_server_costs_what_it_refuses_and_nothing_that_it_had_taken(
    tmp_path: Path, milvus_server: MilvusServer
) -> None:
    taken = [f"Solve x^2 = {71_000 + number} before it is full." for number in range(3)]
    async with behind(tmp_path / "one", milvus_server.host, milvus_server.port) as gate:
        for text in taken:
            await asked(gate, text)
        await written(gate)
        with full(milvus_server):
            await wait_until(lambda: refuses(gate), "a write to be refused", 60.0)
            before = await unwritten(gate)
            for number in range(5):
                text = f"Solve x^2 = {72_000 + number} while it is full."
                await asked(gate, text)
                # Memory keeps what Milvus does not.
                assert (await gate.hit(question(text))).is_hit
            await written(gate)
            assert await unwritten(gate) == before + 5
            assert (await gate.hit(question(taken[0]))).is_hit

        await wait_until(lambda: takes(gate), "a write to be taken again", 60.0)
    await known(tmp_path / "two", milvus_server, taken)


@contextmanager
def full(server: MilvusServer) -> Iterator[None]:
    """The server refuses to write, as it does by itself when its disk quota or memory is exhausted; it reads
    its configuration again every few seconds."""
    file = server.folder / "configs" / "milvus.yaml"
    before = file.read_text()
    changed = before.replace("forceDeny: false", "forceDeny: true", 1)
    assert changed != before
    file.write_text(changed)
    try:
        yield
    finally:
        file.write_text(before)


async def refuses(gate: Gateway) -> bool:
    """Whether one more write is refused."""
    before = await unwritten(gate)
    await another(gate)
    return await unwritten(gate) > before


async def takes(gate: Gateway) -> bool:
    before = await unwritten(gate)
    await another(gate)
    return await up(gate) and await unwritten(gate) == before


async def another(gate: Gateway) -> None:
    await asked(gate, f"Solve x^2 = {next(NUMBERS)}.")
    await written(gate)
