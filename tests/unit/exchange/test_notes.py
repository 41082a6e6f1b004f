"""The numbers that an exchange tells telemetry."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from router_extproc.base.completion import Usage
from router_extproc.base.refusals import Failure, Missed
from router_extproc.caching.entry import Candidate
from router_extproc.exchange.effects import (
    Analyse,
    Answered,
    CacheHit,
    CacheMiss,
    Cancelled,
    RequestGuarded,
    Routed,
)
from router_extproc.exchange.events import Event, PeerClosed, ResponseTrailers
from router_extproc.exchange.notes import Analysed, AnswerEnded, FirstPiece, NearestFound
from router_extproc.llm.render import render_sse
from router_extproc.routing.analysis import Analysis, Timings
from router_extproc.screening.policy import ModelPii, PiiPolicy, ScreeningPolicy, Strictness
from router_extproc.screening.reading import Screening
from tests.support.play import (
    ANSWER,
    AT,
    COMPLETION,
    PLAN,
    Ports,
    Transcript,
    analysis,
    chat_body,
    chat_headers,
    entry,
    finds_exactly,
    finds_similar,
    pieces,
    play,
    question,
    response_headers,
)

LEARNING = replace(PLAN, learns=True)
COUNTED = render_sse(COMPLETION, "c", 1, include_usage=True)
UNCOUNTED = render_sse(COMPLETION, "c", 1, include_usage=False)
ASK: list[Event] = [chat_headers(), chat_body()]
FRESH: list[Event] = [chat_headers(credential=""), chat_body()]
STREAM = "text/event-stream"


def ticking() -> Callable[[], float]:
    """A second between two events."""
    times = iter(range(1000))
    return lambda: AT + next(times)


def answered(asked: list[Event], body: bytes, content_type: str = "application/json") -> Transcript:
    messages = [*asked, response_headers(content_type=content_type), *pieces(body, [40, 200])]
    return play(messages, plan=LEARNING, at=ticking())


@pytest.mark.parametrize("asked", [ASK, FRESH])
def test_an_answer_that_ends_is_told_with_its_usage_whether_it_is_kept_or_not(asked: list[Event]) -> None:
    [note] = answered(asked, ANSWER).only(AnswerEnded)
    assert (note.model, note.usage, note.complete) == ("large", Usage(9, 3), True)
    assert note.per_token == note.seconds / 3
    [streamed] = answered(asked, COUNTED, STREAM).only(AnswerEnded)
    assert (streamed.usage, streamed.complete) == (Usage(9, 3), True)
    assert streamed.per_token == 1.0  # two seconds from the first piece of three, and two more tokens
    assert answered(asked, UNCOUNTED, STREAM).only(AnswerEnded)[0].usage is None


@pytest.mark.parametrize("asked", [ASK, FRESH])
def test_a_stream_s_first_piece_is_told_once_and_its_headers_say_that_it_is_to_come(
    asked: list[Event],
) -> None:
    transcript = answered(asked, COUNTED, STREAM)
    [headers], [first] = transcript.only(Answered), transcript.only(FirstPiece)
    assert (headers.streams, first.model, first.seconds) == (True, "large", headers.seconds + 1)
    transcript = answered(asked, ANSWER)
    assert [note.streams for note in transcript.only(Answered)] == [False]
    assert transcript.only(FirstPiece) == []


def test_a_stream_that_nobody_watches_has_no_first_piece_to_come() -> None:
    transcript = play([*FRESH, response_headers(content_type=STREAM)])
    assert [note.streams for note in transcript.only(Answered)] == [False]


def test_an_empty_piece_is_not_the_first() -> None:
    messages = [*FRESH, response_headers(content_type=STREAM), *pieces(b"", ends=False), *pieces(COUNTED)]
    [first] = play(messages, plan=LEARNING, at=ticking()).only(FirstPiece)
    [headers] = play(messages, plan=LEARNING, at=ticking()).only(Answered)
    assert first.seconds == headers.seconds + 2


@pytest.mark.parametrize("asked", [ASK, FRESH])
def test_an_answer_that_ends_with_trailers_or_is_broken_off_is_told_as_such(asked: list[Event]) -> None:
    messages = [*asked, response_headers(), *pieces(ANSWER[:-9], ends=False), ResponseTrailers()]
    assert [note.complete for note in play(messages, plan=LEARNING).only(AnswerEnded)] == [False]


def test_an_error_of_a_model_is_no_answer_that_ended() -> None:
    assert play([*ASK, response_headers(status="503")], plan=LEARNING).only(AnswerEnded) == []


def test_what_an_analysis_took_is_told_of_every_request_that_had_one() -> None:
    spent = Timings(1.0, 2.0, 3.0, 4.0)

    def analyse(effect: Analyse) -> Analysis:
        return replace(analysis(), timings=spent)

    hit = play(ASK, replace(finds_similar("Please add 2 and 2.", 0.9), analyse=analyse))
    assert hit.only(Analysed) == play(ASK, Ports(analyse=analyse)).only(Analysed) == [Analysed("math", spent)]
    assert hit.only(Routed) == []
    assert play(ASK, Ports(exact=finds_exactly)).only(Analysed) == []
    assert play(ASK, Ports(analyse=lambda _: Failure.TIMEOUT)).only(Analysed) == []


def test_the_nearest_entry_is_told_whatever_comes_of_it() -> None:
    for similarity in (0.5, 0.9):
        found = play(ASK, finds_similar("Please add 2 and 2.", similarity))
        assert found.only(NearestFound) == [NearestFound(similarity)]
    assert play(ASK).only(NearestFound) == [NearestFound(None)]


def test_a_miss_says_why() -> None:
    assert play(ASK).only(CacheMiss) == [CacheMiss(reason=Missed.NOTHING_SIMILAR)]
    failed = Ports(similar=lambda _: Failure.UNAVAILABLE)
    assert [each.reason for each in play(ASK, failed).only(CacheMiss)] == [Missed.STORE_FAILED]
    short: list[Event] = [chat_headers(), chat_body(question("and then?", before=[("user", "hello")]))]
    assert [each.reason for each in play(short).only(CacheMiss)] == [Missed.WORD_FOR_WORD]
    late = play(ASK, at=ticking())
    assert [each.reason for each in late.only(CacheMiss)] == [Missed.NO_TIME]


def test_a_hit_has_the_usage_of_its_entry() -> None:
    [note] = play(ASK, Ports(exact=finds_exactly)).only(CacheHit)
    assert note.usage == COMPLETION.usage
    unknown = replace(COMPLETION, usage=None)
    store = Ports(exact=lambda e: [Candidate(entry(e.partition, completion=unknown), 1.0)])
    assert [each.usage for each in play(ASK, store).only(CacheHit)] == [None]


@pytest.mark.parametrize(
    ("messages", "stage", "model"),
    [
        ([chat_headers()], "AwaitBody", ""),
        (ASK, "Forwarded", "large"),
        ([*ASK, response_headers()], "Recording", "large"),
        ([*FRESH, response_headers()], "Metering", "large"),
    ],
)
def test_who_was_to_answer_is_told_of_a_request_that_its_client_left(
    messages: list[Event], stage: str, model: str
) -> None:
    transcript = play([*messages, PeerClosed()], plan=LEARNING)
    assert transcript.only(Cancelled) == [Cancelled(stage, model)]


def test_models_that_must_not_see_a_request_are_told() -> None:
    closed = dict.fromkeys(("large", "medium"), ModelPii(allow_by_default=False))
    plan = replace(PLAN, screening=ScreeningPolicy(pii=PiiPolicy(Strictness(True, 0.5), models=closed)))
    found = replace(analysis(), screening=Screening(0.0, types={"US_SSN": 0.9}))
    [note] = play(ASK, Ports(analyse=lambda _: found), plan).only(RequestGuarded)
    assert note.kept_from == ("large", "medium")


def test_the_switch_of_thinking_is_told_by_its_family() -> None:
    named = {
        name: replace(model, family=model.family and replace(model.family, name="qwen3"))
        for name, model in PLAN.routing.models.items()
    }
    plan = replace(PLAN, routing=replace(PLAN.routing, models=named))
    [note] = play(ASK, plan=plan).only(Routed)
    assert (note.family, note.parameter, note.effort) == ("qwen3", "enable_thinking", "medium")
    own: list[Event] = [chat_headers(), chat_body(question(chat_template_kwargs={"enable_thinking": False}))]
    [note] = play(own, plan=plan).only(Routed)
    assert (note.family, note.parameter, note.effort) == ("", "", "")
    chosen: list[Event] = [chat_headers(), chat_body(question(model="large"))]
    [note] = play(chosen, plan=plan).only(Routed)
    assert note.family == ""
