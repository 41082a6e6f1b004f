"""`entropy_reasoning`: its keys, what they become, and what makes them useless."""

from pathlib import Path
from typing import Any

import pytest

from router_extproc.base.errors import ConfigError
from router_extproc.routing.policy import Route
from router_extproc.routing.uncertainty import ThinkingPolicy
from router_extproc.settings.check import check_settings, problems_in
from router_extproc.settings.generation import generation_of
from router_extproc.settings.load import settle
from router_extproc.settings.problem import Severity
from router_extproc.settings.routing import compile_routing
from router_extproc.settings.schema import Settings
from router_extproc.settings.thinking import compile_thinking, thinking_categories
from tests.support.phrases import embed

FILE = Path("router.yaml")
MATH = {"name": "math", "model_scores": [{"model": "large", "use_reasoning": True}]}
LAW = {"name": "law", "model_scores": [{"model": "large"}]}
POOL: dict[str, Any] = {
    "vllm_endpoints": [{"name": "a", "address": "127.0.0.1", "port": 9001}],
    "model_config": {
        "small": {"preferred_endpoints": ["a"], "reasoning_family": "gpt-oss"},
        "large": {"preferred_endpoints": ["a"], "reasoning_family": "gpt-oss"},
        "plain": {"preferred_endpoints": ["a"]},
    },
    "reasoning_families": {"gpt-oss": {"type": "reasoning_effort", "parameter": "reasoning_effort"}},
    "default_reasoning_effort": "high",
    "default_model": "small",
    "categories": [MATH, LAW],
    "entropy_reasoning": {"enabled": True},
}


def settings(**keys: Any) -> Settings:
    return Settings.model_validate(POOL | keys)


