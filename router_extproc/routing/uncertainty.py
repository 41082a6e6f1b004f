"""How sure the domain head is, and whether a request that no category claims surely should be thought about.

Levels, their limits and the names of reasons are those of vLLM Semantic Router; `docs/ROUTING.md` says what
the decision does otherwise, and why. Knows probabilities and which categories think; nothing of models.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import fsum, log2
from typing import Final

SLACK: Final = 1e-9
"""Probabilities that differ by less are equal: sums of floats have no exact halves."""


class Level(StrEnum):
    """Of normalised entropy, from certain to clueless."""

    VERY_LOW = "very_low"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    VERY_HIGH = "very_high"


VERY_HIGH_FROM: Final = 0.8

_FROM: Final = (
    (VERY_HIGH_FROM, Level.VERY_HIGH),
    (0.6, Level.HIGH),
    (0.4, Level.MEDIUM),
    (0.2, Level.LOW),
)

_TRUSTED: Final[Mapping[Level, float]] = {Level.VERY_LOW: 0.95, Level.LOW: 0.9, Level.MEDIUM: 0.8}
"""What a trusted category's probability is multiplied by for the confidence."""

_CAUTIOUS: Final = 0.3
"""The confidence where nothing speaks for thinking but that nobody knows."""

NO_DATA: Final = "no_classification_data"
NOT_IN_MAP: Final = "category_not_in_reasoning_map"


@dataclass(frozen=True, slots=True)
class ThinkingPolicy:
    """`categories`: whether each that has models thinks; a label that is missing does not. Where no category
    is sure, a request is thought about if those that think have at least `threshold` in [0, 1] together, or,
    if `cautious`, if the uncertainty is very high and they have anything at all."""

    categories: Mapping[str, bool]
    threshold: float = 0.5
    cautious: bool = True


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """What the domain head's probabilities say of thinking.

    `entropy` in bits; `normalised`, its share of the most it could be, in [0, 1]. `category` is the
    likeliest, "" where there is none. `share` in [0, 1] is the probability that the request belongs to a
    category that thinks. `confidence` in [0, 1] is what vLLM Semantic Router would call so. `applied`: the
    chosen model had no setting of its own and got this one.
    """

    entropy: float
    normalised: float
    level: Level
    category: str
    share: float
    reasoning: bool
    confidence: float
    reason: str
    applied: bool = False


def entropy(shares: Iterable[float]) -> float:
    """Shannon's, in bits, of probabilities that sum to 1."""
    return max(0.0, -fsum(share * log2(share) for share in shares if share > 0.0))


def normalised(bits: float, outcomes: int) -> float:
    """`bits` as a share of what `outcomes` equally likely ones have, in [0, 1]; 0 of a single one."""
    return min(1.0, bits / log2(outcomes)) if outcomes > 1 else 0.0


def level_of(share: float) -> Level:
    """The level of a normalised entropy in [0, 1]."""
    return next((level for least, level in _FROM if share >= least), Level.VERY_LOW)


def judge(policy: ThinkingPolicy, shares: Mapping[str, float], threshold: float) -> Uncertainty:
    """`shares` are the head's probabilities by label, `threshold` the least of a category that decides alone.

    What is missing from a sum of 1 belongs to no category and counts as one more that does not think; a sum
    above 1 is scaled down. Labels' order does not count: of equally likely labels the first by name is
    `category`, and a tie between the two sides is left to the sum.
    """
    if not shares or not any(share > 0.0 for share in shares.values()):
        return Uncertainty(0.0, 0.0, Level.VERY_LOW, "", 0.0, False, 0.0, NO_DATA)
    total = fsum(shares.values())
    scale = max(1.0, total)
    known = {label: share / scale for label, share in shares.items()}
    think = [share for label, share in known.items() if policy.categories.get(label, False)]
    others = [share for label, share in known.items() if not policy.categories.get(label, False)]
    if total < 1.0 - SLACK:
        others.append(1.0 - total)
    bits = entropy((*think, *others))
    share_of_most = normalised(bits, len(think) + len(others))
    level = level_of(share_of_most)
    top = min(known, key=lambda label: (-known[label], label))
    share = min(1.0, fsum(think))
    reasoning, how = _decided(policy, think, others, level, threshold)
    reason = _reason(level, how)
    if how == "trust" and top not in policy.categories:
        reason = NOT_IN_MAP
    confidence = _confidence(level, how, known[top], share)
    return Uncertainty(bits, share_of_most, level, top, share, reasoning, confidence, reason)


def _decided(
    policy: ThinkingPolicy, think: list[float], others: list[float], level: Level, threshold: float
) -> tuple[bool, str]:
    """Whether to think, and how that came about: `trust`, `cautious` or `vote`.

    Each step keeps its answer when probability moves from `others` to `think`, so all of them together do:
    more reason to think never switches thinking off.
    """
    first, second = max(think, default=0.0), max(others, default=0.0)
    if max(first, second) >= threshold and abs(first - second) > SLACK:
        return first > second, "trust"
    share = fsum(think)
    wary = policy.cautious and share > 0.0
    if wary and level is Level.VERY_HIGH:
        return True, "cautious"
    if share >= policy.threshold - SLACK:
        return share > 0.0, "vote"
    if wary and normalised(entropy(_levelled(think, others)), len(think) + len(others)) >= VERY_HIGH_FROM:
        return True, "cautious"
    return False, "vote"


def _levelled(think: list[float], others: list[float]) -> list[float]:
    """The most uncertain distribution with no more for anything that thinks and no less for anything else.

    Thinking because of very high uncertainty must not end when some of the others' probability moves to what
    thinks, though that may make the distribution less uncertain. So what counts is whether one that has less
    reason to think is very uncertain. The entropy is highest where all are cut off, or filled up, at the same
    height (its derivative is the same for all that are not at their bounds).
    """
    heights = sorted({0.0, *think, *others, 1.0})

    def sum_at(height: float) -> float:
        return fsum((*(min(share, height) for share in think), *(max(share, height) for share in others)))

    after = min(max(1, bisect_right(heights, 1.0, key=sum_at)), len(heights) - 1)
    low, high = heights[after - 1], heights[after]
    below, above = sum_at(low), sum_at(high)
    # Between two heights the sum is a straight line.
    height = low + (high - low) * (1.0 - below) / (above - below) if above > below else low
    return [*(min(share, height) for share in think), *(max(share, height) for share in others)]


def _reason(level: Level, how: str) -> str:
    if how == "trust":
        certain = level in (Level.VERY_LOW, Level.LOW)
        return f"{level}_uncertainty_" + (
            "trust_classification" if certain else "top_category_above_threshold"
        )
    if how == "cautious":
        return f"{level}_uncertainty_conservative_default"
    return f"{level}_uncertainty_" + ("weighted_decision" if level is Level.HIGH else "weighted")


def _confidence(level: Level, how: str, top: float, share: float) -> float:
    if how == "cautious":
        return _CAUTIOUS
    factor = _TRUSTED.get(level) if how == "trust" else None
    return top * factor if factor is not None else 0.5 + abs(share - 0.5)
