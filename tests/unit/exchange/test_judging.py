"""From a question to an answer of the cache or a model of the pool."""

import json
from dataclasses import replace

import pytest

from router_extproc.base.completion import Completion, Usage
from router_extproc.base.refusals import Failure, Uncached
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.exchange.effects import (
    CacheHit,
    CacheMiss,
    CacheSkipped,
    LookupExact,
    LookupSimilar,
    PortFailed,
    Reply,
    Routed,
)
from router_extproc.llm.render import render_json
from tests.support.play import (
    AT,
    Ports,
    analysis,
    chat_body,
    chat_headers,
    pieces,
    play,
    response_headers,
    vector,
)

COMPLETION = Completion("large", "Four.\n\n```\n4\n```", "stop", usage=Usage(9, 3))


def entry(partition: str, text: str = "Add 2 and 2.", expires_at: float = AT + 1) -> Entry:
    return Entry(
        id="e",
        partition=partition,
        text=text,
        vector=vector(),
        completion=COMPLETION,
        model="large",
        category="math",
        reasoning=True,
        created_at=AT - 5,
        expires_at=expires_at,
    )


def exact_hit(effect: LookupExact) -> list[Candidate]:
    return [Candidate(entry(effect.partition), 1.0)]


def body(**changes: object) -> str:
    document = {"model": "auto", "messages": [{"role": "user", "content": "Add 2 and 2."}]} | changes
    return json.dumps(document)


def test_an_exact_hit_answers_without_any_model() -> None:
    transcript = play([chat_headers(), chat_body()], Ports(exact=exact_hit))
    reply = transcript.immediate()
    document = json.loads(reply.body)
    assert reply.status == 200
    assert document["choices"][0]["message"]["content"] == COMPLETION.content
    assert dict(reply.headers) == {
        "content-type": "application/json",
        "x-vsr-cache-hit": "true",
        "x-vsr-selected-model": "large",
        "x-vsr-selected-category": "math",
        "x-vsr-selected-reasoning": "on",
    }
    assert not any(isinstance(effect, LookupSimilar) for effect in transcript.effects)
    assert CacheHit("exact", 1.0, "large", 5.0, 0.0) in transcript.effects


def test_a_hit_takes_the_form_the_client_asked_for() -> None:
    stream = body(stream=True, stream_options={"include_usage": True})
    reply = play([chat_headers(), chat_body(stream)], Ports(exact=exact_hit)).immediate()
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


def similar(text: str, similarity: float, **changes: object) -> Ports:
    def found(effect: LookupSimilar) -> list[Candidate]:
        return [Candidate(replace(entry(effect.partition, text), **changes), similarity)]  # type: ignore[arg-type]

    return Ports(similar=found)


def test_a_paraphrase_above_the_threshold_hits() -> None:
    transcript = play([chat_headers(), chat_body()], similar("Sum 2 and 2.", 0.9))
    assert transcript.immediate().details == "cache_semantic"
    assert CacheHit("semantic", 0.9, "large", 5.0, 0.0) in transcript.effects


@pytest.mark.parametrize(
    ("ports", "guarded"),
    [
        (similar("Sum 2 and 2.", 0.84), 0),
        (similar("Add 2 and 3.", 0.99), 1),
        (similar("Sum 2 and 2.", 0.99, partition="another"), 0),
        (similar("Sum 2 and 2.", 0.99, expires_at=AT), 0),
    ],
)
def test_what_may_not_answer_is_a_miss(ports: Ports, guarded: int) -> None:
    transcript = play([chat_headers(), chat_body()], ports)
    assert transcript.forwarded()
    assert CacheMiss(guarded) in transcript.effects


def test_a_text_longer_than_the_window_is_never_compared_by_meaning() -> None:
    ports = Ports(analyse=lambda effect: replace(analysis(), truncated=True), similar=never)
    answer = bytes_of(COMPLETION)
    transcript = play([chat_headers(), chat_body(), response_headers(), *pieces(answer)], ports)
    assert CacheSkipped(Uncached.TRUNCATED, storing=False) in transcript.effects
    assert [store.entry.partial for store in transcript.stored()] == [True]


def never(effect: LookupSimilar) -> list[Candidate]:
    raise AssertionError("asked by meaning")


def bytes_of(completion: Completion) -> bytes:
    return render_json(completion, "chatcmpl-1", 1)


def test_an_entry_whose_vector_is_partial_is_never_found_by_meaning() -> None:
    assert play([chat_headers(), chat_body()], similar("Sum 2 and 2.", 0.99, partial=True)).forwarded()
    partial = Ports(exact=lambda effect: [Candidate(replace(entry(effect.partition), partial=True), 1.0)])
    assert play([chat_headers(), chat_body()], partial).immediate().status == 200


def test_a_refused_candidate_does_not_hide_a_good_one() -> None:
    def found(effect: LookupSimilar) -> list[Candidate]:
        good, bad = entry(effect.partition, "Sum 2 and 2."), entry(effect.partition, "Add 2 and 3.")
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
    transcript = play([chat_headers(), chat_body(body(chat_template_kwargs=kwargs))])
    assert json.loads(transcript.forwarded().body or b"")["chat_template_kwargs"] == kwargs


def test_what_the_client_set_is_not_reported_as_the_router_s_choice() -> None:
    own = body(chat_template_kwargs={"enable_thinking": False})
    for question, reported in ((body(), "on"), (own, None)):
        reply = play([chat_headers(), chat_body(question), response_headers()]).replies()[-1]
        assert isinstance(reply, Reply)
        assert dict(reply.edits.set).get("x-vsr-selected-reasoning") == reported
        assert ("x-vsr-selected-reasoning" in reply.edits.remove) is (reported is None)


def test_an_answer_of_a_model_the_client_named_is_stored() -> None:
    answer = pieces(bytes_of(COMPLETION))
    transcript = play([chat_headers(), chat_body(body(model="plain")), response_headers(), *answer])
    assert [store.entry.model for store in transcript.stored()] == ["plain"]


def test_a_query_in_the_path_is_another_partition() -> None:
    def partition(path: str) -> str:
        lookups = play([chat_headers((":path", path)), chat_body()]).effects
        return next(e.partition for e in lookups if isinstance(e, LookupExact))

    plain = partition("/v1/chat/completions")
    assert plain == partition("/v1/chat/completions?")
    assert plain != partition("/v1/chat/completions?v=2") != partition("/v1/chat/completions?v=1")


def test_a_concrete_model_is_forwarded_byte_for_byte() -> None:
    transcript = play([chat_headers(), chat_body(body(model="plain"))])
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
    assert transcript.effects.count(PortFailed("store", failure)) == 2


def test_the_decision_is_reported() -> None:
    notes = [e for e in play([chat_headers(), chat_body()]).effects if isinstance(e, Routed)]
    assert [(n.requested, n.model, n.category, n.reasoning, n.rule) for n in notes] == [
        ("auto", "large", "math", True, "auto_routing")
    ]


def test_compressed_answers_are_not_asked_for_when_they_shall_be_stored() -> None:
    assert "accept-encoding" in play([chat_headers(), chat_body()]).forwarded().edits.remove
    anonymous = play([chat_headers(credential=""), chat_body()]).forwarded()
    assert "accept-encoding" not in anonymous.edits.remove
