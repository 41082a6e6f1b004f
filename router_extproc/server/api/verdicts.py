"""What one analysis says of a text, as the bodies of `/api/v1/classify/*`. Pure."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from msgspec import UNSET

from router_extproc.exchange.facts import facts_of
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.llm.chat import parse_chat
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.decide import Decision, Unsuitable, decide
from router_extproc.routing.reasons import Rule
from router_extproc.routing.world import World
from router_extproc.screening.disguise import unveiled
from router_extproc.screening.policy import GUARD, PII
from router_extproc.screening.reading import Screening
from router_extproc.screening.spans import PiiSpan, mask
from router_extproc.server.api.classify_shapes import (
    BatchOptions,
    BatchResult,
    BatchStatistics,
    Classification,
    Entity,
    Explanation,
    IntentOptions,
    IntentReply,
    PiiOptions,
    PiiReply,
    SecurityOptions,
    SecurityReply,
    Sensitivity,
    TaskType,
)
from router_extproc.server.replies import Code, RefusedError

SPECIALISED: Final = frozenset({Rule.DECISION, Rule.CATEGORY})
"""The rules by which the request itself led to the model."""

LOW_CONFIDENCE: Final = 0.7
NO_PII: Final = "NO_PII"
DIGITS: Final = 6


def intent_of(
    text: str, analysis: Analysis, plan: Snapshot, world: World, options: IntentOptions, millis: float
) -> IntentReply:
    """The domain, and the decision for `text` as the first turn of a conversation. Raises RefusedError where
    the domain head said nothing."""
    shares = analysis.heads.get(plan.routing.domain)
    if not shares:
        raise RefusedError(Code.CLASSIFICATION_ERROR, "the domain head failed; the router's log says why")
    routing = plan.routing
    if options.confidence_threshold is not None:
        routing = replace(routing, threshold=options.confidence_threshold)
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": text}]})
    facts = facts_of(parse_chat(body.encode()))
    decided = decide(routing, None, facts, analysis, world, plan.screening.pii)
    rule = decided.trace.outcome.rule
    category, confidence = max(shares.items(), key=lambda each: each[1])
    return IntentReply(
        classification=Classification(
            category=category, confidence=_share(confidence), processing_time_ms=millis
        ),
        recommended_model=decided.route.name if isinstance(decided, Decision) else None,
        routing_decision="high_confidence_specialized" if rule in SPECIALISED else "low_confidence_general",
        probabilities=_ranked(shares) if options.return_probabilities else UNSET,
        explanation=_explanation(decided, rule, routing.threshold) if options.include_explanation else UNSET,
    )


def pii_of(text: str, analysis: Analysis, plan: Snapshot, options: PiiOptions, millis: float) -> PiiReply:
    """The personal data in `text`. Raises RefusedError where nobody looked."""
    found = _found(analysis, PII)
    least = options.confidence_threshold
    least = plan.screening.pii.default.threshold if least is None else least
    wanted = options.entity_types
    spans = [span for span in found.spans if span.score >= least and (wanted is None or span.type in wanted)]
    return PiiReply(
        has_pii=bool(spans),
        entities=[_entity(text, span, options) for span in spans],
        masked_text=mask(text, spans) if options.mask_entities else UNSET,
        security_recommendation="block" if spans else "allow",
        processing_time_ms=millis,
        unread_characters=found.skipped,
    )


def security_of(
    text: str, analysis: Analysis, plan: Snapshot, options: SecurityOptions, millis: float
) -> SecurityReply:
    """Whether `text` attacks the assistant's instructions. Raises RefusedError where nobody looked."""
    found = _found(analysis, GUARD)
    if found.attack is None:
        raise RefusedError(Code.CLASSIFICATION_ERROR, "the guard did not read the text")
    least = threshold_of(plan.screening.guard.default.threshold, options.sensitivity)
    risk = _share(found.attack)
    attack = found.attack >= least
    return SecurityReply(
        is_jailbreak=attack,
        risk_score=risk,
        detection_types=["jailbreak"] if attack else [],
        confidence=risk if attack else _share(1.0 - risk),
        recommendation="block" if attack else "allow",
        reasoning=_reasoning(risk, least, attack=attack) if options.include_reasoning else UNSET,
        patterns_detected=["disguised_text"] if attack and unveiled(text) else [],
        processing_time_ms=millis,
        unread_characters=found.skipped,
    )


