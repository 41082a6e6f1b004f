"""One record of each decision: who asked, what was found, who answered, what the cache and the guards did.

A record has names of the configuration, scores, digests and durations; of a request's or an answer's text
nothing. `docs/OBSERVABILITY.md` describes its fields.
"""

import logging
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

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
)
from router_extproc.exchange.notes import (
    Analysed,
    AnsweredBefore,
    AnswerEnded,
    FirstPiece,
    Judged,
    NearestFound,
    Understood,
)
from router_extproc.telemetry.decision import (
    DecisionRecord,
    RecordCache,
    RecordCandidate,
    RecordDurations,
    RecordFacts,
    RecordFailure,
    RecordGuard,
    RecordNeeds,
    RecordSignal,
    RecordUncertainty,
    RecordUsage,
)
from router_extproc.telemetry.log import FIELDS
from router_extproc.telemetry.recent import Recent
from router_extproc.telemetry.spans import Span, spans_of
from router_extproc.telemetry.story import Done, Story

DECISIONS: Final = "router_extproc.decisions"
TRACES: Final = "router_extproc.traces"

_decisions = logging.getLogger(DECISIONS)
_traces = logging.getLogger(TRACES)

MOST_PROBABLE: Final = 3
"""Domains in a record: the others' probabilities say little."""


class Decisions:
    """Makes the record of each decision once: `kept` gets it, and where `logs` so does the log, at INFO."""

    __slots__ = ("_kept", "_logs")

    def __init__(self, kept: Recent, *, logs: bool) -> None:
        self._kept = kept
        self._logs = logs

    def tell(self, story: Story) -> None:
        logs = self._logs and _decisions.isEnabledFor(logging.INFO)
        if not logs and not self._kept.size:
            return
        record = record_of(story)
        self._kept.keep(record)
        if logs:
            _decisions.info("decision", extra={FIELDS: as_json(record)})


def tell_trace(story: Story) -> None:
    """Log the whole trace of a request whose client may have it shown, at INFO; any other's at DEBUG."""
    _tell(story, shown=story.opened.debug)


def tell_kept_trace(story: Story) -> None:
    """As `tell_trace`, and at INFO also the traces that are kept: the log is where they are sent."""
    _tell(story, shown=story.opened.debug or story.opened.root.sampled)


def _tell(story: Story, *, shown: bool) -> None:
    level = logging.INFO if shown else logging.DEBUG
    if _traces.isEnabledFor(level):
        _traces.log(level, "trace", extra={FIELDS: trace_of(story)})


