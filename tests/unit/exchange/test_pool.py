"""What an exchange does about models: their list, changes to requests, what is learned from answers."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from router_extproc.base.headers import Headers
from router_extproc.base.names import VSR_DECISION, VSR_INJECTED
from router_extproc.base.refusals import Failure, Uncached
from router_extproc.caching.policy import CategoryPolicy, Mode
from router_extproc.exchange.answering import _fed
from router_extproc.exchange.effects import (
    Analyse,
    Began,
    CacheSkipped,
    Finished,
    FirstToken,
    Flowing,
    ImmediateReply,
    LookupSimilar,
    Progress,
    Remember,
    Reply,
    Sent,
    Store,
    Watch,
)
from router_extproc.exchange.events import Event, RequestHeaders, ResponseTrailers
from router_extproc.llm.meter import Meter
from router_extproc.llm.render import render_json, render_sse
from router_extproc.routing.compiled import Ruled
from router_extproc.routing.policy import Model, Route, SystemPrompt
from router_extproc.routing.rules import Tree
from router_extproc.routing.session import SessionPolicy
from router_extproc.routing.tools import ToolBox
from router_extproc.routing.world import Condition, World
from tests.support.play import (
    ANSWER,
    AT,
    COMPLETION,
    PLAN,
    Ports,
    chat_body,
    chat_headers,
    finds_similar,
    listing,
    pieces,
    play,
    question,
    response_headers,
)

LISTED = replace(PLAN, listed=("auto", "MoM", "org/large"))


def asks_for(path: str) -> RequestHeaders:
    return RequestHeaders(Headers.of([(":method", "GET"), (":path", path)]), end_of_stream=True)


def test_the_list_of_models_is_the_routers_own() -> None:
    reply = play([asks_for("/v1/models?limit=3")], plan=LISTED).immediate()
    document = json.loads(reply.body)
    assert (reply.status, document["object"]) == (200, "list")
    assert [model["id"] for model in document["data"]] == ["auto", "MoM", "org/large"]


@pytest.mark.parametrize("path", ["/v1/models/org/large", "/v1/models/org%2Flarge"])
def test_a_model_is_found_by_name(path: str) -> None:
    reply = play([asks_for(path)], plan=LISTED).immediate()
    assert (reply.status, json.loads(reply.body)["id"]) == (200, "org/large")


def test_an_unknown_model_is_not_found() -> None:
    reply = play([asks_for("/v1/models/other")], plan=LISTED).immediate()
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (404, "model_not_found")


def ruled(**changes: object) -> Ruled:
    """A decision for everything."""
    return Ruled("sums, all", 1, Tree("AND", ()), replace(listing(Route("small")), **changes))  # type: ignore[arg-type]


def deciding(decision: Ruled, **routing: object) -> object:
    return replace(PLAN, routing=replace(PLAN.routing, decisions=(decision,), **routing))  # type: ignore[arg-type]


@pytest.mark.parametrize(("mode", "said"), [("insert", "Be brief.\n\nBe kind."), ("replace", "Be brief.")])
def test_a_decisions_system_prompt_goes_into_the_request(mode: str, said: str) -> None:
    plan = deciding(ruled(system_prompt=SystemPrompt("Be brief.", mode)))  # type: ignore[arg-type]
    body = question(before=[("system", "Be kind.")])
    transcript = play([chat_headers(), chat_body(body), response_headers()], plan=plan)  # type: ignore[arg-type]
    sent = json.loads(transcript.forwarded().body or b"")
    assert sent["messages"][0] == {"role": "system", "content": said}
    headers = dict(transcript.replies()[-1].edits.set)  # type: ignore[union-attr]
    assert (headers[VSR_DECISION], headers[VSR_INJECTED]) == ("sums, all", "true")


def test_a_model_that_was_named_gets_the_request_as_it_came() -> None:
    plan = deciding(ruled(system_prompt=SystemPrompt("Be brief.")))
    messages: list[Event] = [chat_headers(), chat_body(question(model="large")), response_headers()]
    transcript = play(messages, plan=plan)  # type: ignore[arg-type]
    assert transcript.forwarded().body is None
    assert dict(transcript.replies()[-1].edits.set)[VSR_INJECTED] == "false"  # type: ignore[union-attr]


def test_an_adapter_takes_the_place_of_its_model_in_the_body_only() -> None:
    plan = deciding(replace(ruled(), listing=listing(Route("small", adapter="sql"))))
    reply = play([chat_headers(), chat_body()], plan=plan).forwarded()  # type: ignore[arg-type]
    assert dict(reply.edits.set)["x-selected-model"] == "small"
    assert json.loads(reply.body or b"")["model"] == "sql"


def test_no_model_that_could_answer_is_an_error_that_says_what_is_lacking() -> None:
    models = {name: Model(context_window=10) for name in PLAN.routing.models}
    plan = replace(PLAN, routing=replace(PLAN.routing, models=models))
    reply = play([chat_headers(), chat_body()], plan=plan).immediate()
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["type"]) == (400, "invalid_request_error")
    assert "context window" in error["message"]


TOOL = {"type": "function", "function": {"name": "add"}}


def toolbox(similarity: float, *, fallback_to_empty: bool = True) -> ToolBox:
    vectors = np.array([[similarity, (1 - similarity**2) ** 0.5, 0.0]], np.float32)
    return ToolBox((TOOL,), vectors, top_k=3, threshold=0.5, fallback_to_empty=fallback_to_empty)


@pytest.mark.parametrize(
    ("similarity", "to_empty", "given"), [(0.9, True, True), (0.1, True, False), (0.1, False, True)]
)
def test_tools_go_with_a_question_that_is_near_them(similarity: float, to_empty: bool, given: bool) -> None:
    routing = replace(PLAN.routing, tool_selection=True)
    plan = replace(PLAN, routing=routing, tools=toolbox(similarity, fallback_to_empty=to_empty))
    transcript = play([chat_headers(), chat_body(question(tool_choice="auto"))], plan=plan)
    sent = json.loads(transcript.forwarded().body or b"")
    assert sent.get("tools") == ([TOOL] if given else None)
    assert transcript.only(LookupSimilar) == []
    assert CacheSkipped(Uncached.TOOLS, storing=False) in transcript.effects


def test_a_client_that_does_not_ask_for_tools_gets_none() -> None:
    plan = replace(PLAN, routing=replace(PLAN.routing, tool_selection=True), tools=toolbox(0.9))
    sent = json.loads(play([chat_headers(), chat_body()], plan=plan).forwarded().body or b"")
    assert "tools" not in sent


PINNING = replace(PLAN, routing=replace(PLAN.routing, session=SessionPolicy.PIN))


def test_without_a_session_policy_nobody_is_asked_about_sessions() -> None:
    transcript = play([chat_headers(("x-session-id", "s")), chat_body()])
    assert [each.session for each in transcript.only(Analyse)] == [None]
    assert transcript.only(Remember) == []


def sessions(*messages: tuple[Sequence[tuple[str, str]], str], **headers: str) -> list[str | None]:
    """The session that each request belongs to: (messages before, question)."""
    found: list[str | None] = []
    for before, text in messages:
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        transcript = play([chat_headers(*fields), chat_body(question(text, before=before))], plan=PINNING)
        [asked] = transcript.only(Analyse)
        [remembered] = transcript.only(Remember)
        assert remembered.session == asked.session
        found.append(asked.session)
    return found


def test_a_conversation_is_known_by_how_it_began() -> None:
    first = ((("system", "s"),), "hello")
    later = ((("system", "s"), ("user", "hello"), ("assistant", "hi")), "and now?")
    other = ((("system", "s"),), "good morning")
    one, two, three = sessions(first, later, other)
    assert one == two != three


def test_a_conversation_that_its_client_names_is_known_by_the_name_and_the_tenant() -> None:
    [one] = sessions(((), "a"), x_session_id="s")
    [two] = sessions(((), "b"), x_session_id="s")
    [three] = sessions(((), "a"), x_session_id="s", authorization="Bearer k2")
    assert one == two != three


def test_what_the_pool_is_like_decides() -> None:
    left = Ports(world=lambda asked: World({"large": Condition(available=False)}))
    routing = replace(PLAN.routing, categories={"math": listing(Route("large"), Route("small"))})
    transcript = play([chat_headers(), chat_body()], left, plan=replace(PLAN, routing=routing))
    assert dict(transcript.forwarded().edits.set)["x-selected-model"] == "small"


LEARNING = replace(PLAN, learns=True)
STREAM = render_sse(COMPLETION, "c", 1, include_usage=True)


def learned(*messages: Event, plan: object = LEARNING, ports: Ports | None = None) -> list[object]:
    transcript = play([chat_headers(), chat_body(), *messages], ports, plan=plan)  # type: ignore[arg-type]
    return [each for each in transcript.effects if isinstance(each, Progress)]


def test_an_answer_that_is_stored_is_measured() -> None:
    assert learned(response_headers(), *pieces(ANSWER, [5])) == [
        Sent("large", AT),
        Began(),
        Flowing(AT),
        Finished(AT, 200, 3),
    ]


def test_the_first_piece_of_a_stream_is_its_first_token() -> None:
    body = pieces(STREAM, [5, 50])
    assert learned(response_headers(content_type="text/event-stream"), *body) == [
        Sent("large", AT),
        Began(),
        FirstToken(AT),
        Finished(AT, 200, 3),
    ]


@pytest.mark.parametrize(
    ("content_type", "body"), [("application/json", ANSWER[:-9]), ("text/event-stream", STREAM[:150])]
)
@pytest.mark.parametrize("credential", ["", "Bearer key"])
def test_an_answer_that_ends_without_its_end_is_not_complete(
    content_type: str, body: bytes, credential: str
) -> None:
    asked: list[Event] = [chat_headers(credential=credential), chat_body()]
    transcript = play(
        [*asked, response_headers(content_type=content_type), *pieces(body, [5])], plan=LEARNING
    )
    assert [each.complete for each in transcript.only(Finished)] == [False]


def test_an_answer_that_flows_is_told_now_and_then() -> None:
    meter = Meter(event_stream=True)
    told = [_fed(meter, b"data: x\n\n", LEARNING, 100.0 + step / 16) for step in range(17)]
    assert [each for each in told if each] == [(FirstToken(100.0),), (Flowing(100.5),), (Flowing(101.0),)]
    assert _fed(meter, b"data: x\n\n", PLAN, 200.0) == ()


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
def test_an_answer_that_is_not_for_the_cache_is_measured_and_let_through(content_type: str) -> None:
    body = STREAM if content_type == "text/event-stream" else ANSWER
    headers = response_headers(content_type=content_type)
    uncached: list[Event] = [chat_headers(credential=""), chat_body(), headers]
    transcript = play([*uncached, *pieces(body, [7])], plan=LEARNING)
    assert transcript.only(Finished) == [Finished(AT, 200, 3)]
    assert transcript.only(Store) == []
    watching = [reply for reply in transcript.replies() if isinstance(reply, Reply)]
    assert watching[2].watch is Watch.STREAMED_RESPONSE
    assert all(reply.body is None and not reply.edits.set for reply in watching[3:])


def test_an_answer_that_ends_with_trailers_is_measured() -> None:
    uncached: list[Event] = [chat_headers(credential=""), chat_body(), response_headers()]
    transcript = play([*uncached, *pieces(ANSWER, ends=False), ResponseTrailers()], plan=LEARNING)
    assert transcript.only(Finished) == [Finished(AT, 200, 3)]


@pytest.mark.parametrize("status", ["503", "429"])
def test_an_error_is_told_at_once(status: str) -> None:
    assert learned(response_headers(status)) == [Sent("large", AT), Finished(AT, int(status))]


def test_nothing_is_measured_where_nothing_is_learned() -> None:
    assert learned(response_headers(), *pieces(ANSWER), plan=PLAN) == []
    uncached: list[Event] = [chat_headers(credential=""), chat_body(), response_headers()]
    reply = play(uncached).replies()[-1]
    assert isinstance(reply, Reply)
    assert reply.watch is Watch.AS_CONFIGURED


def test_an_answer_from_the_cache_says_nothing_of_a_model() -> None:
    transcript = play([chat_headers(), chat_body()], finds_similar("Add 2 and 2!", 0.99), plan=LEARNING)
    assert isinstance(transcript.replies()[-1], ImmediateReply)
    assert transcript.only(Sent) == []


def test_an_analysis_that_failed_still_knows_the_pool() -> None:
    ports = Ports(
        analyse=lambda asked: Failure.TIMEOUT,
        world=lambda asked: World({"medium": Condition(available=False)}),
    )
    routing = replace(PLAN.routing, default=listing(Route("medium"), Route("small")))
    transcript = play([chat_headers(), chat_body()], ports, plan=replace(PLAN, routing=routing))
    assert dict(transcript.forwarded().edits.set)["x-selected-model"] == "small"


@pytest.mark.parametrize(("frame", "hits"), [("", True), ("prompt", False)])
def test_an_answer_under_another_system_prompt_is_not_found_by_meaning(frame: str, hits: bool) -> None:
    own = CategoryPolicy(Mode.SEMANTIC, 0.85, 60.0, frame=frame)
    cache = replace(PLAN.cache, categories={"history": own})
    ports = finds_similar("Add 2 and 2!", 0.99, category="history")
    transcript = play([chat_headers(), chat_body()], ports, plan=replace(PLAN, cache=cache))
    assert isinstance(transcript.replies()[-1], ImmediateReply) is hits


def test_the_body_of_a_learning_exchange_is_the_one_of_another() -> None:
    for body in (ANSWER, render_json(COMPLETION, "x", 2)):
        told, untold = (
            play(
                [chat_headers(), chat_body(), response_headers(), *pieces(body, [3, 9])], plan=plan
            ).replies()
            for plan in (LEARNING, PLAN)
        )
        assert told == untold
