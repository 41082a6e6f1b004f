import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest

from router_extproc.base.completion import Completion
from router_extproc.base.headers import Headers
from router_extproc.base.refusals import Failure, Uncached, Verified
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.caching.marks import Kind, Mark, Marks, Selector
from router_extproc.exchange.effects import (
    Analyse,
    CacheSkipped,
    CacheVerified,
    Cancelled,
    Close,
    Compare,
    Effect,
    ImmediateReply,
    Join,
    LookupExact,
    LookupSimilar,
    Phase,
    Reply,
    ScreenAnswer,
    Store,
    StoreAsked,
    TextsCompared,
    Verify,
    Violation,
)
from router_extproc.exchange.events import (
    AnalysisFailed,
    AnalysisReady,
    Compared,
    CompareFailed,
    Leads,
    LookupDone,
    LookupFailed,
    Message,
    PeerClosed,
    RequestBody,
    RequestHeaders,
    ResponseBody,
)
from router_extproc.ports import PortError
from router_extproc.routing.analysis import Analysis
from router_extproc.screening.policy import ScreeningPolicy
from router_extproc.server.driver import Exchange, Landing, Ports, drive
from router_extproc.server.flights import Flights
from tests.support.exchanges import ScriptedExchange
from tests.support.ports import (
    FakeAnalyst,
    FakeClock,
    FakeStore,
    Held,
    RecordingTelemetry,
    Trouble,
    an_analysis,
    unit_vector,
)

HEADERS = RequestHeaders(Headers({}), end_of_stream=False)
BODY = RequestBody(b"{}", end_of_stream=True)
LAST = ResponseBody(b"", end_of_stream=True)
HEADERS_REPLY = Reply(Phase.REQUEST_HEADERS)
BODY_REPLY = Reply(Phase.REQUEST_BODY)
LAST_REPLY = Reply(Phase.RESPONSE_BODY)
NEVER = 3600.0

ENTRY = Entry(
    id="e1",
    partition="p1",
    tenant="t1",
    text="question",
    vector=unit_vector(),
    completion=Completion("m", "answer", "stop"),
    model="m",
    category="math",
    reasoning=False,
    created_at=0.0,
    expires_at=2e9,
)

ANALYSE = Analyse("text", NEVER)
SAME = Compare("text", "other", NEVER)
EXACT = LookupExact("p1", "e1", NEVER)
SIMILAR = LookupSimilar("p1", unit_vector(), 3, NEVER)


class Stage:
    """Ports of a driver, and everything that happened on them in one order."""

    def __init__(
        self,
        *,
        answer: Callable[[str], Analysis] | None = None,
        trouble: Trouble = None,
        room: int = 10,
    ) -> None:
        self.analyst = FakeAnalyst(answer, trouble=trouble)
        self.store = FakeStore(ENTRY, trouble=trouble)
        self.telemetry = RecordingTelemetry()
        self.clock = FakeClock()
        self.room = room
        self.log: list[object] = []
        self.landings: list[Landing] = []
        self.marks = Marks()
        self.flights = Flights()
        self.ports = Ports(
            analyst=self.analyst,
            store=self.store,
            fill=self.fill,
            verify=self.fill,
            screen=self.screen,
            marks=lambda: self.marks,
            flights=self.flights,
            telemetry=self.telemetry,
            clock=self.clock,
        )

    def fill(self, work: Entry | Verify) -> bool:
        """The queues of writes and of comparisons, together."""
        self.log.append(work)
        return sum(isinstance(each, Entry | Verify) for each in self.log) <= self.room

    def screen(self, asked: ScreenAnswer, land: Landing) -> bool:
        """The queue of answers to be read, which nobody empties."""
        self.log.append(asked)
        self.landings.append(land)
        return len(self.landings) <= self.room

    async def run(self, exchange: Exchange, *messages: Message) -> list[object]:
        async with aclosing(drive(exchange, arriving(*messages), self.ports)) as replies:
            async for reply in replies:
                self.log.append(reply)
        return self.log


async def arriving(*messages: Message) -> AsyncIterator[Message]:
    for message in messages:
        yield message


async def test_each_message_gets_its_reply_and_the_end_is_told_once() -> None:
    exchange = ScriptedExchange()
    assert await Stage().run(exchange, HEADERS, BODY) == [HEADERS_REPLY, BODY_REPLY]
    assert exchange.events == [HEADERS, BODY, PeerClosed()]


async def test_events_carry_the_time_at_which_they_happened() -> None:
    def slowly(_: str) -> Analysis:
        stage.clock.advance(5.0)
        return an_analysis()

    stage = Stage(answer=slowly)
    exchange = ScriptedExchange({RequestBody: [ANALYSE], AnalysisReady: [BODY_REPLY]})
    start = stage.clock.now()
    await stage.run(exchange, BODY)
    assert exchange.times == [start, start + 5.0, start + 5.0]


