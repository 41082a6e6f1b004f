"""Identical requests at once: one goes to the model, the others get its answer or go on without it."""

import asyncio
import json
from collections.abc import Callable, Sequence

import pytest

from router_extproc.base.completion import Completion
from router_extproc.base.names import VSR_CACHE_CONTROL
from router_extproc.base.refusals import Failure, Uncached, Waited
from router_extproc.caching.entry import Candidate
from router_extproc.exchange.effects import CacheHit, CacheSkipped, Cancelled, Coalesced, HitKind
from router_extproc.exchange.events import Message
from router_extproc.llm.render import render_json
from router_extproc.ports import PortError
from router_extproc.server.flights import Flights
from tests.support.crowd import Crowd, Guest
from tests.support.play import (
    COMPLETION,
    analysis,
    chat_body,
    chat_headers,
    entry,
    pieces,
    plan_with,
    question,
    response_headers,
)
from tests.support.ports import FakeAnalyst, FakeStore, Held

PLAN = plan_with(coalesce_timeout=3600.0)
"""Whoever is not freed waits for an hour, and the test fails long before."""

ANSWER: list[Message] = [response_headers(), *pieces(render_json(COMPLETION, "chatcmpl-1", 1))]
CANDIDATE = Candidate(entry("p"), 1.0)


def guest(
    *fields: tuple[str, str], stream: bool = False, credential: str = "Bearer k1", text: str = "Add 2 and 2."
) -> Guest:
    asked = question(text, stream=stream)
    return Guest([chat_headers(*fields, credential=credential), chat_body(asked)], ANSWER)


def crowd(**ports: object) -> Crowd:
    return Crowd(analyst=FakeAnalyst(lambda _: analysis()), **ports)  # type: ignore[arg-type]


async def all_over(tasks: "Sequence[asyncio.Task[None]]") -> None:
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)


async def began(crowd: Crowd, guests: Sequence[Guest]) -> "list[asyncio.Task[None]]":
    """All of `guests` have asked; the first of them leads and waits for its model."""
    async with asyncio.timeout(10):
        tasks = [crowd.admit(each, PLAN) for each in guests]
        await crowd.flights.asked(len(guests))
        await guests[0].waiting.wait()
    return tasks


async def test_a_flight_lands_once_and_for_all_who_wait() -> None:
    flights = Flights()
    assert flights.under_way("q") is None
    flight = flights.lead("q")
    assert (flights.under_way("q"), flights.under_way("other"), len(flights)) == (flight, None, 1)
    waiting = [asyncio.ensure_future(flight.landing()) for _ in range(3)]
    flight.land(CANDIDATE)
    flight.land(None)
    assert await asyncio.gather(*waiting) == [CANDIDATE] * 3
    assert (await flight.landing(), len(flights)) == (CANDIDATE, 0)


async def test_a_landed_flight_does_not_touch_the_next_of_its_name() -> None:
    flights = Flights()
    first = flights.lead("q")
    first.land(None)
    second = flights.lead("q")
    first.land(CANDIDATE)
    assert flights.under_way("q") is second
    with pytest.raises(ValueError, match="under way"):
        flights.lead("q")


async def test_being_cancelled_while_waiting_cancels_nobody_else() -> None:
    flight = Flights().lead("q")
    one, other = (asyncio.ensure_future(flight.landing()) for _ in range(2))
    began = asyncio.Event()
    asyncio.get_running_loop().call_soon(began.set)
    await began.wait()
    one.cancel()
    with pytest.raises(asyncio.CancelledError):
        await one
    flight.land(CANDIDATE)
    assert await other == CANDIDATE