def refused(**keys: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        settle(FILE, POOL | keys)
    return str(caught.value).removeprefix(f"{FILE}: ")


def decision(*refs: dict[str, Any], domains: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    conditions = [{"type": "domain", "name": name} for name in domains]
    rules = {"operator": "OR" if domains else "AND", "conditions": conditions}
    return {"name": "d", "rules": rules, "modelRefs": list(refs), **more}


def test_it_is_off_unless_it_is_switched_on() -> None:
    plain = settings(entropy_reasoning={})
    assert compile_thinking(plain) is None
    policy = compile_routing(plain, embed)
    assert policy.thinking is None
    assert not policy.default.candidates[0].unsettled


def test_the_defaults_are_the_half_and_caution() -> None:
    assert compile_thinking(settings()) == ThinkingPolicy({"math": True, "law": False}, 0.5, True)


def test_every_key_counts() -> None:
    given = settings(entropy_reasoning={"enabled": True, "threshold": 0.7, "very_high": "vote"})
    assert compile_thinking(given) == ThinkingPolicy({"math": True, "law": False}, 0.7, False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"enabled": "yes"}, "entropy_reasoning.enabled: input should be a valid boolean"),
        ({"threshold": 1.5}, "entropy_reasoning.threshold: input should be less than or equal to 1"),
        ({"threshold": -0.1}, "entropy_reasoning.threshold: input should be greater than or equal to 0"),
        ({"very_high": "on"}, "entropy_reasoning.very_high: input should be 'think' or 'vote'"),
        ({"treshold": 0.5}, "entropy_reasoning.treshold: unknown key; did you mean `threshold`?"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(given: dict[str, Any], message: str) -> None:
    assert refused(entropy_reasoning=given) == message


def test_it_is_refused_where_no_category_thinks() -> None:
    message = refused(categories=[LAW])
    assert message.startswith(
        "entropy_reasoning: has no effect, because the first model of no category thinks"
    )


def test_it_is_refused_where_no_model_can_be_switched() -> None:
    message = refused(default_model="plain")
    assert message.startswith("entropy_reasoning: has no effect: it can switch default_model and modelRefs")


def test_a_ref_without_a_setting_is_enough_to_be_switched() -> None:
    ref = decision({"model": "large"}, domains=("health",))
    check_settings(FILE, settings(default_model="plain", decisions=[ref]))
    given = decision({"model": "large", "use_reasoning": False}, domains=("health",))
    assert "has no effect" in refused(default_model="plain", decisions=[given])


def test_an_effort_is_allowed_where_the_uncertainty_may_switch_thinking_on() -> None:
    ref = decision({"model": "large", "reasoning_effort": "low"}, domains=("health",))
    check_settings(FILE, settings(decisions=[ref]))
    assert "has no effect without use_reasoning" in refused(
        decisions=[ref], entropy_reasoning={"enabled": False}
    )


def test_a_classifier_of_the_user_s_own_is_worth_a_warning() -> None:
    classifier = {"name": "mine", "path": "models/mine", "use_as_domain": True}
    problems = [
        each
        for each in problems_in(FILE, settings(classifiers=[classifier]))
        if each.severity is Severity.WARNING
    ]
    assert any("known to be calibrated" in each.text for each in problems)


def test_the_model_that_is_asked_first_says_whether_a_category_thinks() -> None:
    scores = [{"model": "small", "score": 0.2}, {"model": "large", "score": 0.9, "use_reasoning": True}]
    found = thinking_categories(
        settings(categories=[{"name": "law", "model_scores": scores}, {"name": "math"}])
    )
    assert found == {"law": True}


def test_a_decision_by_domain_alone_counts_before_the_category() -> None:
    signals = {"domains": [{"name": "science", "mmlu_categories": ["physics", "math"]}]}
    low = decision({"model": "large", "use_reasoning": True}, domains=("law", "science"), priority=1)
    high = decision({"model": "small"}, domains=("science",), priority=2) | {"name": "e"}
    found = thinking_categories(settings(signals=signals, decisions=[low, high]))
    assert found == {"physics": False, "math": False, "law": True}


@pytest.mark.parametrize(
    "rules",
    [
        {"operator": "NOT", "conditions": [{"type": "domain", "name": "law"}]},
        {"conditions": [{"type": "domain", "name": "law"}, {"type": "domain", "name": "math"}]},
        {"conditions": [{"type": "domain", "name": "law"}, {"type": "complexity", "name": "c:hard"}]},
        {"conditions": []},
    ],
)
def test_a_decision_that_needs_more_than_the_domain_says_nothing_of_a_category(rules: dict[str, Any]) -> None:
    other = {"name": "d", "rules": rules, "modelRefs": [{"model": "large", "use_reasoning": True}]}
    assert thinking_categories(settings(decisions=[other])) == {"math": True, "law": False}


def test_the_default_model_and_refs_without_a_setting_are_unsettled() -> None:
    refs = ({"model": "large"}, {"model": "small", "use_reasoning": False})
    policy = compile_routing(settings(decisions=[decision(*refs)]), embed)
    assert policy.default.candidates == (Route("small", effort="high", unsettled=True),)
    assert [route.unsettled for route in policy.decisions[0].listing.candidates] == [True, False]
    assert not any(route.unsettled for each in policy.categories.values() for route in each.candidates)


def test_the_domain_head_is_needed() -> None:
    by_domain = decision({"model": "large", "use_reasoning": True}, domains=("math",))
    policy = compile_routing(settings(categories=[], decisions=[by_domain]), embed)
    assert "domain" in policy.needs.heads


def test_what_changes_thinking_makes_another_generation() -> None:
    digests = {
        generation_of(settings(entropy_reasoning=given, decisions=[decision(ref)]), "h1")
        for given in ({}, {"enabled": True}, {"enabled": True, "threshold": 0.6})
        for ref in ({"model": "large"}, {"model": "large", "use_reasoning": False})
    }
    # Switched off, a ref without a setting is one with `false`, and nothing else counts.
    assert len(digests) == 5
    off = {generation_of(settings(entropy_reasoning=given), "h1") for given in ({}, {"threshold": 0.1})}
    assert len(off) == 1