async def test_results_of_ports_come_back_as_events() -> None:
    exchange = ScriptedExchange(
        {
            RequestBody: [EXACT],
            LookupDone: lambda event: [ANALYSE] if event == LookupDone((Candidate(ENTRY, 1.0),)) else [],
            AnalysisReady: [BODY_REPLY],
        }
    )
    assert await Stage().run(exchange, BODY) == [BODY_REPLY]
    assert [type(event) for event in exchange.events] == [RequestBody, LookupDone, AnalysisReady, PeerClosed]


async def test_an_exact_lookup_without_an_entry_has_no_candidates() -> None:
    exchange = ScriptedExchange(
        {RequestBody: [LookupExact("p1", "unknown", NEVER)], LookupDone: [BODY_REPLY]}
    )
    await Stage().run(exchange, BODY)
    assert exchange.events[1] == LookupDone(())


async def test_a_similar_lookup_brings_the_neighbours() -> None:
    exchange = ScriptedExchange({RequestBody: [SIMILAR], LookupDone: [BODY_REPLY]})
    await Stage().run(exchange, BODY)
    assert exchange.events[1] == LookupDone([Candidate(ENTRY, 1.0)])


async def test_a_pair_is_judged_and_timed() -> None:
    exchange = ScriptedExchange({RequestBody: [SAME], Compared: [BODY_REPLY]})
    stage = Stage()
    stage.marks = Marks.of([Mark(Selector(Kind.ALL), 1.0, 2.0)])
    await stage.run(exchange, BODY)
    assert exchange.events[1] == Compared(1.0, stage.marks)
    assert stage.analyst.pairs == [("text", "other")]
    assert stage.telemetry.notes == [TextsCompared(0.0)]


FAILED: dict[type, type] = {Analyse: AnalysisFailed, Compare: CompareFailed}
"""Which event tells that a question failed; of a lookup it is LookupFailed."""


@pytest.mark.parametrize(
    "question", [ANALYSE, SAME, EXACT, SIMILAR], ids=lambda effect: type(effect).__name__
)
@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (PortError(Failure.OVERLOADED), Failure.OVERLOADED),
        (PortError(Failure.UNAVAILABLE), Failure.UNAVAILABLE),
        (TimeoutError(), Failure.TIMEOUT),
        (KeyError("bug"), Failure.INVALID),
    ],
    ids=str,
)
async def test_every_failure_of_a_port_becomes_an_event(
    question: Effect, trouble: Exception, reason: Failure
) -> None:
    failed = FAILED.get(type(question), LookupFailed)
    exchange = ScriptedExchange({RequestBody: [question], failed: [BODY_REPLY]})
    assert await Stage(trouble=trouble).run(exchange, BODY) == [BODY_REPLY]
    assert exchange.events[1] == failed(reason)


@pytest.mark.parametrize(
    "question",
    [
        Analyse("text", 0.0),
        Compare("text", "other", 0.0),
        LookupExact("p1", "e1", 0.0),
        LookupSimilar("p1", unit_vector(), 3, 0.0),
    ],
    ids=lambda effect: type(effect).__name__,
)
async def test_a_port_that_hangs_is_cancelled_at_its_deadline(question: Effect) -> None:
    hang = Held()
    failed = FAILED.get(type(question), LookupFailed)
    exchange = ScriptedExchange({RequestBody: [question], failed: [BODY_REPLY]})
    async with asyncio.timeout(5):
        assert await Stage(trouble=hang).run(exchange, BODY) == [BODY_REPLY]
    assert exchange.events[1] == failed(Failure.TIMEOUT)
    assert hang.cancelled.is_set()


async def test_a_bug_in_a_port_is_logged_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    exchange = ScriptedExchange({RequestBody: [ANALYSE], AnalysisFailed: [BODY_REPLY]})
    with caplog.at_level(logging.ERROR):
        await Stage(trouble=ValueError("the user's prompt")).run(exchange, BODY)
    assert "ValueError" in caplog.text
    assert "ports.py" in caplog.text
    assert "prompt" not in caplog.text


async def test_entries_are_stored_after_all_replies_of_the_same_message() -> None:
    exchange = ScriptedExchange({ResponseBody: [Store(ENTRY), Violation("a", "b"), LAST_REPLY]})
    assert await Stage().run(exchange, LAST) == [LAST_REPLY, ENTRY]


