"""Which model answers, and how its thinking is switched."""

import numpy as np
import pytest

from router_extproc.routing.analysis import Analysis
from router_extproc.routing.decide import (
    ReasoningFamily,
    Route,
    RoutingPolicy,
    Rule,
    decide,
    reasoning_fields,
)

POLICY = RoutingPolicy(
    routes={"math": Route("large", reasoning=True, effort="high"), "law": Route("medium")},
    threshold=0.5,
    default=Route("small"),
    families={"large": None, "medium": None, "small": None},
)


def analysis(**domains: float) -> Analysis:
    return Analysis(np.zeros(3, np.float32), {"domain": domains}, "e1", 4)


def test_a_confident_category_chooses_its_route() -> None:
    decision = decide(POLICY, None, analysis(math=0.7, law=0.3))
    assert (decision.route, decision.rule) == (POLICY.routes["math"], Rule.CATEGORY)
    assert (decision.category, decision.confidence) == ("math", 0.7)
    assert decision.probabilities == (("math", 0.7), ("law", 0.3))


def test_the_threshold_itself_is_confident() -> None:
    assert decide(POLICY, None, analysis(math=0.5, law=0.5)).rule is Rule.CATEGORY


def test_below_the_threshold_the_default_answers_and_no_category_is_claimed() -> None:
    decision = decide(POLICY, None, analysis(math=0.49, law=0.3, other=0.21))
    assert (decision.route, decision.rule, decision.category) == (POLICY.default, Rule.BELOW_THRESHOLD, "")


def test_a_category_without_a_route_goes_to_the_default() -> None:
    decision = decide(POLICY, None, analysis(other=0.9, law=0.1))
    assert (decision.route, decision.rule, decision.category) == (POLICY.default, Rule.NO_ROUTE, "other")


def test_without_an_analysis_the_default_answers() -> None:
    decision = decide(POLICY, None, None)
    assert (decision.route, decision.rule) == (POLICY.default, Rule.NO_ANALYSIS)


def test_a_model_the_client_names_is_honoured() -> None:
    decision = decide(POLICY, "medium", analysis(math=0.9, law=0.1))
    assert (decision.route.model, decision.rule, decision.category) == ("medium", Rule.REQUESTED, "math")
    assert decide(POLICY, "medium", None).route.model == "medium"


@pytest.mark.parametrize("on", [True, False])
def test_thinking_is_switched_explicitly_both_ways(on: bool) -> None:
    kwargs = ReasoningFamily("chat_template_kwargs", "enable_thinking")
    assert reasoning_fields(kwargs, Route("m", on)) == ("chat_template_kwargs", "enable_thinking", on)
    effort = ReasoningFamily("reasoning_effort", "reasoning_effort")
    expected = ("reasoning_effort", None, "high" if on else "low")
    assert reasoning_fields(effort, Route("m", on, "high")) == expected


def test_a_model_without_a_family_is_left_alone() -> None:
    assert reasoning_fields(None, Route("m", True)) is None
