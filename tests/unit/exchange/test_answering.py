"""The upstream's answer: passed on unchanged, read when it may be stored."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Any

import pytest

from router_extproc.base.completion import Completion, Usage
from router_extproc.base.headers import Headers
from router_extproc.base.names import INTERNAL, VSR_CACHE_CONTROL
from router_extproc.base.refusals import Failure, Uncached
from router_extproc.caching.entry import Candidate
from router_extproc.caching.marks import Kind, Mark, Marks, Selector
from router_extproc.exchange.effects import (
    Answered,
    CacheHit,
    CacheSkipped,
    Cancelled,
    Close,
    HitKind,
    ImmediateReply,
    Land,
    LookupExact,
    LookupSimilar,
    Phase,
    PortFailed,
    Reply,
    Store,
    Watch,
)
from router_extproc.exchange.events import (
    Event,
    PeerClosed,
    RequestTrailers,
    ResponseBody,
    ResponseHeaders,
    ResponseTrailers,
)
from router_extproc.exchange.exchange import Exchange
from router_extproc.exchange.notes import AnswerEnded
from router_extproc.llm.render import render_json, render_sse
from tests.support.play import (
    AT,
    PLAN,
    Ports,
    Transcript,
    chat_body,
    chat_headers,
    entry,
    feed,
    pieces,
    plan_with,
    play,
    question,
    response_headers,
)

COMPLETION = Completion("large", "  Four.\n\n\tTable | x\n", "stop", usage=Usage(9, 3))
JSON = render_json(COMPLETION, "chatcmpl-1", 1)
SSE = render_sse(COMPLETION, "chatcmpl-1", 1, True)
ASK: list[Event] = [chat_headers(), chat_body()]


@pytest.mark.parametrize(("content_type", "answer"), [("application/json", JSON), ("text/event-stream", SSE)])
def test_a_complete_answer_is_stored_after_the_last_reply(content_type: str, answer: bytes) -> None:
    transcript = play([*ASK, response_headers(content_type=content_type), *pieces(answer, (7, 30))])
    *_, reply, ended, land, store, close = transcript.effects
    assert (reply, close) == (Reply(Phase.RESPONSE_BODY), Close())
    assert isinstance(ended, AnswerEnded)
    assert isinstance(store, Store)
    assert land == Land(Candidate(store.entry, 1.0))
    assert store.entry.completion == COMPLETION
    assert (store.entry.model, store.entry.category, store.entry.reasoning) == ("large", "math", True)
    assert (store.entry.created_at, store.entry.expires_at) == (AT, AT + 60)


def test_the_client_is_told_what_was_chosen() -> None:
    reply = play([*ASK, response_headers()]).replies()[-1]
    assert reply == Reply(Phase.RESPONSE_HEADERS, reply.edits, watch=Watch.STREAMED_RESPONSE)  # type: ignore[union-attr]
    assert dict(reply.edits.set) == {
        "x-vsr-response-path": "upstream",
        "x-vsr-selected-model": "large",
        "x-vsr-selected-category": "math",
        "x-vsr-selected-reasoning": "on",
        "x-vsr-injected-system-prompt": "false",
    }


@pytest.mark.parametrize("fill", [True, False])
def test_an_upstream_cannot_speak_under_the_router_s_names(fill: bool) -> None:
    first = chat_headers() if fill else chat_headers(credential="")
    reply = play([first, chat_body(), response_headers()]).replies()[-1]
    assert isinstance(reply, Reply)
    assert {name for name, _ in reply.edits.set} | set(reply.edits.remove) == set(INTERNAL)


def test_trailers_end_an_answer_too() -> None:
    transcript = play([*ASK, response_headers(), *pieces(JSON, ends=False), ResponseTrailers()])
    assert transcript.effects[-5] == Reply(Phase.RESPONSE_TRAILERS)
    assert len(transcript.stored()) == 1


def test_trailers_of_the_request_are_answered_in_kind() -> None:
    assert play([*ASK, RequestTrailers()]).replies()[-1] == Reply(Phase.REQUEST_TRAILERS)


def headers(*pairs: tuple[str, str], end_of_stream: bool = False) -> ResponseHeaders:
    fields = {":status": "200", "content-type": "application/json"} | dict(pairs)
    return ResponseHeaders(Headers.of(fields.items()), end_of_stream)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (headers((":status", "500")), Uncached.STATUS),
        (headers((":status", "201")), Uncached.STATUS),
        (headers(("content-type", "text/html")), Uncached.CONTENT_TYPE),
        (headers(("content-encoding", "gzip")), Uncached.CONTENT_ENCODING),
        (headers(("content-encoding", "br")), Uncached.CONTENT_ENCODING),
        (headers(end_of_stream=True), Uncached.EMPTY),
    ],
)
def test_an_answer_that_cannot_be_stored_is_not_watched(event: ResponseHeaders, reason: Uncached) -> None:
    effects = play([*ASK, event]).effects
    assert effects[-3:] == [Land(None), CacheSkipped(reason, storing=True), Close()]
    assert all(e.watch is Watch.AS_CONFIGURED for e in effects if isinstance(e, Reply))


def test_an_answer_for_no_one_in_particular_is_not_watched() -> None:
    effects = play([chat_headers(credential=""), chat_body(), response_headers()]).effects
    assert isinstance(effects[-2], Answered)
    assert effects[-1] == Close()


@dataclass(frozen=True, slots=True)
class Case:
    """An answer that may not be stored: as JSON and as a stream, and why."""

    json: bytes
    sse: bytes
    reason: Uncached
    sse_reason: Uncached | None = None
    """Where a stream shows another reason than JSON does."""


def answering(
    finish: str = "stop", choice: dict[str, Any] | None = None, **message: Any
) -> tuple[bytes, bytes]:
    """An answer in both forms, with these fields of its message and its choice."""
    said = {"role": "assistant", "content": "Four."} | message
    beside = {"index": 0} | (choice or {})
    whole = {"model": "m", "choices": [beside | {"message": said, "finish_reason": finish}]}
    first = {"model": "m", "choices": [beside | {"delta": said, "finish_reason": None}]}
    last = {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    return dumps(whole), events(first, last, "[DONE]")


def dumps(document: object) -> bytes:
    return json.dumps(document).encode()


def events(*each: object) -> bytes:
    return b"".join(b"data: " + (e.encode() if isinstance(e, str) else dumps(e)) + b"\n\n" for e in each)


def two_choices() -> tuple[bytes, bytes]:
    choices = [{"index": i, "message": {"content": "x"}, "finish_reason": "stop"} for i in (0, 1)]
    chunks = [
        {"model": "m", "choices": [{"index": i, "delta": {"content": "x"}, "finish_reason": "stop"}]}
        for i in (0, 1)
    ]
    return dumps({"model": "m", "choices": choices}), events(*chunks, "[DONE]")


CALL = [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
ERROR = {"error": {"message": "overloaded", "type": "server_error"}}

CASES = {
    "cut off by its length": Case(*answering("length"), Uncached.FINISH_REASON),
    "cut off by a filter": Case(*answering("content_filter"), Uncached.FINISH_REASON),
    "a tool call": Case(*answering("tool_calls", content=None, tool_calls=CALL), Uncached.TOOL_CALLS),
    "a tool call that says stop": Case(*answering(tool_calls=CALL), Uncached.TOOL_CALLS),
    "a call of a function": Case(*answering(function_call={"name": "f"}), Uncached.TOOL_CALLS),
    "a refusal": Case(*answering(content=None, refusal="No."), Uncached.REFUSAL),
    "two choices": Case(*two_choices(), Uncached.MULTIPLE_CHOICES),
    "log probabilities": Case(*answering(choice={"logprobs": {"content": []}}), Uncached.LOGPROBS),
    "images beside the text": Case(*answering(images=[IMAGE]), Uncached.UNKNOWN_FIELD),
    "images in place of the text": Case(*answering(content=[IMAGE]), Uncached.MALFORMED),
    "sound": Case(*answering(audio={"id": "a", "data": "AA=="}), Uncached.UNKNOWN_FIELD),
    "an error": Case(dumps(ERROR), events(ERROR, "[DONE]"), Uncached.MALFORMED),
    "an error after some text": Case(
        dumps({"model": "m", "choices": [], **ERROR}),
        answering()[1].replace(b"data: [DONE]", events(ERROR) + b"data: [DONE]"),
        Uncached.MALFORMED,
    ),
    "nothing": Case(b"", b"", Uncached.MALFORMED, Uncached.INCOMPLETE),
    "no text": Case(*answering(content=""), Uncached.EMPTY),
    "truncated": Case(
        JSON[:-1], SSE.replace(b"data: [DONE]\n\n", b""), Uncached.MALFORMED, Uncached.INCOMPLETE
    ),
    "truncated early": Case(JSON[:40], SSE[: len(SSE) // 2], Uncached.MALFORMED, Uncached.INCOMPLETE),
    "not of the form it claims": Case(b"<html>", events("<html>", "[DONE]"), Uncached.MALFORMED),
    "compressed under no name": Case(
        gzip.compress(JSON), gzip.compress(SSE), Uncached.MALFORMED, Uncached.INCOMPLETE
    ),
    "over the limit": Case(*answering(content="x" * 5000), Uncached.TOO_LARGE),
    "over the limit without an end": Case(b'"' + b"x" * 5000, b"data: " + b"x" * 5000, Uncached.TOO_LARGE),
}

FORMS = ("application/json", "text/event-stream; charset=utf-8")


@pytest.mark.parametrize("content_type", FORMS)
@pytest.mark.parametrize("name", CASES)
def test_what_may_not_be_replayed_is_not_stored_in_either_form(name: str, content_type: str) -> None:
    case, streamed = CASES[name], content_type != FORMS[0]
    answer = case.sse if streamed else case.json
    reason = (case.sse_reason if streamed else None) or case.reason
    for ends in (True, False):
        body: list[Event] = [*pieces(answer, (10,), ends=ends), *([] if ends else [ResponseTrailers()])]
        transcript = play([*ASK, response_headers(content_type=content_type), *body])
        assert transcript.effects[-3:] == [Land(None), CacheSkipped(reason, storing=True), Close()]
        assert transcript.stored() == []
        assert transcript.only(CacheSkipped) == [CacheSkipped(reason, storing=True)], "counted once"


@pytest.mark.parametrize("content_type", FORMS)
@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ((":status", "206"), Uncached.STATUS),
        ((":status", "400"), Uncached.STATUS),
        ((":status", "503"), Uncached.STATUS),
        (("content-encoding", "gzip"), Uncached.CONTENT_ENCODING),
        (("content-encoding", "br"), Uncached.CONTENT_ENCODING),
    ],
)
def test_errors_and_compressed_answers_are_not_read_in_either_form(
    field: tuple[str, str], reason: Uncached, content_type: str
) -> None:
    transcript = play([*ASK, headers(("content-type", content_type), field)])
    assert transcript.effects[-3:] == [Land(None), CacheSkipped(reason, storing=True), Close()]


@pytest.mark.parametrize("content_type", FORMS)
def test_the_same_answer_is_stored_in_either_form(content_type: str) -> None:
    """Or the tests above would prove nothing."""
    whole, streamed = answering()
    answer = whole if content_type == FORMS[0] else streamed
    assert play([*ASK, response_headers(content_type=content_type), *pieces(answer, (10,))]).stored()


@pytest.mark.parametrize("content_type", FORMS)
def test_an_answer_whose_client_left_is_not_stored_in_either_form(content_type: str) -> None:
    answer = JSON if content_type == FORMS[0] else SSE
    body = pieces(answer, (10,), ends=False)
    transcript = play([*ASK, response_headers(content_type=content_type), *body, PeerClosed()])
    assert transcript.effects[-1] == Cancelled("Recording", "large")
    assert (transcript.stored(), transcript.landed()) == ([], [])


def test_nothing_is_said_after_the_end_of_the_stream() -> None:
    exchange = Exchange(PLAN, "x1")
    for message in [*ASK, response_headers(), *pieces(JSON)]:
        feed(exchange, message, Ports())
    assert exchange.receive(ResponseBody(b"", True), AT) == ()
    assert exchange.receive(PeerClosed(), AT) == ()


GRACE = plan_with(stale_grace=30.0)
"""Entries expire a second after AT; see `entry`."""

EXPIRED = AT + 11
BEFORE = (("user", "What is a list?"), ("assistant", "A sequence."))


def expired(text: str = "Please add 2 and 2.", similarity: float = 0.99, **changes: Any) -> Ports:
    """A store that has an entry past its expiry, for those who ask for such."""

    def found(effect: LookupExact | LookupSimilar) -> Sequence[Candidate]:
        return [Candidate(entry(effect.partition, text, **changes), similarity)] if effect.grace else []

    return Ports(exact=found, similar=found)


def failing(
    ports: Ports, status: str = "503", *extra: tuple[str, str], asked: str | None = None, at: float = EXPIRED
) -> Transcript:
    ask: list[Event] = [chat_headers(*extra), chat_body(asked or question())]
    return play([*ask, headers((":status", status), ("content-type", "text/plain"))], ports, GRACE, at)


@pytest.mark.parametrize("status", ["500", "502", "503", "504", "599"])
def test_an_expired_answer_stands_in_for_a_failing_model(status: str) -> None:
    transcript = failing(expired(), status)
    reply = transcript.immediate()
    assert (reply.status, reply.details) == (200, "cache_stale")
    told = dict(reply.headers)
    assert (told["x-vsr-cache-hit"], told["age"]) == ("stale", "16")
    assert json.loads(reply.body)["choices"][0]["message"]["content"].startswith("Four.")
    assert transcript.only(CacheHit) == [
        CacheHit(HitKind.STALE, "e", 0.99, "large", 16.0, 0.0, usage=COMPLETION.usage)
    ]
    assert transcript.only(Answered) == [Answered("large", int(status), 0.0)]
    assert (transcript.landed(), transcript.stored()) == ([None], [])
    assert isinstance(transcript.replies()[-1], ImmediateReply)


def test_a_stale_answer_takes_the_form_the_client_asked_for() -> None:
    reply = failing(expired(), asked=question(stream=True)).immediate()
    assert dict(reply.headers)["content-type"] == "text/event-stream"
    assert reply.body.endswith(b"data: [DONE]\n\n")


def test_the_store_is_asked_for_expired_entries_only_then_and_within_its_time() -> None:
    lookups = [e for e in failing(expired()).effects if isinstance(e, LookupExact | LookupSimilar)]
    assert [lookup.grace for lookup in lookups] == [0.0, 0.0, 30.0]
    assert lookups[-1].timeout == PLAN.cache.lookup_timeout


@pytest.mark.parametrize(("after", "answers"), [(29.0, True), (30.9, True), (31.0, False), (99.0, False)])
def test_the_grace_ends(after: float, answers: bool) -> None:
    assert bool(failing(expired(), at=AT + after).only(CacheHit)) is answers


ENTRY_MARK = Marks.of([Mark(Selector(Kind.ENTRY, "e"), EXPIRED, EXPIRED + 99)])


@pytest.mark.parametrize(
    "spoilt",
    [
        expired("Add 2 and 3."),
        expired("Do not add 2 and 2."),
        expired(similarity=0.84),
        expired(partition="another"),
        expired(exact_only=True),
        replace(expired(), marks=ENTRY_MARK),
        replace(expired(), similar=lambda effect: Failure.TIMEOUT),
        Ports(),
    ],
)
def test_what_may_not_answer_does_not_stand_in(spoilt: Ports) -> None:
    transcript = failing(spoilt)
    assert transcript.effects[-3:] == [Land(None), CacheSkipped(Uncached.STATUS, storing=True), Close()]
    last = transcript.replies()[-1]
    assert isinstance(last, Reply)
    assert (last.phase, last.body) == (Phase.RESPONSE_HEADERS, None)


def test_a_store_that_fails_then_is_noted() -> None:
    def fails(effect: LookupSimilar) -> Sequence[Candidate] | Failure:
        return Failure.UNAVAILABLE if effect.grace else ()

    assert failing(Ports(similar=fails)).only(PortFailed) == [PortFailed("store", Failure.UNAVAILABLE)]


@pytest.mark.parametrize("status", ["400", "401", "404", "408", "429", "499"])
def test_an_error_of_the_client_s_making_is_the_client_s_to_see(status: str) -> None:
    transcript = failing(expired(), status)
    assert transcript.only(CacheHit) == []
    assert not [e for e in transcript.effects if isinstance(e, LookupSimilar) and e.grace]


@pytest.mark.parametrize("value", ["no-cache", "bypass", "garbage", "max-age=15"])
def test_who_wants_no_cached_answer_gets_no_stale_one(value: str) -> None:
    assert failing(expired(), "503", (VSR_CACHE_CONTROL, value)).only(CacheHit) == []
    assert failing(expired(), "503", (VSR_CACHE_CONTROL, "max-age=16")).only(CacheHit)


def test_without_a_grace_an_error_is_an_error() -> None:
    messages = [*ASK, headers((":status", "503"))]
    assert play(messages, expired(), PLAN, EXPIRED).only(CacheHit) == []


@pytest.mark.parametrize(
    "asked",
    [
        question(tools=[{"type": "function"}]),
        question("and in Python?", before=BEFORE),
    ],
)
def test_what_is_asked_word_for_word_takes_no_other_text_s_stale_answer(asked: str) -> None:
    """Even from a store that brings another entry than the one it was asked for."""
    text = json.loads(asked)["messages"][-1]["content"]
    lookups = [e for e in failing(expired(), asked=asked).effects if isinstance(e, LookupExact)]
    assert [lookup.grace for lookup in lookups] == [0.0, 30.0]
    assert failing(expired(f"{text} "), asked=asked).only(CacheHit) == []
    assert failing(expired(text, exact_only=True), asked=asked).only(CacheHit)


def test_an_answer_that_took_longer_than_it_may_live_is_not_stored() -> None:
    """Its life counts from the question, so that what a mark covers is gone when the mark is."""
    messages: list[Event] = [*ASK, response_headers(), *pieces(JSON)]

    times = chain([AT, AT], repeat(AT + PLAN.cache.default.ttl))
    transcript = play(messages, at=lambda: next(times))
    assert transcript.stored() == []
    assert CacheSkipped(Uncached.EXPIRED, storing=True) in transcript.effects
