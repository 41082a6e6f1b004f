"""Which of the models that may answer is asked, and in which order the others: pure, without randomness.

An algorithm gives each candidate a score. The first listed one keeps the traffic unless another is better by
a margin, so that noise moves nothing. What "now" is comes in as the `World`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from router_extproc.routing.policy import Route
from router_extproc.routing.world import Condition, World

RECHECK_SHARE = 1.0 / 3.0
"""At most this share of the requests finds out about models of which nothing was heard lately."""
LATENCY_MARGIN = 1.0 / 3.0
"""By how much of the fastest one's score the first listed may be worse: one and a half times as slow."""
FACTORS_MARGIN = 0.1
"""As above, for the weighted sum, which is in [0, 1]."""
BUSY = 32.0
"""Requests under way that a model is hardly slowed by (vLLM batches them)."""
FAILURE_WEIGHT = 4
"""A failure costs a retry and the time until then: 16 % of them count like answers twice as slow."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What counts for `multi_factor`, each in [0, 1], relative to one another."""

    quality: float = 0.4
    latency: float = 0.3
    cost: float = 0.2
    load: float = 0.1


@dataclass(frozen=True, slots=True)
class Algorithm:
    """`name` is one of ALGORITHMS. `exploration` in [0, 0.2] is the largest share that `adaptive` sends
    elsewhere. Candidates of less than `min_quality` in [0, 1] do not answer, unless all are."""

    name: str = "static"
    weights: Weights = Weights()
    exploration: float = 0.05
    min_quality: float = 0.0


@dataclass(frozen=True, slots=True)
class Selection:
    """`order`: places in the list, the best first; those dropped for their quality are not in it. `scores`
    are by place, 0 for the dropped. `reason` says why the first is the first. `explored`: it is not the best,
    but is asked to find out how it does."""

    order: tuple[int, ...]
    scores: tuple[float, ...]
    reason: str
    explored: bool = False


Candidates = Sequence[tuple[Route, Condition]]
Scoring = Callable[[Algorithm, Candidates], list[float]]


def select(algorithm: Algorithm, candidates: Sequence[Route], world: World) -> Selection:
    """`candidates` in the order of preference, at least one. Those that are left alone after failures come
    last, as listed. Raises KeyError for an unknown algorithm, ValueError without candidates."""
    if not candidates:
        raise ValueError("nothing to select from")
    good = [place for place, route in enumerate(candidates) if route.quality >= algorithm.min_quality]
    good = good or list(range(len(candidates)))
    usable = [place for place in good if world.of(candidates[place].model).available]
    asked = usable or good
    found = ALGORITHMS[algorithm.name](
        algorithm, [(candidates[place], world.of(candidates[place].model)) for place in asked], world.chance
    )
    scores = [0.0] * len(candidates)
    for place, score in zip(asked, found.scores, strict=True):
        scores[place] = score
    left = [place for place in good if place not in asked]
    order = (*(asked[index] for index in found.order), *left)
    reason = found.reason
    if not usable:
        order, reason = tuple(good), "all are left alone after failures: the first listed"
    elif left and left[0] < order[0]:
        reason = f"{candidates[left[0]].name} is left alone after failures; {reason}"
    return Selection(order, tuple(scores), reason, found.explored and bool(usable))


def _static(algorithm: Algorithm, candidates: Candidates, chance: float) -> Selection:
    scores = tuple(1.0 / (1 + place) for place in range(len(candidates)))
    return Selection(tuple(range(len(candidates))), scores, "the first listed")


def _latency_aware(algorithm: Algorithm, candidates: Candidates, chance: float) -> Selection:
    return _ranked(algorithm, candidates, chance, _by_latency, LATENCY_MARGIN)


def _multi_factor(algorithm: Algorithm, candidates: Candidates, chance: float) -> Selection:
    return _ranked(algorithm, candidates, chance, _by_factors, FACTORS_MARGIN)


def _adaptive(algorithm: Algorithm, candidates: Candidates, chance: float) -> Selection:
    best = _ranked(algorithm, candidates, chance, _by_factors, FACTORS_MARGIN)
    if best.explored or not _measured(candidates[best.order[0]][1]):
        return best
    reached = 0.0
    others = best.order[1:]
    for place in others:
        # Less as more is known of it. The shares of all the others sum up to `exploration` at most.
        reached += algorithm.exploration / (len(others) * (1.0 + candidates[place][1].samples))
        if chance < reached:
            return _exploring(best, candidates, place)
    return best


ALGORITHMS: Mapping[str, Callable[[Algorithm, Candidates, float], Selection]] = {
    "static": _static,
    "latency_aware": _latency_aware,
    "multi_factor": _multi_factor,
    "adaptive": _adaptive,
}
"""By name: (options, available candidates with their conditions, chance in [0, 1)) → selection among them."""


