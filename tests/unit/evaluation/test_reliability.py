"""Bins of confidence, against values worked out by hand."""

import numpy as np
import pytest

from router_extproc.evaluation.reliability import Bin, reliability


def test_each_bin_has_its_rows_their_mean_confidence_and_their_accuracy() -> None:
    confidence = np.array([0.05, 0.31, 0.35, 0.39, 0.95])
    right = np.array([False, True, False, True, True])
    found = reliability(confidence, right)
    assert len(found) == 10
    assert (found[0].rows, found[0].accuracy) == (1, 0.0)
    assert found[0].confidence == pytest.approx(0.05)
    assert (found[3].low, found[3].high, found[3].rows) == (0.3, 0.4, 3)
    assert found[3].confidence == pytest.approx(0.35)
    assert found[3].accuracy == pytest.approx(2 / 3)


def test_a_bin_without_rows_says_nothing() -> None:
    assert reliability(np.array([0.9]), np.array([True]))[4] == Bin(0.4, 0.5, 0, None, None)


def test_a_border_belongs_to_the_bin_above_and_one_to_the_last() -> None:
    found = reliability(np.array([0.0, 0.5, 1.0]), np.array([True, True, False]), bins=2)
    assert [each.rows for each in found] == [1, 2]
    assert found[1].accuracy == 0.5


def test_no_row_is_lost() -> None:
    confidence = np.linspace(0, 1, 1001)
    assert sum(each.rows for each in reliability(confidence, confidence > 0.5)) == 1001


@pytest.mark.parametrize(
    ("confidence", "right"), [([0.5], [True, False]), ([1.2], [True]), ([-0.1], [True]), ([np.nan], [True])]
)
def test_what_is_no_confidence_is_refused(confidence: list[float], right: list[bool]) -> None:
    with pytest.raises(ValueError, match=r"same length|in \[0, 1\]"):
        reliability(np.array(confidence), np.array(right))
