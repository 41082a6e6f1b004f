"""The report of a fitted domain head, as Markdown. Contains figures and names of sets, never their texts."""

from collections.abc import Sequence
from dataclasses import dataclass

from router_extproc.evaluation.domain import DomainReport
from training.sources import Examples


@dataclass(frozen=True, slots=True)
class Fitted:
    """Everything the report tells. `trials` pairs a penalty with its cross-validated accuracy."""

    seed: int
    folds: int
    encoder: str
    temperature: float
    trials: tuple[tuple[float, float], ...]
    penalty: float
    fitted_on: tuple[Examples, ...]
    held_out: Examples
    held_out_report: DomainReport
    others: tuple[tuple[Examples, DomainReport], ...]
    everyday: DomainReport


def render(fitted: Fitted) -> str:
    """The whole report; written by `python -m training.domain`, not by hand."""
    report = fitted.held_out_report
    parts = [
        "# Domain head",
        "Written by `python -m training.domain`; do not edit.",
        f"Encoder `{fitted.encoder}`, frozen. Multinomial logistic regression, C = {fitted.penalty:g}, "
        f"temperature {fitted.temperature:.4f}, seed {fitted.seed}.",
        "## Data",
        _data(fitted),
        "## Choice of the penalty",
        f"{fitted.folds}-fold cross-validation on the first set; the smallest C within one standard error "
        "of the best is taken.",
        _table(("C", "accuracy"), [(f"{c:g}", f"{accuracy:.4f}") for c, accuracy in fitted.trials]),
        f"## Result on {fitted.held_out.name}",
        f"{report.n} rows, accuracy **{report.accuracy:.4f}**, macro F1 **{report.macro_f1:.4f}**, "
        f"expected calibration error {report.calibration_error:.4f}.",
        _labels(report),
        "### When only confident predictions count",
        _coverage(report),
        "## Other kinds of text",
        "Rows of the additional sets that were not fitted on, and prompts of our own "
        "(`everyday_prompts.jsonl`), which are only measured.",
        _others(fitted),
    ]
    return "\n\n".join(parts) + "\n"


def _data(fitted: Fitted) -> str:
    rows = [(e.name, str(len(e.texts)), e.licence, "fitting") for e in fitted.fitted_on]
    held = fitted.held_out
    rows.append((held.name, str(len(held.texts)), held.licence, "this report"))
    return _table(("set", "rows", "licence", "used for"), rows)


def _labels(report: DomainReport) -> str:
    rows = [
        (score.label, str(score.rows), f"{score.precision:.3f}", f"{score.recall:.3f}", f"{score.f1:.3f}")
        for score in report.per_label
    ]
    return _table(("category", "rows", "precision", "recall", "F1"), rows)


def _coverage(report: DomainReport) -> str:
    rows = [
        (
            f"{point.threshold:.1f}",
            f"{point.coverage:.3f}",
            "-" if point.accuracy is None else f"{point.accuracy:.3f}",
        )
        for point in report.coverage
    ]
    return _table(("threshold", "share of rows", "accuracy on them"), rows)


def _others(fitted: Fitted) -> str:
    named = [(examples.name, report) for examples, report in fitted.others]
    named.append(("everyday_prompts.jsonl", fitted.everyday))
    rows = []
    for name, report in named:
        half = next(point for point in report.coverage if point.threshold == 0.5)
        sure = "-" if half.accuracy is None else f"{half.accuracy:.3f}"
        rows.append((name, str(report.n), f"{report.accuracy:.3f}", f"{half.coverage:.3f}", sure))
    return _table(("set", "rows", "accuracy", "share at 0.5", "accuracy at 0.5"), rows)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
