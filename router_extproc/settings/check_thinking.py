"""Whether `entropy_reasoning` has something to go by and something to switch."""

from collections.abc import Iterator

from router_extproc.settings.problem import Problem, Severity
from router_extproc.settings.schema import Settings
from router_extproc.settings.thinking import is_unsettled, thinking_categories


def thinking_problems(settings: Settings) -> Iterator[Problem]:
    """Models that do not exist are told elsewhere."""
    given = settings.entropy_reasoning
    if not given.enabled:
        return
    refs = [ref for decision in settings.decisions for ref in decision.modelRefs]
    names = {settings.default_model, *(ref.model for ref in refs if is_unsettled(ref, settings))}
    families = [settings.models[name].reasoning_family for name in names if name in settings.models]
    if not any(thinking_categories(settings).values()):
        yield Problem(
            ("entropy_reasoning",),
            "has no effect, because the first model of no category thinks; set `use_reasoning: true` where "
            "one should, or remove this",
            Severity.IDLE,
        )
    elif families and not any(families):
        yield Problem(
            ("entropy_reasoning",),
            "has no effect: it can switch default_model and modelRefs without use_reasoning, and none of "
            "these models has a reasoning_family; give them one, or remove this",
            Severity.IDLE,
        )
    for index, classifier in enumerate(settings.classifiers):
        if classifier.use_as_domain and classifier.path is not None:
            yield Problem(
                ("classifiers", index, "use_as_domain"),
                "entropy_reasoning takes its probabilities at their word, and only those of the router's own "
                "domain head are known to be calibrated; calibrate the model, and look at decisions with "
                "POST /api/v1/eval",
                Severity.WARNING,
            )