async def test_of_a_hundred_identical_requests_one_goes_to_the_model() -> None:
    hall = crowd()
    guests = [guest(stream=number % 2 == 1) for number in range(100)]
    tasks = await began(hall, guests)
    guests[0].gate.set()
    await all_over(tasks)
    assert [each.forwarded for each in guests] == [True] + [False] * 99
    assert hall.notes(Coalesced) == [Coalesced(Waited.ANSWERED)] * 99
    assert len(hall.kept) == 1
    assert len(hall.flights) == 0
    ids = set()
    for number, each in enumerate(guests[1:], start=1):
        assert each.hit is not None
        streams = dict(each.hit.headers)["content-type"] == "text/event-stream"
        assert streams is (number % 2 == 1)
        assert each.hit.body.endswith(b"data: [DONE]\n\n") is streams
        if not streams:
            document = json.loads(each.hit.body)
            ids.add(document["id"])
            assert document["choices"][0]["message"]["content"] == COMPLETION.content
    assert len(ids) == 49, "each answer is one of its own"


async def test_whoever_leads_and_finds_an_answer_by_meaning_shares_it() -> None:
    held = Held()
    store = FakeStore()
    hall = Crowd(store, FakeAnalyst(lambda _: analysis(), trouble=held))
    guests = [guest() for _ in range(5)]
    async with asyncio.timeout(10):
        tasks = [hall.admit(each, PLAN) for each in guests]
        await hall.flights.asked(5)
        await held.entered.wait()
        partition = store.asked[0][1]
        await store.put(
            entry(partition, "Please add 2 and 2.", vector=analysis().vector, created_at=1_699_999_999.0)
        )
        held.release()
    await all_over(tasks)
    assert [each.forwarded for each in guests] == [False] * 5
    kinds = [note.kind for note in hall.notes(CacheHit) if isinstance(note, CacheHit)]
    assert sorted(kinds) == [HitKind.COALESCED] * 4 + [HitKind.SEMANTIC]
    assert len(hall.flights) == 0


def ended(answer: Sequence[Message]) -> Callable[[Guest, "asyncio.Task[None]"], None]:
    def end(leader: Guest, task: "asyncio.Task[None]") -> None:
        leader.answer = answer
        leader.gate.set()

    return end


def cancelled(leader: Guest, task: "asyncio.Task[None]") -> None:
    task.cancel()


UNSTORABLE = render_json(Completion("large", "Fo", "length"), "chatcmpl-1", 1)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(ended([response_headers("500")]), id="the model fails"),
        pytest.param(ended([response_headers("429")]), id="the model refuses"),
        pytest.param(ended([response_headers(content_type="text/html")]), id="no chat completion"),
        pytest.param(ended([response_headers(), *pieces(UNSTORABLE)]), id="an answer that is not stored"),
        pytest.param(ended([response_headers(), *pieces(b"{}", ends=False)]), id="the client leaves midway"),
        pytest.param(ended([]), id="the client leaves"),
        pytest.param(ended([chat_body()]), id="a message out of order"),
        pytest.param(cancelled, id="the stream is cancelled"),
    ],
)
async def test_a_leader_without_an_answer_frees_all_who_wait(
    end: Callable[[Guest, "asyncio.Task[None]"], None],
) -> None:
    hall = crowd()
    guests = [guest() for _ in range(10)]
    tasks = await began(hall, guests)
    end(guests[0], tasks[0])
    for each in guests[1:]:
        each.gate.set()
    await all_over(tasks[1:])
    await asyncio.wait(tasks[:1])
    assert hall.notes(Coalesced) == [Coalesced(Waited.LEADER_GAVE_UP)] * 9
    assert all(each.forwarded for each in guests)
    assert len(hall.flights) == 0


