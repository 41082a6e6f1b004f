"""What the guards let pass: whose rule counts, and who may see what."""

import dataclasses

import pytest

from router_extproc.screening.policy import (
    Action,
    GuardPolicy,
    ModelPii,
    PiiPolicy,
    Strictness,
    is_attack,
    sensitive,
)
from router_extproc.screening.reading import Screening

STRICT, LAX, OFF = (
    Strictness(enabled=True, threshold=0.3),
    Strictness(enabled=True, threshold=0.9),
    Strictness(),
)
GUARD = GuardPolicy(STRICT, {"law": LAX, "decision:free": OFF})
BOTH = frozenset({"AGE", "PERSON"})


@pytest.mark.parametrize(
    ("key", "attack", "refused"),
    [
        ("math", 0.3, True),
        ("math", 0.29, False),
        ("", 0.5, True),
        ("law", 0.5, False),
        ("law", 0.9, True),
        ("decision:free", 1.0, False),
        ("math", None, False),
    ],
)
def test_an_attack_is_what_reaches_the_threshold_of_its_rule(
    key: str, attack: float | None, refused: bool
) -> None:
    assert is_attack(GUARD, key, Screening(attack)) is refused


def test_who_only_observes_refuses_nothing() -> None:
    assert not is_attack(dataclasses.replace(GUARD, action=Action.OBSERVE), "math", Screening(1.0))


def test_types_count_from_the_threshold_of_their_rule() -> None:
    found = Screening(types={"AGE": 0.3, "PERSON": 0.95})
    policy = PiiPolicy(STRICT, {"law": LAX, "decision:free": OFF})
    assert sensitive(policy, "math", found) == BOTH
    assert sensitive(policy, "law", found) == {"PERSON"}
    assert sensitive(policy, "decision:free", found) == frozenset()


@pytest.mark.parametrize("on", ["default", "override"])
def test_a_policy_is_on_as_soon_as_it_is_on_somewhere(on: str) -> None:
    for kind in (GuardPolicy, PiiPolicy):
        assert not kind().enabled
        assert (kind(STRICT) if on == "default" else kind(OFF, {"law": STRICT})).enabled


def test_a_model_is_denied_what_either_policy_denies() -> None:
    policy = PiiPolicy(
        models={"near": ModelPii(), "far": ModelPii(allow_by_default=False, allowed=frozenset({"AGE"}))},
        decisions={"decision:hr": ModelPii(allow_by_default=False, allowed=frozenset({"PERSON"}))},
    )
    assert policy.denied("", "far", BOTH) == {"PERSON"}
    assert policy.denied("", "near", BOTH) == policy.denied("", "other", BOTH) == frozenset()
    assert policy.denied("decision:hr", "near", BOTH) == {"AGE"}
    assert policy.denied("decision:hr", "far", BOTH) == BOTH
    assert policy.denied("decision:hr", "far", frozenset()) == frozenset()


def test_what_a_model_may_see_is_told_where_it_is_not_everything() -> None:
    policy = PiiPolicy(
        models={"near": ModelPii(), "far": ModelPii(allow_by_default=False, allowed=frozenset({"AGE"}))},
        decisions={"decision:hr": ModelPii(allow_by_default=False, allowed=frozenset({"PERSON"}))},
    )
    assert policy.allowed("", BOTH) == {"far": {"AGE"}}
    assert policy.allowed("decision:hr", BOTH) == {"near": {"PERSON"}, "far": frozenset()}
