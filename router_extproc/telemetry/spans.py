"""A story as the spans of a trace: names and attributes, nothing of how they are sent.

Names and attributes are vLLM Semantic Router's where it has them, and OpenTelemetry's conventions for
generative AI (`gen_ai.*`) beside them. `cache.key`, which holds the prompt there, is the entry's digest here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import Final

from router_extproc.base.digest import digest
from router_extproc.base.names import AUTO
from router_extproc.base.refusals import Guarded
from router_extproc.exchange.effects import (
    Analyse,
    Answered,
    CacheHit,
    CacheMiss,
    Cancelled,
    Compare,
    Join,
    LookupExact,
    LookupSimilar,
    Rejected,
    RequestGuarded,
    Routed,
    ScreenAnswer,
    Store,
    Violation,
)
from router_extproc.exchange.notes import Analysed, AnswerEnded, FirstPiece, Judged, NearestFound, Understood
from router_extproc.screening.policy import GUARD
from router_extproc.telemetry.story import Done, Story

CHAT_PATH: Final = "/v1/chat/completions"
"""Without the query: some clients put their key there."""

Value = str | bool | int | float | tuple[str, ...]


class Name(StrEnum):
    """Those from REQUEST to UPSTREAM are the peer's."""

    REQUEST = "semantic_router.request.received"
    CLASSIFICATION = "semantic_router.classification"
    ATTACK = "semantic_router.security.jailbreak_detection"
    PII = "semantic_router.security.pii_detection"
    LOOKUP = "semantic_router.cache.lookup"
    DECISION = "semantic_router.routing.decision"
    UPSTREAM = "semantic_router.upstream.request"
    QUEUE = "semantic_router.classification.queue"
    TOKENISE = "semantic_router.classification.tokenise"
    RUN = "semantic_router.classification.run"
    GUARDS = "semantic_router.classification.guards"
    VERIFY = "semantic_router.cache.verify"
    WAIT = "semantic_router.cache.wait"
    HAND_OVER = "semantic_router.cache.hand_over"


class Kind(StrEnum):
    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Span:
    """`span_id` and `parent` are 16 hex digits, `parent` "" for none; times are Unix seconds. `error` is a
    word of ours, "" where nothing went wrong; `events` are names with times."""

    name: str
    span_id: str
    parent: str
    start: float
    end: float
    attributes: Mapping[str, Value] = field(default_factory=dict)
    kind: Kind = Kind.INTERNAL
    error: str = ""
    events: tuple[tuple[str, float], ...] = ()


def spans_of(story: Story) -> tuple[Span, ...]:
    """The request's own span first. No span ends before it began, and none outlasts the first."""
    children = chain(_deeds(story), _guards(story), _upstream(story))
    opened = story.opened
    ended = max(story.ended, opened.at)
    request = Span(
        Name.REQUEST,
        opened.root.span_id,
        opened.parent,
        opened.at,
        ended,
        _request(story),
        Kind.SERVER,
        _error(story),
    )
    return (request, *(_within(each, opened.at, ended) for each in children))


def _within(span: Span, start: float, end: float) -> Span:
    """A clock that is set back must not make a trace that backends refuse."""
    began = min(max(span.start, start), end)
    ended = min(max(span.end, began), end)
    return Span(
        span.name,
        span.span_id,
        span.parent,
        began,
        ended,
        span.attributes,
        span.kind,
        span.error,
        tuple((name, min(max(at, began), ended)) for name, at in span.events),
    )


def _id(story: Story, name: str) -> str:
    return digest("span", (story.opened.reference.encode(), name.encode()))[:16]


def _request(story: Story) -> dict[str, Value]:
    found: dict[str, Value] = {
        "request.id": story.opened.reference,
        "http.request.method": "POST",
        "http.method": "POST",
        "http.path": CHAT_PATH,
        "gen_ai.operation.name": "chat",
        "router.configuration.generation": story.opened.generation,
        "processing.time_ms": _ms(story.ended - story.opened.at),
    }
    understood, judged = story.first(Understood), story.first(Judged)
    routed, hit = story.first(Routed), story.first(CacheHit)
    if understood is not None:
        found["gen_ai.request.model"] = understood.requested
        found["routing.original_model"] = understood.requested
    if judged is not None:
        found |= _category(judged)
    if routed is not None:
        found |= {
            "routing.selected_model": routed.model,
            "routing.reason": routed.rule,
            "reasoning.enabled": routed.reasoning,
            "gen_ai.response.model": routed.model,
        }
        named = {
            "reasoning.effort": routed.effort,
            "reasoning.family": routed.family,
            "decision.name": routed.decision,
        }
        found |= {name: value for name, value in named.items() if value}
    found["cache.hit"] = hit is not None
    if hit is not None:
        found |= _hit(hit)
    found |= _usage(story)
    found |= _status(story)
    return found


