"""Figures of a guard, against values worked out by hand."""

import json

import pytest

from router_extproc.evaluation.guard import GuardReport, Rates, evaluate_guard

ATTACK = [True, True, True, False, False, False, False]
SCORES = [0.9, 0.6, 0.2, 0.7, 0.2, 0.1, 0.0]
FAMILIES = ["persona", "override", "override", "tricky", "tricky", None, None]


@pytest.fixture
def report() -> GuardReport:
    return evaluate_guard(ATTACK, SCORES, 0.6, FAMILIES)


def test_a_score_at_the_threshold_counts(report: GuardReport) -> None:
    assert report.shipped == Rates(0.6, recall=2 / 3, false_positive_rate=1 / 4, precision=2 / 3)
    assert report.confusion == {
        "true_positives": 2,
        "false_negatives": 1,
        "false_positives": 1,
        "true_negatives": 3,
    }


def test_the_area_counts_ties_half(report: GuardReport) -> None:
    """Of 12 pairs the attacks win 4, 3 and 2, and share one."""
    assert report.auc == pytest.approx(9.5 / 12)


def test_a_guard_that_says_the_same_of_everything_is_at_chance() -> None:
    assert evaluate_guard([True, False, False], [0.3, 0.3, 0.3], 0.5).auc == 0.5


def test_attacks_alone_have_a_recall_only() -> None:
    report = evaluate_guard([True, True], [0.9, 0.1], 0.5)
    assert (report.auc, report.budgets) == (None, ())
    assert report.shipped == Rates(0.5, recall=0.5, false_positive_rate=None, precision=None)


def test_innocent_rows_alone_have_a_false_positive_rate_only() -> None:
    report = evaluate_guard([False] * 4, [0.9, 0.1, 0.2, 0.3], 0.5)
    assert report.auc is None
    assert report.shipped == Rates(0.5, recall=None, false_positive_rate=0.25, precision=None)
    assert "recall -  false positive rate 0.2500" in report.as_text()


def test_rows_are_listed_by_the_probability_of_an_attack(report: GuardReport) -> None:
    """Of the two rows at 0.2 one is an attack; the rows near 0 are none."""
    found = {each.low: (each.rows, each.accuracy) for each in report.reliability if each.rows}
    assert found == {
        0.0: (1, 0.0),
        0.1: (1, 0.0),
        0.2: (2, 0.5),
        0.6: (1, 1.0),
        0.7: (1, 0.0),
        0.9: (1, 1.0),
    }


def test_nothing_flagged_has_no_precision() -> None:
    assert evaluate_guard([True, False], [0.1, 0.2], 0.5).shipped.precision is None


def test_families_are_compared_within_and_with_all(report: GuardReport) -> None:
    assert list(report.families) == ["override", "persona", "tricky"]
    persona, tricky = report.families["persona"], report.families["tricky"]
    assert (persona.n, persona.attacks, persona.auc, persona.auc_of_all) == (1, 1, None, 1.0)
    assert (persona.recall, persona.false_positive_rate) == (1.0, None)
    assert (tricky.n, tricky.attacks, tricky.auc) == (2, 0, None)
    assert tricky.auc_of_all == pytest.approx(3.5 / 6)
    assert (tricky.recall, tricky.false_positive_rate) == (None, 0.5)
    both = evaluate_guard(ATTACK, SCORES, 0.6, ["one"] * 7).families["one"]
    assert both.auc == both.auc_of_all == report.auc


def test_a_budget_is_kept_by_the_lowest_threshold_that_can() -> None:
    attack = [True] * 4 + [False] * 100
    scores = [0.9, 0.8, 0.3, 0.2] + [0.85] + [0.25] * 4 + [0.0] * 95
    found = {
        each.allowed: (each.threshold, each.recall) for each in evaluate_guard(attack, scores, 0.5).budgets
    }
    assert found == {0.001: (0.9, 0.25), 0.01: (0.3, 0.75), 0.05: (0.2, 1.0)}


def test_a_budget_that_cannot_be_kept_catches_nothing() -> None:
    (tightest, *_) = evaluate_guard([True, False], [0.2, 0.8], 0.5).budgets
    assert (tightest.threshold, tightest.recall) == (None, 0.0)


def test_calibration_compares_scores_with_the_share_of_attacks() -> None:
    assert evaluate_guard([True, False], [0.5, 0.5], 0.5).calibration_error == pytest.approx(0.0)
    assert evaluate_guard([True, True], [0.6, 0.6], 0.5).calibration_error == pytest.approx(0.4)


def test_json_begins_with_the_figures_people_read(report: GuardReport) -> None:
    document = json.loads(json.dumps(report.as_json()))
    head = ["auc", "threshold", "recall", "false_positive_rate", "precision", "n", "attacks"]
    assert list(document)[:7] == head
    assert document["families"]["tricky"]["false_positive_rate"] == 0.5


def test_the_table_marks_the_threshold_and_names_families_and_unread_rows() -> None:
    text = evaluate_guard(ATTACK, SCORES, 0.6, FAMILIES, skipped=2).as_text()
    assert next(line for line in text.splitlines() if line.endswith("<")).startswith("0.600")
    assert "not read to the end: 2" in text
    assert any(line.startswith("persona") for line in text.splitlines())


@pytest.mark.parametrize(
    ("attack", "scores", "families"), [([], [], None), ([True], [], None), ([True], [0.5], [])]
)
def test_rows_must_match(attack: list[bool], scores: list[float], families: list[str | None] | None) -> None:
    with pytest.raises(ValueError, match="same length"):
        evaluate_guard(attack, scores, 0.5, families)
