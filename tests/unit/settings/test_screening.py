"""From keys to the guards' policy: who is looked at how, and who may see what."""

from typing import Any

import pytest

from router_extproc.screening.policy import (
    Action,
    AnswerPolicy,
    Beyond,
    Least,
    ModelPii,
    OnError,
    ScreeningPolicy,
    Strictness,
)
from router_extproc.screening.spans import PII_TYPES, QUASI_IDENTIFIERS
from router_extproc.settings.schema import Settings
from router_extproc.settings.screening import compile_screening, screening_document

POOL: dict[str, Any] = {
    "vllm_endpoints": [{"name": "a", "address": "127.0.0.1", "port": 9001}],
    "model_config": {"near": {"preferred_endpoints": ["a"]}},
    "default_model": "near",
}
FAR = {"preferred_endpoints": ["a"], "loras": [{"name": "legal"}]}
EVERYTHING = frozenset(PII_TYPES)
SOME = frozenset({"AGE", "GPE"})


def policy(far: dict[str, Any] | None = None, **keys: Any) -> ScreeningPolicy:
    """`far`: the policy of the other model, which has an adapter."""
    own = {} if far is None else {"pii_policy": far}
    models = POOL["model_config"] | {"far": FAR | own}
    return compile_screening(Settings.model_validate(POOL | {"model_config": models} | keys))


def category(**keys: Any) -> list[dict[str, Any]]:
    return [{"name": "math", **keys}]


def decision(**keys: Any) -> list[dict[str, Any]]:
    return [{"name": "sums", "modelRefs": [{"model": "far"}], **keys}]


def pii_model(**keys: Any) -> dict[str, Any]:
    return {"pii_model": keys}


def test_nothing_is_looked_for_unless_it_is_asked_for() -> None:
    assert policy() == ScreeningPolicy()
    assert policy(far={"allow_by_default": True}) == ScreeningPolicy()
    assert policy(far={"pii_types_allowed": sorted(EVERYTHING)}) == ScreeningPolicy()


def test_the_guard_is_as_its_section_says() -> None:
    given = {"enabled": True, "threshold": 0.7, "action": "observe", "on_error": "block"}
    guard = policy(prompt_guard=given).guard
    assert guard.of("math") == guard.default == Strictness(enabled=True, threshold=0.7)
    assert (guard.action, guard.on_error) == (Action.OBSERVE, OnError.BLOCK)
    assert policy(prompt_guard=given).pii == ScreeningPolicy().pii


def test_the_limits_are_of_both_guards() -> None:
    given = {"max_tokens": 512, "beyond": "refuse", "status": 403}
    found = policy(prompt_guard={"enabled": True}, screening=given)
    assert (found.max_tokens, found.beyond, found.status) == (512, Beyond.REFUSE, 403)


@pytest.mark.parametrize(
    ("enabled", "own", "threshold", "expected"),
    [
        (True, None, 0.9, Strictness(enabled=True, threshold=0.9)),
        (True, False, None, Strictness(enabled=False, threshold=0.5)),
        (False, True, None, Strictness(enabled=True, threshold=0.5)),
        (False, True, 0.9, Strictness(enabled=True, threshold=0.9)),
        (False, None, 0.9, Strictness(enabled=False, threshold=0.5)),
    ],
)
@pytest.mark.parametrize("guard", ["jailbreak", "pii"])
@pytest.mark.parametrize("key", ["math", "decision:sums"])
def test_a_category_or_decision_has_the_last_word(
    key: str, guard: str, enabled: bool, own: bool | None, threshold: float | None, expected: Strictness
) -> None:
    guarded = {"enabled": enabled, "threshold": 0.5}
    other: dict[str, Any] = {"prompt_guard": guarded, "classifier": pii_model(enabled=enabled)}
    keys = {f"{guard}_enabled": own, f"{guard}_threshold": threshold}
    owner: dict[str, Any] = (
        {"categories": category(**keys)} if key == "math" else {"decisions": decision(**keys)}
    )
    found = policy(**other, **owner)
    part = found.guard if guard == "jailbreak" else found.pii
    assert part.of(key) == expected
    assert part.of("law") == part.default == Strictness(enabled=enabled, threshold=0.5)


def test_a_model_s_policy_is_its_adapters_too_and_switches_the_search_on() -> None:
    pii = policy(far={"pii_types_allowed": ["AGE"]}).pii
    assert pii.of("math") == Strictness(enabled=True, threshold=0.5)
    assert pii.on_error is OnError.BLOCK
    for name in ("far", "legal"):
        assert pii.denied("math", name, SOME) == {"GPE"}
    assert pii.denied("math", "near", SOME) == frozenset()


