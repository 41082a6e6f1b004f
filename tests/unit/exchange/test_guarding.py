"""What the guards make of a request, and what its client is told."""

import json
from dataclasses import replace
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from router_extproc.base.refusals import Bypass, Failure, Guarded, Rejection, Uncached
from router_extproc.exchange.effects import (
    Analyse,
    Bypassed,
    CacheSkipped,
    ImmediateReply,
    LookupExact,
    LookupSimilar,
    Rejected,
    Reply,
    RequestGuarded,
)
from router_extproc.exchange.events import Event
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.routing.compiled import Needs
from router_extproc.routing.session import SessionPolicy
from router_extproc.routing.world import World
from router_extproc.screening.policy import (
    Action,
    Beyond,
    GuardPolicy,
    ModelPii,
    OnError,
    PiiPolicy,
    ScreeningPolicy,
    Strictness,
)
from router_extproc.screening.reading import Screening
from tests.support.play import (
    ANSWER,
    PLAN,
    Ports,
    Transcript,
    analysis,
    chat_body,
    chat_headers,
    finds_exactly,
    pieces,
    play,
    question,
    response_headers,
)

ON, OFF = Strictness(True, 0.5), Strictness(False, 0.5)
CLOSED = ModelPii(allow_by_default=False)
ATTACK = Screening(0.98765)
PERSONAL = Screening(0.0, types={"US_SSN": 0.9, "PERSON": 0.6, "AGE": 0.2})
CLEAN = Screening(0.0)


def guarding(default: Strictness = ON, status: int = 200, **fields: Any) -> Snapshot:
    return replace(PLAN, screening=ScreeningPolicy(guard=GuardPolicy(default, **fields), status=status))


def private(*closed: str, default: Strictness = ON, **fields: Any) -> Snapshot:
    """These models may see no personal data."""
    policy = PiiPolicy(default, models=dict.fromkeys(closed, CLOSED), **fields)
    return replace(PLAN, screening=ScreeningPolicy(pii=policy))


def asked(
    plan: Snapshot, found: Screening | Failure | None, body: str | None = None, **ports: Any
) -> Transcript:
    def analyse(effect: Analyse) -> Any:
        return found if isinstance(found, Failure) else replace(analysis(), screening=found)

    messages: list[Event] = [
        chat_headers(),
        chat_body(body or question()),
        response_headers(),
        *pieces(ANSWER),
    ]
    return play(messages, Ports(analyse=analyse, **ports), plan)


def selected(transcript: Transcript) -> str:
    return dict(transcript.forwarded().edits.set)["x-selected-model"]


def outcomes(transcript: Transcript) -> list[tuple[str, Guarded]]:
    return [(note.guard, note.outcome) for note in transcript.only(RequestGuarded)]


def went_nowhere(transcript: Transcript) -> bool:
    forwarded = [e for e in transcript.replies() if isinstance(e, Reply) and e.clear_route_cache]
    return not forwarded and not transcript.stored() and not transcript.only(LookupSimilar)


