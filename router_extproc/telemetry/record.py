"""One record of each decision: who asked, what was found, who answered, what the cache and the guards did.

A record has names of the configuration, scores, digests and durations; of a request's or an answer's text
nothing. `docs/OBSERVABILITY.md` describes its fields.
"""

import logging
from typing import Any, Final

from router_extproc.exchange.effects import (
    Analyse,
    Answered,
    CacheHit,
    CacheMiss,
    CacheSkipped,
    Cancelled,
    Coalesced,
    Compare,
    LookupExact,
    LookupSimilar,
    PortFailed,
    Rejected,
    RequestGuarded,
    Routed,
    ScreenAnswer,
    Store,
)
from router_extproc.exchange.notes import Analysed, AnswerEnded, FirstPiece, Judged, NearestFound
from router_extproc.telemetry.log import FIELDS
from router_extproc.telemetry.spans import Span, spans_of
from router_extproc.telemetry.story import Story

DECISIONS: Final = "router_extproc.decisions"
TRACES: Final = "router_extproc.traces"

_decisions = logging.getLogger(DECISIONS)
_traces = logging.getLogger(TRACES)

MOST_PROBABLE: Final = 3
"""Domains in a record: the others' probabilities say little."""


def tell_decision(story: Story) -> None:
    """Log the record of `story`, at INFO."""
    if _decisions.isEnabledFor(logging.INFO):
        _decisions.info("decision", extra={FIELDS: record_of(story)})


def tell_trace(story: Story) -> None:
    """Log the whole trace of a request whose client may have it shown, at INFO; any other's at DEBUG."""
    level = logging.INFO if story.opened.debug else logging.DEBUG
    if _traces.isEnabledFor(level):
        _traces.log(level, "trace", extra={FIELDS: trace_of(story)})


def tell_sampled_trace(story: Story) -> None:
    """Log the trace of `story`, at INFO, if it is one that is kept."""
    if story.opened.root.sampled and _traces.isEnabledFor(logging.INFO):
        _traces.info("trace", extra={FIELDS: trace_of(story)})


def trace_of(story: Story) -> dict[str, Any]:
    """Spans as JSON can write them, with everything that is known of the decision."""
    judged = story.first(Judged)
    return {
        "request_id": story.opened.reference,
        "trace_id": story.opened.root.trace_id,
        "spans": [_span(each, story.opened.at) for each in spans_of(story)],
        "trace": None if judged is None else judged.trace.as_json(),
        "record": record_of(story),
    }


def _span(span: Span, since: float) -> dict[str, Any]:
    return {
        "name": str(span.name),
        "span_id": span.span_id,
        "parent_span_id": span.parent or None,
        "start_ms": round(1000 * (span.start - since), 3),
        "duration_ms": round(1000 * (span.end - span.start), 3),
        "attributes": dict(span.attributes),
        **({"error": span.error} if span.error else {}),
    }


def record_of(story: Story) -> dict[str, Any]:
    """The record; None stands for what did not come to pass."""
    opened, judged, routed = story.opened, story.first(Judged), story.first(Routed)
    hit, answered, rejected = story.first(CacheHit), story.first(Answered), story.first(Rejected)
    model = hit.model if hit else routed.model if routed else None
    return {
        "request_id": opened.reference,
        "trace_id": opened.root.trace_id,
        "tenant": judged.tenant if judged else None,
        "generation": opened.generation,
        "requested": (judged.trace.requested or "auto") if judged else None,
        "decision": (judged.trace.outcome.decision or None) if judged else None,
        "rule": judged.trace.outcome.rule.value if judged else None,
        "policy": (judged.key or None) if judged else None,
        "category": (judged.trace.outcome.category or None) if judged else None,
        "confidence": round(judged.confidence, 4) if judged else None,
        "model": model,
        "reasoning": routed.reasoning if routed else None,
        "answered_by": "cache" if hit else "model" if answered else "router" if rejected else None,
        "status": answered.status if answered else None,
        "rejected": rejected.reason.value if rejected else None,
        "cancelled": story.first(Cancelled) is not None,
        "facts": _facts(judged) if judged else None,
        "candidates": _candidates(judged) if judged else [],
        "cache": _cache(story),
        "guards": [_guard(each) for each in story.all(RequestGuarded)],
        "usage": _usage(story),
        "failures": [{"port": each.port, "reason": each.reason.value} for each in story.all(PortFailed)],
        "milliseconds": _durations(story),
    }