def test_a_group_of_types_is_its_types_in_every_policy() -> None:
    names = ["QUASI_IDENTIFIERS", "PERSON"]
    types = QUASI_IDENTIFIERS | {"PERSON"}
    found = policy(
        far={"pii_types_allowed": names},
        decisions=decision(pii_types_allowed=names),
        **answers(pii_enabled=True, pii_types_allowed=names),
    )
    assert found.pii.models["legal"] == found.pii.decisions["decision:sums"] == ModelPii(False, types)
    assert found.answers.allowed == types
    assert found.pii.denied("decision:sums", "far", EVERYTHING) == EVERYTHING - types
    document = screening_document(found)
    for part in (document["pii"]["models"]["far"], document["pii"]["decisions"]["decision:sums"]):
        assert part["allowed"] == sorted(types)
    assert document["answers"]["allowed"] == sorted(types)


def test_who_may_see_every_type_by_its_group_or_name_is_denied_nothing() -> None:
    named = sorted(EVERYTHING - QUASI_IDENTIFIERS)
    assert policy(far={"pii_types_allowed": [*named, "QUASI_IDENTIFIERS"]}) == ScreeningPolicy()


def test_a_policy_without_keys_denies_everything() -> None:
    assert policy(far={}).pii.models["far"] == ModelPii(allow_by_default=False)


def test_policies_deny_nothing_while_the_search_is_off() -> None:
    assert policy(far={}, classifier=pii_model(enabled=False)) == ScreeningPolicy()
    off: dict[str, Any] = {
        "classifier": pii_model(enabled=False),
        "decisions": decision(pii_types_allowed=[]),
    }
    assert policy(**off) == ScreeningPolicy()


def test_a_decision_s_types_bind_every_model_and_nobody_else() -> None:
    pii = policy(decisions=decision(pii_types_allowed=["AGE"])).pii
    assert pii.of("decision:sums").enabled
    assert not pii.default.enabled
    for name in ("near", "far", "legal"):
        assert pii.denied("decision:sums", name, SOME) == {"GPE"}
        assert pii.denied("math", name, SOME) == frozenset()
    assert pii.models.keys() == {"near", "far", "legal"}


def test_a_decision_s_types_do_not_widen_a_model_s() -> None:
    pii = policy(far={"pii_types_allowed": ["GPE"]}, decisions=decision(pii_types_allowed=["AGE"])).pii
    assert pii.denied("decision:sums", "far", SOME) == SOME


def test_a_decision_that_is_switched_off_binds_nobody() -> None:
    decisions = decision(pii_types_allowed=["AGE"], pii_enabled=False)
    assert policy(decisions=decisions) == ScreeningPolicy()
    pii = policy(far={}, decisions=decisions).pii
    assert not pii.of("decision:sums").enabled
    assert pii.decisions == {}


def test_the_document_has_all_of_the_policy() -> None:
    found = screening_document(policy(far={"pii_types_allowed": ["GPE", "AGE"]}))
    assert found["pii"]["models"]["legal"] == {"allow_by_default": False, "allowed": ["AGE", "GPE"]}
    assert found.keys() == {"guard", "pii", "status", "max_tokens", "beyond"}


def answers(**keys: Any) -> dict[str, Any]:
    """A cache that reads answers, with these keys of `screen_answers`."""
    return {"semantic_cache": {"screen_answers": keys}}


def test_answers_are_read_where_it_is_asked_for_and_guards_that_are_off_stay_off() -> None:
    found = policy(**answers(pii_enabled=True, pii_types_allowed=["GPE", "AGE"]))
    assert found == ScreeningPolicy(answers=AnswerPolicy(pii=Least(0.5), allowed=SOME))
    assert policy(**answers(jailbreak_enabled=True)).answers == AnswerPolicy(guard=Least(0.7))
    assert policy(**answers()) == ScreeningPolicy()


def test_without_a_cache_there_are_no_answers_to_read() -> None:
    off = {"semantic_cache": {"enabled": False, "screen_answers": {"pii_enabled": True}}}
    assert policy(**off) == ScreeningPolicy()


def test_what_counts_in_an_answer_is_what_counts_in_a_request() -> None:
    """Also of a guard that is off for requests; a category that has its own rule has it here too."""
    keys: dict[str, Any] = {
        "prompt_guard": {"threshold": 0.8},
        "classifier": pii_model(threshold=0.6),
        "categories": category(pii_enabled=True, pii_threshold=0.9),
        "decisions": decision(jailbreak_enabled=True, jailbreak_threshold=0.3),
        "screening": {"max_tokens": 512, "beyond": "refuse"},
        **answers(pii_enabled=True, jailbreak_enabled=True),
    }
    found = policy(**keys)
    assert found.answers == AnswerPolicy(
        Least(0.6, {"math": 0.9}), Least(0.8, {"decision:sums": 0.3}), frozenset()
    )
    assert (found.max_tokens, found.beyond) == (512, Beyond.REFUSE)


def test_the_document_has_what_is_read_of_answers_if_anything_is() -> None:
    found = screening_document(policy(**answers(pii_enabled=True, pii_types_allowed=["GPE", "AGE"])))
    assert found["answers"] == {
        "pii": {"default": 0.5, "overrides": {}},
        "guard": None,
        "allowed": ["AGE", "GPE"],
    }