@pytest.mark.parametrize("model", ["auto", "plain"])
def test_an_attack_is_answered_as_a_filtered_completion(model: str) -> None:
    transcript = asked(guarding(), ATTACK, question(model=model))
    reply = transcript.immediate()
    answer = ChatCompletion.model_validate_json(reply.body)
    assert reply.status == 200
    assert dict(reply.headers) == {
        "content-type": "application/json",
        "x-vsr-response-path": "blocked",
        "x-vsr-jailbreak-blocked": "true",
        "x-vsr-jailbreak-type": "jailbreak",
        "x-vsr-jailbreak-confidence": "0.988",
    }
    assert (answer.model, answer.choices[0].finish_reason) == ("security-filter", "content_filter")
    assert "0.988" in (answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert answer.usage.total_tokens == 0
    assert outcomes(transcript) == [("guard", Guarded.BLOCKED)]
    assert transcript.only(Rejected) == [Rejected(Rejection.ATTACK)]
    assert transcript.landed() == [None]
    assert went_nowhere(transcript)


def test_a_stream_is_refused_as_a_stream() -> None:
    body = question(stream=True, stream_options={"include_usage": True})
    reply = asked(guarding(), ATTACK, body).immediate()
    assert dict(reply.headers)["content-type"] == "text/event-stream"
    events = [line[6:] for line in reply.body.split(b"\n\n") if line]
    assert events.pop() == b"[DONE]"
    chunks = [ChatCompletionChunk.model_validate_json(event) for event in events]
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert chunks[0].id.startswith("chatcmpl-jailbreak-blocked-")
    assert chunks[-2].choices[0].finish_reason == "content_filter"
    assert "rules" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert chunks[-1].usage is not None


@pytest.mark.parametrize("stream", [True, False])
def test_with_a_status_of_an_error_the_answer_is_an_error(stream: bool) -> None:
    """OpenAI's clients raise it before they look for a stream."""
    reply = asked(guarding(status=403), ATTACK, question(stream=stream)).immediate()
    assert reply.status == 403
    assert json.loads(reply.body)["error"]["code"] == "content_filter"
    assert dict(reply.headers)["content-type"] == "application/json"
    assert dict(reply.headers)["x-vsr-jailbreak-blocked"] == "true"


def test_a_refusal_and_its_record_are_found_together() -> None:
    transcript = asked(guarding(), ATTACK)
    [note] = transcript.only(RequestGuarded)
    assert json.loads(transcript.immediate().body)["id"].endswith(note.reference)
    assert (note.key, note.score) == ("math", 0.98765)
    assert note.tenant is not None
    assert note.types == frozenset()


@pytest.mark.parametrize(
    ("default", "own", "score", "outcome"),
    [
        (ON, None, 0.49, Guarded.PASSED),
        (ON, None, 0.5, Guarded.BLOCKED),
        (ON, Strictness(True, 0.9), 0.89, Guarded.PASSED),
        (ON, Strictness(False, 0.9), 0.95, Guarded.FLAGGED),
        (OFF, Strictness(True, 0.3), 0.3, Guarded.BLOCKED),
    ],
)
def test_the_category_s_own_rule_counts(
    default: Strictness, own: Strictness | None, score: float, outcome: Guarded
) -> None:
    overrides = {} if own is None else {"math": own}
    transcript = asked(guarding(default, overrides=overrides), Screening(score))
    assert outcomes(transcript) == [("guard", outcome)]
    assert (outcome is Guarded.BLOCKED) == went_nowhere(transcript)


def test_what_is_only_observed_is_not_kept_and_not_looked_up_by_meaning() -> None:
    plan = guarding(ON, overrides={"math": OFF})
    for found in (ATTACK, replace(ATTACK, failed=("guard",))):
        transcript = asked(plan, found)
        assert selected(transcript) == "large"
        assert transcript.stored() == []
        assert transcript.only(LookupSimilar) == []
        assert transcript.landed() == [None]
        assert CacheSkipped(Uncached.FLAGGED, storing=False) in transcript.effects


def test_a_clean_request_goes_on_as_without_guards() -> None:
    plan = replace(guarding(), screening=ScreeningPolicy(GuardPolicy(ON), PiiPolicy(ON)))
    transcript, free = asked(plan, CLEAN), asked(PLAN, None)
    assert outcomes(transcript) == [("guard", Guarded.PASSED), ("pii", Guarded.PASSED)]
    assert transcript.replies() == free.replies()
    assert len(transcript.stored()) == 1
    assert free.only(RequestGuarded) == []


def test_an_answer_to_the_same_request_needs_no_second_verdict() -> None:
    transcript = asked(guarding(), ATTACK, exact=finds_exactly)
    assert transcript.immediate().details == "cache_exact"
    assert transcript.only(Analyse) == []
    assert len(transcript.only(LookupExact)) == 1


def test_personal_data_goes_to_another_model_that_may_see_it() -> None:
    """`large` is the only one of its category; the default stands in."""
    transcript = asked(private("large"), PERSONAL)
    assert selected(transcript) == "medium"
    assert outcomes(transcript) == [("pii", Guarded.REROUTED)]
    assert transcript.stored() == []
    [note] = transcript.only(RequestGuarded)
    assert note.model == "medium"
    assert note.types == {"US_SSN", "PERSON"}


def test_without_a_model_that_may_see_it_personal_data_goes_nowhere() -> None:
    transcript = asked(private("large", "medium"), PERSONAL)
    reply = transcript.immediate()
    answer = ChatCompletion.model_validate_json(reply.body)
    assert (answer.model, answer.choices[0].finish_reason) == ("large", "content_filter")
    assert answer.id.startswith("chatcmpl-pii-violation-")
    said = dict(reply.headers)
    assert (said["x-vsr-pii-violation"], said["x-vsr-pii-types"]) == ("true", "PERSON,US_SSN")
    assert "x-vsr-jailbreak-blocked" not in said
    assert "PERSON, US_SSN" in (answer.choices[0].message.content or "")
    assert transcript.only(Rejected) == [Rejected(Rejection.PERSONAL_DATA)]
    assert went_nowhere(transcript)


def test_a_model_that_the_client_names_must_be_allowed_too() -> None:
    transcript = asked(private("plain"), PERSONAL, question(model="plain"))
    assert ChatCompletion.model_validate_json(transcript.immediate().body).model == "plain"
    assert went_nowhere(transcript)
    assert selected(asked(private("large"), PERSONAL, question(model="plain"))) == "plain"


def test_types_that_a_model_may_see_do_not_stand_in_its_way() -> None:
    may = ModelPii(allow_by_default=False, allowed=frozenset({"US_SSN", "PERSON"}))
    plan = replace(PLAN, screening=ScreeningPolicy(pii=PiiPolicy(ON, models={"large": may})))
    transcript = asked(plan, PERSONAL)
    assert selected(transcript) == "large"
    assert outcomes(transcript) == [("pii", Guarded.FLAGGED)]
    assert transcript.stored() == []


def test_a_session_does_not_keep_personal_data_with_a_model_that_must_not_see_it() -> None:
    plan = private("large")
    plan = replace(plan, routing=replace(plan.routing, session=SessionPolicy.PIN))
    transcript = asked(plan, PERSONAL, world=lambda effect: World(session_model="large"))
    assert selected(transcript) == "medium"


def test_an_attack_is_told_before_personal_data() -> None:
    plan = replace(
        PLAN, screening=ScreeningPolicy(GuardPolicy(ON), PiiPolicy(ON, models={"large": CLOSED}), 200)
    )
    transcript = asked(plan, replace(PERSONAL, attack=0.9))
    assert outcomes(transcript) == [("guard", Guarded.BLOCKED)]


@pytest.mark.parametrize("found", [Failure.TIMEOUT, None, Screening(None), Screening(0.0, failed=("guard",))])
@pytest.mark.parametrize("model", ["auto", "plain"])
def test_a_guard_that_could_not_look_fails_as_it_is_told(found: Any, model: str) -> None:
    body = question(model=model)
    closed = asked(guarding(on_error=OnError.BLOCK), found, body)
    assert closed.immediate().status == 503
    assert json.loads(closed.immediate().body)["error"]["code"] == "guard_unavailable"
    assert outcomes(closed) == [("guard", Guarded.ERROR_BLOCKED)]
    assert closed.only(Rejected) == [Rejected(Rejection.UNSCREENED)]
    assert went_nowhere(closed)
    allowed = asked(guarding(on_error=OnError.ALLOW), found, body)
    assert allowed.forwarded()
    assert allowed.stored() == []
    assert outcomes(allowed) == [("guard", Guarded.ERROR_ALLOWED)]


def test_what_was_found_counts_though_the_rest_could_not_be_looked_at() -> None:
    partly = replace(PERSONAL, failed=("pii",))
    assert selected(asked(private("large", on_error=OnError.ALLOW), partly)) == "medium"
    assert asked(private("large", on_error=OnError.BLOCK), partly).immediate().status == 503
    broken = replace(ATTACK, failed=("guard",))
    assert asked(guarding(on_error=OnError.ALLOW), broken).immediate().details == "jailbreak_blocked"


def test_what_is_longer_than_the_guards_read_is_refused_where_a_sample_will_not_do() -> None:
    longer = replace(CLEAN, read=4096, skipped=9)
    for plan in (guarding(), private("large")):
        assert asked(plan, longer).forwarded()
        strict = replace(plan, screening=replace(plan.screening, beyond=Beyond.REFUSE))
        transcript = asked(strict, longer)
        reply = transcript.immediate()
        assert (reply.status, json.loads(reply.body)["error"]["code"]) == (400, "text_too_long")
        assert [outcome for _, outcome in outcomes(transcript)] == [Guarded.TOO_LONG]
        assert went_nowhere(transcript)
        assert asked(strict, CLEAN).forwarded()
    strict = replace(guarding(), screening=replace(guarding().screening, beyond=Beyond.REFUSE))
    assert asked(strict, replace(ATTACK, skipped=9)).immediate().details == "jailbreak_blocked"


@pytest.mark.parametrize("found", [ATTACK, None, replace(CLEAN, skipped=9)])
def test_a_guard_that_only_observes_refuses_nothing(found: Screening | None) -> None:
    plan = guarding(action=Action.OBSERVE, on_error=OnError.BLOCK)
    transcript = asked(replace(plan, screening=replace(plan.screening, beyond=Beyond.REFUSE)), found)
    assert transcript.forwarded()
    assert transcript.only(Rejected) == []
    if found is ATTACK:
        assert outcomes(transcript) == [("guard", Guarded.FLAGGED)]
        assert transcript.stored() == []


def test_a_request_too_long_for_all_is_that_and_no_matter_of_privacy() -> None:
    plan = private("large", "medium")
    models = {name: replace(model, context_window=100) for name, model in PLAN.routing.models.items()}
    plan = replace(plan, routing=replace(plan.routing, models=models))
    reply = asked(plan, PERSONAL, question("word " * 2000)).immediate()
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (400, "context_length_exceeded")


def test_the_guards_ask_for_what_they_need_whoever_chose_the_model() -> None:
    plan = replace(
        guarding(OFF, overrides={"math": ON}),
        routing=replace(PLAN.routing, categories={}),
        cache=replace(PLAN.cache, enabled=False),
    )
    [effect] = asked(plan, CLEAN, question(model="plain")).only(Analyse)
    assert effect.needs == Needs(heads=frozenset({"domain"}), guard=True)
    [effect] = asked(private("large"), CLEAN, question(model="plain")).only(Analyse)
    assert effect.needs is not None
    assert (effect.needs.guard, effect.needs.pii) == (False, True)


def test_other_texts_are_given_only_to_guards() -> None:
    body = question(before=[("user", "before"), ("assistant", "answered"), ("system", "rules")])
    [effect] = asked(guarding(), CLEAN, body).only(Analyse)
    assert effect.others == ("answered", "before")
    [effect] = asked(PLAN, None, body).only(Analyse)
    assert effect.others == ()


UNREAD = [
    (("content-encoding", "gzip"), Bypass.ENCODED_BODY),
    (("content-type", "text/plain"), Bypass.NOT_JSON),
    (("upgrade", "websocket"), Bypass.UPGRADE),
]


@pytest.mark.parametrize(("header", "reason"), UNREAD)
def test_what_cannot_be_read_does_not_get_around_the_guards(header: tuple[str, str], reason: Bypass) -> None:
    transcript = play([chat_headers(header)], plan=guarding())
    assert transcript.immediate().status == 415
    assert transcript.only(Rejected) == [Rejected(Rejection.UNREADABLE)]
    assert play([chat_headers(header)]).only(Bypassed) == [Bypassed(reason)]


def other(method: str = "POST", path: str = "/v1/completions", *more: tuple[str, str]) -> Event:
    return chat_headers((":method", method), (":path", path), *more)


@pytest.mark.parametrize(
    "request_headers",
    [
        other(),
        other(path="/v1/embeddings?a"),
        other("PUT", "/v1/chat/completions"),
        other("GET", "/ws", ("upgrade", "x")),
    ],
)
def test_other_ways_to_the_models_do_not_get_around_the_guards(request_headers: Event) -> None:
    for plan in (guarding(), private("large")):
        transcript = play([request_headers], plan=plan)
        assert transcript.immediate().status == 403
        assert json.loads(transcript.immediate().body)["error"]["code"] == "path_not_guarded"
        assert transcript.only(Rejected) == [Rejected(Rejection.OTHER_PATH)]
    for plan in (PLAN, guarding(action=Action.OBSERVE), private(on_error=OnError.ALLOW)):
        assert play([request_headers], plan=plan).only(Rejected) == []


def test_what_only_looks_and_what_is_left_open_passes_the_guards() -> None:
    plan = guarding()
    screening = replace(plan.screening, unread_paths=frozenset({"/v1/embeddings"}))
    opened = replace(plan, screening=screening)
    for message in (other("GET", "/health"), other("OPTIONS"), other(path="/v1/embeddings?a=b")):
        assert play([message], plan=opened).only(Bypassed) == [Bypassed(Bypass.OTHER_PATH)]
    assert play([other(path="/v1/embeddings/x")], plan=opened).only(Rejected) == [
        Rejected(Rejection.OTHER_PATH)
    ]


def test_a_filter_that_sends_no_bodies_fails_as_the_guards_are_told() -> None:
    unbuffered = replace(chat_headers(), buffered=False)
    closed = play([unbuffered], plan=guarding(on_error=OnError.BLOCK))
    assert closed.immediate().status == 503
    assert isinstance(closed.replies()[-1], ImmediateReply)
    assert play([unbuffered], plan=guarding()).only(Bypassed) == [Bypassed(Bypass.BODY_MODE)]


def test_nothing_that_was_written_is_in_what_is_noted() -> None:
    transcript = asked(private("large", "medium"), PERSONAL, question("I am Zebulon, 078-05-1120."))
    reply = transcript.immediate()
    said = repr((reply.headers, reply.body, reply.details, transcript.only(RequestGuarded)))
    assert "Zebulon" not in said
    assert "078" not in said


TWICE = question().replace('"model"', '"user": "a", "user": "b", "model"')


def test_a_body_that_can_be_read_in_two_ways_is_refused_where_a_guard_reads() -> None:
    for screening in (ScreeningPolicy(GuardPolicy(ON)), ScreeningPolicy(pii=PiiPolicy(ON))):
        played = play([chat_headers(), chat_body(TWICE)], plan=replace(PLAN, screening=screening))
        assert [reply.status for reply in played.only(ImmediateReply)] == [400]
        assert played.only(Rejected) == [Rejected(Rejection.INVALID_REQUEST)]
        assert not played.only(Analyse)


def test_where_no_guard_reads_the_last_of_two_names_counts() -> None:
    assert play([chat_headers(), chat_body(TWICE)]).only(Analyse)
