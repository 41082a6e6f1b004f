"""How often a cache hits, and how often wrongly: as configured, and over thresholds with and without guard.

Pure numpy over verdicts that were reached elsewhere.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from router_extproc.evaluation.judge import LOWEST, Nearest, Verdict

THRESHOLDS = (*(round(LOWEST + 0.025 * step, 3) for step in range(20)), 0.99)


@dataclass(frozen=True, slots=True)
class Figures:
    """`hit_rate` is the share of all questions that are answered, `precision` the share of the answers that
    are right (None without answers), `recall` the share of the questions with a right answer in the cache
    that get it (None without such questions), `false_hits` the number of wrong answers."""

    hit_rate: float
    precision: float | None
    recall: float | None
    false_hits: int


@dataclass(frozen=True, slots=True)
class Point:
    """Figures at one threshold for every category."""

    threshold: float
    guarded: Figures
    without_guard: Figures

    def as_json(self) -> dict[str, object]:
        return {
            "threshold": self.threshold,
            **asdict(self.guarded),
            "without_guard": asdict(self.without_guard),
        }


@dataclass(frozen=True, slots=True)
class CacheReport:
    """`shipped` are the figures of the configuration, whose default threshold is `threshold`. Where a
    category has a threshold or a mode of its own, they are of no point of the curve."""

    n: int
    threshold: float
    shipped: Figures
    curve: tuple[Point, ...]

    def as_json(self) -> dict[str, object]:
        """JSON-ready; `n`, `threshold`, the shipped figures, then `curve`."""
        return {
            "n": self.n,
            "threshold": self.threshold,
            **asdict(self.shipped),
            "curve": [point.as_json() for point in self.curve],
        }

    def as_text(self) -> str:
        """A table for a terminal; the default threshold is marked."""
        lines = [
            f"as shipped, threshold {self.threshold:g}: hit rate {self.shipped.hit_rate:.4f}  "
            f"precision {ratio(self.shipped.precision)}  recall {ratio(self.shipped.recall)}  "
            f"false hits {self.shipped.false_hits} of {self.n}",
            "",
            f"{'':<11}{'with the guard':<41}without",
            (
                f"{'threshold':<11}" + 2 * f"{'hit rate':<10}{'precision':<11}{'recall':<8}{'false hits':<12}"
            ).rstrip(),
        ]
        for point in self.curve:
            mark = "<" if point.threshold == self.threshold else ""
            cells = "".join(_cells(figures) for figures in (point.guarded, point.without_guard))
            lines.append(f"{point.threshold:<11.3f}{cells}{mark}".rstrip())
        return "\n".join(lines)


def measure(
    verdicts: Sequence[Verdict],
    expected: Sequence[str | None],
    threshold: float,
    thresholds: Sequence[float] = THRESHOLDS,
) -> CacheReport:
    """Compare each verdict with the answer that was expected, None where none was.

    Both are of one length, at least 1; otherwise ValueError. The curve covers `thresholds` and the default
    `threshold`, in ascending order.
    """
    if not verdicts or len(verdicts) != len(expected):
        raise ValueError("verdicts and expected answers must be of the same length, at least 1")
    wanted = sum(answer is not None for answer in expected)
    guarded = _reach([verdict.guarded for verdict in verdicts], expected)
    bare = _reach([verdict.bare for verdict in verdicts], expected)
    answered = np.array([verdict.shipped is not None for verdict in verdicts])
    right = np.array([verdict.shipped == answer for verdict, answer in zip(verdicts, expected, strict=True)])
    return CacheReport(
        n=len(verdicts),
        threshold=threshold,
        shipped=figures(answered, right, wanted),
        curve=tuple(
            Point(cut, _at(cut, *guarded, wanted), _at(cut, *bare, wanted))
            for cut in sorted({*thresholds, threshold})
        ),
    )


def figures(answered: NDArray[np.bool_], right: NDArray[np.bool_], wanted: int) -> Figures:
    """`answered` and `right` have shape (n,), n at least 1; `right` counts where something was answered.
    `wanted` is the number of questions with a right answer."""
    hits = int(answered.sum())
    good = int((answered & right).sum())
    return Figures(
        hit_rate=hits / len(answered),
        precision=good / hits if hits else None,
        recall=good / wanted if wanted else None,
        false_hits=hits - good,
    )


def ratio(value: float | None) -> str:
    """Four decimals, or a dash."""
    return "-" if value is None else f"{value:.4f}"


def _reach(
    found: Sequence[Nearest], expected: Sequence[str | None]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    similarity = np.array([each.similarity for each in found], dtype=np.float64)
    right = [each.answer == answer for each, answer in zip(found, expected, strict=True)]
    return similarity, np.array(right, dtype=bool)


def _at(cut: float, similarity: NDArray[np.float64], right: NDArray[np.bool_], wanted: int) -> Figures:
    return figures(similarity >= cut, right, wanted)


def _cells(figures: Figures) -> str:
    return (
        f"{figures.hit_rate:<10.4f}{ratio(figures.precision):<11}"
        f"{ratio(figures.recall):<8}{figures.false_hits:<12}"
    )
