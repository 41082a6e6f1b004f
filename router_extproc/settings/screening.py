"""From validated settings to the guards' policy. What has no effect leaves no trace in it, and the names of
groups have become types."""

import dataclasses
from typing import Any

from router_extproc.screening.policy import (
    Action,
    AnswerPolicy,
    Beyond,
    GuardPolicy,
    Least,
    ModelPii,
    OnError,
    PiiPolicy,
    ScreeningPolicy,
    Strictness,
)
from router_extproc.screening.spans import PII_TYPES, types_named
from router_extproc.settings.guard_schema import ModelPolicy
from router_extproc.settings.routing import decision_cache_key
from router_extproc.settings.routing_schema import Decision
from router_extproc.settings.schema import Category, Settings


def compile_screening(settings: Settings) -> ScreeningPolicy:
    """A guard that is on nowhere has the policy of one that is not there."""
    limits = settings.screening
    guard, pii, answers = _guard(settings), _pii(settings), _answers(settings)
    if not (guard.enabled or pii.enabled or answers.enabled):
        return ScreeningPolicy()
    return ScreeningPolicy(
        guard=guard if guard.enabled else GuardPolicy(),
        pii=pii if pii.enabled else PiiPolicy(),
        status=limits.status,
        max_tokens=limits.max_tokens,
        beyond=Beyond(limits.beyond),
        answers=answers,
        unread_paths=frozenset(limits.unread_paths),
    )


def screening_document(policy: ScreeningPolicy) -> dict[str, Any]:
    """All of it as plain data in one order, for a digest."""
    document = dataclasses.asdict(policy)
    del document["unread_paths"]  # nothing of them is kept
    for part in (*document["pii"]["models"].values(), *document["pii"]["decisions"].values()):
        part["allowed"] = sorted(part["allowed"])
    if policy.answers.enabled:
        document["answers"]["allowed"] = sorted(policy.answers.allowed)
    else:
        del document["answers"]
    return document


def looks_for_pii(settings: Settings) -> bool:
    """Where a category or decision does not say otherwise."""
    given = settings.classifier.pii_model.enabled
    if given is not None:
        return given
    return any(_denies(model.pii_policy) for model in settings.models.values())


def decision_looks_for_pii(decision: Decision, settings: Settings) -> bool:
    """A decision with types of its own asks for it by having them, unless the search is off altogether."""
    if decision.pii_enabled is not None:
        return decision.pii_enabled
    asked = decision.pii_types_allowed is not None and settings.classifier.pii_model.enabled is not False
    return asked or looks_for_pii(settings)


def _denies(policy: ModelPolicy | None) -> bool:
    return policy is not None and bool(_allowed(policy).denies(PII_TYPES))


def _allowed(policy: ModelPolicy) -> ModelPii:
    return ModelPii(policy.allow_by_default, types_named(policy.pii_types_allowed))


def _own(settings: Settings) -> list[tuple[str, Category | Decision]]:
    """Whoever may have guards of its own, by the key that a routing decision has."""
    return [
        *((category.name, category) for category in settings.categories),
        *((decision_cache_key(decision), decision) for decision in settings.decisions),
    ]


def _guard(settings: Settings) -> GuardPolicy:
    given = settings.prompt_guard
    default = Strictness(given.enabled, given.threshold)
    overrides = {
        key: _strictness(own.jailbreak_enabled, own.jailbreak_threshold, default)
        for key, own in _own(settings)
    }
    return GuardPolicy(default, _differing(overrides, default), OnError(given.on_error), Action(given.action))


def _pii(settings: Settings) -> PiiPolicy:
    given = settings.classifier.pii_model
    default = Strictness(looks_for_pii(settings), given.threshold)
    overrides = {
        key: _strictness(
            decision_looks_for_pii(own, settings) if isinstance(own, Decision) else own.pii_enabled,
            own.pii_threshold,
            default,
        )
        for key, own in _own(settings)
    }
    models = {
        served: _allowed(model.pii_policy or ModelPolicy(allow_by_default=True))
        for name, model in settings.models.items()
        for served in (name, *(lora.name for lora in model.loras))
    }
    decisions = {
        decision_cache_key(each): ModelPii(
            allow_by_default=False, allowed=types_named(each.pii_types_allowed)
        )
        for each in settings.decisions
        if each.pii_types_allowed is not None and decision_looks_for_pii(each, settings)
    }
    return PiiPolicy(
        default,
        _differing(overrides, default),
        models if _denying(decisions) else _denying(models),
        _denying(decisions),
        OnError(given.on_error),
    )


def _answers(settings: Settings) -> AnswerPolicy:
    """Nothing where there is no cache to keep answers in."""
    given = settings.semantic_cache.screen_answers
    if not settings.semantic_cache.enabled:
        return AnswerPolicy()
    return AnswerPolicy(
        pii=_least(_pii(settings)) if given.pii_enabled else None,
        guard=_least(_guard(settings)) if given.jailbreak_enabled else None,
        allowed=types_named(given.pii_types_allowed if given.pii_enabled else ()),
    )


def _least(policy: GuardPolicy | PiiPolicy) -> Least:
    """Whom a guard's rule is off for has the default's threshold here too."""
    default = policy.default.threshold
    own = {key: rule.threshold for key, rule in policy.overrides.items() if rule.threshold != default}
    return Least(default, own)


def _strictness(enabled: bool | None, threshold: float | None, default: Strictness) -> Strictness:
    """Whoever is off has the default's threshold, so that one that does not count changes nothing."""
    on = default.enabled if enabled is None else enabled
    return Strictness(on, default.threshold if threshold is None or not on else threshold)


def _differing(overrides: dict[str, Strictness], default: Strictness) -> dict[str, Strictness]:
    return {key: own for key, own in overrides.items() if own != default}


def _denying(policies: dict[str, ModelPii]) -> dict[str, ModelPii]:
    return {name: policy for name, policy in policies.items() if policy.denies(PII_TYPES)}