async def test_a_leader_whose_analysis_fails_frees_all_who_wait_before_its_model_answers() -> None:
    held = Held()
    analyst = FakeAnalyst(lambda _: analysis(), trouble=held)
    hall = Crowd(analyst=analyst)
    guests = [guest() for _ in range(3)]
    async with asyncio.timeout(10):
        tasks = [hall.admit(each, PLAN) for each in guests]
        await hall.flights.asked(3)
        await held.entered.wait()
        tasks[0].cancel()
        analyst.trouble = PortError(Failure.UNAVAILABLE)
        for each in guests[1:]:
            await each.waiting.wait()
            each.gate.set()
    await all_over(tasks[1:])
    assert hall.notes(Coalesced) == [Coalesced(Waited.LEADER_GAVE_UP)] * 2
    assert hall.notes(Cancelled) == [Cancelled("AwaitAnalysis")]
    assert len(hall.flights) == 0


async def test_whoever_waited_too_long_goes_on_and_disturbs_nobody() -> None:
    hall = crowd()
    leader, hasty, patient = guest(), guest(), guest()
    async with asyncio.timeout(10):
        tasks = [hall.admit(leader, PLAN), hall.admit(patient, PLAN)]
        await leader.waiting.wait()
        tasks.append(hall.admit(hasty, plan_with(coalesce_timeout=0.001)))
        await hasty.waiting.wait()
        assert hall.notes(Coalesced) == [Coalesced(Waited.TIMEOUT)]
        hasty.gate.set()
        await tasks[-1]
        assert len(hall.flights) == 1, "the leader still leads"
        leader.gate.set()
    await all_over(tasks)
    assert patient.hit is not None
    assert len(hall.kept) == 2
    assert len(hall.flights) == 0


async def test_who_wait_may_leave_without_disturbing_anybody() -> None:
    hall = crowd()
    guests = [guest() for _ in range(10)]
    tasks = await began(hall, guests)
    for task in tasks[3:6]:
        task.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait(tasks[3:6])
    assert all(task.cancelled() for task in tasks[3:6])
    guests[0].gate.set()
    rest = [*tasks[:3], *tasks[6:]]
    await all_over(rest)
    assert hall.notes(Coalesced) == [Coalesced(Waited.ANSWERED)] * 6
    assert hall.notes(Cancelled) == [Cancelled("AwaitFlight")] * 3
    assert len(hall.flights) == 0


async def test_different_tenants_and_questions_never_wait_for_each_other() -> None:
    hall = crowd()
    guests = [
        guest(credential=f"Bearer {who}", text=text)
        for text in ("Add 2 and 2.", "Add 2 and 3.")
        for who in ("k1", "k2")
        for _ in range(3)
    ]
    async with asyncio.timeout(10):
        tasks = [hall.admit(each, PLAN) for each in guests]
        await hall.flights.asked(12)
        assert len(hall.flights) == 4
        for each in guests[::3]:
            await each.waiting.wait()
            each.gate.set()
    await all_over(tasks)
    assert [each.forwarded for each in guests] == [True, False, False] * 4


@pytest.mark.parametrize("value", ["no-store", "no-cache", "bypass", "ttl=0"])
async def test_who_wants_less_of_the_cache_neither_leads_nor_follows(value: str) -> None:
    hall = crowd()
    leader, other = guest(), guest((VSR_CACHE_CONTROL, value))
    async with asyncio.timeout(10):
        tasks = [hall.admit(other, PLAN)]
        await other.waiting.wait()
        assert len(hall.flights) == 0
        tasks.append(hall.admit(leader, PLAN))
        await leader.waiting.wait()
        third = guest((VSR_CACHE_CONTROL, value))
        tasks.append(hall.admit(third, PLAN))
        await third.waiting.wait()
        for each in (leader, other, third):
            each.gate.set()
    await all_over(tasks)
    assert hall.notes(Coalesced) == []
    assert CacheSkipped(Uncached.QUEUE_FULL, storing=True) not in hall.telemetry.notes
    assert len(hall.flights) == 0


async def test_a_request_after_the_answer_is_no_follower() -> None:
    hall = crowd()
    for _ in range(2):
        each = guest()
        each.gate.set()
        await all_over([hall.admit(each, PLAN)])
        assert each.forwarded
    assert hall.notes(Coalesced) == []
