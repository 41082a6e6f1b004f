"""Milvus as it fails: not there, silent, killed, full of foreign rows, or wrongly configured."""

import asyncio
import contextlib
import dataclasses
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from router_extproc.base.refusals import Failure
from router_extproc.ports import PortError
from router_extproc.stores.codec import row_of
from router_extproc.stores.milvus import MilvusStore
from router_extproc.stores.options import MilvusOptions, Server
from router_extproc.stores.tiered import TieredStore
from tests.support.backends import impatient, new_front, opened
from tests.support.entries import DIMENSION, NOW, SOON, a_vector, an_entry, between, new_partition
from tests.support.milvus import MilvusServer
from tests.support.processes import wait_until

AT_ONCE = 0.15
"""Seconds that a call may take which asks nobody: half of the shortest timeout here. It takes 10 us, but the
event loop may be late on a busy machine."""


async def failure_of(store: MilvusStore | TieredStore) -> tuple[Failure | None, float]:
    """How a lookup fails now, and how many seconds that takes."""
    began = time.monotonic()
    try:
        await store.get(new_partition(), "0" * 32, NOW, SOON)
    except PortError as error:
        return error.reason, time.monotonic() - began
    return None, time.monotonic() - began


async def fail_until_open(store: MilvusStore) -> None:
    async def once_more() -> bool:
        await failure_of(store)
        return not store.is_up

    await wait_until(once_more, "the breaker to open", deadline=20)


async def come_back(store: MilvusStore) -> None:
    async def works() -> bool:
        return (await failure_of(store))[0] is None

    await wait_until(works, "the store to recover", deadline=60)


