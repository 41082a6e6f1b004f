"""The write queue: bounds, deduplication, deadlines, and what becomes of failures."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from router_extproc.base.refusals import Failure
from router_extproc.caching.entry import Entry
from router_extproc.ports import PortError, Store
from router_extproc.stores.memory import size_of
from router_extproc.stores.writer import WriteQueue
from tests.support.entries import NOW, a_partition, an_entry
from tests.support.ports import FakeClock, FakeStore, Held

HERE = a_partition("here")


@dataclass
class Writing:
    queue: WriteQueue
    dropped: list[int] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


@asynccontextmanager
async def writing(
    store: Store, max_pending: int = 3, max_pending_bytes: int = 1 << 20, at: float = NOW
) -> AsyncIterator[Writing]:
    dropped: list[int] = []
    failed: list[Failure] = []
    queue = WriteQueue(
        store.put,
        max_pending,
        FakeClock(at),
        max_pending_bytes=max_pending_bytes,
        put_timeout=0.05,
        on_dropped=dropped.append,
        on_failed=failed.append,
    )
    try:
        yield Writing(queue, dropped, failed)
    finally:
        await queue.close(0.0)


def questions(texts: str) -> list[Entry]:
    return [an_entry(HERE, text) for text in texts]


async def test_what_is_offered_is_written_in_order() -> None:
    store = FakeStore()
    async with writing(store) as at_work:
        assert all(at_work.queue.offer(entry) for entry in questions("abc"))
        assert await at_work.queue.drain(1.0)
        assert list(store.entries) == [(HERE, entry.id) for entry in questions("abc")]
        assert len(at_work.queue) == 0


async def test_an_offer_to_a_full_queue_is_declined_at_once() -> None:
    held = Held()
    async with writing(FakeStore(trouble=held)) as at_work:
        assert at_work.queue.offer(an_entry(HERE, "being written"))
        await asyncio.wait_for(held.entered.wait(), 1.0)
        assert [at_work.queue.offer(entry) for entry in questions("abcd")] == [True, True, True, False]
        held.release()
        assert await at_work.queue.drain(1.0)
        assert at_work.queue.offer(an_entry(HERE, "d"))


@asynccontextmanager
async def stuck(max_pending: int, max_pending_bytes: int) -> AsyncIterator[tuple[WriteQueue, Held]]:
    """A queue that is writing an entry until it is released."""
    held = Held()
    async with writing(FakeStore(trouble=held), max_pending, max_pending_bytes) as at_work:
        assert at_work.queue.offer(an_entry(HERE, "being written"))
        await asyncio.wait_for(held.entered.wait(), 1.0)
        yield at_work.queue, held


async def test_the_bytes_that_wait_are_bounded_prompts_included() -> None:
    small, large = an_entry(HERE, "a"), an_entry(HERE, "x" * 10_000)
    async with stuck(100, 2 * size_of(large) + size_of(small)) as (queue, held):
        assert queue.bytes == 0
        assert queue.offer(large)
        assert queue.offer(an_entry(HERE, "y" * 10_000))
        assert not queue.offer(an_entry(HERE, "z" * 10_000))
        assert queue.offer(small)
        assert queue.bytes == 2 * size_of(large) + size_of(small)
        assert not queue.offer(an_entry(HERE, "b"))
        held.release()
        assert await queue.drain(1.0)
        assert queue.bytes == 0
        assert queue.offer(large)


async def test_an_entry_larger_than_the_bound_is_declined_even_when_nothing_waits() -> None:
    async with writing(FakeStore(), max_pending_bytes=10_000) as at_work:
        assert not at_work.queue.offer(an_entry(HERE, "x" * 10_000))


async def test_a_replaced_entry_is_charged_once_and_kept_when_the_newer_one_has_no_room() -> None:
    one = an_entry(HERE, "q", content="1" * 1000)
    async with stuck(1, size_of(one)) as (queue, _):
        assert queue.offer(one)
        assert queue.offer(an_entry(HERE, "q", content="2" * 1000))
        assert queue.bytes == size_of(one)
        assert not queue.offer(an_entry(HERE, "q", content="3" * 1001))
        assert queue.bytes == size_of(one)
        assert len(queue) == 1


async def test_an_entry_offered_again_while_it_waits_is_written_once_and_newest() -> None:
    held, store = Held(), FakeStore()
    store.trouble = held
    async with writing(store) as at_work:
        at_work.queue.offer(an_entry(HERE, "being written"))
        await asyncio.wait_for(held.entered.wait(), 1.0)
        for content in ("1", "2", "3", "4", "5"):
            assert at_work.queue.offer(an_entry(HERE, "q", content=content))
        assert len(at_work.queue) == 1
        held.release()
        assert await at_work.queue.drain(1.0)
        assert store.entries[HERE, an_entry(HERE, "q").id].completion.content == "5"


async def test_a_failure_is_told_and_the_next_entry_is_written() -> None:
    store = FakeStore(trouble=PortError(Failure.UNAVAILABLE))
    async with writing(store) as at_work:
        at_work.queue.offer(an_entry(HERE, "a"))
        assert await at_work.queue.drain(1.0)
        assert at_work.failed == [Failure.UNAVAILABLE]
        store.trouble = None
        at_work.queue.offer(an_entry(HERE, "b"))
        assert await at_work.queue.drain(1.0)
        assert len(store.entries) == 1


async def test_a_store_that_hangs_is_given_up_after_the_deadline() -> None:
    held = Held()
    async with writing(FakeStore(trouble=held)) as at_work:
        at_work.queue.offer(an_entry(HERE, "a"))
        assert await at_work.queue.drain(1.0)
        assert held.cancelled.is_set()
        assert at_work.failed == [Failure.TIMEOUT]


async def test_an_entry_that_expired_while_waiting_is_not_written() -> None:
    store = FakeStore()
    async with writing(store) as at_work:
        at_work.queue.offer(an_entry(HERE, "dead", expires_at=NOW))
        assert await at_work.queue.drain(1.0)
        assert store.entries == {}
        assert at_work.dropped == [1]


async def test_drain_says_when_it_could_not_wait_long_enough() -> None:
    held = Held()
    async with writing(FakeStore(trouble=held)) as at_work:
        at_work.queue.offer(an_entry(HERE, "a"))
        await asyncio.wait_for(held.entered.wait(), 1.0)
        assert not await at_work.queue.drain(0.0)


async def test_closing_writes_what_it_can_and_counts_the_rest() -> None:
    store = FakeStore()
    async with writing(store) as at_work:
        at_work.queue.offer(an_entry(HERE, "a"))
        await at_work.queue.close(1.0)
        assert len(store.entries) == 1
        assert at_work.dropped == []
        assert not at_work.queue.offer(an_entry(HERE, "b"))


async def test_closing_gives_up_what_a_hanging_store_did_not_take() -> None:
    held = Held()
    async with writing(FakeStore(trouble=held)) as at_work:
        at_work.queue.offer(an_entry(HERE, "being written"))
        await asyncio.wait_for(held.entered.wait(), 1.0)
        for entry in questions("ab"):
            at_work.queue.offer(entry)
        await at_work.queue.close(0.0)
        assert at_work.dropped == [3]
        assert at_work.queue.bytes == 0
        assert await at_work.queue.drain(0.0)


async def test_a_bug_in_a_store_is_reported_and_does_not_end_the_writer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = FakeStore(trouble=ZeroDivisionError("secret"))
    async with writing(store) as at_work:
        at_work.queue.offer(an_entry(HERE, "a"))
        assert await at_work.queue.drain(1.0)
        assert at_work.failed == [Failure.INVALID]
        assert "ZeroDivisionError" in caplog.text
        assert "secret" not in caplog.text
        store.trouble = None
        at_work.queue.offer(an_entry(HERE, "b"))
        assert await at_work.queue.drain(1.0)
        assert len(store.entries) == 1
