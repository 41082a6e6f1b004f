"""What is ours, what passes untouched, and which errors clients get."""

import json
from dataclasses import replace
from typing import Any

import pytest

from router_extproc.base.headers import Headers
from router_extproc.base.names import INTERNAL, SELECTED_MODEL, VSR_CACHE_CONTROL
from router_extproc.base.refusals import Bypass, Rejection, Uncached
from router_extproc.caching.policy import CategoryPolicy, Mode
from router_extproc.caching.scope import Tenancy, TrustedHeader
from router_extproc.exchange.effects import (
    Analyse,
    Bypassed,
    CacheSkipped,
    Close,
    ImmediateReply,
    Join,
    LookupExact,
    LookupSimilar,
    Phase,
    Rejected,
    Reply,
    Violation,
    Watch,
)
from router_extproc.exchange.events import (
    Event,
    RequestBody,
    RequestHeaders,
    RequestTrailers,
    ResponseHeaders,
)
from router_extproc.exchange.notes import AnsweredBefore, Opened
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.compiled import Needs, Ruled
from router_extproc.routing.policy import Route
from router_extproc.routing.rules import Leaf, Tree
from router_extproc.routing.session import SessionPolicy
from router_extproc.routing.signals import LabelSignal
from tests.support.play import (
    ANSWER,
    PLAN,
    QUESTION,
    Ports,
    chat_body,
    chat_headers,
    listing,
    pieces,
    plan_with,
    play,
    question,
    response_headers,
    vector,
)


def headers(**changes: str) -> RequestHeaders:
    fields = {":method": "POST", ":path": "/v1/chat/completions", "content-type": "application/json"}
    fields |= {name.replace("_", "-"): value for name, value in changes.items()}
    return RequestHeaders(Headers.of(fields.items()), end_of_stream=False)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (RequestHeaders(Headers.of([(":method", "GET"), (":path", "/health")]), True), Bypass.OTHER_PATH),
        (
            RequestHeaders(Headers.of([(":method", "GET"), (":path", "/v1/chat/completions")]), True),
            Bypass.OTHER_METHOD,
        ),
        (headers(upgrade="websocket"), Bypass.UPGRADE),
        (headers(content_encoding="gzip"), Bypass.ENCODED_BODY),
        (headers(content_type="multipart/form-data; boundary=x"), Bypass.NOT_JSON),
        (RequestHeaders(headers().headers, False, buffered=False), Bypass.BODY_MODE),
    ],
)
def test_what_is_not_ours_passes_untouched(event: RequestHeaders, reason: Bypass) -> None:
    [reply, note, close] = play([event]).effects
    assert reply == Reply(Phase.REQUEST_HEADERS, watch=Watch.NOTHING)
    assert (note, close) == (Bypassed(reason), Close())


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/chat/completions?api-version=1",
        "/v1/chat/completions/",
        "/V1/Chat/Completions",
        "/v1/chat/completions;a=b/c?d=/x",
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_a_chat_completion_is_ours(path: str, content_type: str) -> None:
    event = RequestHeaders(
        Headers.of([(":method", "POST"), (":path", path), ("content-type", content_type)]), False
    )
    reply, note = play([event]).effects
    assert reply == Reply(Phase.REQUEST_HEADERS)
    assert isinstance(note, Opened)


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions2", "/v1/completions", "/x;/v1/chat/completions", "/?/v1/chat/completions"]
)
def test_another_path_is_not(path: str) -> None:
    event = RequestHeaders(Headers.of([(":method", "POST"), (":path", path)]), False)
    assert play([event]).only(Bypassed) == [Bypassed(Bypass.OTHER_PATH)]


@pytest.mark.parametrize("name", INTERNAL)
def test_a_forged_internal_header_does_not_pass(name: str) -> None:
    event = RequestHeaders(Headers.of([(":method", "GET"), (":path", "/x"), (name, "evil")]), True)
    reply = play([event]).replies()[0]
    assert isinstance(reply, Reply)
    assert reply.edits.remove == (name,)
    assert reply.clear_route_cache


