"""Whether signals and classifiers are whole, and conditions name signals that exist."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from router_extproc.settings.check_decisions import DOMAINS
from router_extproc.settings.check_models import folder_problems
from router_extproc.settings.problem import Loc, Problem, Severity, nearest
from router_extproc.settings.routing_schema import (
    ComplexitySignal,
    Condition,
    ContextSignal,
    CustomClassifier,
    Predicate,
    Rule,
)
from router_extproc.settings.schema import Settings

SECTIONS: Final = {
    "keyword": "keywords",
    "embedding": "embeddings",
    "domain": "domains",
    "complexity": "complexity",
    "language": "language",
    "context": "context",
    "structure": "structure",
    "conversation": "conversation",
    "classifier": "classifiers",
}
"""A condition's `type` to the section of `signals` that it is about."""

LEVELS: Final = ("hard", "medium", "easy")
HEADS: Final = ("domain", "complexity", "language")
"""Names that the router's own heads have."""


def signal_problems(path: Path, settings: Settings) -> Iterator[Problem]:
    """Paths of classifiers are relative to `path`."""
    yield from _name_problems(settings)
    yield from _keyword_problems(settings)
    yield from _domain_problems(settings)
    for index, signal in enumerate(settings.signals.complexity):
        yield from _complexity_problems(signal, ("signals", "complexity", index))
    for index, context in enumerate(settings.signals.context):
        yield from _context_problems(context, ("signals", "context", index))
    for section in ("structure", "conversation"):
        for index, counted in enumerate(getattr(settings.signals, section)):
            yield from _predicate_problems(counted.predicate, ("signals", section, index, "predicate"))
    yield from _classifier_signal_problems(settings)
    yield from _classifier_problems(path, settings)


def tokens(count: int | str) -> float:
    """`4K` is 4,000."""
    if isinstance(count, int):
        return count
    unit = {"K": 1_000, "M": 1_000_000}.get(count[-1:].upper(), 1)
    return float(count.rstrip("KkMm")) * unit


def _name_problems(settings: Settings) -> Iterator[Problem]:
    """Names of signals, and of signals in conditions."""
    names = {
        kind: [signal.name for signal in getattr(settings.signals, section)]
        for kind, section in SECTIONS.items()
    }
    used: set[tuple[str, str]] = set()
    for index, decision in enumerate(settings.decisions):
        for loc, condition in _conditions(decision.rules, ("decisions", index, "rules")):
            base = condition.name
            if condition.type == "complexity":
                base, _, level = condition.name.rpartition(":")
                if level not in LEVELS or not base:
                    text = f"{condition.name!r} has no level; write NAME:hard, NAME:medium or NAME:easy"
                    yield Problem((*loc, "name"), text)
                    used.add((condition.type, condition.name))
                    continue
            used.add((condition.type, base))
            if base not in names[condition.type] and not _is_domain(condition, settings):
                yield Problem((*loc, "name"), _missing(condition.type, base, names))
    for kind, section in SECTIONS.items():
        for index, name in enumerate(names[kind]):
            loc = ("signals", section, index)
            if name in names[kind][:index]:
                yield Problem((*loc, "name"), f"{name!r} stands twice")
            elif (kind, name) not in used:
                yield Problem(
                    loc, f"no decision uses {name!r}; name it in a condition or remove it", Severity.IDLE
                )


def _missing(kind: str, name: str, names: dict[str, list[str]]) -> str:
    others = [other for other, known in names.items() if name in known]
    if others:
        return f"{name!r} is a signal of type {others[0]}, not {kind}; correct the type"
    known = [*names[kind], *(DOMAINS if kind == "domain" else ())]
    here = ", ".join(sorted(known))
    listed = f"; there {'is' if len(known) == 1 else 'are'} {here}" if known else ""
    return f"{name!r} is not in signals.{SECTIONS[kind]}{nearest(name, known, else_say=listed)}"


def _is_domain(condition: Condition, settings: Settings) -> bool:
    labels = _domain_labels(settings)
    return condition.type == "domain" and (labels is None or condition.name in labels)


def _domain_labels(settings: Settings) -> frozenset[str] | None:
    """What the domain head may say; None when only its files tell."""
    for classifier in settings.classifiers:
        if classifier.use_as_domain:
            return frozenset(each.name for each in classifier.classes) if classifier.classes else None
    return DOMAINS


def _conditions(rule: Rule, loc: Loc) -> Iterator[tuple[Loc, Condition]]:
    for index, part in enumerate(rule.conditions):
        here = (*loc, "conditions", index)
        if isinstance(part, Rule):
            yield from _conditions(part, here)
        else:
            yield here, part


def _keyword_problems(settings: Settings) -> Iterator[Problem]:
    for index, signal in enumerate(settings.signals.keywords):
        for place, keyword in enumerate(signal.keywords):
            if not keyword.strip():
                yield Problem(("signals", "keywords", index, "keywords", place), "is blank; remove it")


def _domain_problems(settings: Settings) -> Iterator[Problem]:
    labels = _domain_labels(settings)
    for index, signal in enumerate(settings.signals.domains):
        loc: Loc = ("signals", "domains", index)
        if labels is None:
            continue
        if not signal.mmlu_categories and signal.name not in labels:
            text = f"{signal.name!r} is no domain{nearest(signal.name, labels)}; or give mmlu_categories"
            yield Problem((*loc, "name"), text)
        for place, label in enumerate(signal.mmlu_categories):
            if label not in labels:
                known = f"; the domains are {', '.join(sorted(labels))}"
                text = f"{label!r} is no domain{nearest(label, labels, else_say=known)}"
                yield Problem((*loc, "mmlu_categories", place), text)
    for index, category in enumerate(settings.categories):
        if labels is not None and category.name not in labels:
            yield Problem(
                ("categories", index),
                f"no question is in {category.name!r}, because a classifier of yours stands in for the "
                "domain head and has no such class; remove it",
                Severity.IDLE,
            )