async def test_an_entry_that_the_queue_refuses_is_noted() -> None:
    stage = Stage(room=0)
    await stage.run(ScriptedExchange({ResponseBody: [LAST_REPLY, Store(ENTRY)]}), LAST)
    assert stage.telemetry.notes == [CacheSkipped(Uncached.QUEUE_FULL, storing=True)]


async def test_answers_are_compared_after_all_replies_and_not_when_the_queue_is_full() -> None:
    verify = Verify(Candidate(ENTRY, 0.9), ENTRY.completion)
    script: dict[type, Sequence[Effect]] = {ResponseBody: [verify, LAST_REPLY]}
    assert await Stage().run(ScriptedExchange({**script}), LAST) == [LAST_REPLY, verify]
    stage = Stage(room=0)
    await stage.run(ScriptedExchange({**script}), LAST)
    assert stage.telemetry.notes == [CacheVerified(Verified.UNDECIDED, "math", "e1")]


@pytest.mark.parametrize("question", [EXACT, SIMILAR], ids=lambda effect: type(effect).__name__)
async def test_what_a_lookup_brings_comes_with_the_marks_of_that_moment(question: Effect) -> None:
    stage = Stage()
    stage.marks = Marks.of([Mark(Selector(Kind.ALL), 1.0, 2.0)])
    exchange = ScriptedExchange({RequestBody: [question], LookupDone: [BODY_REPLY]})
    await stage.run(exchange, BODY)
    event = exchange.events[1]
    assert isinstance(event, LookupDone)
    assert event.marks is stage.marks


@pytest.mark.parametrize(
    ("question", "operation"), [(EXACT, "get_by_id"), (SIMILAR, "find_similar"), (ANALYSE, None)]
)
async def test_calls_of_the_store_are_timed(question: Effect, operation: str | None) -> None:
    async def outcome(trouble: Trouble, *entries: Entry) -> list[object]:
        stage = Stage(trouble=trouble)
        stage.store = FakeStore(*entries, trouble=trouble)
        ports = replace(stage.ports, store=stage.store)
        async with aclosing(
            drive(ScriptedExchange({RequestBody: [question]}), arriving(BODY), ports)
        ) as all_:
            assert [reply async for reply in all_] == []
        return list(stage.telemetry.notes)

    def noted(status: str) -> list[object]:
        return [StoreAsked(operation, status, 0.0)] if operation else []

    assert await outcome(None, ENTRY) == noted("hit")
    assert await outcome(None) == noted("miss")
    assert await outcome(PortError(Failure.UNAVAILABLE)) == noted("error")


@pytest.mark.parametrize("kind", ["exact", "similar"])
async def test_a_lookup_with_a_grace_finds_what_expired_within_it(kind: str) -> None:
    stage = Stage()
    stage.clock.at = ENTRY.expires_at + 9.0
    for grace, found in ((0.0, 0), (9.0, 0), (10.0, 1)):
        question = replace(EXACT if kind == "exact" else SIMILAR, grace=grace, timeout=0.5)
        exchange = ScriptedExchange({RequestBody: [question], LookupDone: [BODY_REPLY]})
        await stage.run(exchange, BODY)
        event = exchange.events[1]
        assert isinstance(event, LookupDone)
        assert len(event.candidates) == found
        assert stage.store.within[-1] == 0.5


async def test_an_entry_is_stored_even_if_the_peer_leaves_during_the_last_reply() -> None:
    note = Violation("a", "b")
    stage = Stage()
    exchange = ScriptedExchange({ResponseBody: [LAST_REPLY, note, Store(ENTRY)]})
    replies = drive(exchange, arriving(LAST), stage.ports)
    assert await anext(replies) == LAST_REPLY
    await replies.aclose()
    assert stage.log == [ENTRY]
    assert stage.telemetry.notes == [note]
    assert exchange.events == [LAST, PeerClosed()]


async def test_nothing_is_stored_for_a_peer_that_leaves_before_the_end() -> None:
    stage = Stage()
    exchange = ScriptedExchange({PeerClosed: [Cancelled("recording"), Store(ENTRY), LAST_REPLY]})
    assert await stage.run(exchange, HEADERS) == [HEADERS_REPLY]
    assert stage.telemetry.notes == [Cancelled("recording")]


@pytest.mark.parametrize("last", [Close(), ImmediateReply(200, (), b"", "cache_hit")], ids=str)
async def test_the_exchange_ends_the_stream_itself(last: Effect) -> None:
    note = Violation("after", "all")
    stage = Stage()
    exchange = ScriptedExchange({RequestHeaders: [last, note]})
    replies = await stage.run(exchange, HEADERS, BODY)
    assert replies == ([last] if isinstance(last, ImmediateReply) else [])
    assert exchange.events == [HEADERS]
    assert stage.telemetry.notes == [note]