def _category(judged: Judged) -> dict[str, Value]:
    category = judged.trace.outcome.category
    return {"category.name": category, "category.confidence": judged.confidence} if category else {}


def _hit(hit: CacheHit) -> dict[str, Value]:
    return {
        "cache.key": hit.entry,
        "cache.kind": hit.kind.value,
        "cache.similarity": hit.similarity,
        "cache.age_seconds": hit.age,
        "gen_ai.response.model": hit.model,
    }


def _usage(story: Story) -> dict[str, Value]:
    ended = story.first(AnswerEnded)
    if ended is None or ended.usage is None:
        return {}
    usage = ended.usage
    return {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "token.count.prompt": usage.prompt_tokens,
        "token.count.completion": usage.completion_tokens,
    }


def _status(story: Story) -> dict[str, Value]:
    answered, rejected = story.first(Answered), story.first(Rejected)
    if rejected is not None:
        return {"router.rejected": rejected.reason.value}
    return {} if answered is None else {"http.response.status_code": answered.status}


def _error(story: Story) -> str:
    """Why the whole request counts as failed. A cached answer in place of a model's error is none."""
    if story.first(CacheHit) is not None:
        return ""
    violation, answered, cancelled = story.first(Violation), story.first(Answered), story.first(Cancelled)
    if violation is not None:
        return "protocol_violation"
    if answered is not None and answered.status >= 500:
        return str(answered.status)
    return "cancelled" if cancelled is not None else ""


def _deeds(story: Story) -> Iterator[Span]:
    for number, done in enumerate(story.done):
        span_id = _id(story, f"deed {number}")
        yield _deed(story, done, span_id)
        if done.deed is Analyse:
            yield from _steps(story, done, span_id)
            yield _decision(story, done)


def _deed(story: Story, done: Done, span_id: str) -> Span:
    name = {
        Analyse: Name.CLASSIFICATION,
        Compare: Name.VERIFY,
        LookupExact: Name.LOOKUP,
        LookupSimilar: Name.LOOKUP,
        Join: Name.WAIT,
        Store: Name.HAND_OVER,
        ScreenAnswer: Name.HAND_OVER,
    }[done.deed]
    found: dict[str, Value] = {"router.outcome": done.status}
    milliseconds = _ms(done.ended - done.began)
    if done.deed in (LookupExact, LookupSimilar):
        found |= _lookup(story, done) | {"cache.lookup_time_ms": milliseconds}
    elif done.deed is Analyse:
        found["classification.time_ms"] = milliseconds
        judged = story.first(Judged)
        if judged is not None:
            found |= {"classification.tokens": judged.tokens, **_category(judged)}
    elif done.deed in (Store, ScreenAnswer):
        found["cache.handed_to"] = "guards" if done.deed is ScreenAnswer else "writes"
        if done.entry is not None:
            found["cache.key"] = done.entry
    good = ("hit", "miss", "done") if done.deed is not Join else (done.status,)
    error = "" if done.status in good else done.status
    return Span(name, span_id, story.opened.root.span_id, done.began, done.ended, found, error=error)


def _lookup(story: Story, done: Done) -> dict[str, Value]:
    """`cache.hit` says that the store had something; whether that answered is the request's affair."""
    exact = done.deed is LookupExact
    found: dict[str, Value] = {
        "cache.tier": "exact" if exact else "semantic",
        "cache.hit": done.status == "hit",
    }
    nearest = None if exact else story.first(NearestFound)
    if nearest is not None and nearest.similarity is not None:
        found["cache.similarity"] = nearest.similarity
    missed = story.first(CacheMiss)
    if not exact and missed is not None:
        found["cache.miss_reason"] = missed.reason.value
        if missed.refused:
            found["cache.held_back"] = tuple(sorted(each.value for each in missed.refused))
    return found


def _steps(story: Story, done: Done, parent: str) -> Iterator[Span]:
    """The analyst tells how long each step took, not when: they are laid end to end, in their order."""
    analysed = story.first(Analysed)
    if analysed is None or done.status != "done":
        return
    timings, at = analysed.timings, done.began
    for name, milliseconds in (
        (Name.QUEUE, timings.queue),
        (Name.TOKENISE, timings.tokenise),
        (Name.RUN, timings.run),
        (Name.GUARDS, timings.screen),
    ):
        if milliseconds > 0:
            end = min(at + milliseconds / 1000, done.ended)
            yield Span(name, _id(story, name), parent, at, end)
            at = end


