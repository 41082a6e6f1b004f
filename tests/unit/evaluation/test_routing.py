"""Routing between two models, against figures worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.evaluation.routing import Prices, RoutingReport, Threshold, evaluate_routing

WEAK = [True, False, False, True]
STRONG = [True, True, True, False]
"""Gains 0, 1, 1, -1: the weak model is right twice, the strong one three times."""


def _report(scores: list[float]) -> RoutingReport:
    return evaluate_routing(WEAK, STRONG, scores, Prices(1, 10), [Threshold("hard", 0.6, 0.4)])


def test_the_area_is_that_under_the_curve_through_the_corners() -> None:
    """In the order 1, 0, 2, 3 the gap recovered is 0, 1, 1, 2, 1 at 0, 1/4, ... 1: trapezoids of 1/8, 1/4,
    3/8, 3/8."""
    report = _report([0.8, 0.9, 0.7, 0.1])
    assert report.apgr == pytest.approx(1.125)
    assert report.cpt50 == pytest.approx(0.125)
    assert report.cpt80 == pytest.approx(0.2)
    assert (report.weak_quality, report.strong_quality) == (0.5, 0.75)
    assert (report.oracle, report.oracle_share) == (1.0, 0.5)


def test_the_worst_order_is_below_nothing() -> None:
    """In the order 3, 0, 1, 2: 0, -1, -1, 0, 1, trapezoids of -1/8, -1/4, -1/8, 1/8."""
    report = _report([0.8, 0.7, 0.6, 0.9])
    assert report.apgr == pytest.approx(-0.375)
    assert report.cpt50 == pytest.approx(0.875)
    assert report.cpt80 == pytest.approx(0.95)


def test_equal_probabilities_are_random_routing() -> None:
    report = _report([0.5] * 4)
    assert (report.apgr, report.cpt50, report.cpt80) == pytest.approx((0.5, 0.5, 0.8))
    assert all(mark.quality == pytest.approx(mark.random_quality) for mark in report.curve)


def test_equal_probabilities_among_others_count_as_their_expectation() -> None:
    """1 and 3 are equal, then 0, then 2: 0 at 0 and 1/2, 0 at 3/4, 1 at 1."""
    report = _report([0.8, 0.9, 0.7, 0.9])
    assert report.apgr == pytest.approx(0.125)
    assert report.cpt50 == pytest.approx(0.875)


def test_a_random_order_recovers_half_on_average() -> None:
    generator = np.random.default_rng(5)
    weak, strong = generator.random(4000) < 0.6, generator.random(4000) < 0.8
    report = evaluate_routing(weak.tolist(), strong.tolist(), generator.random(4000).tolist())
    assert report.apgr == pytest.approx(0.5, abs=0.05)


def test_an_oracle_recovers_the_gap_with_the_calls_that_need_it() -> None:
    weak, strong = [False] * 2 + [True] * 8, [True] * 10
    report = evaluate_routing(weak, strong, [1.0, 0.9] + [0.1] * 8)
    assert report.apgr == pytest.approx(0.9)
    assert (report.cpt50, report.cpt80) == pytest.approx((0.1, 0.16))
    assert report.oracle_share == pytest.approx(0.2)


def test_costs_are_relative_to_the_strong_model_alone() -> None:
    report = _report([0.8, 0.9, 0.7, 0.1])
    ends = report.curve[0], report.curve[-1]
    assert [end.cost for end in ends] == pytest.approx([0.1, 1.0])
    assert next(mark for mark in report.curve if mark.strong_share == 0.5).cost == pytest.approx(0.55)
    assert report.weak_cost == pytest.approx(0.1)


def test_without_prices_there_are_no_costs() -> None:
    report = evaluate_routing(WEAK, STRONG, [0.8, 0.9, 0.7, 0.1])
    assert {mark.cost for mark in report.curve} == {None}
    assert "-" in report.as_text()


def test_a_threshold_is_inclusive_and_a_point_of_the_curve() -> None:
    (shipped,) = _report([0.6, 0.9, 0.59, 0.4]).shipped
    assert (shipped.at.strong_share, shipped.easy_share) == (0.5, 0.25)
    assert (shipped.at.pgr, shipped.at.quality) == pytest.approx((1.0, 0.75))


def test_the_document_begins_with_the_figures() -> None:
    document = _report([0.8, 0.9, 0.7, 0.1]).as_json()
    assert list(document)[:5] == ["n", "apgr", "cpt50", "cpt80", "curve"]
    assert document["random"] == {"apgr": 0.5, "cpt50": 0.5, "cpt80": 0.8}
    assert document["always_strong"] == {"quality": 0.75, "cost": 1.0}


def test_the_table_has_the_curve_and_the_configuration() -> None:
    text = _report([0.8, 0.9, 0.7, 0.1]).as_text()
    assert text.startswith("rows 4  APGR 1.1250  CPT(50) 0.1250  CPT(80) 0.2000  (random: 0.5000")
    assert "hard: 0.7500 of the calls at hard_above 0.6, 0.2500 easy at easy_below 0.4" in text


@pytest.mark.parametrize(
    ("weak", "strong", "scores"),
    [([], [], []), ([True], [True], [0.5]), ([True], [False], [0.5]), ([False], [True], [])],
)
def test_outcomes_without_a_gap_are_refused(
    weak: list[bool], strong: list[bool], scores: list[float]
) -> None:
    with pytest.raises(ValueError, match=r"strong model|one length"):
        evaluate_routing(weak, strong, scores)


ROWS = st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from((0.1, 0.5, 0.9))), max_size=30)


@given(ROWS)
def test_the_curve_runs_from_weak_to_strong_and_targets_are_on_it(
    rows: list[tuple[bool, bool, float]],
) -> None:
    """More rows that only the strong model answers than others: there is a gap."""
    drawn = [*rows, *[(False, True, 0.5)] * 31]
    weak, strong, scores = [w for w, _, _ in drawn], [s for _, s, _ in drawn], [p for _, _, p in drawn]
    report = evaluate_routing(weak, strong, scores)
    first, last = report.curve[0], report.curve[-1]
    assert (first.pgr, last.pgr) == pytest.approx((0, 1))
    assert last.quality == pytest.approx(report.strong_quality)
    assert 0 < report.cpt50 <= report.cpt80 <= 1