@pytest.mark.parametrize("name", INTERNAL)
def test_a_forged_internal_header_is_removed_or_overwritten_on_chat_requests(name: str) -> None:
    reply = play([chat_headers((name, "evil")), chat_body()]).forwarded()
    assert name in reply.edits.remove or (name == SELECTED_MODEL and dict(reply.edits.set)[name] == "large")


def test_a_stream_may_begin_in_the_response_phase() -> None:
    assert play([response_headers("429")]).effects == [
        Reply(Phase.RESPONSE_HEADERS),
        Bypassed(Bypass.RESPONSE_ONLY),
        Close(),
    ]


@pytest.mark.parametrize(
    ("body", "status", "reason", "param"),
    [
        (b"{not json", 400, Rejection.INVALID_JSON, None),
        (b"", 400, Rejection.INVALID_JSON, None),
        (b"[]", 400, Rejection.INVALID_JSON, None),
        (b'{"messages":[{"role":"user","content":"x"}]}', 400, Rejection.INVALID_REQUEST, "model"),
        (b'{"model":"auto","messages":[]}', 400, Rejection.INVALID_REQUEST, "messages"),
        (
            b'{"model":"gpt-9","messages":[{"role":"user","content":"x"}]}',
            404,
            Rejection.UNKNOWN_MODEL,
            "model",
        ),
        (b'"' + b"x" * 70_000 + b'"', 413, Rejection.BODY_TOO_LARGE, None),
    ],
)
def test_bad_requests_get_an_error_in_openai_s_shape(
    body: bytes, status: int, reason: Rejection, param: str | None
) -> None:
    transcript = play([chat_headers(), RequestBody(body, True)])
    reply = transcript.immediate()
    assert reply.status == status
    assert reply.details == reason.value
    assert dict(reply.headers)["content-type"] == "application/json"
    error = json.loads(reply.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert transcript.effects[-1] == Rejected(reason)


@pytest.mark.parametrize(("over", "passes"), [(0, True), (1, False)])
def test_the_limit_itself_is_allowed(over: int, passes: bool) -> None:
    text = QUESTION + " " * (PLAN.max_body_bytes + over - len(QUESTION))
    replies = play([chat_headers(), chat_body(text)]).replies()
    assert isinstance(replies[-1], Reply) is passes


@pytest.mark.parametrize("second", [RequestTrailers(), None])
def test_a_chat_request_without_a_body_is_an_error(second: Event | None) -> None:
    first = RequestHeaders(chat_headers().headers, end_of_stream=second is None)
    assert play([first, second] if second else [first]).immediate().status == 400


@pytest.mark.parametrize(
    ("changes", "body", "reason"),
    [
        ({"credential": ""}, "{}", Uncached.NO_IDENTITY),
        ({}, '{"temperature":1.5}', Uncached.TEMPERATURE),
        ({}, '{"temperature":"warm"}', Uncached.TEMPERATURE),
        ({}, '{"n":2}', Uncached.MULTIPLE_CHOICES),
        ({}, '{"logprobs":true}', Uncached.LOGPROBS),
        ({}, '{"messages":[{"role":"assistant","content":"x"}]}', Uncached.LAST_TURN_NOT_TEXT),
        ({}, '{"messages":[{"role":"user","content":"  "}]}', Uncached.LAST_TURN_NOT_TEXT),
        (
            {},
            '{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]}]}',
            Uncached.LAST_TURN_NOT_TEXT,
        ),
    ],
)
def test_some_requests_never_use_the_cache(changes: dict[str, str], body: str, reason: Uncached) -> None:
    document = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]} | json.loads(body)
    effects = play([chat_headers(**changes), chat_body(json.dumps(document))]).effects
    assert CacheSkipped(reason, storing=False) in effects
    assert not any(isinstance(effect, LookupExact) for effect in effects)


@pytest.mark.parametrize("temperature", [0, 0.7, 1.0, None])
def test_a_request_within_the_temperature_s_cap_asks_the_cache(temperature: float | None) -> None:
    body = question(temperature=temperature)
    assert play([chat_headers(), chat_body(body)]).only(LookupExact)


