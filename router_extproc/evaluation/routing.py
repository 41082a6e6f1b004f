"""What routing between a weak and a strong model gains, and what it costs, along the share of strong calls.

Pure numpy over outcomes and scores that were computed elsewhere. The measures are RouteLLM's (Ong et al.
2024): the performance gap recovered (PGR) is (quality - weak's) / (strong's - weak's), APGR the area under it
over the share of calls that go to the strong model, CPT(x) the least such share with a PGR of x.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

SHARES = tuple(step / 20 for step in range(21))
"""Shares of strong calls at which the report shows the curve."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What one call costs, in any unit; the report shows shares of always calling the strong model."""

    weak: float
    strong: float

    def cost(self, share: float) -> float:
        """The cost with `share` of the calls at the strong model, relative to all of them there."""
        return (share * self.strong + (1 - share) * self.weak) / self.strong


@dataclass(frozen=True, slots=True)
class Mark:
    """The curve at one share of strong calls. `quality` is the share of right answers; `random_quality` is
    that of sending the same share there by lot. `cost` is None where prices are not known."""

    strong_share: float
    quality: float
    pgr: float
    cost: float | None
    random_quality: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """A complexity signal of the configuration."""

    name: str
    hard_above: float
    easy_below: float


@dataclass(frozen=True, slots=True)
class Shipped:
    """What a signal of the configuration does: calls with P(strong) of at least `hard_above` go to the
    strong model. `easy_share` has at most `easy_below`."""

    threshold: Threshold
    easy_share: float
    at: Mark


@dataclass(frozen=True, slots=True)
class RoutingReport:
    """`oracle` is the best quality possible, of always taking a model that is right, and `oracle_share` the
    calls to the strong model that it needs. Costs are relative to always calling the strong model."""

    n: int
    apgr: float
    cpt50: float
    cpt80: float
    weak_quality: float
    strong_quality: float
    weak_cost: float | None
    oracle: float
    oracle_share: float
    curve: tuple[Mark, ...]
    shipped: tuple[Shipped, ...]

    def as_json(self) -> dict[str, object]:
        """JSON-ready; `n`, `apgr`, `cpt50` and `cpt80` come first, then `curve`."""
        document = asdict(self)
        figures = {name: document.pop(name) for name in ("n", "apgr", "cpt50", "cpt80", "curve")}
        random = {"apgr": 0.5, "cpt50": 0.5, "cpt80": 0.8}
        always = {
            "always_weak": {"quality": self.weak_quality, "cost": self.weak_cost},
            "always_strong": {
                "quality": self.strong_quality,
                "cost": None if self.weak_cost is None else 1.0,
            },
        }
        return {**figures, "random": random, **always, **document}

    def as_text(self) -> str:
        """A table for a terminal."""
        lines = [
            f"rows {self.n}  APGR {self.apgr:.4f}  CPT(50) {self.cpt50:.4f}  CPT(80) {self.cpt80:.4f}  "
            "(random: 0.5000, 0.5000, 0.8000)",
            f"always weak: quality {self.weak_quality:.4f}, cost {_number(self.weak_cost)}; always strong: "
            f"quality {self.strong_quality:.4f}, cost 1; best possible: quality {self.oracle:.4f} with "
            f"{self.oracle_share:.4f} strong calls",
            "",
            f"{'strong calls':<14}{'quality':>9}{'gap recovered':>15}{'cost':>9}{'quality at random':>19}",
        ]
        lines += [_line(mark) for mark in self.curve]
        for each in self.shipped:
            lines += [
                "",
                f"{each.threshold.name}: {each.at.strong_share:.4f} of the calls at hard_above "
                f"{each.threshold.hard_above:g}, {each.easy_share:.4f} easy at easy_below "
                f"{each.threshold.easy_below:g}",
                _line(each.at),
            ]
        return "\n".join(lines)


def evaluate_routing(
    weak_ok: Sequence[bool],
    strong_ok: Sequence[bool],
    strong: Sequence[float],
    prices: Prices | None = None,
    thresholds: Sequence[Threshold] = (),
) -> RoutingReport:
    """`strong` are the probabilities by which calls go to the strong model, the highest first; rows of equal
    ones go in an order drawn by lot, of which the report has the expectation. `thresholds` are the
    configuration's.

    All three sequences have one length, at least 1, and the strong model is right more often than the weak
    one; otherwise ValueError.
    """
    weak, better = np.array(weak_ok, dtype=np.int64), np.array(strong_ok, dtype=np.int64)
    scores = np.array(strong, dtype=np.float64)
    if not (weak.size == better.size == scores.size > 0):
        raise ValueError("outcomes and probabilities must have one length, at least 1")
    n, gap = weak.size, int(better.sum() - weak.sum())
    if gap <= 0:
        raise ValueError("the strong model is not right more often than the weak one")
    shares, recovered = _curve(scores, better - weak)
    low, high = float(weak.mean()), float(better.mean())

    def cost(share: float) -> float | None:
        return None if prices is None else prices.cost(share)

    def mark(share: float) -> Mark:
        pgr = float(np.interp(share, shares, recovered))
        return Mark(share, low + pgr * (high - low), pgr, cost(share), low + share * (high - low))

    return RoutingReport(
        n=n,
        apgr=float(np.trapezoid(recovered, shares)),
        cpt50=_least_share(shares, recovered, 0.5),
        cpt80=_least_share(shares, recovered, 0.8),
        weak_quality=low,
        strong_quality=high,
        weak_cost=cost(0.0),
        oracle=float((weak | better).mean()),
        oracle_share=float(((better - weak) > 0).mean()),
        curve=tuple(mark(share) for share in SHARES),
        shipped=tuple(
            Shipped(
                threshold=each,
                easy_share=float((scores <= each.easy_below).mean()),
                at=mark(float((scores >= each.hard_above).mean())),
            )
            for each in thresholds
        ),
    )


def _curve(
    scores: NDArray[np.float64], gains: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corners of the curve: shares from 0 to 1, and the gap recovered. Equal scores make one straight
    line."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    counts = np.arange(1, scores.size + 1)[last]
    total = np.cumsum(gains[order])[last]
    return np.append(0.0, counts / scores.size), np.append(0.0, total / gains.sum())


def _least_share(shares: NDArray[np.float64], recovered: NDArray[np.float64], target: float) -> float:
    """Where the curve first reaches `target`, in (0, 1]; it ends at 1."""
    after = int(np.argmax(recovered >= target))
    before = after - 1
    rise = recovered[after] - recovered[before]
    return float(shares[before] + (shares[after] - shares[before]) * (target - recovered[before]) / rise)


def _line(mark: Mark) -> str:
    return (
        f"{mark.strong_share:<14.4f}{mark.quality:>9.4f}{mark.pgr:>15.4f}{_number(mark.cost):>9}"
        f"{mark.random_quality:>19.4f}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
