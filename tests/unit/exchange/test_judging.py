"""From a question to an answer of the cache or a model of the pool."""

import json
from dataclasses import replace

import pytest

from router_extproc.base.refusals import Failure, Uncached
from router_extproc.caching.entry import Candidate
from router_extproc.caching.guard import Difference
from router_extproc.exchange.effects import (
    CacheHit,
    CacheMiss,
    CacheSkipped,
    HitKind,
    LookupExact,
    LookupSimilar,
    PortFailed,
    Remember,
    Reply,
    Routed,
)
from router_extproc.routing.policy import Model
from router_extproc.routing.session import SessionPolicy
from router_extproc.routing.world import World
from tests.support.play import (
    ANSWER,
    AT,
    COMPLETION,
    PLAN,
    Ports,
    analysis,
    chat_body,
    chat_headers,
    entry,
    finds_exactly,
    finds_similar,
    pieces,
    plan_with,
    play,
    question,
    response_headers,
)


def test_an_finds_exactly_answers_without_any_model() -> None:
    transcript = play([chat_headers(), chat_body()], Ports(exact=finds_exactly))
    reply = transcript.immediate()
    document = json.loads(reply.body)
    assert reply.status == 200
    assert document["choices"][0]["message"]["content"] == COMPLETION.content
    assert dict(reply.headers) == {
        "content-type": "application/json",
        "age": "5",
        "x-vsr-response-path": "cache",
        "x-vsr-cache-hit": "true",
        "x-vsr-cache-entry": "e",
        "x-vsr-cache-question": transcript.only(LookupExact)[0].entry_id,
        "x-vsr-selected-model": "large",
        "x-vsr-selected-category": "math",
        "x-vsr-selected-reasoning": "on",
    }
    assert not any(isinstance(effect, LookupSimilar) for effect in transcript.effects)
    assert transcript.only(CacheHit) == [
        CacheHit(HitKind.EXACT, "e", 1.0, "large", 5.0, 0.0, usage=COMPLETION.usage)
    ]


def test_a_hit_takes_the_form_the_client_asked_for() -> None:
    stream = question(stream=True, stream_options={"include_usage": True})
    reply = play([chat_headers(), chat_body(stream)], Ports(exact=finds_exactly)).immediate()
    assert dict(reply.headers)["content-type"] == "text/event-stream"
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert b'"usage":{' in reply.body


@pytest.mark.parametrize(
    "spoil",
    [
        lambda e: replace(e, partition="another"),
        lambda e: replace(e, text="Add 2 and 3."),
        lambda e: replace(e, expires_at=AT),
    ],
)
def test_a_store_that_leaks_is_not_believed(spoil: object) -> None:
    ports = Ports(exact=lambda effect: [Candidate(spoil(entry(effect.partition)), 1.0)])  # type: ignore[operator]
    assert play([chat_headers(), chat_body()], ports).forwarded()


def test_a_paraphrase_above_the_threshold_hits() -> None:
    transcript = play([chat_headers(), chat_body()], finds_similar("Please add 2 and 2.", 0.9))
    assert transcript.immediate().details == "cache_semantic"
    assert transcript.only(CacheHit) == [
        CacheHit(HitKind.SEMANTIC, "e", 0.9, "large", 5.0, 0.0, usage=COMPLETION.usage)
    ]
    assert dict(transcript.immediate().headers)["x-vsr-cache-similarity"] == "0.9000"
    [hit] = transcript.landed()
    assert hit is not None
    assert hit.entry.text == "Please add 2 and 2."


