"""Keys of the guards that name what is not there, or that nobody asks for."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from router_extproc.app.configuration import away_of
from router_extproc.base.errors import ConfigError
from router_extproc.envoyconf.topology import Away
from router_extproc.screening.spans import PII_TYPES, QUASI_IDENTIFIERS
from router_extproc.settings.check import problems_in
from router_extproc.settings.load import settle
from router_extproc.settings.problem import Severity, path_of
from router_extproc.settings.schema import Settings

FILE = Path("router.yaml")
DENYING: dict[str, Any] = {"allow_by_default": False}


def document(policy: dict[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    model = {"preferred_endpoints": ["a"]} | ({} if policy is None else {"pii_policy": policy})
    return {
        "vllm_endpoints": [{"name": "a", "address": "127.0.0.1", "port": 9001}],
        "model_config": {"small": model},
        "default_model": "small",
        **keys,
    }


def said(severity: Severity, policy: dict[str, Any] | None = None, **keys: Any) -> dict[str, str]:
    found = problems_in(FILE, Settings.model_validate(document(policy, **keys)))
    return {path_of(each.loc): each.text for each in found if each.severity is severity}


def idle(policy: dict[str, Any] | None = None, **keys: Any) -> set[str]:
    return set(said(Severity.IDLE, policy, **keys))


def math(**keys: Any) -> list[dict[str, Any]]:
    return [{"name": "math", "model_scores": [{"model": "small"}], **keys}]


def sums(**keys: Any) -> list[dict[str, Any]]:
    rules = {"conditions": [{"type": "domain", "name": "math"}]}
    return [{"name": "sums", "rules": rules, "modelRefs": [{"model": "small"}], **keys}]


def pii_model(**keys: Any) -> dict[str, Any]:
    return {"pii_model": keys}


ANSWERS = "semantic_cache.screen_answers"


def answers(**keys: Any) -> dict[str, Any]:
    return {"semantic_cache": {"screen_answers": keys}}


def test_a_type_that_is_none_is_refused_with_the_nearest() -> None:
    path = "model_config.small.pii_policy.pii_types_allowed[1]"
    found = said(Severity.ERROR, {"pii_types_allowed": ["AGE", "email_adress"]})
    assert found[path].startswith(
        "'email_adress' is no type of personal data, and no group of them; did you mean `EMAIL_ADDRESS`?; the"
    )
    found = said(Severity.ERROR, **answers(pii_enabled=True, pii_types_allowed=["email"]))
    assert set(found) == {f"{ANSWERS}.pii_types_allowed[0]"}
    found = said(Severity.ERROR, decisions=sums(pii_types_allowed=["NO_PII"]))
    assert found["decisions[0].pii_types_allowed[0]"].startswith(
        "'NO_PII' is no type of personal data, and no group of them; the types are AGE, CREDIT_CARD,"
    )


@pytest.mark.parametrize("name", ["quasi_identifier", "IDENTIFIERS", "EVERYTHING"])
def test_a_group_that_is_none_is_refused_with_those_that_there_are(name: str) -> None:
    said_of = said(Severity.ERROR, {"pii_types_allowed": [name]})
    (text,) = said_of.values()
    assert text.endswith("the groups are QUASI_IDENTIFIERS (AGE, DATE_TIME, GPE, NRP, ORGANIZATION, TITLE)")
    assert ("did you mean `QUASI_IDENTIFIERS`" in text) is (name != "EVERYTHING")


@pytest.mark.parametrize(
    "names",
    [["QUASI_IDENTIFIERS"], ["QUASI_IDENTIFIERS", "DOMAIN_NAME"], ["ZIP_CODE", "QUASI_IDENTIFIERS"]],
)
def test_a_group_may_stand_wherever_types_may(names: list[str]) -> None:
    for keys in (
        {"policy": {"pii_types_allowed": names}},
        answers(pii_enabled=True, pii_types_allowed=names),
    ):
        assert not any(said(severity, **keys) for severity in Severity)
    assert not said(Severity.ERROR, decisions=sums(pii_types_allowed=names))


def test_a_type_beside_its_group_is_too_much_whichever_comes_first() -> None:
    path = "model_config.small.pii_policy.pii_types_allowed"
    said_of = said(Severity.IDLE, {"pii_types_allowed": ["QUASI_IDENTIFIERS", "PERSON", "AGE"]})
    assert said_of[f"{path}[2]"].startswith("has no effect: AGE is one of QUASI_IDENTIFIERS")
    assert idle({"pii_types_allowed": ["AGE", "PERSON", "QUASI_IDENTIFIERS"]}) == {f"{path}[0]"}
    assert idle({"pii_types_allowed": ["QUASI_IDENTIFIERS", "QUASI_IDENTIFIERS"]}) == {f"{path}[1]"}


def test_every_type_by_its_group_and_its_name_is_every_type() -> None:
    named = sorted(PII_TYPES - QUASI_IDENTIFIERS)
    found = answers(pii_enabled=True, pii_types_allowed=[*named, "QUASI_IDENTIFIERS"])
    assert idle(**found) == {f"{ANSWERS}.pii_types_allowed"}


def test_a_type_that_stands_twice_is_too_much() -> None:
    path = "model_config.small.pii_policy.pii_types_allowed[1]"
    assert idle({"pii_types_allowed": ["AGE", "AGE"]}) == {path}


def test_types_beside_everything_have_no_effect() -> None:
    policy = {"allow_by_default": True, "pii_types_allowed": ["AGE"]}
    assert idle(policy) == {"model_config.small.pii_policy.pii_types_allowed"}


def test_a_threshold_of_a_guard_that_nobody_switched_on_is_no_guard() -> None:
    found = said(Severity.IDLE, categories=math(jailbreak_threshold=0.8), prompt_guard={"threshold": 0.7})
    assert set(found) == {"categories[0].jailbreak_threshold", "prompt_guard.threshold"}
    assert "set prompt_guard.enabled" in found["prompt_guard.threshold"]
    with pytest.raises(ConfigError, match=r"jailbreak_threshold: has no effect: the guard is off"):
        settle(FILE, document(categories=math(jailbreak_threshold=0.8)))


@pytest.mark.parametrize(
    "keys",
    [
        {"prompt_guard": {"enabled": True}, "categories": math(jailbreak_threshold=0.8)},
        {"prompt_guard": {"enabled": False, "threshold": 0.7}, "categories": math(jailbreak_threshold=0.8)},
        {"prompt_guard": {"threshold": 0.7}, "categories": math(jailbreak_enabled=True)},
        {"decisions": sums(jailbreak_enabled=True, jailbreak_threshold=0.8), "screening": {"status": 403}},
        {"prompt_guard": {"enabled": False}, "screening": {"max_tokens": 512}},
        {"policy": DENYING, "classifier": pii_model(threshold=0.7), "categories": math(pii_threshold=0.8)},
        {"classifier": pii_model(enabled=False, threshold=0.7), "decisions": sums(pii_threshold=0.8)},
        {"classifier": pii_model(enabled=True, threshold=0.7), "decisions": sums(pii_threshold=0.8)},
        {"classifier": pii_model(threshold=0.7), "decisions": sums(pii_types_allowed=[])},
        {"decisions": sums(pii_types_allowed=["AGE"], pii_threshold=0.8)},
        {"decisions": sums(pii_enabled=True, pii_threshold=0.8)},
        {"prompt_guard": {"threshold": 0.8}, **answers(jailbreak_enabled=True)},
        {"classifier": pii_model(threshold=0.7), **answers(pii_enabled=True)},
        {"screening": {"beyond": "refuse", "max_tokens": 512}, **answers(pii_enabled=True)},
        answers(pii_enabled=False, pii_types_allowed=["AGE"]),
        answers(pii_enabled=True, pii_types_allowed=sorted(PII_TYPES - {"US_SSN"})),
    ],
)
def test_what_somebody_asks_for_and_what_is_switched_off_may_stay(keys: dict[str, Any]) -> None:
    assert idle(**keys) == set()


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        (
            {"prompt_guard": {"enabled": True}}
            | {"categories": math(jailbreak_enabled=False, jailbreak_threshold=0.8)},
            "categories[0].jailbreak_threshold",
        ),
        ({"categories": math(pii_threshold=0.8)}, "categories[0].pii_threshold"),
        ({"decisions": sums(pii_threshold=0.8)}, "decisions[0].pii_threshold"),
        (
            {"policy": DENYING, "decisions": sums(pii_enabled=False, pii_threshold=0.8)},
            "decisions[0].pii_threshold",
        ),
        (
            {"policy": DENYING, "decisions": sums(pii_enabled=False, pii_types_allowed=["AGE"])},
            "decisions[0].pii_types_allowed",
        ),
        ({"classifier": pii_model(on_error="block")}, "classifier.pii_model.on_error"),
        ({"screening": {"beyond": "refuse"}}, "screening.beyond"),
        ({"screening": {"status": 403}, **answers(pii_enabled=True)}, "screening.status"),
        ({"prompt_guard": {"threshold": 0.8}, **answers(pii_enabled=True)}, "prompt_guard.threshold"),
        (
            {"prompt_guard": {"on_error": "block"}, **answers(jailbreak_enabled=True)},
            "prompt_guard.on_error",
        ),
        (
            {"classifier": pii_model(threshold=0.8), **answers(jailbreak_enabled=True)},
            "classifier.pii_model.threshold",
        ),
        (answers(pii_types_allowed=["AGE"]), f"{ANSWERS}.pii_types_allowed"),
        (answers(pii_enabled=True, pii_types_allowed=sorted(PII_TYPES)), f"{ANSWERS}.pii_types_allowed"),
        (answers(pii_enabled=True, pii_types_allowed=["AGE", "AGE"]), f"{ANSWERS}.pii_types_allowed[1]"),
    ],
)
def test_what_nobody_asks_for_has_no_effect(keys: dict[str, Any], path: str) -> None:
    assert idle(**keys) == {path}


def test_a_policy_that_is_switched_off_is_told() -> None:
    found = said(Severity.WARNING, DENYING, classifier=pii_model(enabled=False))
    assert found == {
        "model_config.small.pii_policy": "denies nothing while classifier.pii_model.enabled is false"
    }
    somewhere = math(pii_enabled=True)
    assert said(Severity.WARNING, DENYING, classifier=pii_model(enabled=False), categories=somewhere) == {}
    assert said(Severity.WARNING, {"allow_by_default": True}, classifier=pii_model(enabled=False)) == {}


@pytest.mark.parametrize(
    "keys",
    [
        {"prompt_guard": {"enabled": True, "threshold": 0}},
        {"prompt_guard": {"enabled": True, "threshold": 1.01}},
        {"prompt_guard": {"enabled": True, "action": "mask"}},
        {"prompt_guard": {"enabled": True, "on_error": "pass"}},
        {"categories": math(jailbreak_enabled=True, jailbreak_threshold=0)},
        {"screening": {"status": 429}},
        {"screening": {"max_tokens": 10}},
        {"screening": {"beyond": "ignore"}},
    ],
)
def test_values_out_of_range_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(document(**keys))


REFUSING: list[dict[str, Any]] = [
    {"prompt_guard": {"enabled": True}},
    {"categories": math(jailbreak_enabled=True)},
    {"decisions": sums(jailbreak_enabled=True)},
    {"policy": DENYING},
    {"decisions": sums(pii_types_allowed=["PERSON"])},
    {"classifier": pii_model(enabled=True)},
]
"""Every place from which a guard may refuse a request."""

NOT_REFUSING: list[dict[str, Any]] = [
    {},
    {"prompt_guard": {"enabled": True, "action": "observe"}},
    {"classifier": pii_model(enabled=True, on_error="allow")},
]


@pytest.mark.parametrize("keys", REFUSING)
def test_beside_a_guard_that_may_refuse_nothing_may_pass_when_the_router_is_away(
    keys: dict[str, Any],
) -> None:
    policy, rest = keys.get("policy"), {key: value for key, value in keys.items() if key != "policy"}
    wrong = said(Severity.ERROR, policy, when_router_is_away="pass", **rest)
    assert "way around the guards" in wrong["when_router_is_away"]
    assert "when_router_is_away" not in said(Severity.ERROR, policy, when_router_is_away="refuse", **rest)
    settings = Settings.model_validate(document(policy, **rest))
    assert away_of(settings) is Away.REFUSE_UNREAD


@pytest.mark.parametrize("keys", NOT_REFUSING)
def test_where_no_guard_may_refuse_the_operator_says_what_passes(keys: dict[str, Any]) -> None:
    for said_so, away in (("pass", Away.PASS), ("refuse", Away.REFUSE_CHAT), (None, Away.PASS)):
        given = {"when_router_is_away": said_so, **keys}
        assert "when_router_is_away" not in said(Severity.ERROR, **given)
        assert away_of(Settings.model_validate(document(**given))) is away


def test_a_path_that_is_left_open_is_another_one_and_makes_a_difference() -> None:
    def open_path(path: str) -> dict[str, Any]:
        return {"screening": {"unread_paths": [path]}}

    guard = {"prompt_guard": {"enabled": True}}
    assert said(Severity.ERROR, **guard, **open_path("/v1/embeddings")) == {}
    assert "screening.unread_paths[0]" in said(Severity.ERROR, **guard, **open_path("/v1/chat/completions"))
    observing = {"prompt_guard": {"enabled": True, "action": "observe"}}
    assert "screening.unread_paths" in idle(**observing, **open_path("/v1/embeddings"))
    for wrong in ("v1/embeddings", "/v1/embeddings?a", "/a b", "/a#b"):
        with pytest.raises(ValidationError):
            Settings.model_validate(document(**open_path(wrong)))
