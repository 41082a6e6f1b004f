"""Entropy, its levels, and what they say of thinking."""

from collections.abc import Mapping
from dataclasses import replace
from math import log2
from pathlib import Path

import pytest

from router_extproc.routing.analysis import Analysis
from router_extproc.routing.decide import Decision, decide
from router_extproc.routing.facts import Facts
from router_extproc.routing.policy import Model, ReasoningFamily, Route
from router_extproc.routing.reasons import Rule
from router_extproc.routing.rules import Tree
from router_extproc.routing.uncertainty import (
    Level,
    ThinkingPolicy,
    Uncertainty,
    entropy,
    judge,
    level_of,
    normalised,
)
from router_extproc.routing.world import World
from tests.support.policies import POOL, analysis, listing, policy, ruled

THINK = ThinkingPolicy({"math": True, "physics": True, "law": False, "history": False, "other": False})
VOTES = replace(THINK, cautious=False)
PAGE = (Path(__file__).parents[3] / "docs" / "ROUTING.md").read_text()


def judged(plan: ThinkingPolicy = THINK, at: float = 0.5, **shares: float) -> Uncertainty:
    return judge(plan, shares, at)


def test_entropy_is_that_of_shannon_in_bits() -> None:
    assert entropy([1.0, 0.0]) == 0.0
    assert entropy([0.5, 0.25, 0.25]) == 1.5
    assert entropy([1 / 14] * 14) == pytest.approx(log2(14))


def test_a_single_outcome_has_no_uncertainty() -> None:
    assert normalised(0.0, 1) == 0.0
    assert normalised(log2(3), 3) == 1.0


@pytest.mark.parametrize(
    ("share", "level"),
    [
        (0.0, "very_low"),
        (0.1999, "very_low"),
        (0.2, "low"),
        (0.3999, "low"),
        (0.4, "medium"),
        (0.5999, "medium"),
        (0.6, "high"),
        (0.7999, "high"),
        (0.8, "very_high"),
        (1.0, "very_high"),
    ],
)
def test_the_limits_of_the_levels_belong_to_the_higher_one(share: float, level: str) -> None:
    assert level_of(share) == level


def test_a_certain_category_says_whether_to_think() -> None:
    said = judged(math=1.0, law=0.0, other=0.0)
    assert (said.level, said.reasoning, said.category) == (Level.VERY_LOW, True, "math")
    assert (said.normalised, said.share, said.confidence) == (0.0, 1.0, 0.95)
    assert said.reason == "very_low_uncertainty_trust_classification"
    assert not judged(math=0.0, law=1.0, other=0.0).reasoning


def test_a_uniform_distribution_is_thought_about() -> None:
    said = judged(math=0.2, physics=0.2, law=0.2, history=0.2, other=0.2)
    assert said.normalised == pytest.approx(1.0)
    assert (said.reasoning, said.confidence) == (True, 0.3)
    assert said.reason == "very_high_uncertainty_conservative_default"


def test_by_vote_a_uniform_distribution_is_thought_about_if_most_categories_think() -> None:
    even = dict.fromkeys(("math", "physics", "law", "history", "other"), 0.2)
    said = judge(VOTES, even, 0.5)
    assert (said.reasoning, said.share, said.reason) == (False, 0.4, "very_high_uncertainty_weighted")
    assert judge(replace(VOTES, threshold=0.4), even, 0.5).reasoning


@pytest.mark.parametrize("order", [("math", "law"), ("law", "math")])
def test_of_two_equal_ones_neither_is_trusted_and_the_tie_is_for_thinking(order: tuple[str, str]) -> None:
    said = judge(VOTES, dict.fromkeys(order, 0.5) | {"other": 0.0, "history": 0.0, "physics": 0.0}, 0.5)
    assert (said.reasoning, said.share, said.category) == (True, 0.5, "law")
    assert said.reason == "medium_uncertainty_weighted"


def test_two_equal_ones_that_agree_are_trusted() -> None:
    said = judged(math=0.5, physics=0.5, law=0.0, history=0.0, other=0.0)
    assert (said.reasoning, said.category) == (True, "math")
    assert said.reason == "medium_uncertainty_top_category_above_threshold"
    assert said.confidence == pytest.approx(0.4)
    assert not judged(law=0.5, history=0.5, math=0.0, physics=0.0, other=0.0).reasoning


def test_the_vote_counts_all_categories_and_not_only_the_first_ones() -> None:
    """The first two are split, the first three too; all together they are not."""
    plan = ThinkingPolicy({"a": True, "b": True, "c": True, "d": True})
    shares = {"x": 0.39, "a": 0.2, "b": 0.19, "c": 0.11, "d": 0.11} | dict.fromkeys("efghijklm", 0.0)
    said = judge(plan, shares, 0.5)
    assert (said.reasoning, said.level, said.reason) == (True, Level.MEDIUM, "medium_uncertainty_weighted")
    assert said.share == pytest.approx(0.61)
    assert said.confidence == pytest.approx(0.61)


def test_very_high_uncertainty_is_no_reason_to_think_where_nothing_thinks() -> None:
    said = judge(ThinkingPolicy({"law": False}), dict.fromkeys("abcd", 0.25), 0.5)
    assert (said.level, said.reasoning, said.share) == (Level.VERY_HIGH, False, 0.0)


def test_more_for_what_thinks_never_ends_thinking_at_the_border_of_a_level() -> None:
    """Moving the middle one's share to what thinks makes the distribution less uncertain."""
    before = judged(law=0.5, other=0.17, math=0.33)
    after = judged(law=0.5, other=0.02, math=0.48, at=0.6)
    assert (before.level, after.level) == (Level.VERY_HIGH, Level.HIGH)
    assert judged(law=0.5, other=0.17, math=0.33, at=0.6).reasoning
    assert after.reasoning
    assert after.reason == "high_uncertainty_conservative_default"