@pytest.mark.parametrize(
    ("ports", "refused"),
    [
        (finds_similar("Please add 2 and 2.", 0.84), {}),
        (finds_similar("Add 2 and 3.", 0.99), {Difference.NUMBER: 1}),
        (finds_similar("Do not add 2 and 2.", 0.84), {}),
        (finds_similar("Do not add 2 and 2.", 0.99), {Difference.NEGATION: 1}),
        (finds_similar("Please add 2 and 2.", 0.99, partition="another"), {}),
        (finds_similar("Please add 2 and 2.", 0.99, expires_at=AT), {}),
        (finds_similar("Add 2 and 3.", 0.99, expires_at=AT), {}),
    ],
)
def test_what_may_not_answer_is_a_miss(ports: Ports, refused: dict[Difference, int]) -> None:
    transcript = play([chat_headers(), chat_body()], ports)
    assert transcript.forwarded()
    assert transcript.only(CacheMiss) == [CacheMiss(refused)]


def test_a_text_longer_than_the_window_is_never_compared_by_meaning() -> None:
    ports = Ports(analyse=lambda effect: replace(analysis(), truncated=True), similar=never)
    answer = ANSWER
    transcript = play([chat_headers(), chat_body(), response_headers(), *pieces(answer)], ports)
    assert CacheSkipped(Uncached.TRUNCATED, storing=False) in transcript.effects
    assert [store.entry.exact_only for store in transcript.stored()] == [True]


def never(effect: LookupSimilar) -> list[Candidate]:
    raise AssertionError("asked by meaning")


def test_an_entry_that_is_exact_only_is_never_found_by_meaning() -> None:
    assert play(
        [chat_headers(), chat_body()], finds_similar("Please add 2 and 2.", 0.99, exact_only=True)
    ).forwarded()
    only = Ports(exact=lambda effect: [Candidate(entry(effect.partition, exact_only=True), 1.0)])
    assert play([chat_headers(), chat_body()], only).immediate().status == 200


def test_a_refused_candidate_does_not_hide_a_good_one() -> None:
    def found(effect: LookupSimilar) -> list[Candidate]:
        good, bad = entry(effect.partition, "Please add 2 and 2."), entry(effect.partition, "Add 2 and 3.")
        return [Candidate(bad, 0.99), Candidate(good, 0.9)]

    assert play([chat_headers(), chat_body()], Ports(similar=found)).immediate().status == 200


def test_a_routed_request_names_the_model_in_body_and_header() -> None:
    reply = play([chat_headers(), chat_body()]).forwarded()
    assert dict(reply.edits.set)["x-selected-model"] == "large"
    document = json.loads(reply.body or b"")
    assert document["model"] == "large"
    assert document["chat_template_kwargs"] == {"enable_thinking": True}
    assert document["messages"] == [{"role": "user", "content": "Add 2 and 2."}]


def test_thinking_is_switched_off_in_so_many_words() -> None:
    ports = Ports(analyse=lambda effect: analysis(history=1.0))
    reply = play([chat_headers(), chat_body()], ports).forwarded()
    assert json.loads(reply.body or b"")["chat_template_kwargs"] == {"enable_thinking": False}


@pytest.mark.parametrize("kwargs", [{"enable_thinking": False}, {"enable_thinking": None}])
def test_the_client_s_own_setting_wins(kwargs: dict[str, object]) -> None:
    transcript = play([chat_headers(), chat_body(question(chat_template_kwargs=kwargs))])
    assert json.loads(transcript.forwarded().body or b"")["chat_template_kwargs"] == kwargs


def test_what_the_client_set_is_not_reported_as_the_router_s_choice() -> None:
    own = question(chat_template_kwargs={"enable_thinking": False})
    for asked, reported in ((question(), "on"), (own, None)):
        reply = play([chat_headers(), chat_body(asked), response_headers()]).replies()[-1]
        assert isinstance(reply, Reply)
        assert dict(reply.edits.set).get("x-vsr-selected-reasoning") == reported
        assert ("x-vsr-selected-reasoning" in reply.edits.remove) is (reported is None)


def test_an_answer_of_a_model_the_client_named_is_stored() -> None:
    answer = pieces(ANSWER)
    transcript = play([chat_headers(), chat_body(question(model="plain")), response_headers(), *answer])
    assert [store.entry.model for store in transcript.stored()] == ["plain"]


