"""Figures of a similarity threshold, against counting one by one."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.evaluation.pairs import cosines, evaluate_pairs

PAIRS = st.lists(st.tuples(st.floats(-1, 1, width=32), st.booleans()), min_size=1, max_size=40)


def test_the_asked_threshold_is_spelt_out() -> None:
    report = evaluate_pairs(np.array([0.9, 0.8, 0.7, 0.95], np.float32), [1, 0, 1, 1], threshold=0.75)
    assert (report.n, report.same, report.threshold) == (4, 3, 0.75)
    assert report.hit_rate == 0.75
    assert report.precision == pytest.approx(2 / 3)
    assert report.recall == pytest.approx(2 / 3)
    assert report.false_hits == 1


@given(PAIRS, st.floats(-1, 1, width=32))
def test_every_point_agrees_with_counting(pairs: list[tuple[float, bool]], threshold: float) -> None:
    similarity = np.array([value for value, _ in pairs], np.float32)
    report = evaluate_pairs(similarity, [same for _, same in pairs], threshold)
    for point in report.curve:
        hits = [same for value, same in pairs if value >= point.threshold]
        assert point.hit_rate == len(hits) / len(pairs)
        assert point.false_hits == hits.count(False)
        assert point.precision == (hits.count(True) / len(hits) if hits else None)
        assert point.recall == (hits.count(True) / report.same if report.same else None)


def test_the_curve_is_ascending_and_holds_the_asked_threshold_once() -> None:
    report = evaluate_pairs(np.array([0.5], np.float32), [True], threshold=0.85, thresholds=(0.9, 0.85, 0.7))
    assert [point.threshold for point in report.curve] == [0.7, 0.85, 0.9]


def test_json_begins_with_the_figures_and_ends_with_the_curve() -> None:
    report = evaluate_pairs(np.array([0.5, 0.9], np.float32), [False, True], threshold=0.85)
    document = json.loads(json.dumps(report.as_json()))
    assert list(document)[:6] == ["n", "threshold", "hit_rate", "precision", "recall", "false_hits"]
    assert list(document)[-1] == "curve"


def test_the_table_marks_the_asked_threshold() -> None:
    report = evaluate_pairs(np.array([0.5, 0.9], np.float32), [False, True], threshold=0.85)
    assert [line.split()[0] for line in report.as_text().splitlines() if line.endswith("<")] == ["0.850"]


def test_cosines_pair_row_with_row() -> None:
    a = np.array([[1, 0], [0.6, 0.8]], np.float32)
    b = np.array([[0, 1], [0.6, 0.8]], np.float32)
    assert cosines(a, b).tolist() == pytest.approx([0, 1])


@pytest.mark.parametrize(
    ("similarity", "same"), [([], []), ([0.5], [True, False]), ([float("nan")], [True]), ([[0.5]], [[True]])]
)
def test_pairs_that_make_no_sense_are_refused(similarity: list[float], same: list[bool]) -> None:
    with pytest.raises(ValueError, match=r"same length|finite"):
        evaluate_pairs(np.array(similarity, np.float32), same, threshold=0.8)
