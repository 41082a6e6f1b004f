"""The upstream's answer: passed on unchanged, read when it may be stored."""

import pytest

from router_extproc.base.completion import Completion, Usage
from router_extproc.base.headers import Headers
from router_extproc.base.names import INTERNAL
from router_extproc.base.refusals import Uncached
from router_extproc.exchange.effects import (
    Answered,
    CacheSkipped,
    Cancelled,
    Close,
    Phase,
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
from router_extproc.llm.render import render_json, render_sse
from tests.support.play import (
    AT,
    PLAN,
    Ports,
    chat_body,
    chat_headers,
    feed,
    pieces,
    play,
    response_headers,
)

COMPLETION = Completion("large", "  Four.\n\n\tTable | x\n", "stop", usage=Usage(9, 3))
JSON = render_json(COMPLETION, "chatcmpl-1", 1)
SSE = render_sse(COMPLETION, "chatcmpl-1", 1, True)
ASK: list[Event] = [chat_headers(), chat_body()]


@pytest.mark.parametrize(("content_type", "answer"), [("application/json", JSON), ("text/event-stream", SSE)])
def test_a_complete_answer_is_stored_after_the_last_reply(content_type: str, answer: bytes) -> None:
    transcript = play([*ASK, response_headers(content_type=content_type), *pieces(answer, (7, 30))])
    *_, reply, store, close = transcript.effects
    assert (reply, close) == (Reply(Phase.RESPONSE_BODY), Close())
    assert isinstance(store, Store)
    assert store.entry.completion == COMPLETION
    assert (store.entry.model, store.entry.category, store.entry.reasoning) == ("large", "math", True)
    assert (store.entry.created_at, store.entry.expires_at) == (AT, AT + 60)


def test_the_client_is_told_what_was_chosen() -> None:
    reply = play([*ASK, response_headers()]).replies()[-1]
    assert reply == Reply(Phase.RESPONSE_HEADERS, reply.edits, watch=Watch.STREAMED_RESPONSE)  # type: ignore[union-attr]
    assert dict(reply.edits.set) == {
        "x-vsr-selected-model": "large",
        "x-vsr-selected-category": "math",
        "x-vsr-selected-reasoning": "on",
    }


@pytest.mark.parametrize("fill", [True, False])
def test_an_upstream_cannot_speak_under_the_router_s_names(fill: bool) -> None:
    first = chat_headers() if fill else chat_headers(credential="")
    reply = play([first, chat_body(), response_headers()]).replies()[-1]
    assert isinstance(reply, Reply)
    assert {name for name, _ in reply.edits.set} | set(reply.edits.remove) == set(INTERNAL)


def test_trailers_end_an_answer_too() -> None:
    transcript = play([*ASK, response_headers(), *pieces(JSON, ends=False), ResponseTrailers()])
    assert transcript.effects[-3] == Reply(Phase.RESPONSE_TRAILERS)
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
    assert effects[-2:] == [CacheSkipped(reason, storing=True), Close()]
    assert all(e.watch is Watch.AS_CONFIGURED for e in effects if isinstance(e, Reply))


def test_an_answer_for_no_one_in_particular_is_not_watched() -> None:
    effects = play([chat_headers(credential=""), chat_body(), response_headers()]).effects
    assert isinstance(effects[-2], Answered)
    assert effects[-1] == Close()


@pytest.mark.parametrize(
    ("content_type", "answer", "reason"),
    [
        ("application/json", JSON[:-1], Uncached.MALFORMED),
        ("text/event-stream", SSE.replace(b"data: [DONE]\n\n", b""), Uncached.INCOMPLETE),
        ("application/json", b'"' + b"x" * 5000 + b'"', Uncached.TOO_LARGE),
        ("application/json", b"<html>", Uncached.MALFORMED),
        (
            "application/json",
            render_json(Completion("m", "x", "length"), "i", 1),
            Uncached.FINISH_REASON,
        ),
    ],
)
def test_what_is_not_a_complete_answer_is_not_stored(
    content_type: str, answer: bytes, reason: Uncached
) -> None:
    transcript = play([*ASK, response_headers(content_type=content_type), *pieces(answer, (10,))])
    assert transcript.effects[-2:] == [CacheSkipped(reason, storing=True), Close()]
    assert not transcript.stored()


def test_a_cancelled_answer_is_not_stored() -> None:
    transcript = play([*ASK, response_headers(), *pieces(JSON, ends=False), PeerClosed()])
    assert transcript.effects[-1] == Cancelled("Recording")
    assert not transcript.stored()


def test_nothing_is_said_after_the_end_of_the_stream() -> None:
    exchange = Exchange(PLAN, "x1")
    for message in [*ASK, response_headers(), *pieces(JSON)]:
        feed(exchange, message, Ports())
    assert exchange.receive(ResponseBody(b"", True), AT) == ()
    assert exchange.receive(PeerClosed(), AT) == ()
