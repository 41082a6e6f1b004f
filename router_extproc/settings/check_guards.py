"""Whether the guards do what their keys say: types that exist, thresholds that somebody asks for."""

from collections.abc import Iterator, Sequence

from router_extproc.base.paths import CHAT_PATH
from router_extproc.screening.policy import Least, ScreeningPolicy
from router_extproc.screening.spans import PII_GROUPS, PII_TYPES, types_named
from router_extproc.settings.problem import Loc, Problem, Severity, nearest
from router_extproc.settings.routing_schema import Decision
from router_extproc.settings.schema import Category, Settings
from router_extproc.settings.screening import compile_screening, decision_looks_for_pii, looks_for_pii

GUARD_OFF = "the guard is off; set prompt_guard.enabled, or remove it"
PII_OFF = (
    "nothing looks for personal data, because no model has a pii_policy that denies any; give one to a "
    "model, set classifier.pii_model.enabled, or remove it"
)


def guard_problems(settings: Settings) -> Iterator[Problem]:
    yield from _section_problems(settings)
    yield from _away_problems(settings)
    yield from _answer_problems(settings)
    for name, model in settings.models.items():
        policy, loc = model.pii_policy, ("model_config", name, "pii_policy", "pii_types_allowed")
        if policy is not None and policy.allow_by_default and policy.pii_types_allowed:
            yield _idle(loc, "allow_by_default is true, which allows every type; remove one of them")
        elif policy is not None:
            yield from _type_problems(policy.pii_types_allowed, loc)
    for index, category in enumerate(settings.categories):
        looks = looks_for_pii(settings) if category.pii_enabled is None else category.pii_enabled
        yield from _own_problems(category, ("categories", index), settings, looks=looks)
    for index, decision in enumerate(settings.decisions):
        looks = decision_looks_for_pii(decision, settings)
        yield from _own_problems(decision, ("decisions", index), settings, looks=looks)
        if decision.pii_types_allowed is not None:
            yield from _type_problems(decision.pii_types_allowed, ("decisions", index, "pii_types_allowed"))


def _section_problems(settings: Settings) -> Iterator[Problem]:
    """A section that is switched off by its own `enabled` may stay."""
    policy, guard, pii = compile_screening(settings), settings.prompt_guard, settings.classifier.pii_model
    off = not policy.guard.enabled and "enabled" not in guard.model_fields_set
    for key in sorted(guard.model_fields_set - _read_of(policy.answers.guard)) if off else ():
        yield _idle(("prompt_guard", key), GUARD_OFF)
    off = not policy.pii.enabled and pii.enabled is None
    for key in sorted(pii.model_fields_set - {"enabled"} - _read_of(policy.answers.pii)) if off else ():
        yield _idle(("classifier", "pii_model", key), PII_OFF)
    said = "enabled" in guard.model_fields_set or pii.enabled is not None
    if not (policy.guard.enabled or policy.pii.enabled or said):
        read = {"max_tokens", "beyond"} if policy.answers.enabled else set()
        for key in sorted(settings.screening.model_fields_set - read):
            yield _idle(("screening", key), "no guard is on; switch one on, or remove it")
    if pii.enabled is False and not policy.pii.enabled:
        for name, model in settings.models.items():
            if model.pii_policy is not None and not model.pii_policy.allow_by_default:
                yield Problem(
                    ("model_config", name, "pii_policy"),
                    "denies nothing while classifier.pii_model.enabled is false",
                    Severity.WARNING,
                )


def _away_problems(settings: Settings) -> Iterator[Problem]:
    """What is said of requests that no guard reads."""
    policy = compile_screening(settings)
    if settings.when_router_is_away == "pass" and policy.refuses:
        yield Problem(
            ("when_router_is_away",),
            "`pass` would be a way around the guards: whoever makes the router fail gets past them; "
            f"remove it (it is `refuse` then), or let {_refusing(policy)}",
        )
    if policy.guard.enabled and not policy.refuses and settings.screening.unread_paths:
        yield _idle(
            ("screening", "unread_paths"), "no guard refuses anything, so every path is open; remove it"
        )
    for index, path in enumerate(settings.screening.unread_paths):
        if path == CHAT_PATH:
            yield Problem(
                ("screening", "unread_paths", index),
                "is what the guards are for; set prompt_guard.enabled or classifier.pii_model.enabled to "
                "false instead",
            )


