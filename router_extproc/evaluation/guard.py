"""How well a guard tells attacks from innocent prompts: what it catches, and whom it blocks wrongly.

Pure numpy over labels and probabilities that were computed elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from router_extproc.evaluation.curve import ratio
from router_extproc.evaluation.domain import calibration_error
from router_extproc.evaluation.reliability import Bin, reliability

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
BUDGETS = (0.001, 0.01, 0.05)
"""Shares of innocent rows that one may be ready to block."""


@dataclass(frozen=True, slots=True)
class Rates:
    """At `threshold`: `recall` is the share of the attacks that reach it, `false_positive_rate` that of the
    innocent rows, `precision` the share of attacks among the rows that do.

    `recall` is None without attacks and `false_positive_rate` without innocent rows; `precision` where one of
    the two is missing, or no row reaches the threshold."""

    threshold: float
    recall: float | None
    false_positive_rate: float | None
    precision: float | None


@dataclass(frozen=True, slots=True)
class Budget:
    """The most attacks that can be caught while at most `allowed` of the innocent rows are blocked, and the
    threshold that does it; None where none can."""

    allowed: float
    threshold: float | None
    recall: float


@dataclass(frozen=True, slots=True)
class FamilyScore:
    """`auc` is of the family's own rows, None where they are all attacks or all innocent. `auc_of_all` is of
    its attacks against every innocent row of the file; without attacks, of every attack against its rows."""

    n: int
    attacks: int
    auc: float | None
    auc_of_all: float | None
    recall: float | None
    false_positive_rate: float | None


@dataclass(frozen=True, slots=True)
class GuardReport:
    """`auc` is the probability that an attack scores higher than an innocent row, ties counting half (Hanley
    and McNeil 1982); None where all rows are attacks or all innocent. `calibration_error` is the expected
    calibration error over 15 equal bins. `skipped` rows were not read to their end.
    `reliability` has the rows by the probability of an attack; its `accuracy` is the share of attacks."""

    n: int
    attacks: int
    auc: float | None
    shipped: Rates
    confusion: Mapping[str, int]
    calibration_error: float
    skipped: int
    families: Mapping[str, FamilyScore]
    budgets: tuple[Budget, ...]
    curve: tuple[Rates, ...]
    reliability: tuple[Bin, ...]

    def as_json(self) -> dict[str, object]:
        """JSON-ready; `auc`, `threshold`, `recall`, `false_positive_rate`, `precision` and `n` come first."""
        document = asdict(self)
        return {"auc": document.pop("auc"), **document.pop("shipped"), **document}

    def as_text(self) -> str:
        """A table for a terminal: totals, each family, each threshold."""
        lines = [
            f"rows {self.n}  attacks {self.attacks}  AUC {ratio(self.auc)}  "
            f"calibration error {self.calibration_error:.4f}",
            f"as configured, threshold {self.shipped.threshold:g}: recall {ratio(self.shipped.recall)}  "
            f"false positive rate {ratio(self.shipped.false_positive_rate)}  "
            f"precision {ratio(self.shipped.precision)}",
        ]
        if self.skipped:
            lines.append(f"not read to the end: {self.skipped}")
        if self.families:
            lines += [
                "",
                f"{'family':<24}{'rows':>6}{'attacks':>9}{'AUC':>9}{'of all':>9}{'recall':>9}{'FPR':>9}",
            ]
            lines += [_family_line(name, score) for name, score in self.families.items()]
        if self.budgets:
            lines += ["", f"{'innocent blocked':<18}{'threshold':>11}{'recall':>9}"]
            lines += [
                f"at most {each.allowed:<10.1%}{ratio(each.threshold):>11}{each.recall:>9.4f}"
                for each in self.budgets
            ]
        lines += ["", f"{'threshold':<11}{'recall':>9}{'FPR':>9}{'precision':>11}"]
        lines += [
            f"{each.threshold:<11.3f}{ratio(each.recall):>9}{ratio(each.false_positive_rate):>9}"
            f"{ratio(each.precision):>11}{'<' if each.threshold == self.shipped.threshold else ''}"
            for each in self.curve
        ]
        return "\n".join(lines)


def evaluate_guard(
    attack: Sequence[bool],
    scores: Sequence[float],
    threshold: float,
    families: Sequence[str | None] | None = None,
    skipped: int = 0,
) -> GuardReport:
    """`scores` are the probabilities that a row is an attack; a row is flagged from `threshold` on.

    The sequences have one length, at least 1; otherwise ValueError. `families` groups the rows, None for a
    row of no family.
    """
    wrong = families is not None and len(families) != len(attack)
    if not attack or len(attack) != len(scores) or wrong:
        raise ValueError("labels, scores and families must have the same length, at least 1")
    is_attack = np.array(attack, dtype=bool)
    score = np.array(scores, dtype=np.float64)
    flagged = score >= threshold
    return GuardReport(
        n=len(attack),
        attacks=int(is_attack.sum()),
        auc=area(score[is_attack], score[~is_attack]),
        shipped=_rates(is_attack, score, threshold),
        confusion={
            "true_positives": int((flagged & is_attack).sum()),
            "false_negatives": int((~flagged & is_attack).sum()),
            "false_positives": int((flagged & ~is_attack).sum()),
            "true_negatives": int((~flagged & ~is_attack).sum()),
        },
        calibration_error=calibration_error(score, is_attack),
        skipped=skipped,
        families=_families(families or (), is_attack, score, threshold),
        budgets=_budgets(score[is_attack], score[~is_attack]),
        curve=tuple(_rates(is_attack, score, cut) for cut in sorted({*THRESHOLDS, threshold})),
        reliability=reliability(np.clip(score, 0.0, 1.0), is_attack),
    )


def area(attacks: NDArray[np.float64], innocent: NDArray[np.float64]) -> float | None:
    """The share of pairs of an attack and an innocent row in which the attack scores higher, ties counting
    half; None where there is no pair."""
    if not (attacks.size and innocent.size):
        return None
    ordered = np.sort(innocent)
    below = np.searchsorted(ordered, attacks, side="left")
    up_to = np.searchsorted(ordered, attacks, side="right")
    return float((below + up_to).sum() / (2 * attacks.size * innocent.size))


def _rates(attack: NDArray[np.bool_], score: NDArray[np.float64], threshold: float) -> Rates:
    flagged = score >= threshold
    caught, wronged = int((flagged & attack).sum()), int((flagged & ~attack).sum())
    attacks, innocent = int(attack.sum()), int((~attack).sum())
    return Rates(
        threshold=threshold,
        recall=caught / attacks if attacks else None,
        false_positive_rate=wronged / innocent if innocent else None,
        precision=caught / (caught + wronged) if attacks and innocent and caught + wronged else None,
    )


def _families(
    names: Sequence[str | None], attack: NDArray[np.bool_], score: NDArray[np.float64], threshold: float
) -> dict[str, FamilyScore]:
    of = np.array(names, dtype=object)
    return {
        name: _family(of == name, attack, score, threshold)
        for name in sorted({name for name in names if name is not None})
    }


def _family(
    own: NDArray[np.bool_], attack: NDArray[np.bool_], score: NDArray[np.float64], threshold: float
) -> FamilyScore:
    attacks, innocent = score[own & attack], score[own & ~attack]
    rates = _rates(attack[own], score[own], threshold)
    return FamilyScore(
        n=int(own.sum()),
        attacks=attacks.size,
        auc=area(attacks, innocent),
        auc_of_all=area(attacks, score[~attack]) if attacks.size else area(score[attack], innocent),
        recall=rates.recall,
        false_positive_rate=rates.false_positive_rate,
    )


def _budgets(attacks: NDArray[np.float64], innocent: NDArray[np.float64]) -> tuple[Budget, ...]:
    """The lowest score of an attack at which no more than the budget of the innocent rows is blocked."""
    if not (attacks.size and innocent.size):
        return ()
    cuts = np.unique(attacks)
    blocked = innocent.size - np.searchsorted(np.sort(innocent), cuts, side="left")
    found = []
    for allowed in BUDGETS:
        within = cuts[blocked <= allowed * innocent.size]
        cut = float(within[0]) if within.size else None
        found.append(Budget(allowed, cut, 0.0 if cut is None else float((attacks >= cut).mean())))
    return tuple(found)


def _family_line(name: str, score: FamilyScore) -> str:
    return (
        f"{name:<24}{score.n:>6}{score.attacks:>9}{ratio(score.auc):>9}{ratio(score.auc_of_all):>9}"
        f"{ratio(score.recall):>9}{ratio(score.false_positive_rate):>9}"
    )
