"""What holds for every distribution over categories, whichever of them think.

U1 every number is in its range · U2 the order of labels does not count · U3 probability that moves to
categories that think never switches thinking off · U4 the level is that of the entropy, and very high
uncertainty is thought about unless a category is trusted.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import log2

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from router_extproc.routing.uncertainty import Level, ThinkingPolicy, judge, level_of

LABELS = tuple("abcdefghijklmn")
thresholds = st.sampled_from([0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.9, 1.0])


@st.composite
def policies(draw: st.DrawFn) -> ThinkingPolicy:
    known = draw(st.dictionaries(st.sampled_from(LABELS), st.booleans(), max_size=14))
    return ThinkingPolicy(known, draw(thresholds), draw(st.booleans()))


@st.composite
def distributions(draw: st.DrawFn) -> Mapping[str, float]:
    """Of few or many labels, with some much likelier than others, summing to 1."""
    labels = draw(st.lists(st.sampled_from(LABELS), min_size=1, max_size=14, unique=True))
    weights = [draw(st.integers(0, 10)) ** draw(st.sampled_from([1, 1, 3])) for _ in labels]
    assume(sum(weights))
    return {label: weight / sum(weights) for label, weight in zip(labels, weights, strict=True)}


@settings(deadline=None, max_examples=200)
@given(
    policies(),
    st.one_of(distributions(), st.dictionaries(st.sampled_from(LABELS), st.floats(0, 1))),
    thresholds,
)
def test_u1_every_number_is_in_its_range(
    plan: ThinkingPolicy, shares: Mapping[str, float], threshold: float
) -> None:
    """Also where the probabilities do not sum to 1."""
    said = judge(plan, shares, threshold)
    assert 0.0 <= said.normalised <= 1.0
    assert 0.0 <= said.share <= 1.0
    assert 0.0 <= said.confidence <= 1.0
    assert 0.0 <= said.entropy <= log2(len(shares) + 1) + 1e-9
    assert said.level is level_of(said.normalised)
    assert not said.applied


@settings(deadline=None, max_examples=200)
@given(policies(), distributions(), thresholds, st.randoms(use_true_random=False))
def test_u2_the_order_of_labels_does_not_count(
    plan: ThinkingPolicy, shares: Mapping[str, float], threshold: float, chance: object
) -> None:
    items = sorted(shares.items(), key=lambda _: chance.random())  # type: ignore[attr-defined]
    assert judge(plan, dict(items), threshold) == judge(plan, shares, threshold)


@st.composite
def contests(draw: st.DrawFn) -> tuple[ThinkingPolicy, Mapping[str, float], float]:
    """Few categories of which none is far ahead: what decides changes with little."""
    shares = [draw(st.integers(1, 20)) for _ in range(draw(st.integers(3, 5)))]
    plan = ThinkingPolicy(
        {"a": True, "b": draw(st.booleans())}, cautious=draw(st.sampled_from([True, True, False]))
    )
    labelled = {label: each / sum(shares) for label, each in zip("abcde", shares, strict=False)}
    return plan, labelled, draw(st.sampled_from([0.5, 0.6, 0.9]))


cases = st.one_of(contests(), st.tuples(policies(), distributions(), thresholds))


@settings(deadline=None, max_examples=500)
@given(cases, st.data())
def test_u3_more_for_what_thinks_never_switches_thinking_off(
    case: tuple[ThinkingPolicy, Mapping[str, float], float], data: st.DataObject
) -> None:
    plan, shares, threshold = case
    think = sorted(label for label in LABELS if plan.categories.get(label, False))
    assume(think)
    moved = dict(shares) | {label: shares.get(label, 0.0) for label in think}
    before = judge(plan, dict(moved), threshold)
    for label in [label for label in moved if label not in think]:
        part = moved[label] * data.draw(st.sampled_from([0.0, 0.0, 0.5, 0.9, 1.0]))
        moved[label] -= part
        moved[data.draw(st.sampled_from(think))] += part
    after = judge(plan, moved, threshold)
    assert after.share >= before.share - 1e-9
    assert after.reasoning or not before.reasoning


@settings(deadline=None, max_examples=200)
@given(policies(), distributions(), thresholds)
def test_u4_very_high_uncertainty_is_thought_about(
    plan: ThinkingPolicy, shares: Mapping[str, float], threshold: float
) -> None:
    said = judge(replace(plan, cautious=True), shares, threshold)
    trusted = said.reason.endswith("above_threshold") or said.reason == "category_not_in_reasoning_map"
    if said.level is Level.VERY_HIGH and said.share > 0 and not trusted:
        assert said.reasoning