def _refusing(policy: ScreeningPolicy) -> str:
    """How the guards that refuse would not."""
    ways = []
    if policy.guard.refuses:
        ways.append("prompt_guard.action be `observe`")
    if policy.pii.refuses:
        ways.append("no pii_policy deny anything (classifier.pii_model.enabled: false)")
    return " and ".join(ways)


def _read_of(answers: Least | None) -> frozenset[str]:
    """The keys of a guard's section that count for answers, where the guard is off for requests."""
    return frozenset() if answers is None else frozenset({"threshold", "path", "max_tokens", "labels"})


def _answer_problems(settings: Settings) -> Iterator[Problem]:
    given, loc = settings.semantic_cache.screen_answers, ("semantic_cache", "screen_answers")
    types = (*loc, "pii_types_allowed")
    if given.pii_types_allowed and not given.pii_enabled and "pii_enabled" not in given.model_fields_set:
        yield _idle(types, "answers are not read for personal data; set pii_enabled, or remove it")
    elif PII_TYPES.issubset(types_named(given.pii_types_allowed)):
        yield _idle(types, "it allows every type; leave some out, or remove it and pii_enabled")
    yield from _type_problems(given.pii_types_allowed, types)


def _own_problems(
    own: Category | Decision, loc: Loc, settings: Settings, *, looks: bool
) -> Iterator[Problem]:
    """`looks`: whether personal data is looked for there."""
    guard = settings.prompt_guard
    if own.jailbreak_threshold is not None:
        here = (*loc, "jailbreak_threshold")
        if own.jailbreak_enabled is False:
            yield _idle(here, "jailbreak_enabled is false here; remove one of them")
        elif own.jailbreak_enabled is None and not guard.enabled and "enabled" not in guard.model_fields_set:
            yield _idle(here, GUARD_OFF)
    keys = ["pii_threshold"] if own.pii_threshold is not None else []
    if isinstance(own, Decision) and own.pii_types_allowed is not None:
        keys.append("pii_types_allowed")
    for key in keys:
        if own.pii_enabled is False:
            yield _idle((*loc, key), "pii_enabled is false here; remove one of them")
        elif not looks and settings.classifier.pii_model.enabled is None:
            yield _idle((*loc, key), PII_OFF)


def _type_problems(names: Sequence[str], loc: Loc) -> Iterator[Problem]:
    for index, name in enumerate(names):
        group = next((each for each in PII_GROUPS if each in names and name in PII_GROUPS[each]), None)
        if name not in PII_TYPES | PII_GROUPS.keys():
            yield Problem((*loc, index), _no_type(name))
        elif name in names[:index]:
            yield _idle((*loc, index), f"{name} stands here already; remove it", why=False)
        elif group is not None:
            yield _idle((*loc, index), f"{name} is one of {group}, which stands here too; remove one of them")


def _no_type(name: str) -> str:
    """What there is instead, the nearest first."""
    guess = nearest(name.upper(), PII_TYPES | PII_GROUPS.keys())
    groups = (f"{group} ({', '.join(sorted(PII_GROUPS[group]))})" for group in sorted(PII_GROUPS))
    return (
        f"{name!r} is no type of personal data, and no group of them{guess}"
        f"; the types are {', '.join(sorted(PII_TYPES))}; the groups are {', '.join(groups)}"
    )


def _idle(loc: Loc, text: str, *, why: bool = True) -> Problem:
    return Problem(loc, f"has no effect: {text}" if why else text, Severity.IDLE)
