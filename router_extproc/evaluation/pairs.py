"""What a similarity threshold would do to a cache: how often it hits, and how often wrongly.

Pure numpy over pairs of vectors that were computed elsewhere. A pair stands for a stored question and a
new one; it is a hit when their cosine reaches the threshold, and a false hit when they do not mean the same.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

THRESHOLDS = (*(round(0.5 + 0.025 * step, 3) for step in range(20)), 0.99)


@dataclass(frozen=True, slots=True)
class Point:
    """At `threshold`: `hit_rate` is the share of all pairs that hit, `precision` the share of hits that
    are right (None without hits), `recall` the share of equal pairs that hit (None without such pairs)."""

    threshold: float
    hit_rate: float
    precision: float | None
    recall: float | None
    false_hits: int


@dataclass(frozen=True, slots=True)
class PairsReport:
    """The point at the asked threshold, spelt out, and the curve around it."""

    n: int
    threshold: float
    hit_rate: float
    precision: float | None
    recall: float | None
    false_hits: int
    same: int
    curve: tuple[Point, ...]

    def as_json(self) -> dict[str, object]:
        """JSON-ready; the asked threshold's figures come first, `curve` last."""
        return asdict(self)

    def as_text(self) -> str:
        """A table for a terminal; the asked threshold is marked."""
        lines = [
            f"pairs {self.n}  same {self.same}",
            "",
            f"{'threshold':<12}{'hit rate':>9}{'precision':>11}{'recall':>8}{'false hits':>12}",
        ]
        for point in self.curve:
            mark = " <" if point.threshold == self.threshold else ""
            lines.append(
                f"{point.threshold:<12.3f}{point.hit_rate:>9.4f}{_ratio(point.precision):>11}"
                f"{_ratio(point.recall):>8}{point.false_hits:>12}{mark}"
            )
        return "\n".join(lines)


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row by row, of unit vectors: two of shape (n, dimension) to (n,)."""
    result: NDArray[np.float32] = np.einsum("ij,ij->i", a, b)
    return result


def evaluate_pairs(
    similarity: NDArray[np.float32],
    same: ArrayLike,
    threshold: float,
    thresholds: Sequence[float] = THRESHOLDS,
) -> PairsReport:
    """`similarity` and `same` have shape (n,), n at least 1, all finite; otherwise ValueError.

    The curve covers `thresholds` and the asked one, in ascending order.
    """
    truth = np.asarray(same, dtype=bool)
    if similarity.ndim != 1 or similarity.shape != truth.shape or not similarity.size:
        raise ValueError("similarity and same must be of the same length, at least 1")
    if not np.isfinite(similarity).all():
        raise ValueError("a similarity is not finite")
    cuts = np.array(sorted({*thresholds, threshold}), dtype=np.float64)
    hits = _reaching(similarity, cuts)
    right = _reaching(similarity[truth], cuts)
    equal = int(truth.sum())
    curve = tuple(
        Point(
            threshold=float(cut),
            hit_rate=hit / len(truth),
            precision=good / hit if hit else None,
            recall=good / equal if equal else None,
            false_hits=hit - good,
        )
        for cut, hit, good in zip(cuts.tolist(), hits.tolist(), right.tolist(), strict=True)
    )
    asked = next(point for point in curve if point.threshold == threshold)
    return PairsReport(
        n=len(truth),
        threshold=threshold,
        hit_rate=asked.hit_rate,
        precision=asked.precision,
        recall=asked.recall,
        false_hits=asked.false_hits,
        same=equal,
        curve=curve,
    )


def _reaching(values: NDArray[np.float32], cuts: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each cut, how many values are at or above it."""
    ordered = np.sort(values.astype(np.float64))
    return len(ordered) - np.searchsorted(ordered, cuts, side="left").astype(np.int64)


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