def _ranked(
    algorithm: Algorithm, candidates: Candidates, chance: float, scoring: Scoring, margin: float
) -> Selection:
    scores = scoring(algorithm, candidates)
    winner = _winner(scores, margin)
    others = sorted((place for place in range(len(scores)) if place != winner), key=lambda i: (-scores[i], i))
    reason = _reason(candidates, scores, winner)
    selection = Selection((winner, *others), tuple(scores), reason)
    if chance < RECHECK_SHARE and _measured(candidates[winner][1]):
        for place in range(len(candidates)):
            if place != winner and _worth_a_try(algorithm, candidates, place, scoring, margin):
                return _exploring(selection, candidates, place)
    return selection


def _winner(scores: Sequence[float], margin: float) -> int:
    """The first listed that is within the margin of the best."""
    least = max(scores) - margin
    return next(place for place, score in enumerate(scores) if score >= least)


def _measured(condition: Condition) -> bool:
    return condition.samples > 0.0 or condition.latency is not None or condition.error_rate > 0.0


def _worth_a_try(
    algorithm: Algorithm, candidates: Candidates, place: int, scoring: Scoring, margin: float
) -> bool:
    """Nothing is known of it lately, nor will be soon, and it would be chosen if it turned out
    faultless and twice as fast as the fastest."""
    route, condition = candidates[place]
    if condition.samples > 0.0:
        return False
    times = [c.latency for _, c in candidates if c.latency is not None]
    hoped = replace(condition, latency=min(times) / 2.0 if times else None, error_rate=0.0)
    imagined = [*candidates[:place], (route, hoped), *candidates[place + 1 :]]
    return _winner(scoring(algorithm, imagined), margin) == place


def _exploring(selection: Selection, candidates: Candidates, place: int) -> Selection:
    order = (place, *(other for other in selection.order if other != place))
    return Selection(
        order, selection.scores, f"{candidates[place][0].name} is tried, to learn how it does", True
    )


def _by_latency(algorithm: Algorithm, candidates: Candidates) -> list[float]:
    speeds = _shares([condition.latency for _, condition in candidates])
    return [
        speed * (1.0 - condition.error_rate) ** FAILURE_WEIGHT
        for speed, (_, condition) in zip(speeds, candidates, strict=True)
    ]


def _by_factors(algorithm: Algorithm, candidates: Candidates) -> list[float]:
    """The weighted mean of the factors, each in [0, 1] relative to the best of the candidates, times the
    share of answers that do not fail. Where all weights are 0 only failures count."""
    weights = algorithm.weights
    best = max(route.quality for route, _ in candidates)
    idle = min(condition.in_flight for _, condition in candidates)
    speeds = _shares([condition.latency for _, condition in candidates])
    prices = _shares([route.cost for route, _ in candidates])
    total = weights.quality + weights.latency + weights.cost + weights.load
    scores = []
    for (route, condition), speed, price in zip(candidates, speeds, prices, strict=True):
        worth = (
            weights.quality * (route.quality / best if best > 0.0 else 1.0)
            + weights.latency * speed
            + weights.cost * price
            + weights.load * (BUSY + idle) / (BUSY + condition.in_flight)
        )
        scores.append((worth / total if total > 0.0 else 1.0) * (1.0 - condition.error_rate))
    return scores


def _shares(amounts: Sequence[float | None]) -> list[float]:
    """The least amount by each: 1 for the least, 0.2 for five times as much. A ratio and not the place
    between least and most, by which two that hardly differ would be as far apart as can be. What is not
    known counts as the least."""
    known = [amount for amount in amounts if amount is not None]
    least = min(known, default=0.0)
    return [1.0 if amount is None or amount <= least else least / amount for amount in amounts]


def _reason(candidates: Candidates, scores: Sequence[float], winner: int) -> str:
    """Why the first listed candidate is not asked, or that it is."""
    if winner == 0:
        return "the first listed, and none is better by the margin"
    (first, is_first), (chosen, is_chosen) = candidates[0], candidates[winner]
    causes = []
    if is_first.error_rate > is_chosen.error_rate:
        causes.append(f"it fails {is_first.error_rate:.0%} of its answers")
    if is_first.latency is not None and is_chosen.latency and is_first.latency > is_chosen.latency:
        causes.append(f"it takes {is_first.latency / is_chosen.latency:.1f} times as long")
    causes.append(f"it scores {scores[0]:.2f} to {scores[winner]:.2f}")
    return f"{chosen.name} rather than {first.name}: {', '.join(causes)}"
