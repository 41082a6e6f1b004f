"""Rules: signals combined by AND, OR and NOT. Evaluation and its trace are one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from router_extproc.routing.signals import Evidence, Key


@dataclass(frozen=True, slots=True)
class Leaf:
    """Holds where the signal matches."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Tree:
    """`AND` holds where all of `conditions` do, without any of them always; `OR` where any does; `NOT` where
    its one does not."""

    operator: Literal["AND", "OR", "NOT"]
    conditions: "tuple[Condition, ...]" = ()


Condition = Leaf | Tree


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a condition. `rule` is `AND`, `OR`, `NOT`, or a signal's kind, whose `name` follows.
    `confidence` in [0, 1] is 0 where it did not hold."""

    rule: str
    name: str
    matched: bool
    confidence: float
    conditions: "tuple[Outcome, ...]" = ()


def evaluate(condition: Condition, evidence_of: Callable[[Key], Evidence]) -> Outcome:
    """AND has the mean of its conditions' confidences, OR the highest, NOT 1. An AND without conditions has
    0: of equal priority, a decision for everything else comes last."""
    if isinstance(condition, Leaf):
        evidence = evidence_of((condition.kind, condition.name))
        confidence = evidence.confidence if evidence.matched else 0.0
        return Outcome(condition.kind, condition.name, evidence.matched, confidence)
    parts = tuple(evaluate(part, evidence_of) for part in condition.conditions)
    matched, confidence = _combined(condition.operator, parts)
    return Outcome(condition.operator, "", matched, confidence if matched else 0.0, parts)


def _combined(operator: str, parts: tuple[Outcome, ...]) -> tuple[bool, float]:
    match operator:
        case "NOT":
            return not parts[0].matched, 1.0
        case "OR":
            return any(part.matched for part in parts), max(part.confidence for part in parts)
        case _:
            mean = sum(part.confidence for part in parts) / len(parts) if parts else 0.0
            return all(part.matched for part in parts), mean


def leaves(condition: Condition) -> Iterator[Key]:
    """The signals that a rule uses, each as often as it names it."""
    if isinstance(condition, Leaf):
        yield condition.kind, condition.name
        return
    for part in condition.conditions:
        yield from leaves(part)