@pytest.fixture
def silent_port() -> Any:
    """Accepts connections (the kernel does, in its backlog) and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


Frozen = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture
def frozen(milvus_server: MilvusServer) -> Frozen:
    """Suspends the server, and wakes it up whatever happens."""

    @asynccontextmanager
    async def freeze() -> AsyncIterator[None]:
        milvus_server.freeze()
        try:
            yield
        finally:
            milvus_server.thaw()

    return freeze


async def test_starting_beside_a_silent_server_takes_no_longer_than_the_timeout(silent_port: int) -> None:
    options = MilvusOptions(Server("127.0.0.1", silent_port), DIMENSION, "e", timeout=0.5)
    began = time.monotonic()
    async with opened(options) as store:
        assert time.monotonic() - began < 2.0
        assert not store.is_up
        reason, seconds = await failure_of(store)
        assert reason is Failure.UNAVAILABLE
        assert seconds < AT_ONCE


async def test_a_store_can_be_closed_while_it_reconnects(silent_port: int) -> None:
    options = MilvusOptions(Server("127.0.0.1", silent_port), DIMENSION, "e", timeout=0.3, first_retry=0.0)
    async with opened(dataclasses.replace(options, timeout=0.2)) as store:
        await failure_of(store)
        began = time.monotonic()
    assert time.monotonic() - began < 2.0
    assert (await failure_of(store))[0] is Failure.UNAVAILABLE


async def test_a_server_that_stops_answering_costs_a_few_timeouts_and_then_nothing(
    server_options: MilvusOptions, frozen: Frozen
) -> None:
    async with opened(impatient(server_options)) as store:
        async with frozen():
            reason, seconds = await failure_of(store)
            assert reason is Failure.TIMEOUT
            assert 0.2 < seconds < 1.0
            await fail_until_open(store)
            for _ in range(20):
                reason, seconds = await failure_of(store)
                assert reason is Failure.UNAVAILABLE
                assert seconds < AT_ONCE
            began = time.monotonic()
            with pytest.raises(PortError):
                await store.put(an_entry(new_partition()))
            assert time.monotonic() - began < AT_ONCE
        await come_back(store)
        assert store.is_up


async def test_a_caller_that_gives_up_earlier_is_noticed_too(
    server_options: MilvusOptions, frozen: Frozen
) -> None:
    async with opened(impatient(server_options)) as store:
        async with frozen():
            for _ in range(3):
                assert store.is_up
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await store.get(new_partition(), "0" * 32, NOW, SOON)
            assert not store.is_up
        await come_back(store)


async def test_calls_under_way_are_bounded(server_options: MilvusOptions, frozen: Frozen) -> None:
    async with opened(impatient(server_options, max_in_flight=2)) as store:
        async with frozen():
            held = [asyncio.create_task(failure_of(store)) for _ in range(2)]
            await asyncio.sleep(0)
            reason, seconds = await failure_of(store)
            assert reason is Failure.OVERLOADED
            assert seconds < AT_ONCE
            assert [(await each)[0] for each in held] == [Failure.TIMEOUT] * 2
        await come_back(store)


async def test_a_killed_server_is_left_alone_and_taken_up_again_with_its_entries(
    server_options: MilvusOptions, milvus_server: MilvusServer
) -> None:
    entry = an_entry(new_partition(), content="from before")
    async with opened(impatient(server_options)) as store:
        await store.put(entry)
        await asyncio.to_thread(milvus_server.kill)
        try:
            reason, seconds = await failure_of(store)
            assert reason in (Failure.UNAVAILABLE, Failure.TIMEOUT)
            assert seconds < 1.0
            await fail_until_open(store)
            [tally] = await store.tallies()
            assert not tally.is_up
            async with opened(impatient(server_options)) as late:
                assert not late.is_up
                await asyncio.to_thread(milvus_server.start)
                await come_back(late)
        finally:
            if milvus_server.process is None:
                await asyncio.to_thread(milvus_server.start)
        await come_back(store)

        async def found() -> bool:
            with contextlib.suppress(PortError):  # a collection is loaded again before its old rows are
                return await store.get(entry.partition, entry.id, NOW, SOON) is not None
            return False

        await wait_until(found, "the entry after the crash", deadline=30)


def write_row(server: MilvusServer, collection: str, row: dict[str, Any]) -> None:
    with contextlib.closing(server.client()) as client:
        client.upsert(collection, row, timeout=5.0)


async def test_a_row_that_cannot_be_read_is_skipped_and_the_others_are_found(
    milvus_server: MilvusServer, server_options: MilvusOptions, caplog: pytest.LogCaptureFixture
) -> None:
    partition, vector = new_partition(), a_vector(1)
    good = an_entry(partition, "good", vector=vector)
    bad = an_entry(partition, "bad", vector=vector)
    payloads = ['{"version":9,"secret":"hunter2"}', "hunter2", ""]
    field = server_options.vector_field
    rows = [row_of(bad, field) | {"payload0": payload} for payload in payloads]
    caplog.set_level(logging.WARNING, "router_extproc")
    async with opened(server_options) as store:
        await store.put(good)
        for row in rows:
            await asyncio.to_thread(write_row, milvus_server, server_options.collection_name, row)
            caplog.clear()
            assert await store.get(partition, bad.id, NOW, SOON) is None
            found = await store.nearest(partition, vector, 4, NOW, SOON)
            assert [each.entry.id for each in found] == [good.id]
            assert "a row that cannot be read" in caplog.text
            assert "hunter2" not in caplog.text


@pytest.mark.parametrize("kind", ["lite", "server"])
async def test_purge_deletes_the_dead_and_keeps_the_living(kind: str, request: pytest.FixtureRequest) -> None:
    options: MilvusOptions = request.getfixturevalue(f"{kind}_options")
    partition = new_partition()
    long_ago = NOW - 1e6
    async with opened(options) as store:
        await store.purge(NOW - 1e5)
        dying = [an_entry(partition, f"q{i}", expires_at=long_ago + i) for i in range(5)]
        for entry in dying:
            await store.put(entry)
        [before] = await store.tallies()
        assert await store.purge(long_ago + 2) == 3
        [after] = await store.tallies()
        assert before.entries - after.entries == 3
        alive = [await store.get(partition, entry.id, long_ago - 1, SOON) is not None for entry in dying]
        assert alive == [False, False, False, True, True]
        assert await store.purge(long_ago + 10) == 2
        assert await store.purge(long_ago + 10) == 0


@pytest.mark.parametrize("kind", ["lite", "server"])
async def test_many_writes_of_one_question_at_once_leave_one_entry(
    kind: str, request: pytest.FixtureRequest
) -> None:
    options: MilvusOptions = request.getfixturevalue(f"{kind}_options")
    partition, vector = new_partition(), a_vector(2)
    async with opened(options) as store:
        entries = [an_entry(partition, vector=vector, content=str(i)) for i in range(12)]
        await asyncio.gather(*(store.put(entry) for entry in entries))
        await store.put(an_entry(partition, vector=vector, content="last"))
        found = await store.nearest(partition, vector, 10, NOW, SOON)
        assert [each.entry.completion.content for each in found] == ["last"]


async def test_a_write_is_soon_visible_at_bounded_consistency(server_options: MilvusOptions) -> None:
    entry = an_entry(new_partition())
    async with opened(dataclasses.replace(server_options, consistency="Bounded")) as store:
        await store.put(entry)

        async def visible() -> bool:
            return bool(await store.nearest(entry.partition, entry.vector, 1, NOW, SOON))

        await wait_until(visible, "a write to become visible", deadline=10)


@asynccontextmanager
async def shared_tier(options: MilvusOptions) -> AsyncIterator[TieredStore]:
    back = await MilvusStore.open(options)
    store = await TieredStore.open(new_front(), back, exclusive=False, similar_enough=0.85, at=NOW)
    try:
        yield store
    finally:
        await store.close()


async def test_routers_that_share_a_server_find_each_others_entries(
    server_options: MilvusOptions, frozen: Frozen
) -> None:
    options = impatient(server_options)
    partition, vector = new_partition(), a_vector(3)
    entry = an_entry(partition, vector=vector)
    near = between(vector, a_vector(4), 0.9)
    async with shared_tier(options) as ours, shared_tier(options) as theirs, opened(options) as back:
        await ours.put(an_entry(partition, "unlike", vector=between(vector, a_vector(4), 0.1)))
        await theirs.put(entry)
        found = await ours.nearest(partition, near, 1, NOW, SOON)
        assert [each.entry.id for each in found] == [entry.id]
        async with frozen():
            warm = await ours.nearest(partition, near, 1, NOW, SOON)
            assert [each.entry.id for each in warm] == [entry.id]
            assert await ours.get(partition, entry.id, NOW, SOON) is not None
            assert (await failure_of(ours))[0] is Failure.TIMEOUT
            with pytest.raises(PortError):
                await ours.nearest(partition, -vector, 1, NOW, SOON)
        await come_back(back)


async def test_an_embedded_cache_is_loaded_newest_first_and_cleared_of_the_rest(
    lite_options: MilvusOptions,
) -> None:
    partition = new_partition()
    entries = [an_entry(partition, f"q{i}", created_at=NOW - 100 + i) for i in range(12)]
    async with opened(lite_options) as store:
        for entry in entries:
            await store.put(entry)
    back = await MilvusStore.open(lite_options)
    store_of_five = await TieredStore.open(
        new_front(max_entries=5), back, exclusive=True, similar_enough=0.85, at=NOW
    )
    try:
        held = [await store_of_five.get(partition, entry.id, NOW, SOON) is not None for entry in entries]
        assert held == [False] * 7 + [True] * 5
        extra = an_entry(partition, "one more")
        await store_of_five.put(extra)
        await store_of_five.purge(NOW)
        left = [await back.get(partition, entry.id, NOW, SOON) is not None for entry in [*entries, extra]]
        assert left == [False] * 8 + [True] * 5
    finally:
        await store_of_five.close()


async def test_a_write_seen_by_another_replica_keeps_its_time_of_death(server_options: MilvusOptions) -> None:
    entry = an_entry(new_partition(), expires_at=NOW + 10)
    async with shared_tier(server_options) as ours, shared_tier(server_options) as theirs:
        await theirs.put(entry)
        [found] = await ours.nearest(entry.partition, entry.vector, 1, NOW, SOON)
        assert found.entry.expires_at == entry.expires_at
        assert await ours.get(entry.partition, entry.id, NOW + 9.9, SOON) is not None
        assert await ours.get(entry.partition, entry.id, NOW + 10, SOON) is None