def test_without_an_identity_where_one_is_required_the_cache_is_not_asked() -> None:
    """A header that Envoy sets is required here, so the credential does not count."""
    plan = plan_with(tenancy=Tenancy(TrustedHeader("x-tenant")))
    for extra, reason in (
        ((), Uncached.NO_IDENTITY),
        ((("x-tenant", " "),), Uncached.NO_IDENTITY),
        ((("x-tenant", "a"), ("x-tenant", "b")), Uncached.AMBIGUOUS_IDENTITY),
    ):
        fields = [*((n, v) for n, values in chat_headers().headers.fields.items() for v in values), *extra]
        ask = RequestHeaders(Headers.of(fields), end_of_stream=False)
        transcript = play([ask, chat_body(), response_headers(), *pieces(ANSWER)], plan=plan)
        assert transcript.only(CacheSkipped) == [CacheSkipped(reason, storing=False)]
        assert (transcript.only(LookupExact), transcript.only(Join), transcript.stored()) == ([], [], [])
    named = play([chat_headers(("x-tenant", "a")), chat_body()], plan=plan)
    assert named.only(LookupExact)


def test_a_cache_that_is_off_is_not_asked() -> None:
    transcript = play([chat_headers(), chat_body()], plan=plan_with(enabled=False))
    assert transcript.only(CacheSkipped) == [CacheSkipped(Uncached.DISABLED, storing=False)]


CONTROLS = ("no-cache", "no-store", "bypass", "max-age=3", "ttl=3", "garbage", "")


@pytest.mark.parametrize("value", CONTROLS)
def test_the_cache_control_reaches_no_upstream(value: str) -> None:
    field = (VSR_CACHE_CONTROL, value)
    assert VSR_CACHE_CONTROL in play([chat_headers(field), chat_body()]).forwarded().edits.remove
    foreign = RequestHeaders(Headers.of([(":method", "GET"), (":path", "/v1/embeddings"), field]), True)
    [reply] = play([foreign]).replies()
    assert isinstance(reply, Reply)
    assert reply.edits.remove == (VSR_CACHE_CONTROL,)


@pytest.mark.parametrize("value", ["bypass", "garbage", "no-cache, no-store", "max-age=x"])
def test_a_client_may_go_past_the_cache(value: str) -> None:
    messages: list[Event] = [
        chat_headers((VSR_CACHE_CONTROL, value)),
        chat_body(),
        response_headers(),
        *pieces(ANSWER),
    ]
    transcript = play(messages)
    assert transcript.only(CacheSkipped) == [CacheSkipped(Uncached.CACHE_CONTROL, storing=False)]
    assert (transcript.only(LookupExact), transcript.only(Join), transcript.stored()) == ([], [], [])


def test_no_cache_asks_nobody_and_refreshes_the_entry() -> None:
    ask = chat_headers((VSR_CACHE_CONTROL, "no-cache"))
    transcript = play([ask, chat_body(), response_headers(), *pieces(ANSWER)])
    assert not [e for e in transcript.effects if isinstance(e, LookupExact | LookupSimilar | Join)]
    assert len(transcript.stored()) == 1


def test_the_last_words_of_the_user_are_analysed() -> None:
    turns = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": [{"type": "text", "text": "second"}]},
    ]
    effects = play([chat_headers(), chat_body(json.dumps({"model": "MoM", "messages": turns}))]).effects
    assert [effect.text for effect in effects if isinstance(effect, Analyse)] == ["second"]


@pytest.mark.parametrize(
    "messages",
    [
        [RequestBody(b"", True)],
        [chat_headers(), chat_headers()],
        [chat_headers(), chat_body(), chat_body()],
    ],
)
def test_a_message_out_of_order_ends_the_stream_cleanly(messages: list[Event]) -> None:
    *_, note, close = play(messages).effects
    assert isinstance(note, Violation)
    assert close == Close()