def test_a_query_in_the_path_is_another_partition() -> None:
    def partition(path: str) -> str:
        lookups = play([chat_headers((":path", path)), chat_body()]).effects
        return next(e.partition for e in lookups if isinstance(e, LookupExact))

    plain = partition("/v1/chat/completions")
    assert plain == partition("/v1/chat/completions?")
    assert plain != partition("/v1/chat/completions?v=2") != partition("/v1/chat/completions?v=1")


def test_a_concrete_model_is_forwarded_byte_for_byte() -> None:
    transcript = play([chat_headers(), chat_body(question(model="plain"))])
    reply = transcript.forwarded()
    assert reply.body is None
    assert dict(reply.edits.set)["x-selected-model"] == "plain"


@pytest.mark.parametrize("failure", list(Failure))
def test_a_failed_analysis_goes_to_the_default_model(failure: Failure) -> None:
    transcript = play([chat_headers(), chat_body()], Ports(analyse=lambda effect: failure))
    assert dict(transcript.forwarded().edits.set)["x-selected-model"] == "medium"
    assert PortFailed("analyst", failure) in transcript.effects
    assert CacheSkipped(Uncached.NO_ANALYSIS, storing=False) in transcript.effects


@pytest.mark.parametrize("failure", list(Failure))
def test_a_failed_store_is_a_miss(failure: Failure) -> None:
    ports = Ports(exact=lambda effect: failure, similar=lambda effect: failure)
    transcript = play([chat_headers(), chat_body()], ports)
    assert dict(transcript.forwarded().edits.set)["x-selected-model"] == "large"
    assert transcript.only(PortFailed) == [PortFailed("store", failure)] * 2


def test_the_decision_is_reported() -> None:
    notes = [e for e in play([chat_headers(), chat_body()]).effects if isinstance(e, Routed)]
    assert [(n.requested, n.model, n.category, n.reasoning, n.rule) for n in notes] == [
        ("auto", "large", "math", True, "auto_routing")
    ]


def test_compressed_answers_are_not_asked_for_when_they_shall_be_stored() -> None:
    assert "accept-encoding" in play([chat_headers(), chat_body()]).forwarded().edits.remove
    anonymous = play([chat_headers(credential=""), chat_body()]).forwarded()
    assert "accept-encoding" not in anonymous.edits.remove


def test_an_answer_to_a_request_that_a_head_did_not_judge_is_not_kept() -> None:
    """Another model may have answered than the rules want, and the cache would say so for its whole time."""
    broken = Ports(analyse=lambda effect: replace(analysis(), failed=("language",)))
    transcript = play([chat_headers(), chat_body(), response_headers(), *pieces(ANSWER)], broken)
    assert transcript.forwarded()
    assert transcript.stored() == []
    assert CacheSkipped(Uncached.NO_ANALYSIS, storing=True) in transcript.effects
    assert transcript.landed() == [None]


def test_what_was_kept_before_still_answers_where_a_head_fails() -> None:
    found = finds_similar("Please add 2 and 2.", 0.9)
    broken = replace(found, analyse=lambda effect: replace(analysis(), failed=("language",)))
    plan = plan_with(verify_share=1.0)
    assert play([chat_headers(), chat_body()], broken, plan).immediate().details == "cache_semantic"


def test_a_session_decides_who_is_asked_and_not_what_is_known_already() -> None:
    """The same conversation, under the same policy, was answered by a weaker model than this session's."""
    models = {**PLAN.routing.models, "large": Model(quality=0.9), "small": Model(quality=0.2)}
    routing = replace(PLAN.routing, models=models, session=SessionPolicy.ESCALATE_ONLY)
    weaker = Ports(
        exact=lambda effect: [Candidate(entry(effect.partition, model="small"), 1.0)],
        world=lambda effect: World(session_model="large"),
    )
    transcript = play([chat_headers(), chat_body()], weaker, replace(PLAN, routing=routing))
    assert dict(transcript.immediate().headers)["x-vsr-selected-model"] == "small"
    # Nor does it move the session: who is asked next is decided as if nothing had been said.
    assert transcript.only(Remember) == []