def _complexity_problems(signal: ComplexitySignal, loc: Loc) -> Iterator[Problem]:
    given = signal.model_fields_set
    if bool(signal.hard_candidates) != bool(signal.easy_candidates):
        yield Problem(loc, "hard_candidates and easy_candidates belong together; give both or neither")
    elif signal.hard_candidates:
        for key in sorted({"hard_above", "easy_below"} & given):
            yield Problem((*loc, key), "has no effect with candidates; use threshold", Severity.IDLE)
    elif "threshold" in given:
        text = "has no effect without candidates; use hard_above and easy_below"
        yield Problem((*loc, "threshold"), text, Severity.IDLE)
    if signal.easy_below >= signal.hard_above:
        yield Problem((*loc, "easy_below"), f"must be below hard_above ({signal.hard_above:g})")


def _context_problems(signal: ContextSignal, loc: Loc) -> Iterator[Problem]:
    least = tokens(signal.min_tokens)
    if signal.max_tokens is None:
        if least == 0:
            yield Problem(loc, "holds for every request; give min_tokens or max_tokens")
    elif tokens(signal.max_tokens) < least:
        yield Problem((*loc, "max_tokens"), f"is below min_tokens ({signal.min_tokens}), so it never holds")


def _predicate_problems(predicate: Predicate, loc: Loc) -> Iterator[Problem]:
    low = [
        (value, inclusive)
        for value, inclusive in ((predicate.gte, True), (predicate.gt, False))
        if value is not None
    ]
    high = [
        (value, inclusive)
        for value, inclusive in ((predicate.lte, True), (predicate.lt, False))
        if value is not None
    ]
    if predicate.eq is not None:
        low.append((predicate.eq, True))
        high.append((predicate.eq, True))
    for least, with_least in low:
        for most, with_most in high:
            if least > most or (least == most and not (with_least and with_most)):
                yield Problem(loc, "can never hold: its bounds exclude each other")
                return


def _classifier_signal_problems(settings: Settings) -> Iterator[Problem]:
    known = {each.name: each for each in settings.classifiers}
    for index, signal in enumerate(settings.signals.classifiers):
        loc: Loc = ("signals", "classifiers", index)
        classifier = known.get(signal.classifier)
        if classifier is None:
            text = f"{signal.classifier!r} is not in classifiers{nearest(signal.classifier, known)}"
            yield Problem((*loc, "classifier"), text)
            continue
        labels = {each.name for each in classifier.classes}
        for place, label in enumerate(signal.labels):
            if labels and label not in labels:
                text = f"{label!r} is no class of {signal.classifier!r}{nearest(label, labels)}"
                yield Problem((*loc, "labels", place), text)


def _classifier_problems(path: Path, settings: Settings) -> Iterator[Problem]:
    asked = {signal.classifier for signal in settings.signals.classifiers}
    seen: set[str] = set()
    for index, classifier in enumerate(settings.classifiers):
        loc: Loc = ("classifiers", index)
        if classifier.name in seen:
            yield Problem((*loc, "name"), f"{classifier.name!r} stands twice")
        if classifier.name in HEADS:
            yield Problem(
                (*loc, "name"), f"{classifier.name!r} is a head of the router's own; choose another"
            )
        seen.add(classifier.name)
        if not (classifier.use_as_domain or classifier.use_as_complexity or classifier.name in asked):
            text = f"no signal asks {classifier.name!r}; name it in signals.classifiers or remove it"
            yield Problem(loc, text, Severity.IDLE)
        yield from _class_problems(classifier, loc)
        if classifier.path is not None:
            yield from folder_problems(path.parent / classifier.path, (*loc, "path"))
    yield from _stand_in_problems(settings)


def _stand_in_problems(settings: Settings) -> Iterator[Problem]:
    """Of those that stand in for a head of the router's own."""
    given = list(enumerate(settings.classifiers))
    for key, head in (("use_as_domain", "domain"), ("use_as_complexity", "complexity")):
        here = [(index, classifier) for index, classifier in given if getattr(classifier, key)]
        for index, _ in here[1:]:
            text = f"{here[0][1].name!r} stands in for the {head} head already"
            yield Problem(("classifiers", index, key), text)
    reads = any(not each.hard_candidates for each in settings.signals.complexity)
    for index, classifier in given:
        loc: Loc = ("classifiers", index, "use_as_complexity")
        if not classifier.use_as_complexity:
            continue
        if classifier.use_as_domain:
            yield Problem(loc, "a classifier stands in for one head, and use_as_domain is true")
        if not reads:
            text = "has no effect: no complexity signal asks the head; add one without candidates"
            yield Problem(loc, text, Severity.IDLE)
        names = {each.name for each in classifier.classes}
        if names and not {"strong", "weak"} <= names:
            yield Problem(loc, "needs classes called `strong` and `weak`; rename them")


def _class_problems(classifier: CustomClassifier, loc: Loc) -> Iterator[Problem]:
    names = [each.name for each in classifier.classes]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Problem((*loc, "classes", index, "name"), f"{name!r} stands twice")
    if names and "max_tokens" in classifier.model_fields_set:
        text = "has no effect with classes, whose examples the encoder reads; remove it"
        yield Problem((*loc, "max_tokens"), text, Severity.IDLE)
    if names and "labels" in classifier.model_fields_set:
        yield Problem((*loc, "labels"), "has no effect with classes; rename those", Severity.IDLE)
