"""The lowest threshold per category that keeps a promise of precision, and what it costs in hits.

Pure numpy over judged pairs. Pairs of equal texts are left out: they hit at any threshold, and would make a
bad one look good.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import inf, isfinite, sqrt

import numpy as np
from numpy.typing import NDArray

from router_extproc.evaluation.curve import Figures, figures, ratio
from router_extproc.evaluation.judge import EXACT, LOWEST

CANDIDATES = tuple(round(LOWEST + 0.005 * step, 3) for step in range(100))
"""The thresholds tried: below 0.5 sentences have little in common, and finer steps would fit the sample."""

Z95 = 1.959964
"""The normal distribution's two-sided 95 % quantile."""

NO_CATEGORY = "(none)"
POOL = "(all)"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A judged pair. `category` is the question's and `held` the entry's, both empty when no domain was
    confident. `similarity` is that of an answer with the guard, EXACT or -inf as `Nearest` has it; `now`:
    the shipped configuration answers; `same`: rightly."""

    category: str
    held: str
    similarity: float
    now: bool
    same: bool


@dataclass(frozen=True, slots=True)
class Advice:
    """For one category: the threshold, None for no semantic hits at all, and its figures on `pairs` pairs.

    `low` is the lower end of the precision's 95 % confidence interval (Wilson 1927), None without hits.
    `threshold_now` is None where pairs of several categories are pooled, inf where only exact matches hit.
    """

    category: str
    pairs: int
    threshold: float | None
    hits: int
    low: float | None
    then: Figures
    threshold_now: float | None
    now: Figures

    def as_json(self) -> dict[str, object]:
        now = self.threshold_now
        return {
            "category": self.category,
            "pairs": self.pairs,
            "mode": "exact" if self.threshold is None else "semantic",
            "threshold": self.threshold,
            "hits": self.hits,
            "precision": self.then.precision,
            "precision_low": self.low,
            "recall": self.then.recall,
            "hit_rate": self.then.hit_rate,
            "now": {"threshold": now if now is not None and isfinite(now) else None, **asdict(self.now)},
        }


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """`now` and `then` are figures of all `n` pairs of different texts, `then` with every advice taken.
    `exact` pairs of equal texts were left out; `pooled` are the categories under POOL."""

    target: float
    min_pairs: int
    n: int
    exact: int
    now: Figures
    then: Figures
    categories: tuple[Advice, ...]
    pooled: tuple[str, ...]

    def as_json(self, known: Sequence[str]) -> dict[str, object]:
        """JSON-ready. `known` as for `as_yaml`."""
        return {
            "target_precision": self.target,
            "min_pairs": self.min_pairs,
            "n": self.n,
            "exact": self.exact,
            "now": asdict(self.now),
            "then": asdict(self.then),
            "categories": [advice.as_json() for advice in self.categories],
            "pooled": list(self.pooled),
            "yaml": self.as_yaml(known),
        }

    def as_text(self, known: Sequence[str]) -> str:
        """A table for a terminal, and the configuration it advises."""
        lines = [
            f"target precision {self.target:g}  pairs {self.n}  equal texts left out {self.exact}",
            "",
            f"{'category':<18}{'pairs':>7}{'threshold':>11}{'hits':>7}{'precision':>11}{'at least':>10}"
            f"{'recall':>9}{'hit rate':>10}{'now':>9}{'cost':>9}",
        ]
        lines += [_line(advice) for advice in self.categories]
        lines += [
            "",
            f"all pairs: hit rate {self.now.hit_rate:.4f} now, {self.then.hit_rate:.4f} then; "
            f"precision {ratio(self.now.precision)} now, {ratio(self.then.precision)} then; "
            f"false hits {self.now.false_hits} now, {self.then.false_hits} then",
            "at least: the lower end of the precision's 95 % confidence interval",
        ]
        if self.pooled:
            names = ", ".join(_label(name) for name in self.pooled)
            lines.append(f"{POOL}: fewer than {self.min_pairs} pairs each: {names}")
        return "\n".join((*lines, "", self.as_yaml(known)))

    def as_yaml(self, known: Sequence[str]) -> str:
        """Keys for the entries of `categories`. `known` are the names a configuration may have there; for the
        rest, there is a comment."""
        lines = ["categories:"]
        for advice in self.categories:
            setting = (
                "{mode: exact}"
                if advice.threshold is None
                else f"{{mode: semantic, similarity_threshold: {advice.threshold:g}}}"
            )
            if advice.category in known:
                lines += [f"  - name: {advice.category}", f"    semantic_cache: {setting}"]
            else:
                lines.append(f"  # {_label(advice.category)}: {setting}")
        return "\n".join(lines)


def calibrate(
    outcomes: Sequence[Outcome], target: float, min_pairs: int, threshold_of: Callable[[str], float]
) -> CalibrationReport:
    """Categories with fewer than `min_pairs` pairs are taken together. `threshold_of` is a category's shipped
    threshold, inf where it takes exact matches only. ValueError without a pair of different texts."""
    pairs = [each for each in outcomes if each.similarity != EXACT]
    if not pairs:
        raise ValueError("there is no pair of different texts")
    groups: dict[str, list[Outcome]] = {}
    for each in pairs:
        groups.setdefault(each.category, []).append(each)
    pooled = sorted(name for name, group in groups.items() if len(group) < min_pairs)
    large = sorted(set(groups) - set(pooled))
    advice = [_advise(name, groups[name], target, threshold_of(name), threshold_of(name)) for name in large]
    if pooled:
        pool = [each for name in pooled for each in groups[name]]
        advice.append(_advise(POOL, pool, target, None, max(map(threshold_of, pooled))))
    # Pooled categories keep their thresholds: what was found for all of them is not theirs to paste.
    thresholds = {each.category: each.threshold or inf for each in advice if each.category != POOL}
    # The stricter of the question's and the entry's threshold counts, as in `caching.policy.choose`.
    needed = [
        max(_of(thresholds, name, threshold_of) for name in (each.category, each.held)) for each in pairs
    ]
    return CalibrationReport(
        target=target,
        min_pairs=min_pairs,
        n=len(pairs),
        exact=len(outcomes) - len(pairs),
        now=_figures(pairs, np.array([each.now for each in pairs])),
        then=_figures(pairs, _similarities(pairs) >= np.array(needed)),
        categories=tuple(advice),
        pooled=tuple(pooled),
    )


def wilson_low(right: int, hits: int) -> float:
    """The lower end of the 95 % interval of a share: `right` of `hits`, `hits` at least 1 (Wilson 1927)."""
    share, weight = right / hits, Z95 * Z95 / hits
    spread = Z95 * sqrt(share * (1 - share) / hits + weight / (4 * hits))
    return max(0.0, (share + weight / 2 - spread) / (1 + weight))


def _advise(name: str, pairs: Sequence[Outcome], target: float, now: float | None, floor: float) -> Advice:
    """The lowest threshold that reaches the target. Below `floor`, the shipped one, only if the lower end of
    the precision's interval reaches it too: a few lucky hits are no reason to let more through."""
    similarity = _similarities(pairs)
    found: float | None = None
    then = _figures(pairs, np.zeros(len(pairs), dtype=bool))
    for threshold in CANDIDATES:
        reached = _figures(pairs, similarity >= threshold)
        hits = int((similarity >= threshold).sum())
        if reached.precision is None or reached.precision < target:
            continue
        if threshold >= floor or wilson_low(hits - reached.false_hits, hits) >= target:
            found, then = threshold, reached
            break
    hits = 0 if found is None else int((similarity >= found).sum())
    return Advice(
        category=name,
        pairs=len(pairs),
        threshold=found,
        hits=hits,
        low=wilson_low(hits - then.false_hits, hits) if hits else None,
        then=then,
        threshold_now=now,
        now=_figures(pairs, np.array([each.now for each in pairs])),
    )


def _of(thresholds: dict[str, float], category: str, shipped: Callable[[str], float]) -> float:
    """A category without a threshold of its own here keeps the shipped one."""
    return thresholds[category] if category in thresholds else shipped(category)


def _similarities(pairs: Sequence[Outcome]) -> NDArray[np.float64]:
    return np.array([each.similarity for each in pairs], dtype=np.float64)


def _figures(pairs: Sequence[Outcome], answered: NDArray[np.bool_]) -> Figures:
    same = np.array([each.same for each in pairs])
    return figures(answered, same, int(same.sum()))


def _label(category: str) -> str:
    return category or NO_CATEGORY


def _line(advice: Advice) -> str:
    threshold = "off" if advice.threshold is None else f"{advice.threshold:.3f}"
    change = advice.now.hit_rate - advice.then.hit_rate
    return (
        f"{_label(advice.category):<18}{advice.pairs:>7}{threshold:>11}{advice.hits:>7}"
        f"{ratio(advice.then.precision):>11}{ratio(advice.low):>10}{ratio(advice.then.recall):>9}"
        f"{advice.then.hit_rate:>10.4f}{advice.now.hit_rate:>9.4f}{change:>+9.4f}"
    )
