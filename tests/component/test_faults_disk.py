"""The disk is full: where the router logs, keeps its token, and where Milvus Lite keeps the cache."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from tests.support.faulted import Faulted, faulted
from tests.support.gateway import answered
from tests.support.processes import wait_until
from tests.support.routed import document
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.stack import run_to_end
from tests.support.upstream import ScriptedUpstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNWRITTEN = 'router_port_failures_total{port="writer",reason='
KEPT = [f"What was kept before, {number}?" for number in range(3)]
TRIED = [f"What is kept now, {number}?" for number in range(5)]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("disk") / "small") as small:
        yield small


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(disk: SmallDisk) -> AsyncIterator[Faulted]:
    """All that the router writes is on the small disk."""
    async with ScriptedUpstream(otherwise=lambda request: answered()) as upstream:
        given = document(
            {"m": upstream.port},
            semantic_cache={
                "enabled": True,
                "mode": "exact",
                "backend_type": "hybrid",
                "milvus": {"connection": {"path": "cache.db"}},
            },
            admin={"token_file": "admin-token"},
            observability={"log_level": "debug"},
        )
        async with faulted(disk.folder, given, upstream) as opened:
            yield opened


async def unwritten(stack: Faulted) -> float:
    return sum(value for name, value in (await stack.metrics()).items() if name.startswith(UNWRITTEN))


async def in_lite(stack: Faulted) -> int:
    """Entries that Milvus Lite has."""
    tiers = (await stack.api("GET", "/api/v1/response-cache/stats"))["tiers"]
    return int(next(each["entries"] for each in tiers if each["backend"] != "memory"))


async def test_a_full_disk_costs_no_request_and_nothing_that_was_kept(
    stack: Faulted, disk: SmallDisk
) -> None:
    """Neither what was kept before nor what was kept when there was room again, though it is killed."""
    for text in KEPT:
        assert (await stack.ask(text, model="m")).status == 200
    await wait_until(lambda: has(stack, len(KEPT)), "all to be kept")
    assert await unwritten(stack) == 0.0
    disk.fill(stack.router.pid)
    for text in TRIED:
        assert (await stack.ask(text, model="m")).status == 200
        assert (await stack.ask(text, model="m")).is_hit  # memory has it

    async def counted() -> bool:
        return await unwritten(stack) == len(TRIED)

    await wait_until(counted, "each that was not written to be counted", 30.0)
    disk.free(stack.router.pid)
    later = (f"What is kept afterwards, {number}?" for number in itertools.count())

    async def kept_again() -> bool:
        assert (await stack.ask(next(later), model="m")).status == 200
        return await stack.metric("router_store_up") == 1.0

    await wait_until(kept_again, "the store to be used again", 30.0)
    last = next(later)
    assert (await stack.ask(last, model="m")).status == 200
    asked = int(last.rpartition(" ")[2].rstrip("?")) + 1

    async def accounted() -> bool:
        """Every answer is kept, or counted as not written."""
        lost = await unwritten(stack) - len(TRIED)
        return await in_lite(stack) >= len(KEPT) + asked - lost

    await wait_until(accounted, "every answer to be accounted for", 30.0)
    await stack.router.kill()
    await stack.again()
    for text in (*KEPT, last):
        assert (await stack.ask(text, model="m")).is_hit, text


async def has(stack: Faulted, count: int) -> bool:
    return await in_lite(stack) >= count


async def test_a_router_that_starts_on_a_full_disk_says_so_and_guards_its_api(
    tmp_path: Path, disk: SmallDisk
) -> None:
    """Requests are served without a place for the token; the calls that need it are refused."""
    async with ScriptedUpstream(otherwise=lambda request: answered()) as upstream:
        given = document({"m": upstream.port}, admin={"token_file": str(disk.folder / "other" / "token")})
        (disk.folder / "other").mkdir()
        disk.fill()
        try:
            async with faulted(tmp_path, given, upstream) as stack:
                assert (await stack.ask("Hello?", model="m")).status == 200
                port = stack.configuration.settings.listeners.api.port
                async with stack.session.get(f"http://127.0.0.1:{port}/config/router") as response:
                    assert response.status in (401, 403)
                assert "cannot be written" in stack.router.log.read_text()
        finally:
            disk.free()
        assert not (disk.folder / "other" / "token").exists()


async def test_up_on_a_full_disk_ends_with_one_line(tmp_path: Path, disk: SmallDisk) -> None:
    config = tmp_path / "router.yaml"
    config.write_text(yaml.safe_dump(document({"m": 9})))
    disk.fill()
    try:
        code, _, said = await run_to_end("up", "--config", str(config), "--state", str(disk.folder / "state"))
    finally:
        disk.free()
    assert code == 1
    assert "cannot be written" in said
    assert "Traceback" not in said