def threshold_of(configured: float, sensitivity: Sensitivity) -> float:
    """The least probability of an attack that counts."""
    if sensitivity == "high":
        return configured / 2
    return (1.0 + configured) / 2 if sensitivity == "low" else configured


def result_of(
    text: str,
    analysis: Analysis,
    plan: Snapshot,
    world: World,
    task: TaskType,
    options: BatchOptions,
    millis: float,
) -> BatchResult:
    """One text of a batch."""
    intent = pii = security = None
    if task in ("intent", "all"):
        intent = intent_of(text, analysis, plan, world, intent_options(options), millis)
    if task in ("pii", "all"):
        pii = pii_of(text, analysis, plan, pii_options(options, task), millis)
    if task in ("security", "all"):
        security = security_of(text, analysis, plan, security_options(options), millis)
    category, confidence = _headline(intent, pii, security)
    return BatchResult(
        category=category,
        confidence=confidence,
        processing_time_ms=millis,
        probabilities=UNSET if intent is None else intent.probabilities,
        intent=UNSET if intent is None else intent,
        pii=UNSET if pii is None else pii,
        security=UNSET if security is None else security,
    )


def statistics_of(results: Sequence[BatchResult], options: BatchOptions) -> BatchStatistics:
    least = LOW_CONFIDENCE if options.confidence_threshold is None else options.confidence_threshold
    known = [each.confidence for each in results if each.confidence is not None]
    return BatchStatistics(
        category_distribution=dict(Counter(each.category for each in results)),
        avg_confidence=_share(sum(known) / len(known)) if known else None,
        low_confidence_count=sum(confidence < least for confidence in known),
    )


def intent_options(options: BatchOptions) -> IntentOptions:
    return IntentOptions(
        return_probabilities=options.return_probabilities,
        confidence_threshold=options.confidence_threshold,
        include_explanation=options.include_explanation,
    )


def pii_options(options: BatchOptions, task: TaskType) -> PiiOptions:
    return PiiOptions(
        entity_types=options.entity_types,
        confidence_threshold=options.confidence_threshold if task == "pii" else None,
        return_positions=options.return_positions,
        mask_entities=options.mask_entities,
    )


def security_options(options: BatchOptions) -> SecurityOptions:
    return SecurityOptions(
        detection_types=options.detection_types,
        sensitivity=options.sensitivity,
        include_reasoning=options.include_reasoning,
    )


def _headline(
    intent: IntentReply | None, pii: PiiReply | None, security: SecurityReply | None
) -> tuple[str, float | None]:
    if intent is not None:
        return intent.classification.category, intent.classification.confidence
    if pii is not None:
        best = max(pii.entities, key=lambda each: each.confidence, default=None)
        return (NO_PII, None) if best is None else (best.type, best.confidence)
    if security is not None:
        return ("jailbreak" if security.is_jailbreak else "benign"), security.confidence
    raise ValueError("a batch has a task")


def _found(analysis: Analysis, guard: str) -> Screening:
    found = analysis.screening
    if found is None or guard in found.failed:
        raise RefusedError(Code.CLASSIFICATION_ERROR, "a guard failed; the router's log says why")
    return found


def _entity(text: str, span: PiiSpan, options: PiiOptions) -> Entity:
    placed, masked = options.return_positions, options.mask_entities
    return Entity(
        type=span.type,  # type: ignore[arg-type]  # one of PII_TYPES, which a test compares with the shape's
        value=text[span.start : span.end],
        confidence=_share(span.score),
        start_position=span.start if placed else UNSET,
        end_position=span.end if placed else UNSET,
        masked_value=f"[{span.type}]" if masked else UNSET,
    )


def _explanation(decided: Decision | Unsuitable, rule: Rule, threshold: float) -> Explanation:
    alternatives = decided.alternatives if isinstance(decided, Decision) else ()
    return Explanation(
        rule=rule.value,
        decision=decided.decision,
        category=decided.category,
        threshold=threshold,
        reasoning=decided.trace.outcome.reasoning,
        alternatives=[each.name for each in alternatives],
    )


def _reasoning(risk: float, least: float, *, attack: bool) -> str:
    verb = "reaches" if attack else "is below"
    return f"the probability of an attack, {risk:.4f}, {verb} the threshold of {least:.4f}"


def _ranked(shares: Mapping[str, float]) -> dict[str, float]:
    """The likeliest first."""
    return {name: _share(share) for name, share in sorted(shares.items(), key=lambda each: -each[1])}


def _share(value: float) -> float:
    """A probability without the rounding of sums."""
    return round(min(1.0, max(0.0, float(value))), DIGITS)
