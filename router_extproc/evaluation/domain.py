"""How often a domain head is right, and whether its probabilities can be believed.

Pure numpy over labels and probabilities that were computed elsewhere.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from router_extproc.evaluation.reliability import Bin, reliability

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
CALIBRATION_BINS = 15


@dataclass(frozen=True, slots=True)
class LabelScore:
    """`precision` is 0 when nothing was predicted as `label`, `recall` when nothing is."""

    label: str
    rows: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """At `threshold`: the share of rows whose best probability reaches it, and the accuracy on those
    (None when there are none)."""

    threshold: float
    coverage: float
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class KindScore:
    """Of the rows that somebody put into one kind."""

    rows: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class DomainReport:
    """`macro_f1` averages over the labels that occur. `calibration_error` is the expected calibration
    error over 15 equal bins (Guo et al. 2017). `shipped` is at the configuration's threshold, None where
    none was given. `kinds` has what rows were told to be of. `confusion[true][predicted]` counts rows.
    `reliability` has the rows by the probability of the label that was said."""

    n: int
    accuracy: float
    macro_f1: float
    calibration_error: float
    shipped: Coverage | None
    kinds: Mapping[str, KindScore]
    per_label: tuple[LabelScore, ...]
    coverage: tuple[Coverage, ...]
    confusion: Mapping[str, Mapping[str, int]]
    reliability: tuple[Bin, ...]

    def as_json(self) -> dict[str, object]:
        """JSON-ready; `n`, `accuracy` and `macro_f1` come first."""
        return asdict(self)

    def as_text(self) -> str:
        """A table for a terminal: totals, each label, each threshold."""
        lines = [
            f"rows {self.n}  accuracy {self.accuracy:.4f}  macro F1 {self.macro_f1:.4f}  "
            f"calibration error {self.calibration_error:.4f}",
            "",
            f"{'label':<20}{'rows':>6}{'precision':>11}{'recall':>8}{'F1':>8}",
        ]
        lines += [
            f"{score.label:<20}{score.rows:>6}{score.precision:>11.3f}{score.recall:>8.3f}{score.f1:>8.3f}"
            for score in self.per_label
        ]
        if self.kinds:
            lines += ["", f"{'kind':<20}{'rows':>6}{'accuracy':>11}"]
            lines += [
                f"{kind:<20}{score.rows:>6}{score.accuracy:>11.3f}" for kind, score in self.kinds.items()
            ]
        lines += ["", f"{'threshold':<10}{'coverage':>10}{'accuracy':>10}"]
        lines += [_line(point, "") for point in self.coverage]
        if self.shipped is not None:
            lines.append(_line(self.shipped, " as configured"))
        return "\n".join(lines)


def evaluate_domain(
    labels: Sequence[str],
    probabilities: Sequence[Mapping[str, float]],
    threshold: float | None = None,
    kinds: Sequence[str | None] | None = None,
) -> DomainReport:
    """Compare the most probable label of each row with its true one.

    All sequences have the same length, at least 1, and every mapping the same keys; otherwise
    ValueError. A true label that the head does not know counts as wrong. `threshold` is the configuration's;
    `kinds` groups the rows, None for a row of no kind.
    """
    if not labels or len(labels) != len(probabilities) or (kinds is not None and len(kinds) != len(labels)):
        raise ValueError("labels, probabilities and kinds must have the same length, at least 1")
    known = list(probabilities[0])
    if any(row.keys() != probabilities[0].keys() for row in probabilities):
        raise ValueError("every row must have probabilities of the same labels")
    names = known + sorted(set(labels) - set(known))
    table = np.array([[row[name] for name in known] for row in probabilities], dtype=np.float64)
    true = np.array([names.index(label) for label in labels])
    predicted, confidence = table.argmax(axis=1), table.max(axis=1)
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(confusion, (true, predicted), 1)
    scores = tuple(_score(name, i, confusion) for i, name in enumerate(names))
    right = predicted == true
    return DomainReport(
        n=len(labels),
        accuracy=float(right.mean()),
        macro_f1=float(np.mean([score.f1 for score in scores if score.rows])),
        calibration_error=calibration_error(confidence, right),
        shipped=None if threshold is None else _coverage(threshold, confidence, right),
        kinds=_kinds(kinds or (), right),
        per_label=scores,
        coverage=tuple(_coverage(threshold, confidence, right) for threshold in THRESHOLDS),
        confusion={
            name: {other: int(confusion[i, j]) for j, other in enumerate(names) if confusion[i, j]}
            for i, name in enumerate(names)
        },
        reliability=reliability(np.clip(confidence, 0.0, 1.0), right),
    )


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Mean distance between confidence and accuracy over equal bins, weighted by rows."""
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def _kinds(kinds: Sequence[str | None], right: NDArray[np.bool_]) -> dict[str, KindScore]:
    by_kind: defaultdict[str, list[bool]] = defaultdict(list)
    for kind, hit in zip(kinds, right.tolist(), strict=False):
        if kind is not None:
            by_kind[kind].append(hit)
    return {kind: KindScore(len(hits), sum(hits) / len(hits)) for kind, hits in sorted(by_kind.items())}


def _line(point: Coverage, remark: str) -> str:
    accuracy = "-" if point.accuracy is None else f"{point.accuracy:.3f}"
    return f"{point.threshold:<10.2f}{point.coverage:>10.3f}{accuracy:>10}{remark}"


def _score(label: str, index: int, confusion: NDArray[np.int64]) -> LabelScore:
    hits, rows, predicted = confusion[index, index], confusion[index].sum(), confusion[:, index].sum()
    return LabelScore(
        label=label,
        rows=int(rows),
        precision=float(hits / predicted) if predicted else 0.0,
        recall=float(hits / rows) if rows else 0.0,
        f1=float(2 * hits / (rows + predicted)) if rows + predicted else 0.0,
    )


def _coverage(threshold: float, confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> Coverage:
    covered = confidence >= threshold
    accuracy = float(right[covered].mean()) if covered.any() else None
    return Coverage(threshold=threshold, coverage=float(covered.mean()), accuracy=accuracy)
