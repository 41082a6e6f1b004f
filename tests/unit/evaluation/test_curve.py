"""Figures over thresholds, against values worked out by hand and counting one by one."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.evaluation.curve import Figures, measure
from router_extproc.evaluation.judge import EXACT, NOTHING, Nearest, Verdict

COSINES = st.floats(-1.0, 1.0, width=32)


def said(guarded: float, bare: float, answer: str = "x", shipped: str | None = None) -> Verdict:
    return Verdict(shipped, {}, Nearest(guarded, answer), Nearest(bare, answer))


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    """As the guard makes them: it can only lower the similarity of what answers."""
    bare = draw(st.one_of(COSINES, st.just(EXACT)))
    guarded = draw(st.one_of(st.just(bare), st.floats(-1.0, max(-1.0, min(bare, 1.0)), width=32)))
    shipped = draw(st.sampled_from(("x", "y", None)))
    return Verdict(
        shipped,
        {},
        Nearest(guarded, draw(st.sampled_from(("x", "y")))),
        Nearest(bare, draw(st.sampled_from("xy"))),
    )


ROWS = st.lists(st.tuples(verdicts(), st.sampled_from(("x", "y", None))), min_size=1, max_size=30)


def test_four_questions_by_hand() -> None:
    rows = [
        (said(0.9, 0.9, shipped="x"), "x"),  # right
        (said(0.9, 0.9, shipped="x"), None),  # false: nothing was expected
        (said(0.6, 0.9), "x"),  # right but held back at 0.8
        (Verdict(None, {}, NOTHING, NOTHING), "x"),  # missed
    ]
    report = measure([each for each, _ in rows], [each for _, each in rows], 0.8, thresholds=(0.5,))
    assert (report.n, report.threshold) == (4, 0.8)
    assert report.shipped == Figures(hit_rate=0.5, precision=0.5, recall=1 / 3, false_hits=1)
    low, high = report.curve
    assert (low.threshold, low.guarded) == (0.5, Figures(0.75, 2 / 3, 2 / 3, 1))
    assert low.without_guard == low.guarded
    assert (high.threshold, high.guarded) == (0.8, report.shipped)
    assert high.without_guard == Figures(0.75, 2 / 3, 2 / 3, 1)


def test_another_id_than_the_expected_is_a_false_hit() -> None:
    report = measure([said(0.9, 0.9, "y", "y")], ["x"], 0.8)
    assert report.shipped == Figures(hit_rate=1.0, precision=0.0, recall=0.0, false_hits=1)


def test_without_hits_there_is_no_precision_and_without_answers_no_recall() -> None:
    report = measure([Verdict(None, {}, NOTHING, NOTHING)], [None], 0.8)
    assert report.shipped == Figures(0.0, None, None, 0)
    assert json.loads(json.dumps(report.as_json()))["precision"] is None
    assert "precision -" in report.as_text()


@given(ROWS, COSINES)
def test_every_point_agrees_with_counting(rows: list[tuple[Verdict, str | None]], threshold: float) -> None:
    report = measure([each for each, _ in rows], [each for _, each in rows], threshold)
    wanted = sum(expected is not None for _, expected in rows)
    for point in report.curve:
        hits = [
            found.guarded.answer == expected
            for found, expected in rows
            if found.guarded.similarity >= point.threshold
        ]
        right = sum(hits)
        assert point.guarded == Figures(
            len(hits) / len(rows),
            right / len(hits) if hits else None,
            right / wanted if wanted else None,
            len(hits) - right,
        )


@given(ROWS)
def test_fewer_hits_with_a_higher_threshold_and_fewer_with_the_guard(
    rows: list[tuple[Verdict, str | None]],
) -> None:
    curve = measure([each for each, _ in rows], [each for _, each in rows], 0.85).curve
    for lower, higher in pairwise(curve):
        assert lower.guarded.hit_rate >= higher.guarded.hit_rate
        assert lower.without_guard.hit_rate >= higher.without_guard.hit_rate
    assert all(point.guarded.hit_rate <= point.without_guard.hit_rate for point in curve)


def test_the_curve_is_ascending_and_holds_the_default_once() -> None:
    report = measure([said(0.5, 0.5)], ["x"], threshold=0.85, thresholds=(0.9, 0.85, 0.7))
    assert [point.threshold for point in report.curve] == [0.7, 0.85, 0.9]


def test_json_is_the_figures_and_then_the_curve() -> None:
    document = json.loads(json.dumps(measure([said(0.5, 0.9)], ["x"], 0.85).as_json()))
    assert list(document) == ["n", "threshold", "hit_rate", "precision", "recall", "false_hits", "curve"]
    assert list(document["curve"][0]) == [
        "threshold",
        "hit_rate",
        "precision",
        "recall",
        "false_hits",
        "without_guard",
    ]
    assert list(document["curve"][0]["without_guard"]) == ["hit_rate", "precision", "recall", "false_hits"]


def test_the_table_marks_the_default_and_has_both_sides() -> None:
    lines = measure([said(0.5, 0.9)], ["x"], 0.85).as_text().splitlines()
    marked = [line.split() for line in lines if line.endswith("<")]
    assert marked == [["0.850", "0.0000", "-", "0.0000", "0", "1.0000", "1.0000", "1.0000", "0", "<"]]


@pytest.mark.parametrize("expected", [[], ["x", "y"]])
def test_rows_that_do_not_match_are_refused(expected: list[str | None]) -> None:
    with pytest.raises(ValueError, match="same length"):
        measure([said(0.5, 0.5)] if expected else [], expected, 0.8)