def test_envoy_may_answer_before_the_body_is_here() -> None:
    """A body that is too large or too slow: Envoy's own reply passes, and is nobody's mistake."""
    *_, reply, early, note, close = play([chat_headers(), response_headers("413")]).effects
    assert reply == Reply(Phase.RESPONSE_HEADERS)
    assert early == AnsweredBefore(413)
    assert (note, close) == (Bypassed(Bypass.RESPONSE_ONLY), Close())


def test_nothing_follows_an_immediate_reply() -> None:
    transcript = play([chat_headers(), RequestBody(b"x", True), ResponseHeaders(Headers.of([]), False)])
    assert [type(effect) for effect in transcript.effects] == [Reply, Opened, ImmediateReply, Rejected]


EXACT = CategoryPolicy(Mode.EXACT, threshold=0.85, ttl=60.0)
RULED = replace(
    PLAN.routing,
    categories={},
    decisions=(Ruled("greek", 1, Tree("AND", (Leaf("language", "greek"),)), listing(Route("small"))),),
    signals={
        ("language", "greek"): LabelSignal("language", "greek", "language", ("el",), 0.5),
    },
)
"""Decides by the language alone."""


@pytest.mark.parametrize(
    ("plan", "fields", "needs"),
    [
        (PLAN, {}, Needs(True, frozenset({"domain"}))),
        (PLAN, {"model": "large"}, Needs(True)),
        # A temperature that the cache does not take.
        (PLAN, {"temperature": 2}, Needs(False, frozenset({"domain"}))),
        (PLAN, {"model": "large", "temperature": 2}, Needs()),
        (plan_with(default=EXACT), {"model": "large"}, Needs()),
        (plan_with(default=EXACT), {}, Needs(False, frozenset({"domain"}))),
        (
            plan_with(default=EXACT, categories={"math": EXACT}),
            {"model": "large"},
            Needs(False, frozenset({"domain"})),
        ),
        (plan_with(default=EXACT, categories={"decision:sums": EXACT}), {"model": "large"}, Needs()),
        (
            plan_with(default=EXACT, categories={"decision:sums": PLAN.cache.default}),
            {"model": "large"},
            Needs(True),
        ),
        (replace(PLAN, routing=RULED), {}, Needs(True, frozenset({"language"}))),
        (replace(plan_with(default=EXACT), routing=RULED), {}, Needs(False, frozenset({"language"}))),
        (
            replace(plan_with(default=EXACT), routing=replace(RULED, tool_selection=True)),
            {},
            Needs(True, frozenset({"language"})),
        ),
    ],
)
def test_only_what_will_be_read_of_an_analysis_is_asked_for(
    plan: Snapshot, fields: dict[str, Any], needs: Needs
) -> None:
    transcript = play([chat_headers(), chat_body(question(**fields))], plan=plan)
    assert [each.needs for each in transcript.only(Analyse)] == [needs]


def test_what_the_encoder_did_not_see_is_kept_word_for_word_only() -> None:
    unseen = Analysis(vector(), {}, "e1", 0, truncated=True)
    ports = Ports(analyse=lambda effect: unseen)
    events: list[Event] = [chat_headers(), chat_body(), response_headers(), *pieces(ANSWER)]
    for plan in (plan_with(default=EXACT), PLAN):
        transcript = play(events, ports, plan)
        assert [store.entry.exact_only for store in transcript.stored()] == [True]
        assert transcript.only(LookupSimilar) == []


def test_the_sessions_of_a_tenant_begin_alike_and_those_of_another_do_not() -> None:
    plan = replace(PLAN, routing=replace(PLAN.routing, session=SessionPolicy.PIN))

    def session(text: str, *extra: tuple[str, str]) -> list[str]:
        transcript = play([chat_headers(*extra), chat_body(question(text))], plan=plan)
        [asked] = transcript.only(Analyse)
        return (asked.session or "").split("/")

    one, two, named = session("a"), session("b"), session("a", ("x-session-id", "s"))
    other = session("a", ("authorization", "Bearer k2"))
    assert one[0] == two[0] == named[0] != other[0]
    assert len({one[1], two[1], named[1], other[1]}) == 4