def trace_of(story: Story) -> dict[str, Any]:
    """Spans as JSON can write them, with everything that is known of the decision."""
    judged = story.first(Judged)
    return {
        "request_id": story.opened.reference,
        "trace_id": story.opened.root.trace_id,
        "spans": [_span(each, story.opened.at) for each in spans_of(story)],
        "trace": None if judged is None else judged.trace.as_json(),
        "record": as_json(record_of(story)),
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


def record_of(story: Story) -> DecisionRecord:
    opened, understood = story.opened, story.first(Understood)
    judged, routed = story.first(Judged), story.first(Routed)
    hit, answered, rejected = story.first(CacheHit), story.first(Answered), story.first(Rejected)
    outcome = judged.trace.outcome if judged else None
    before = story.first(AnsweredBefore)
    status = story.replied or (answered.status if answered else before.status if before else None)
    return DecisionRecord(
        time=datetime.fromtimestamp(story.ended, UTC).isoformat(timespec="milliseconds"),
        request_id=opened.reference,
        trace_id=opened.root.trace_id,
        tenant=understood.tenant if understood else None,
        generation=opened.generation,
        requested=understood.requested if understood else None,
        decision=(outcome.decision or None) if outcome else None,
        rule=outcome.rule.value if outcome else None,
        policy=(judged.key or None) if judged else None,
        category=(outcome.category or None) if outcome else None,
        confidence=round(judged.confidence, 4) if judged else None,
        model=hit.model if hit else routed.model if routed else None,
        reasoning=routed.reasoning if routed else None,
        effort=(routed.effort or None) if routed else None,
        uncertainty=_uncertainty(judged),
        answered_by="cache" if hit else "model" if answered else "router" if rejected else None,
        status=status,
        rejected=rejected.reason.value if rejected else None,
        cancelled=story.first(Cancelled) is not None,
        facts=_facts(judged) if judged else None,
        candidates=_candidates(judged) if judged else [],
        cache=_cache(story),
        guards=[_guard(each) for each in story.all(RequestGuarded)],
        usage=_usage(story),
        failures=[RecordFailure(port=each.port, reason=each.reason.value) for each in story.all(PortFailed)],
        milliseconds=_durations(story),
    )


def as_json(record: DecisionRecord) -> dict[str, Any]:
    """As values that `json` can write."""
    document: dict[str, Any] = msgspec.to_builtins(record)
    return document


def _facts(judged: Judged) -> RecordFacts:
    trace = judged.trace
    return RecordFacts(
        domain={name: round(share, 4) for name, share in trace.domain[:MOST_PROBABLE]},
        signals=[
            RecordSignal(
                type=each.kind, name=each.name, matched=each.matched, score=round(each.confidence, 4)
            )
            for each in trace.signals
        ],
        failed=list(trace.failed),
        needs=RecordNeeds(
            context_window=trace.needed.context_window,
            vision=trace.needed.vision,
            tools=trace.needed.tools,
        ),
        tokens_read=judged.tokens,
        truncated=judged.truncated,
    )


def _uncertainty(judged: Judged | None) -> RecordUncertainty | None:
    found = None if judged is None else judged.trace.uncertainty
    if found is None:
        return None
    return RecordUncertainty(
        level=found.level.value,
        entropy=round(found.normalised, 4),
        thinking_share=round(found.share, 4),
        category=found.category,
        reasoning=found.reasoning,
        reason=found.reason,
        applied=found.applied,
    )


def _candidates(judged: Judged) -> list[RecordCandidate]:
    return [
        RecordCandidate(
            model=each.adapter or each.model,
            score=None if each.score is None else round(each.score, 4),
            dropped=[reason.value for reason in each.dropped],
        )
        for each in judged.trace.candidates
    ]


def _cache(story: Story) -> RecordCache:
    hit, missed, nearest = story.first(CacheHit), story.first(CacheMiss), story.first(NearestFound)
    coalesced = story.first(Coalesced)
    kept = story.kept
    action = "hit" if hit else "miss" if any(map(_is_lookup, story.done)) else "none"
    if hit is None and kept is not None:
        action = "screening" if kept.deed is ScreenAnswer else "queued"
    similarity = hit.similarity if hit else nearest.similarity if nearest else None
    return RecordCache(
        action=action,
        kind=hit.kind.value if hit else None,
        entry=hit.entry if hit else kept.entry if kept else None,
        similarity=None if similarity is None else round(similarity, 4),
        probability=None if hit is None or hit.probability is None else round(hit.probability, 4),
        missed=missed.reason.value if missed else None,
        held_back={each.value: count for each, count in missed.refused.items()} if missed else {},
        skipped=[each.reason.value for each in story.all(CacheSkipped)],
        waited=coalesced.outcome.value if coalesced else None,
    )


def _is_lookup(done: Done) -> bool:
    return done.deed in (LookupExact, LookupSimilar)


def _guard(note: RequestGuarded) -> RecordGuard:
    return RecordGuard(
        guard=note.guard,
        outcome=note.outcome.value,
        score=None if note.score is None else round(note.score, 4),
        types=sorted(note.types),
        kept_from=list(note.kept_from),
        skipped_tokens=note.skipped,
    )


def _usage(story: Story) -> RecordUsage | None:
    """Of an answer from the cache, none: nothing was spent."""
    ended = story.first(AnswerEnded)
    if ended is None or ended.usage is None:
        return None
    usage = ended.usage
    return RecordUsage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)


def _durations(story: Story) -> RecordDurations:
    routed, answered, first = story.first(Routed), story.first(Answered), story.first(FirstPiece)
    analysed, hit = story.first(Analysed), story.first(CacheHit)
    timings = analysed.timings if analysed else None
    return RecordDurations(
        exact_lookup=_ms(story.seconds(LookupExact)),
        analysis=_ms(story.seconds(Analyse)),
        queue=round(timings.queue, 3) if timings else None,
        tokenise=round(timings.tokenise, 3) if timings else None,
        run=round(timings.run, 3) if timings else None,
        guards=round(timings.screen, 3) if timings else None,
        semantic_lookup=_ms(story.seconds(LookupSimilar)),
        verifier=_ms(story.seconds(Compare)),
        decided_after=_ms(routed.seconds if routed else hit.seconds if hit else None),
        answered_after=_ms(answered.seconds if answered else None),
        first_piece_after=_ms(first.seconds if first else None),
        total=round(1000 * (story.ended - story.opened.at), 3),
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 3)
