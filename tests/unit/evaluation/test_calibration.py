"""Thresholds that keep a promise of precision, against values worked out by hand."""

import json
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.evaluation.calibration import CANDIDATES, POOL, Outcome, calibrate, wilson_low
from router_extproc.evaluation.curve import Figures
from router_extproc.evaluation.judge import EXACT

NOW = 0.85


def outcome(similarity: float, *, same: bool, category: str = "math", held: str | None = None) -> Outcome:
    return Outcome(category, category if held is None else held, similarity, similarity >= NOW, same)


MATH = [
    outcome(0.96, same=True),
    outcome(0.92, same=True),
    outcome(0.905, same=False),
    outcome(0.8, same=True),
    outcome(0.7, same=False),
    outcome(-inf, same=True),
]
OUTCOMES = st.lists(
    st.builds(
        outcome,
        st.one_of(st.floats(0.375, 1.0, width=32), st.just(-inf), st.just(EXACT)),
        same=st.booleans(),
        category=st.sampled_from(("", "law", "math")),
        held=st.sampled_from((None, "law", "history")),
    ),
    min_size=1,
    max_size=40,
).filter(lambda found: any(each.similarity != EXACT for each in found))


def now(category: str) -> float:
    return NOW


def free(category: str) -> float:
    """Nothing is shipped that would have to be kept to."""
    return 0.0


def test_a_threshold_goes_below_the_shipped_one_only_on_good_evidence() -> None:
    few = [outcome(0.8, same=True), outcome(0.9, same=True)]
    (advice,) = calibrate(few, 0.9, 1, now).categories
    assert advice.threshold == NOW
    many = [outcome(0.8, same=True) for _ in range(60)]
    (advice,) = calibrate(many, 0.9, 1, now).categories
    assert advice.threshold == CANDIDATES[0]
    assert advice.low is not None
    assert advice.low >= 0.9


def test_the_lowest_threshold_above_the_last_wrong_answer() -> None:
    (math,) = calibrate(MATH, 1.0, 1, now).categories
    assert (math.category, math.pairs, math.threshold, math.hits) == ("math", 6, 0.91, 2)
    assert math.then == Figures(hit_rate=2 / 6, precision=1.0, recall=0.5, false_hits=0)
    assert math.now == Figures(hit_rate=3 / 6, precision=2 / 3, recall=0.5, false_hits=1)
    assert math.low == pytest.approx(0.34238, abs=1e-5)


def test_a_lower_target_costs_less() -> None:
    (math,) = calibrate(MATH, 0.75, 1, free).categories
    assert (math.threshold, math.then.hit_rate) == (0.705, 4 / 6)


def test_a_category_that_no_threshold_saves_is_off() -> None:
    report = calibrate([outcome(0.99, same=False), outcome(0.9, same=True)], 0.9, 1, now)
    (math,) = report.categories
    assert (math.threshold, math.hits, math.low) == (None, 0, None)
    assert (math.then.hit_rate, math.now.hit_rate) == (0.0, 1.0)
    assert math.as_json()["mode"] == "exact"
    assert "    semantic_cache: {mode: exact}" in report.as_yaml(["math"]).splitlines()
    assert any(line.split()[:3] == ["math", "2", "off"] for line in report.as_text(["math"]).splitlines())
    assert report.then.hit_rate == 0


def test_equal_texts_prove_nothing_about_a_threshold() -> None:
    pairs = [outcome(0.9, same=False), *(outcome(EXACT, same=True) for _ in range(99))]
    report = calibrate(pairs, 0.99, 1, now)
    assert (report.n, report.exact) == (1, 99)
    assert report.categories[0].threshold is None
    with pytest.raises(ValueError, match="different texts"):
        calibrate(pairs[1:], 0.99, 1, now)


def test_small_categories_are_taken_together() -> None:
    small = [outcome(0.9, same=True, category="law"), outcome(0.8, same=False, category="")]
    report = calibrate([*MATH, *small], 1.0, 3, free)
    assert [(each.category, each.pairs) for each in report.categories] == [("math", 6), (POOL, 2)]
    assert report.pooled == ("", "law")
    assert report.categories[1].threshold == 0.805
    assert report.categories[1].threshold_now is None
    assert "(all): fewer than 3 pairs each: (none), law" in report.as_text(["math", "law"])
    assert report.as_yaml(["math", "law"]).splitlines() == [
        "categories:",
        "  - name: math",
        "    semantic_cache: {mode: semantic, similarity_threshold: 0.91}",
        "  # (all): {mode: semantic, similarity_threshold: 0.805}",
    ]


def test_all_pairs_together_obey_the_stricter_of_two_categories() -> None:
    """The entry's category may be stricter than the question's."""
    law = [
        outcome(0.9, same=False, category="law"),
        outcome(0.95, same=True, category="law"),
        outcome(0.6, same=True, category="math", held="law"),
        outcome(0.6, same=True, category="math", held="history"),
        outcome(0.88, same=True, category="math", held="history"),
    ]
    report = calibrate(law, 1.0, 1, lambda category: NOW if category == "history" else 0.0)
    assert [each.threshold for each in report.categories] == [0.905, 0.5]
    assert report.then == Figures(hit_rate=2 / 5, precision=1.0, recall=2 / 4, false_hits=0)


def test_json_has_the_totals_the_categories_and_the_configuration() -> None:
    report = calibrate(MATH, 1.0, 1, lambda category: inf)
    document = json.loads(json.dumps(report.as_json(["math"]), allow_nan=False))
    assert list(document) == [
        *("target_precision", "min_pairs", "n", "exact", "now", "then"),
        *("categories", "pooled", "yaml"),
    ]
    assert document["categories"][0]["now"]["threshold"] is None
    assert document["categories"][0]["threshold"] is None  # two hits are no reason to begin with it


@pytest.mark.parametrize(
    ("right", "hits", "low"), [(0, 10, 0.0), (10, 10, 0.72247), (8, 10, 0.49016), (95, 100, 0.88825)]
)
def test_wilson_bounds_against_published_values(right: int, hits: int, low: float) -> None:
    assert wilson_low(right, hits) == pytest.approx(low, abs=5e-5)


@given(OUTCOMES, st.sampled_from((0.5, 0.8, 1.0)), st.integers(1, 5))
def test_every_advice_keeps_the_target_and_no_lower_threshold_does(
    outcomes: list[Outcome], target: float, min_pairs: int
) -> None:
    report = calibrate(outcomes, target, min_pairs, free)
    assert sum(each.pairs for each in report.categories) == report.n
    for advice in report.categories:
        names = set(report.pooled) if advice.category == POOL else {advice.category}
        rows = [each for each in outcomes if each.category in names and each.similarity != EXACT]
        for threshold in CANDIDATES:
            hits = [each.same for each in rows if each.similarity >= threshold]
            keeps = bool(hits) and sum(hits) / len(hits) >= target
            if advice.threshold is None or threshold < advice.threshold:
                assert not keeps
            elif threshold == advice.threshold:
                assert keeps
                assert advice.low is not None
                assert 0 <= advice.low <= sum(hits) / len(hits)


@given(OUTCOMES)
def test_a_higher_target_gives_no_more_hits(outcomes: list[Outcome]) -> None:
    low, high = (calibrate(outcomes, target, 1, free) for target in (0.6, 0.9))
    assert high.then.hit_rate <= low.then.hit_rate