def test_a_category_that_is_sure_enough_is_trusted_however_uncertain_the_rest() -> None:
    said = judged(law=0.6, other=0.2, math=0.2)
    assert (said.level, said.reasoning) == (Level.VERY_HIGH, False)
    assert said.reason == "very_high_uncertainty_top_category_above_threshold"


def test_a_category_without_models_does_not_think() -> None:
    said = judged(art=0.9, math=0.1)
    assert (said.reasoning, said.reason) == (False, "category_not_in_reasoning_map")


def test_what_is_missing_from_the_sum_belongs_to_nothing_that_thinks() -> None:
    said = judged(VOTES, math=0.3, law=0.1, other=0.0)
    assert (said.reasoning, said.share) == (False, 0.3)
    assert said.normalised == pytest.approx(entropy([0.3, 0.1, 0.6]) / 2)


def test_a_sum_above_one_is_scaled_down() -> None:
    said = judged(VOTES, math=0.9, law=0.9, other=0.2)
    assert said.share == pytest.approx(0.45)
    assert 0.0 <= said.normalised <= 1.0


@pytest.mark.parametrize("shares", [{}, {"math": 0.0, "law": 0.0}])
def test_without_probabilities_nothing_is_decided(shares: Mapping[str, float]) -> None:
    said = judge(THINK, shares, 0.5)
    assert (said.reasoning, said.reason, said.category) == (False, "no_classification_data", "")


QWEN = ReasoningFamily("chat_template_kwargs", "enable_thinking")
MODELS = POOL | {"medium": Model(family=QWEN), "small": Model(family=QWEN), "large": Model(quality=0.9)}
SPLIT = analysis({"domain": {"math": 0.4, "physics": 0.3, "law": 0.3}})


def outcome(said: Analysis | None, *decisions: object, requested: str | None = None) -> Decision:
    """With `medium` as the default model, unsettled."""
    plan = policy(
        *decisions,  # type: ignore[arg-type]
        models=MODELS,
        default=listing(Route("medium", unsettled=True)),
        thinking=THINK,
    )
    decision = decide(plan, requested, Facts(), said, World())
    assert isinstance(decision, Decision)
    return decision


def doubt(decision: Decision) -> Uncertainty:
    assert decision.trace.uncertainty is not None
    return decision.trace.uncertainty


def test_the_default_model_thinks_about_a_request_between_categories_that_think() -> None:
    decision = outcome(SPLIT)
    assert (decision.rule, decision.route.model) == (Rule.BELOW_THRESHOLD, "medium")
    assert decision.route.reasoning
    assert decision.trace.outcome.reasoning
    assert doubt(decision).applied
    assert decision.trace.candidates[0].reasoning


def test_what_a_decision_says_of_its_model_wins() -> None:
    settled = ruled("d", Tree("AND"), Route("medium"))
    decision = outcome(SPLIT, settled)
    assert not decision.route.reasoning
    assert doubt(decision).reasoning
    assert not doubt(decision).applied


def test_a_decision_that_says_nothing_goes_by_the_uncertainty() -> None:
    decision = outcome(SPLIT, ruled("d", Tree("AND"), Route("medium", unsettled=True), Route("small")))
    assert decision.decision == "d"
    assert decision.route.reasoning
    assert not decision.alternatives[0].reasoning


def test_a_model_that_cannot_be_switched_stays_as_it_is() -> None:
    decision = outcome(SPLIT, ruled("d", Tree("AND"), Route("large", unsettled=True)))
    assert not decision.route.reasoning
    assert not doubt(decision).applied


def test_a_category_that_decides_keeps_the_settings_of_its_models() -> None:
    decision = outcome(analysis({"domain": {"math": 0.8, "law": 0.2}}))
    assert (decision.rule, decision.route.reasoning) == (Rule.CATEGORY, False)
    assert not doubt(decision).applied


def test_without_an_analysis_nothing_is_switched() -> None:
    decision = outcome(None)
    assert not decision.route.reasoning
    assert not doubt(decision).applied
    assert doubt(decision).reason == "no_classification_data"


def test_a_model_that_the_client_names_is_not_judged() -> None:
    assert outcome(SPLIT, requested="small").trace.uncertainty is None


def test_a_policy_without_thinking_judges_nothing() -> None:
    decision = decide(policy(), None, Facts(), SPLIT, World())
    assert decision.trace.uncertainty is None


def test_the_trace_has_it_as_plain_data() -> None:
    said = outcome(SPLIT).trace.as_json()["uncertainty"]
    assert said["level"] == "very_high"
    assert said["applied"] is True
    assert said["share"] == pytest.approx(0.7)


def test_every_level_and_reason_is_documented() -> None:
    reasons = {
        *(f"{level}_uncertainty_weighted" for level in Level if level is not Level.HIGH),
        "high_uncertainty_weighted_decision",
        *(f"{level}_uncertainty_conservative_default" for level in Level),
        *(f"{level}_uncertainty_trust_classification" for level in list(Level)[:2]),
        *(f"{level}_uncertainty_top_category_above_threshold" for level in list(Level)[2:]),
        "category_not_in_reasoning_map",
        "no_classification_data",
    }
    for reason in reasons:
        level, _, how = reason.partition("_uncertainty_")
        assert f"`{reason}`" in PAGE or (f"`LEVEL_uncertainty_{how}`" in PAGE and f"`{level}`" in PAGE)
