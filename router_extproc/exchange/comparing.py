"""Asking the verifier about the candidates of a lookup, one after the other, until it accepts one.

Knows neither where the candidates came from nor what follows from the choice. Whatever fails here is a miss.
"""

from collections import Counter
from dataclasses import dataclass

from router_extproc.base.refusals import Failure
from router_extproc.caching.policy import Bounds, CacheUse, Choice, admits, judged
from router_extproc.exchange.effects import Compare, PortFailed
from router_extproc.exchange.events import Compared, CompareFailed
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.exchange.stages import Doubt

LEAST_BUDGET = 0.001
"""Seconds: with less left, nothing that is asked could answer."""


@dataclass(frozen=True, slots=True)
class Asking:
    """The next question to the verifier, and what is then known."""

    doubt: Doubt
    question: Compare


@dataclass(frozen=True, slots=True)
class Decided:
    """`choice` has no doubt left. `probability` is what the verifier gave its hit, None where it was not
    asked; `failed` is how it failed, if it did."""

    choice: Choice
    probability: float | None = None
    failed: tuple[PortFailed, ...] = ()


def begin(choice: Choice, use: CacheUse, plan: Snapshot, bounds: Bounds) -> Asking | Decided:
    """What to do about a choice that may need the verifier."""
    if choice.hit is not None:
        return Decided(choice)
    return _ask(Doubt(choice.doubtful, choice.refused, since=bounds.at), use, plan, bounds)


def go_on(
    doubt: Doubt, event: Compared | CompareFailed, use: CacheUse, plan: Snapshot, bounds: Bounds
) -> Asking | Decided:
    """What to do once the verifier has spoken of the first candidate. An entry that expired or was taken
    back while it did must not answer."""
    if isinstance(event, CompareFailed):
        return _failed(doubt, event.reason)
    asked, *rest = doubt.candidates
    refused = Counter(doubt.refused)
    difference = judged(asked, event.probability)
    if difference is not None:
        refused[difference] += 1
    elif admits(plan.cache, use, asked.candidate.entry, bounds):
        return Decided(Choice(asked.candidate, refused), event.probability)
    return _ask(Doubt(tuple(rest), refused, doubt.since), use, plan, bounds)


def _ask(doubt: Doubt, use: CacheUse, plan: Snapshot, bounds: Bounds) -> Asking | Decided:
    """All questions of one lookup share the time of one analysis."""
    left = tuple(each for each in doubt.candidates if admits(plan.cache, use, each.candidate.entry, bounds))
    if not left:
        return Decided(Choice(None, doubt.refused))
    if left[0].least <= 0.0:
        # Whatever the verifier said would be enough.
        return Decided(Choice(left[0].candidate, doubt.refused))
    budget = plan.analysis_timeout - max(0.0, bounds.at - doubt.since)
    if budget < LEAST_BUDGET:
        return _failed(doubt, Failure.TIMEOUT)
    question = Compare(use.identity.text, left[0].candidate.entry.text, budget)
    return Asking(Doubt(left, doubt.refused, doubt.since), question)


def _failed(doubt: Doubt, reason: Failure) -> Decided:
    return Decided(Choice(None, doubt.refused), failed=(PortFailed("verifier", reason),))