def _facts(judged: Judged) -> dict[str, Any]:
    trace = judged.trace
    return {
        "domain": {name: round(share, 4) for name, share in trace.domain[:MOST_PROBABLE]},
        "signals": [
            {
                "type": each.kind,
                "name": each.name,
                "matched": each.matched,
                "score": round(each.confidence, 4),
            }
            for each in trace.signals
        ],
        "failed": list(trace.failed),
        "needs": {
            "context_window": trace.needed.context_window,
            "vision": trace.needed.vision,
            "tools": trace.needed.tools,
        },
        "tokens_read": judged.tokens,
        "truncated": judged.truncated,
    }


def _candidates(judged: Judged) -> list[dict[str, Any]]:
    return [
        {
            "model": each.adapter or each.model,
            "score": None if each.score is None else round(each.score, 4),
            "dropped": [reason.value for reason in each.dropped],
        }
        for each in judged.trace.candidates
    ]


def _cache(story: Story) -> dict[str, Any]:
    """`action` is `hit`, `miss`, `stored` after a miss, or `none`: neither asked nor filled."""
    hit, missed, nearest = story.first(CacheHit), story.first(CacheMiss), story.first(NearestFound)
    skipped, coalesced = story.all(CacheSkipped), story.first(Coalesced)
    kept = next((each for each in story.done if each.deed in (Store, ScreenAnswer)), None)
    asked = any(each.deed in (LookupExact, LookupSimilar) for each in story.done)
    action = "hit" if hit else "stored" if kept and kept.status == "done" else "miss" if asked else "none"
    similarity = hit.similarity if hit else nearest.similarity if nearest else None
    return {
        "action": action,
        "kind": hit.kind.value if hit else None,
        "entry": hit.entry if hit else None,
        "similarity": None if similarity is None else round(similarity, 4),
        "probability": None if hit is None or hit.probability is None else round(hit.probability, 4),
        "missed": missed.reason.value if missed else None,
        "held_back": {each.value: count for each, count in missed.refused.items()} if missed else {},
        "skipped": [each.reason.value for each in skipped],
        "waited": coalesced.outcome.value if coalesced else None,
    }


def _guard(note: RequestGuarded) -> dict[str, Any]:
    return {
        "guard": note.guard,
        "outcome": note.outcome.value,
        "score": None if note.score is None else round(note.score, 4),
        "types": sorted(note.types),
        "kept_from": list(note.kept_from),
        "skipped_tokens": note.skipped,
    }


def _usage(story: Story) -> dict[str, int] | None:
    ended = story.first(AnswerEnded)
    if ended is None or ended.usage is None:
        return None
    return {"prompt_tokens": ended.usage.prompt_tokens, "completion_tokens": ended.usage.completion_tokens}


def _durations(story: Story) -> dict[str, float | None]:
    """From the first message on for what has a moment, else how long it took."""
    routed, answered, first = story.first(Routed), story.first(Answered), story.first(FirstPiece)
    analysed, hit = story.first(Analysed), story.first(CacheHit)
    timings = analysed.timings if analysed else None
    seconds: dict[str, float | None] = {
        "exact_lookup": story.seconds(LookupExact),
        "analysis": story.seconds(Analyse),
        "semantic_lookup": story.seconds(LookupSimilar),
        "verifier": story.seconds(Compare),
        "decided_after": routed.seconds if routed else hit.seconds if hit else None,
        "answered_after": answered.seconds if answered else None,
        "first_piece_after": first.seconds if first else None,
        "total": story.ended - story.opened.at,
    }
    found = {name: None if took is None else round(1000 * took, 3) for name, took in seconds.items()}
    if timings is not None:
        found |= {
            "queue": round(timings.queue, 3),
            "tokenise": round(timings.tokenise, 3),
            "run": round(timings.run, 3),
            "guards": round(timings.screen, 3),
        }
    return found
