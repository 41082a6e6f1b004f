"""Whether categories and decisions can do what they say: names that exist, rules that can hold, switches that
switch something."""

from collections.abc import Iterator, Sequence
from typing import Final, get_args

from router_extproc.settings.cache_schema import CategoryCache
from router_extproc.settings.problem import Loc, Problem, Severity, nearest
from router_extproc.settings.routing_schema import Algorithm, DecisionCache, ModelRef, Rule
from router_extproc.settings.schema import CategoryName, ModelScore, Settings
from router_extproc.settings.thinking import is_unsettled

DOMAINS: Final = frozenset(get_args(CategoryName))


def decision_problems(settings: Settings) -> Iterator[Problem]:
    yield from _category_problems(settings)
    yield from _reach_problems(settings)
    yield from _algorithm_problems(settings.selection.algorithm, ("selection", "algorithm"))
    feedback = settings.selection.feedback
    if feedback.max_retry_seconds < feedback.retry_seconds:
        yield Problem(
            ("selection", "feedback", "max_retry_seconds"),
            f"is below retry_seconds ({feedback.retry_seconds:g}); raise it",
        )
    seen: set[str] = set()
    for index, decision in enumerate(settings.decisions):
        loc: Loc = ("decisions", index)
        if decision.name in seen:
            yield Problem((*loc, "name"), f"{decision.name!r} stands twice")
        seen.add(decision.name)
        if _always(decision.rules) is False:
            yield Problem((*loc, "rules"), "can never hold; remove the decision, or what it negates")
        yield from _reference_problems(decision.modelRefs, (*loc, "modelRefs"), settings)
        yield from _cache_problems(decision.semantic_cache, (*loc, "semantic_cache"), settings)
        if decision.algorithm is not None:
            yield from _algorithm_problems(decision.algorithm, (*loc, "algorithm"))
        if "tool_selection" in decision.model_fields_set and not settings.tools.enabled:
            yield Problem(
                (*loc, "tool_selection"), "has no effect: tools are not enabled; remove it", Severity.IDLE
            )


def _category_problems(settings: Settings) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, category in enumerate(settings.categories):
        loc: Loc = ("categories", index)
        if category.name in seen:
            yield Problem((*loc, "name"), f"{category.name!r} stands twice")
        seen.add(category.name)
        yield from _cache_problems(category.semantic_cache, (*loc, "semantic_cache"), settings)
        yield from _reference_problems(category.model_scores, (*loc, "model_scores"), settings)


def _cache_problems(own: CategoryCache | DecisionCache, loc: Loc, settings: Settings) -> Iterator[Problem]:
    mode = own.mode or settings.semantic_cache.mode
    idle = []
    if mode != "semantic" and own.similarity_threshold is not None:
        idle.append("similarity_threshold")
    if mode == "off" and own.ttl_seconds is not None:
        idle.append("ttl_seconds")
    for key in idle:
        yield Problem((*loc, key), f"has no effect with mode {mode}; remove it", Severity.IDLE)


def _reference_problems(
    references: Sequence[ModelRef | ModelScore], loc: Loc, settings: Settings
) -> Iterator[Problem]:
    seen: set[tuple[str, str | None]] = set()
    for index, reference in _by_worth(references):
        here = (*loc, index)
        model = settings.models.get(reference.model)
        if model is None:
            hint = nearest(reference.model, settings.models)
            yield Problem((*here, "model"), f"{reference.model!r} is not in model_config{hint}")
            continue
        names = {lora.name for lora in model.loras}
        if reference.lora_name is not None and reference.lora_name not in names:
            yield Problem(
                (*here, "lora_name"),
                f"{reference.lora_name!r} is not in model_config.{reference.model}.loras"
                f"{nearest(reference.lora_name, names)}",
            )
        if (reference.model, reference.lora_name) in seen:
            yield Problem(here, f"{reference.model!r} stands here already; remove it", Severity.IDLE)
        seen.add((reference.model, reference.lora_name))
        yield from _reasoning_problems(reference, here, settings)


def _by_worth(references: Sequence[ModelRef | ModelScore]) -> list[tuple[int, ModelRef | ModelScore]]:
    """In the order in which they are asked, so that of two of one model the second is too much."""
    return sorted(
        enumerate(references), key=lambda pair: -pair[1].score if isinstance(pair[1], ModelScore) else 0.0
    )


def _reasoning_problems(reference: ModelRef | ModelScore, loc: Loc, settings: Settings) -> Iterator[Problem]:
    """Of a reference whose model exists."""
    named = settings.models[reference.model].reasoning_family
    if reference.use_reasoning and named is None:
        yield Problem(
            (*loc, "use_reasoning"),
            f"{reference.model!r} has no reasoning_family that could switch it; give it one or remove this",
            Severity.IDLE,
        )
        return
    if reference.reasoning_effort is None:
        return
    family = settings.reasoning_families.get(named or "")
    if not reference.use_reasoning and not is_unsettled(reference, settings):
        yield Problem(
            (*loc, "reasoning_effort"),
            "has no effect without use_reasoning; set `use_reasoning: true` or remove it",
            Severity.IDLE,
        )
    elif family is not None and family.type == "chat_template_kwargs":
        yield Problem(
            (*loc, "reasoning_effort"),
            f"has no effect, because the family of {reference.model!r} is of type chat_template_kwargs, "
            "which is only on or off; remove it",
            Severity.IDLE,
        )


def _algorithm_problems(algorithm: Algorithm, loc: Loc) -> Iterator[Problem]:
    weighs = algorithm.type in ("multi_factor", "adaptive")
    if "weights" in algorithm.model_fields_set and not weighs:
        yield Problem(
            (*loc, "weights"), f"has no effect with type {algorithm.type}; remove it", Severity.IDLE
        )
    if "exploration" in algorithm.model_fields_set and algorithm.type != "adaptive":
        yield Problem(
            (*loc, "exploration"), f"has no effect with type {algorithm.type}; remove it", Severity.IDLE
        )
    if weighs and not any(algorithm.weights.model_dump().values()):
        yield Problem((*loc, "weights"), "are all 0, so all models would be worth the same; raise one")


def _reach_problems(settings: Settings) -> Iterator[Problem]:
    """A decision that always holds leaves nothing to those of lower priority, nor to the categories."""
    always = [decision for decision in settings.decisions if _always(decision.rules)]
    if not always:
        return
    first = max(always, key=lambda decision: decision.priority)
    why = f"is never reached: {first.name!r} always holds and has priority {first.priority}"
    for index, decision in enumerate(settings.decisions):
        # Of equal priority and equal confidence, which rules without conditions have, the first written.
        plain = not decision.rules.conditions and not first.rules.conditions
        later = plain and decision.priority == first.priority and decision is not first
        if decision.priority < first.priority or later:
            yield Problem(
                ("decisions", index),
                f"{why}, this one {decision.priority}; raise it or remove it",
                Severity.IDLE,
            )
    for index, category in enumerate(settings.categories):
        if category.model_scores:
            yield Problem(
                ("categories", index, "model_scores"),
                f"{why}; give it conditions or remove these",
                Severity.IDLE,
            )


def _always(rule: Rule) -> bool | None:
    """Whether a rule holds for every request (True), for none (False), or depends on it (None)."""
    parts = [_always(part) if isinstance(part, Rule) else None for part in rule.conditions]
    if rule.operator == "NOT":
        return None if parts[0] is None else not parts[0]
    # What decides an AND is one that never holds, an OR one that always does.
    decisive = rule.operator == "OR"
    if decisive in parts:
        return decisive
    return None if None in parts else not decisive