async def test_cancellation_while_a_port_is_asked_passes_through() -> None:
    hang = Held()
    stage = Stage(trouble=hang)
    exchange = ScriptedExchange({RequestBody: [ANALYSE], PeerClosed: [Cancelled("analysing")]})
    task = asyncio.ensure_future(stage.run(exchange, BODY))
    async with asyncio.timeout(5):
        await hang.entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert hang.cancelled.is_set()
    assert exchange.events == [BODY, PeerClosed()]
    assert stage.telemetry.notes == [Cancelled("analysing")]


async def test_a_bug_while_closing_does_not_hide_the_cancellation(caplog: pytest.LogCaptureFixture) -> None:
    def bug(_: object) -> list[Effect]:
        raise RuntimeError("secret")

    hang = Held()
    task = asyncio.ensure_future(
        Stage(trouble=hang).run(ScriptedExchange({RequestBody: [ANALYSE], PeerClosed: bug}), BODY)
    )
    async with asyncio.timeout(5):
        await hang.entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert "RuntimeError in peer_closed" in caplog.text
    assert "secret" not in caplog.text


async def test_an_error_of_the_wire_passes_through_after_the_exchange_was_told() -> None:
    async def broken() -> AsyncIterator[Message]:
        yield HEADERS
        raise LookupError("unreadable")

    exchange = ScriptedExchange()
    stage = Stage()
    replies = drive(exchange, broken(), stage.ports)
    assert await anext(replies) == HEADERS_REPLY
    with pytest.raises(LookupError, match="unreadable"):
        await anext(replies)
    assert exchange.events == [HEADERS, PeerClosed()]


async def test_a_stream_without_messages_is_over_at_once() -> None:
    exchange = ScriptedExchange()
    assert await Stage().run(exchange) == []
    assert exchange.events == [PeerClosed()]


async def test_stored_entries_do_not_wait_for_the_next_message() -> None:
    stage = Stage()
    silent = asyncio.Event()

    async def then_silence() -> AsyncIterator[Message]:
        yield LAST
        silent.set()
        await asyncio.Event().wait()

    async def consume() -> None:
        exchange = ScriptedExchange({ResponseBody: [LAST_REPLY, Store(ENTRY)]})
        async for reply in drive(exchange, then_silence(), stage.ports):
            stage.log.append(reply)

    task = asyncio.ensure_future(consume())
    async with asyncio.timeout(5):
        await silent.wait()
    assert stage.log == [LAST_REPLY, ENTRY]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):  # cancelled by the line above
        await task


SCREEN = ScreenAnswer(ENTRY, ScreeningPolicy(), NEVER)


def screening(*, peer_leaves: bool = False) -> ScriptedExchange:
    """Leads a flight, and has its answer read. The peer leaves while the last reply is on its way, or not."""
    last: Sequence[Effect] = [LAST_REPLY, SCREEN] if peer_leaves else [LAST_REPLY, SCREEN, Close()]
    return ScriptedExchange({RequestBody: [Join("e1", NEVER)], Leads: [BODY_REPLY], ResponseBody: last})


@pytest.mark.parametrize("peer_leaves", [False, True])
async def test_who_waits_for_an_answer_that_is_read_waits_longer_than_its_stream(peer_leaves: bool) -> None:
    """The end of the stream lands nobody: the verdict does."""
    stage = Stage()
    if peer_leaves:
        replies = drive(screening(peer_leaves=True), arriving(BODY, LAST), stage.ports)
        assert [await anext(replies), await anext(replies)] == [BODY_REPLY, LAST_REPLY]
        await replies.aclose()
    else:
        assert await stage.run(screening(), BODY, LAST) == [BODY_REPLY, LAST_REPLY, SCREEN]
    flight = stage.flights.under_way("e1")
    assert flight is not None
    stage.landings[0](Candidate(ENTRY, 1.0))
    assert await flight.landing() == Candidate(ENTRY, 1.0)
    assert len(stage.flights) == 0


async def test_an_answer_that_finds_no_room_to_be_read_is_not_kept_and_lands_nobody() -> None:
    stage = Stage(room=0)
    await stage.run(screening(), BODY, LAST)
    assert stage.telemetry.notes == [CacheSkipped(Uncached.QUEUE_FULL, storing=True)]
    assert len(stage.flights) == 0


async def test_an_answer_that_nobody_waits_for_is_read_too() -> None:
    stage = Stage()
    await stage.run(ScriptedExchange({ResponseBody: [LAST_REPLY, SCREEN, Close()]}), LAST)
    assert stage.log == [LAST_REPLY, SCREEN]
    stage.landings[0](None)