def _decision(story: Story, done: Done) -> Span:
    found: dict[str, Value] = {}
    judged, routed = story.first(Judged), story.first(Routed)
    if judged is not None:
        trace = judged.trace
        found |= {
            "routing.original_model": trace.requested or AUTO,
            "routing.reason": trace.outcome.rule.value,
            "routing.candidates": tuple(dict.fromkeys(each.model for each in trace.candidates)),
            "routing.signals": tuple(f"{each.kind}:{each.name}" for each in trace.signals if each.matched),
            **_category(judged),
        }
        if trace.selection is not None:
            found["routing.strategy"] = trace.selection.algorithm
        if trace.uncertainty is not None:
            found |= {
                "reasoning.reason": trace.uncertainty.reason,
                "reasoning.uncertainty": trace.uncertainty.level.value,
                "reasoning.entropy": trace.uncertainty.normalised,
            }
        if trace.outcome.decision:
            found["decision.name"] = trace.outcome.decision
        if trace.outcome.model is not None:
            found["routing.selected_model"] = trace.outcome.model
    if routed is not None:
        found |= {"reasoning.enabled": routed.reasoning}
    root = story.opened.root.span_id
    return Span(Name.DECISION, _id(story, Name.DECISION), root, done.ended, done.concluded, found)


def _guards(story: Story) -> Iterator[Span]:
    """Where the analyst says how long the guards took, at the end of the analysis; they read together."""
    done = next((each for each in story.done if each.deed is Analyse), None)
    analysed = story.first(Analysed)
    end = done.ended if done is not None else story.opened.at
    start = end - (analysed.timings.screen / 1000 if analysed is not None else 0.0)
    for note in story.all(RequestGuarded):
        attack = note.guard == GUARD
        name = Name.ATTACK if attack else Name.PII
        found: dict[str, Value] = {"security.action": note.outcome.value, "router.rule": note.key}
        took = _ms(end - start)
        if attack:
            found |= {"jailbreak.detected": _detected(note), "jailbreak.detection_time_ms": took}
        else:
            types = tuple(sorted(note.types))
            found |= {"pii.detected": bool(types), "pii.types": types, "pii.detection_time_ms": took}
        if note.score is not None:
            found["jailbreak.score"] = note.score
        failed = note.outcome in (Guarded.ERROR_ALLOWED, Guarded.ERROR_BLOCKED)
        error = note.outcome.value if failed else ""
        yield Span(name, _id(story, name), story.opened.root.span_id, start, end, found, error=error)


def _detected(note: RequestGuarded) -> bool:
    return note.outcome in (Guarded.BLOCKED, Guarded.FLAGGED)


def _upstream(story: Story) -> Iterator[Span]:
    """From the decision to the end of the answer, or to its headers where nobody reads on, or to the end of
    the stream where there is no answer. The model got this span's id."""
    routed = story.first(Routed)
    if routed is None:
        return
    opened, answered, ended = story.opened, story.first(Answered), story.first(AnswerEnded)
    first = story.first(FirstPiece)
    end = story.ended
    found: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": routed.model,
        "model.name": routed.model,
    }
    events: tuple[tuple[str, float], ...] = ()
    error = "" if answered is not None else "cancelled"
    if answered is not None:
        end = opened.at + answered.seconds
        found |= {"http.response.status_code": answered.status, "gen_ai.response.model": answered.model}
        error = str(answered.status) if answered.status >= 400 else ""
        events = (("response.headers", opened.at + answered.seconds),)
    if first is not None:
        events = (*events, ("gen_ai.first_token", opened.at + first.seconds))
        found["gen_ai.response.time_to_first_chunk"] = first.seconds - routed.seconds
    if ended is not None:
        end = opened.at + ended.seconds
        error = error if ended.complete else "incomplete"
    elif answered is not None and story.first(Cancelled) is not None:
        end, error = story.ended, error or "cancelled"
    found |= _usage(story)
    if error:
        found["error.type"] = error
    start = opened.at + routed.seconds
    upstream = opened.upstream.span_id
    yield Span(Name.UPSTREAM, upstream, opened.root.span_id, start, end, found, Kind.CLIENT, error, events)


def _ms(seconds: float) -> float:
    return round(1000 * max(0.0, seconds), 3)
