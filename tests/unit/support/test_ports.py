import asyncio
from dataclasses import replace

import pytest

from router_extproc.base.completion import Completion
from router_extproc.base.refusals import Failure
from router_extproc.caching.entry import Entry
from router_extproc.exchange.effects import Close, Violation
from router_extproc.exchange.events import PeerClosed, RequestTrailers
from router_extproc.ports import PortError
from tests.support.exchanges import ScriptedExchange
from tests.support.ports import (
    FakeAnalyst,
    FakeClock,
    FakeStore,
    Held,
    RecordingTelemetry,
    an_analysis,
    unit_vector,
)

NEAR = Entry(
    id="near",
    partition="p",
    tenant="t",
    text="q",
    vector=unit_vector(0),
    completion=Completion("m", "a", "stop"),
    model="m",
    category="",
    reasoning=False,
    created_at=0.0,
    expires_at=10.0,
)
FAR = replace(NEAR, id="far", vector=unit_vector(1))
OTHER = replace(NEAR, partition="other")


async def test_the_store_keeps_partitions_apart() -> None:
    store = FakeStore(NEAR, OTHER)
    assert await store.get("p", "near", at=0.0, within=1.0) is NEAR
    assert await store.get("p", "far", at=0.0, within=1.0) is None
    assert [c.entry for c in await store.nearest("other", unit_vector(0), 5, at=0.0, within=1.0)] == [OTHER]
    assert store.asked == [("get", "p"), ("get", "p"), ("nearest", "other")]
    assert store.within == [1.0, 1.0, 1.0]


async def test_the_store_orders_by_similarity_and_limits() -> None:
    store = FakeStore(FAR, NEAR)
    found = await store.nearest("p", unit_vector(0), 5, at=0.0, within=1.0)
    assert [(c.entry.id, c.similarity) for c in found] == [("near", 1.0), ("far", 0.0)]
    assert len(await store.nearest("p", unit_vector(0), 1, at=0.0, within=1.0)) == 1


async def test_the_store_hides_what_has_expired() -> None:
    store = FakeStore(NEAR)
    assert await store.get("p", "near", at=9.9, within=1.0) is NEAR
    assert await store.get("p", "near", at=10.0, within=1.0) is None
    assert await store.nearest("p", unit_vector(0), 5, at=10.0, within=1.0) == []


async def test_the_store_finds_what_is_exact_only_by_its_id_alone() -> None:
    only = replace(NEAR, exact_only=True)
    store = FakeStore(only)
    assert await store.get("p", "near", at=0.0, within=1.0) is only
    assert await store.nearest("p", unit_vector(0), 5, at=0.0, within=1.0) == []


async def test_the_store_replaces_an_entry_of_the_same_id() -> None:
    store = FakeStore()
    await store.put(NEAR)
    newer = replace(NEAR, created_at=5.0)
    await store.put(newer)
    assert list(store.entries.values()) == [newer]
    await store.close()
    assert store.closed


async def test_trouble_is_raised_or_waited_for() -> None:
    analyst = FakeAnalyst(trouble=PortError(Failure.OVERLOADED))
    with pytest.raises(PortError):
        await analyst.analyse("text")
    held = Held()
    analyst.trouble = held
    task = asyncio.ensure_future(analyst.analyse("text"))
    async with asyncio.timeout(5):
        await held.entered.wait()
        held.release()
        assert (await task).encoder == analyst.encoder
    assert analyst.texts == ["text", "text"]


async def test_the_analyst_answers_as_it_is_told() -> None:
    analyst = FakeAnalyst(lambda text: an_analysis(domain={text: 1.0}))
    assert (await analyst.analyse("law")).heads == {"domain": {"law": 1.0}}


async def test_the_analyst_judges_pairs_as_it_is_told_and_keeps_them() -> None:
    analyst = FakeAnalyst(same=lambda text, other: 0.25 if text == "a" else None)
    assert (await analyst.same("a", "b"), await analyst.same("b", "a")) == (0.25, None)
    assert analyst.pairs == [("a", "b"), ("b", "a")]
    assert await FakeAnalyst().same("a", "b") == 1.0


def test_the_clock_moves_only_when_told() -> None:
    clock = FakeClock(at=5.0)
    assert (clock.now(), clock.now()) == (5.0, 5.0)
    clock.advance(2.5)
    assert clock.now() == 7.5


def test_telemetry_keeps_the_notes_in_order() -> None:
    telemetry = RecordingTelemetry()
    notes = [Violation("a", "1"), Violation("a", "2")]
    for note in notes:
        telemetry.note(note)
    assert telemetry.notes == notes


def test_a_scripted_exchange_follows_its_script_and_otherwise_lets_pass() -> None:
    exchange = ScriptedExchange({PeerClosed: lambda event: [Close()] if event == PeerClosed() else []})
    (reply,) = exchange.receive(RequestTrailers(), at=1.0)
    assert type(reply).__name__ == "Reply"
    assert exchange.receive(PeerClosed(), at=2.0) == [Close()]
    assert (exchange.events, exchange.times) == ([RequestTrailers(), PeerClosed()], [1.0, 2.0])
