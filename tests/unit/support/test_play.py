from dataclasses import replace

import pytest

from router_extproc.base.refusals import Failure, Waited
from router_extproc.caching.entry import Candidate
from router_extproc.caching.marks import Kind, Mark, Marks, Selector
from router_extproc.exchange.effects import (
    Analyse,
    Close,
    Compare,
    ImmediateReply,
    Join,
    Land,
    LookupExact,
    LookupSimilar,
    Question,
    Reply,
    Routed,
)
from router_extproc.exchange.events import (
    Alone,
    AnalysisFailed,
    Compared,
    CompareFailed,
    Event,
    Landed,
    Leads,
    LookupDone,
    LookupFailed,
    PeerClosed,
)
from router_extproc.exchange.exchange import Exchange
from router_extproc.llm.chat import parse_chat
from tests.support.play import (
    AT,
    PLAN,
    Ports,
    chat_body,
    chat_headers,
    entry,
    feed,
    pieces,
    plan_with,
    play,
    question,
    response_headers,
    vector,
)
from tests.support.ports import FakeClock

EXACT = LookupExact("p", "e", 1.0)
SIMILAR = LookupSimilar("p", vector(), 5, 1.0)
JOIN = Join("e", 1.0)
SAME = Compare("text", "other", 1.0)
CANDIDATE = Candidate(entry("p"), 1.0)
MARKS = Marks.of([Mark(Selector(Kind.ALL), AT, AT + 1)])


def test_ports_answer_each_question_and_nothing_else() -> None:
    ports = Ports(exact=lambda e: [CANDIDATE], similar=lambda e: [], marks=MARKS)
    assert ports.run(EXACT) == LookupDone([CANDIDATE], MARKS)
    assert ports.run(SIMILAR) == LookupDone([], MARKS)
    assert ports.run(JOIN) == Leads()
    assert replace(ports, join=lambda e: CANDIDATE).run(JOIN) == Landed(CANDIDATE, MARKS)
    assert replace(ports, join=lambda e: Alone(Waited.TIMEOUT)).run(JOIN) == Alone(Waited.TIMEOUT)
    assert ports.run(SAME) == Compared(1.0, MARKS)
    assert replace(ports, same=lambda e: None).run(SAME) == Compared(None, MARKS)
    assert ports.run(Land(None)) is None
    assert ports.run(Close()) is None


def test_a_port_fails_as_it_is_told() -> None:
    def fails(effect: object) -> Failure:
        return Failure.OVERLOADED

    ports = Ports(exact=fails, analyse=fails, similar=fails, same=fails)
    assert ports.run(EXACT) == ports.run(SIMILAR) == LookupFailed(Failure.OVERLOADED)
    assert ports.run(Analyse("text", 1.0)) == AnalysisFailed(Failure.OVERLOADED)
    assert ports.run(SAME) == CompareFailed(Failure.OVERLOADED)


def test_time_stands_still_or_is_the_clock_s() -> None:
    clock = FakeClock(AT)
    ports = Ports(pace=lambda effect: clock.advance(1.0))
    exchange = Exchange(PLAN, "x1")
    effects = [
        *feed(exchange, chat_headers(), ports, clock.now),
        *feed(exchange, chat_body(), ports, clock.now),
    ]
    asked = sum(isinstance(effect, Question) for effect in effects)
    [routed] = [effect for effect in effects if isinstance(effect, Routed)]
    assert (routed.seconds, clock.now()) == (asked, AT + asked)
    [still] = play([chat_headers(), chat_body()], Ports(pace=lambda effect: None)).only(Routed)
    assert still.seconds == 0.0


def test_a_play_ends_where_the_exchange_ends_the_stream() -> None:
    messages: list[Event] = [chat_headers(), chat_body("{"), response_headers()]
    transcript = play(messages)
    assert [type(event).__name__ for event, _ in transcript.steps] == ["RequestHeaders", "RequestBody"]
    assert transcript.only(ImmediateReply) == [transcript.immediate()]
    with pytest.raises(ValueError, match="not enough values"):
        transcript.forwarded()


def test_a_transcript_tells_effects_by_their_kind() -> None:
    transcript = play([chat_headers(), chat_body(), PeerClosed()])
    assert transcript.only(Reply) == transcript.replies()
    assert transcript.forwarded() in transcript.replies()
    assert (transcript.stored(), transcript.landed()) == ([], [])


def test_pieces_are_the_body_cut_anywhere() -> None:
    assert [each.body for each in pieces(b"abcd", (3, 1))] == [b"a", b"bc", b"d"]
    assert [each.end_of_stream for each in pieces(b"ab", (1,))] == [False, True]
    assert [each.end_of_stream for each in pieces(b"ab", (1,), ends=False)] == [False, False]


def test_a_question_is_a_chat_request() -> None:
    chat = parse_chat(question("And now?", before=[("system", "S"), ("user", "U")], stream=True).encode())
    assert [turn.role for turn in chat.turns] == ["system", "user", "user"]
    assert (chat.turns[-1].text, chat.stream, chat.model) == ("And now?", True, "auto")


def test_changes_of_the_plan_are_of_its_cache_policy() -> None:
    plan = plan_with(stale_grace=9.0)
    assert (plan.cache.stale_grace, plan.generation, PLAN.cache.stale_grace) == (9.0, PLAN.generation, 0.0)


def test_fields_of_a_request_replace_those_of_the_same_name() -> None:
    headers = chat_headers(("authorization", "x"), ("x-more", "1")).headers
    assert (headers.all("authorization"), headers.all("x-more")) == (("x",), ("1",))
    assert "authorization" not in chat_headers(credential="").headers
