"""Figures of a domain head, against values worked out by hand."""

import json
from collections.abc import Mapping

import numpy as np
import pytest

from router_extproc.evaluation.domain import DomainReport, LabelScore, calibration_error, evaluate_domain


def _row(law: float, math: float) -> Mapping[str, float]:
    return {"law": law, "math": math, "other": round(1 - law - math, 6)}


@pytest.fixture
def report() -> DomainReport:
    labels = ["law", "law", "math", "math", "zoology"]
    rows = [_row(0.9, 0.1), _row(0.2, 0.7), _row(0.1, 0.8), _row(0.0, 0.6), _row(0.55, 0.0)]
    return evaluate_domain(labels, rows)


def test_totals(report: DomainReport) -> None:
    assert report.n == 5
    assert report.accuracy == pytest.approx(3 / 5)
    assert report.macro_f1 == pytest.approx((0.5 + 0.8 + 0) / 3)


def test_each_label_has_its_score(report: DomainReport) -> None:
    law, math, other, unknown = report.per_label
    assert law == LabelScore("law", 2, precision=0.5, recall=0.5, f1=0.5)
    assert math == LabelScore("math", 2, precision=2 / 3, recall=1.0, f1=0.8)
    assert other == LabelScore("other", 0, precision=0.0, recall=0.0, f1=0.0)
    assert unknown == LabelScore("zoology", 1, precision=0.0, recall=0.0, f1=0.0)


def test_confusion_counts_true_by_predicted(report: DomainReport) -> None:
    assert report.confusion == {
        "law": {"law": 1, "math": 1},
        "math": {"math": 2},
        "other": {},
        "zoology": {"law": 1},
    }


def test_coverage_shrinks_as_the_threshold_grows(report: DomainReport) -> None:
    found = {point.threshold: (point.coverage, point.accuracy) for point in report.coverage}
    assert found[0.5] == (1.0, 0.6)
    assert found[0.6] == (0.8, 0.75)
    assert found[0.8] == (0.4, 1.0)


def test_no_confident_row_means_no_accuracy() -> None:
    report = evaluate_domain(["law"], [_row(0.4, 0.3)])
    assert [point.accuracy for point in report.coverage if point.threshold > 0.4] == [None] * 4
    assert "-" in report.as_text().splitlines()[-1]


def test_calibration_error_is_the_weighted_gap() -> None:
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.5, 1.0])
    right = np.array([True, True, True, False, False, True])
    assert calibration_error(confidence, right) == pytest.approx((abs(4 * 0.95 + 1 - 4) + 0.5) / 6)


def test_rows_are_listed_by_the_confidence_of_what_was_said(report: DomainReport) -> None:
    found = {each.low: (each.rows, each.accuracy) for each in report.reliability if each.rows}
    assert found == {0.5: (1, 0.0), 0.6: (1, 1.0), 0.7: (1, 0.0), 0.8: (1, 1.0), 0.9: (1, 1.0)}


def test_json_begins_with_the_figures_people_read(report: DomainReport) -> None:
    document = json.loads(json.dumps(report.as_json()))
    assert list(document)[:3] == ["n", "accuracy", "macro_f1"]
    assert document["per_label"][0]["label"] == "law"


def test_the_table_has_a_line_for_each_label(report: DomainReport) -> None:
    text = report.as_text()
    assert "accuracy 0.6000" in text
    assert all(any(line.startswith(name) for line in text.splitlines()) for name in ("law", "zoology"))


@pytest.mark.parametrize(
    ("labels", "rows"), [([], []), (["law"], []), (["law", "law"], [_row(1, 0), {"law": 1.0}])]
)
def test_rows_that_do_not_match_are_refused(labels: list[str], rows: list[Mapping[str, float]]) -> None:
    with pytest.raises(ValueError, match=r"same (length|labels)"):
        evaluate_domain(labels, rows)


def test_the_configured_threshold_has_a_line_of_its_own() -> None:
    labels, rows = ["law", "law", "math"], [_row(0.9, 0.1), _row(0.56, 0.4), _row(0.1, 0.55)]
    report = evaluate_domain(labels, rows, threshold=0.56)
    assert report.shipped is not None
    assert report.shipped.threshold == 0.56
    assert report.shipped.coverage == pytest.approx(2 / 3)
    assert report.shipped.accuracy == 1.0
    assert report.as_text().splitlines()[-1].endswith("as configured")
    assert evaluate_domain(labels, rows).shipped is None


def test_kinds_have_their_own_accuracy() -> None:
    labels, rows = ["law", "law", "math"], [_row(0.9, 0.1), _row(0.2, 0.7), _row(0.1, 0.55)]
    report = evaluate_domain(labels, rows, kinds=["question", "question", None])
    assert {kind: (score.rows, score.accuracy) for kind, score in report.kinds.items()} == {
        "question": (2, 0.5)
    }
    assert "question" in report.as_text()
    assert evaluate_domain(labels, rows).kinds == {}
    with pytest.raises(ValueError, match="same length"):
        evaluate_domain(labels, rows, kinds=["question"])
