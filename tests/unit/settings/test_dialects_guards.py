"""The guards of vLLM Semantic Router: what keeps its meaning, and what an absent key means."""

from typing import Any

import pytest

from router_extproc.settings.dialects import Form
from router_extproc.settings.screening import compile_screening
from tests.unit.settings.test_dialects import MATH, canonical, deciding, refused, settled, warnings

PII_FILES = {"model_id": "models/pii", "pii_mapping_path": "models/pii/mapping.json"}
TAKEN = "was chosen for another classifier's scores and is taken as it is; look at its effect with "


def pool(**policies: dict[str, Any]) -> dict[str, Any]:
    return {name: {"pii_policy": policy} for name, policy in policies.items()} | {
        name: {} for name in {"small", "large"} - policies.keys()
    }


def plugins(*given: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return deciding(plugins=[{"type": kind, "configuration": keys} for kind, keys in given])


def test_the_guard_and_its_overrides_keep_their_names() -> None:
    keys: dict[str, Any] = {
        "prompt_guard": {"enabled": True, "threshold": 0.7, "model_id": "m", "use_cpu": True},
        "categories": [MATH | {"jailbreak_enabled": False, "pii_enabled": True, "pii_threshold": 0.8}],
    }
    document = canonical(**keys)
    assert document["prompt_guard"] == {"enabled": True, "threshold": 0.7}
    own = {"jailbreak_enabled": False, "pii_enabled": True, "pii_threshold": 0.8}
    assert document["categories"] == [MATH | own]
    said = warnings(**keys)
    assert said["prompt_guard.model_id"] == (
        "attacks are told by the router's own head; for a model of yours in ONNX give its folder as "
        "`prompt_guard.path`"
    )
    assert said["prompt_guard.threshold"] == f"{TAKEN}`router-extproc eval guard`"
    assert said["categories[0].pii_threshold"] == f"{TAKEN}`router-extproc eval pii`"
    policy = compile_screening(settled(**keys).settings)
    assert policy.guard.default.threshold == 0.7
    assert not policy.guard.of("math").enabled
    assert policy.pii.of("math").threshold == 0.8


def test_a_category_that_becomes_a_decision_takes_its_guards_along() -> None:
    categories = [
        {"name": "urgent", "jailbreak_threshold": 0.9, "model_scores": [{"model": "small", "score": 1}]}
    ]
    rules = [{"category": "urgent", "operator": "OR", "keywords": ["asap"]}]
    settings = settled(prompt_guard={"enabled": True}, categories=categories, keyword_rules=rules).settings
    assert compile_screening(settings).guard.of("decision:urgent (keyword)").threshold == 0.9


def test_an_absent_switch_is_off_and_its_threshold_told() -> None:
    keys: dict[str, Any] = {"prompt_guard": {"threshold": 0.7}}
    assert canonical(**keys)["prompt_guard"] == {}
    assert warnings(**keys)["prompt_guard.threshold"].startswith("has no effect: the guard is off")
    assert not compile_screening(settled(**keys).settings).guard.enabled


@pytest.mark.parametrize("zero", [0, 0.0])
def test_a_threshold_of_zero_is_left_out(zero: float) -> None:
    keys: dict[str, Any] = {
        "prompt_guard": {"enabled": True, "threshold": zero},
        "categories": [MATH | {"jailbreak_threshold": zero}],
    }
    document = canonical(**keys)
    assert document["prompt_guard"] == {"enabled": True}
    assert document["categories"] == [MATH]
    said = warnings(**keys)
    assert said["prompt_guard.threshold"] == said["categories[0].jailbreak_threshold"]
    assert said["prompt_guard.threshold"].startswith("is 0, at which everything would count")


def test_a_threshold_of_what_is_switched_off_needs_no_word() -> None:
    assert "prompt_guard.threshold" not in warnings(prompt_guard={"enabled": False, "threshold": 0.7})


def test_a_model_s_policy_is_kept_but_for_the_type_that_is_none() -> None:
    policy = {"allow_by_default": False, "pii_types_allowed": ["NO_PII", "GPE", "PERSN"]}
    found = refused(model_config=pool(small=policy))
    assert "pii_types_allowed[2]: 'PERSN' is no type of personal data, and no group" in found
    assert "did you mean `PERSON`?" in found
    policy = {"pii_types_allowed": ["NO_PII", "GPE"]}
    document = canonical(model_config=pool(small=policy))
    assert document["model_config"]["small"]["pii_policy"] == {"pii_types_allowed": ["GPE"]}
    said = warnings(model_config=pool(small=policy))
    assert said["model_config.small.pii_policy.pii_types_allowed[0]"] == "is no type of personal data"


def test_a_model_without_a_policy_may_see_nothing_where_the_other_router_looks() -> None:
    keys: dict[str, Any] = {
        "model_config": pool(small={"allow_by_default": True}),
        "classifier": {"pii_model": PII_FILES | {"threshold": 0.9}},
    }
    loaded = settled(**keys)
    assert loaded.form is Form.VSR_2025
    pii = compile_screening(loaded.settings).pii
    assert pii.denied("math", "large", frozenset({"AGE"})) == {"AGE"}
    assert pii.denied("math", "small", frozenset({"AGE"})) == frozenset()
    said = warnings(**keys)
    assert said["model_config.large.pii_policy"].startswith(
        "is not given: the model may see no personal data"
    )
    assert "classifier.pii_model.on_error" in said


@pytest.mark.parametrize("missing", PII_FILES)
def test_a_policy_counts_even_where_the_other_router_would_not_look(missing: str) -> None:
    files = {key: value for key, value in PII_FILES.items() if key != missing}
    keys: dict[str, Any] = {"model_config": pool(small={}), "classifier": {"pii_model": files}}
    assert compile_screening(settled(**keys).settings).pii.models.keys() == {"small"}
    text = "counts here, and does not there, where no classifier looks for personal data"
    assert warnings(**keys)["model_config.small.pii_policy"] == text


def test_a_threshold_that_no_policy_needs_has_no_effect() -> None:
    keys: dict[str, Any] = {"classifier": {"pii_model": {"threshold": 0.9}}}
    assert warnings(**keys)["classifier.pii_model.threshold"].startswith("has no effect: nothing looks for")
    assert not compile_screening(settled(**keys).settings).pii.enabled


def test_plugins_become_keys_of_their_decision() -> None:
    decisions = plugins(
        ("jailbreak", {"enabled": True, "threshold": 0.8}),
        ("pii", {"enabled": True, "threshold": 0.6, "pii_types_allowed": ["ORGANIZATION", "NO_PII"]}),
    )
    document = canonical(decisions=decisions)["decisions"][0]
    assert {key: value for key, value in document.items() if "jailbreak" in key or "pii" in key} == {
        "jailbreak_enabled": True,
        "jailbreak_threshold": 0.8,
        "pii_enabled": True,
        "pii_threshold": 0.6,
        "pii_types_allowed": ["ORGANIZATION"],
    }
    said = warnings(decisions=decisions)
    place = "decisions[0].plugins[0].configuration.threshold"
    assert said[place] == f"{TAKEN}`router-extproc eval guard`"
    assert "decisions[0].plugins[1].configuration.pii_types_allowed[1]" in said
    assert "classifier.pii_model.on_error" in said


def test_a_plugin_for_personal_data_without_types_lets_none_pass() -> None:
    policy = compile_screening(settled(decisions=plugins(("pii", {"enabled": True}))).settings)
    found = frozenset({"AGE"})
    assert policy.pii.of("decision:sums").enabled
    assert policy.pii.denied("decision:sums", "large", found) == found
    assert policy.pii.denied("", "large", found) == frozenset()


@pytest.mark.parametrize("keys", [{}, {"enabled": False}])
def test_a_plugin_that_is_not_switched_on_switches_its_guard_off(keys: dict[str, Any]) -> None:
    settings = settled(
        prompt_guard={"enabled": True},
        model_config=pool(small={}),
        decisions=plugins(("pii", keys), ("jailbreak", keys)),
    ).settings
    policy = compile_screening(settings)
    assert policy.guard.default.enabled
    assert policy.pii.default.enabled
    assert not policy.guard.of("decision:sums").enabled
    assert not policy.pii.of("decision:sums").enabled


def test_a_threshold_of_a_plugin_that_is_off_is_taken_out_with_a_word() -> None:
    decisions = plugins(("jailbreak", {"threshold": 0.8}))
    place = "decisions[0].plugins[0].configuration.threshold"
    assert warnings(decisions=decisions)[place] == (
        "has no effect: jailbreak_enabled is false here; remove one of them"
    )
    assert "jailbreak_threshold" not in canonical(decisions=decisions)["decisions"][0]


def test_in_0_1_a_model_s_policy_counts_beside_the_decisions() -> None:
    keys: dict[str, Any] = {
        "model_config": pool(small={"pii_types_allowed": ["AGE"]}),
        "decisions": deciding(),
        "classifier": {"pii_model": PII_FILES},
    }
    assert compile_screening(settled(**keys).settings).pii.models.keys() == {"small"}
    said = warnings(**keys)
    assert said["model_config.small.pii_policy"].endswith("where only plugins of decisions do")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model_config": pool(small={"allow_by_defualt": True})}, "did you mean `allow_by_default`?"),
        ({"model_config": {"small": {"pii_policy": True}, "large": {}}}, "model_config.small.pii_policy: "),
        ({"classifier": {"pii_model": {"treshold": 1}}}, "did you mean `threshold`?"),
        ({"prompt_guard": {"enabled": "yes"}}, "prompt_guard.enabled: input should be a valid boolean"),
        (
            {"decisions": plugins(("jailbreak", {"pii_types_allowed": []}))},
            "decisions[0].plugins[0].configuration.pii_types_allowed: unknown key",
        ),
        (
            {"decisions": plugins(("pii", {"enabled": True, "pii_types_allowed": ["AGES"]}))},
            "decisions[0].plugins[0].configuration.pii_types_allowed[0]: 'AGES' is no type of personal data",
        ),
    ],
)
def test_a_mistake_is_named_where_it_stands(keys: dict[str, Any], message: str) -> None:
    assert message in refused(**keys)
