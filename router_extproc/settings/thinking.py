"""From `entropy_reasoning`, categories and decisions to which categories think, and which models may be told
to."""

from collections.abc import Iterator

from router_extproc.routing.uncertainty import ThinkingPolicy
from router_extproc.settings.routing_schema import Condition, Decision, ModelRef
from router_extproc.settings.schema import ModelScore, Settings


def compile_thinking(settings: Settings) -> ThinkingPolicy | None:
    """None where nothing goes by the uncertainty."""
    given = settings.entropy_reasoning
    if not given.enabled:
        return None
    return ThinkingPolicy(thinking_categories(settings), given.threshold, given.very_high == "think")


def is_unsettled(ref: ModelRef | ModelScore, settings: Settings) -> bool:
    """Whether the uncertainty may decide if the model thinks. In a category's scores a missing
    `use_reasoning` is `false`, because they are what says which categories think."""
    written = "use_reasoning" in ref.model_fields_set
    return settings.entropy_reasoning.enabled and isinstance(ref, ModelRef) and not written


def thinking_categories(settings: Settings) -> dict[str, bool]:
    """By label, whether the model that is asked first thinks: that of the decision, else of the category.
    Decisions count whose only conditions are domains; others depend on more than the category."""
    found: dict[str, bool] = {}
    for decision in sorted(settings.decisions, key=lambda each: -each.priority):
        for label in _labels_of(decision, settings):
            found.setdefault(label, decision.modelRefs[0].use_reasoning)
    for category in settings.categories:
        if category.model_scores:
            first = max(category.model_scores, key=lambda each: each.score)
            found.setdefault(category.name, first.use_reasoning)
    return found


def _labels_of(decision: Decision, settings: Settings) -> Iterator[str]:
    """The labels any of which makes the decision hold, if nothing else has to."""
    rule = decision.rules
    names = [part.name for part in rule.conditions if isinstance(part, Condition) and part.type == "domain"]
    single = len(rule.conditions) == 1
    if len(names) != len(rule.conditions) or not (
        rule.operator == "OR" or (rule.operator == "AND" and single)
    ):
        return
    signals = {signal.name: signal for signal in settings.signals.domains}
    for name in names:
        yield from (signals[name].mmlu_categories or (name,)) if name in signals else (name,)
