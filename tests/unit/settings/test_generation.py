"""What makes another generation, and what does not."""

import copy
import functools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from router_extproc.screening.spans import QUASI_IDENTIFIERS
from router_extproc.settings.generation import generation_of
from router_extproc.settings.schema import Settings

SHIPPED = Path(__file__).parents[3] / "config" / "router.yaml"


@functools.cache
def shipped() -> str:
    """As JSON: parsing YAML once is enough."""
    return json.dumps(yaml.safe_load(SHIPPED.read_text()))


BASE: dict[str, Any] = {
    "signals": {
        "keywords": [{"name": "used", "keywords": ["a"]}, {"name": "unused", "keywords": ["b"]}],
        "complexity": [{"name": "need"}],
        "classifiers": [{"name": "angry", "classifier": "tone", "labels": ["angry"]}],
    },
    "classifiers": [{"name": "tone", "path": "models/tone"}, {"name": "idle", "path": "models/idle"}],
    "decisions": [
        {
            "name": "d",
            "description": "what it is for",
            "rules": {
                "operator": "OR",
                "conditions": [
                    {"type": "keyword", "name": "used"},
                    {"type": "complexity", "name": "need:hard"},
                    {"type": "classifier", "name": "angry"},
                    {"type": "domain", "name": "math"},
                ],
            },
            "modelRefs": [{"model": "qwen3-8b"}, {"model": "qwen3-32b"}],
        }
    ],
    "tools": {"enabled": True, "tools_db_path": "tools.json"},
}


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shipped()) | copy.deepcopy(BASE)
    return found


def generation(*path: Any, to: Any = None, tools_db: bytes = b"") -> str:
    """Of BASE with the value at `path` set to `to`."""
    changed = document()
    if path:
        place = changed
        for step in path[:-1]:
            place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
        place[path[-1]] = to
    return generation_of(Settings.model_validate(changed), "h1", tools_db)


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("signals", "keywords", 0, "keywords"), ["c"]),
        (("signals", "complexity", 0, "hard_above"), 0.9),
        (("signals", "classifiers", 0, "threshold"), 0.9),
        (("classifiers", 0, "max_tokens"), 128),
        (("signals", "domains"), [{"name": "math", "threshold": 0.1}]),
        (("decisions", 0, "priority"), 3),
        (("decisions", 0, "rules", "operator"), "AND"),
        (("decisions", 0, "modelRefs"), [{"model": "qwen3-8b"}]),
        (("decisions", 0, "algorithm"), {"type": "latency_aware"}),
        (("decisions", 0, "system_prompt"), {"text": "x"}),
        (("decisions", 0, "tool_selection"), False),
        (("categories", 0, "system_prompt"), {"text": "x"}),
        (("model_config", "qwen3-8b", "quality"), 0.9),
        (("model_config", "qwen3-8b", "context_window"), 4096),
        (("model_config", "qwen3-8b", "capabilities"), ["vision"]),
        (("model_config", "qwen3-8b", "loras"), [{"name": "l"}]),
        (("selection", "algorithm"), {"type": "adaptive"}),
        (("session", "policy"), "pin"),
        (("tools", "top_k"), 7),
        (("model_aliases",), ["router"]),
    ],
)
def test_what_decides_routing_is_another_generation(path: tuple[Any, ...], to: Any) -> None:
    assert generation(*path, to=to) != generation()


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("signals", "keywords", 1, "keywords"), ["c"]),
        (("classifiers", 0, "path"), "elsewhere/tone"),
        (("classifiers", 1, "max_tokens"), 128),
        (("decisions", 0, "description"), "another"),
        (("decisions", 0, "semantic_cache"), {"mode": "off"}),
        (("tools", "tools_db_path"), "elsewhere.json"),
        (("model_config", "qwen3-8b", "pricing"), {"prompt_per_1m": 9.0, "completion_per_1m": 9.0}),
        (("include_config_models_in_list",), False),
    ],
)
def test_what_does_not_is_the_same_generation(path: tuple[Any, ...], to: Any) -> None:
    assert generation(*path, to=to) == generation()


ON = {"enabled": True}


def guarded(**keys: Any) -> str:
    """With both guards on, and these keys changed, dotted with `__`."""
    changed = document()
    changed["prompt_guard"] = dict(ON)
    changed["classifier"]["pii_model"] = {"enabled": True}
    for path, value in keys.items():
        *steps, last = path.split("__")
        place: Any = changed
        for step in steps:
            place = place[int(step)] if step.isdigit() else place.setdefault(step, {})
        place[last] = value
    return generation_of(Settings.model_validate(changed), "h1")


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ("prompt_guard__enabled", False),
        ("prompt_guard__threshold", 0.6),
        ("prompt_guard__action", "observe"),
        ("prompt_guard__on_error", "block"),
        ("classifier__pii_model__enabled", False),
        ("classifier__pii_model__threshold", 0.6),
        ("classifier__pii_model__on_error", "allow"),
        ("categories__0__jailbreak_enabled", False),
        ("categories__0__jailbreak_threshold", 0.6),
        ("categories__0__pii_enabled", False),
        ("categories__0__pii_threshold", 0.6),
        ("decisions__0__jailbreak_threshold", 0.6),
        ("decisions__0__pii_enabled", False),
        ("decisions__0__pii_types_allowed", ["AGE"]),
        ("model_config__qwen3-8b__pii_policy", {"pii_types_allowed": ["AGE"]}),
        ("screening__max_tokens", 512),
        ("screening__beyond", "refuse"),
        ("screening__status", 403),
        ("semantic_cache__screen_answers", {"pii_enabled": True}),
        ("semantic_cache__screen_answers", {"jailbreak_enabled": True}),
    ],
)
def test_whatever_changes_what_the_guards_let_pass_is_another_generation(path: str, to: Any) -> None:
    assert guarded(**{path: to}) != guarded()


def test_which_types_are_allowed_counts_and_their_order_does_not() -> None:
    allowed = "model_config__qwen3-8b__pii_policy"
    found = [
        guarded(**{allowed: {"pii_types_allowed": types}})
        for types in (["AGE", "GPE", "PERSON", "TITLE"], ["TITLE", "PERSON", "GPE", "AGE"], ["AGE", "NRP"])
    ]
    assert found[0] == found[1] != found[2]


def test_a_group_and_its_types_are_one_generation() -> None:
    """Who names the types one by one need not lose the cache by naming the group."""
    allowed = "model_config__qwen3-8b__pii_policy"
    found = [
        guarded(**{allowed: {"pii_types_allowed": types}})
        for types in (["QUASI_IDENTIFIERS"], sorted(QUASI_IDENTIFIERS), ["AGE"])
    ]
    assert found[0] == found[1] != found[2]


def test_what_answers_may_hold_counts_as_long_as_they_are_read() -> None:
    """An entry of before was not read, or not by this rule."""

    def reading(**keys: Any) -> str:
        return guarded(semantic_cache__screen_answers=keys)

    allowing = reading(pii_enabled=True, pii_types_allowed=["AGE", "GPE"])
    assert allowing == reading(pii_enabled=True, pii_types_allowed=["GPE", "AGE"])
    assert allowing != reading(pii_enabled=True)
    assert reading(pii_enabled=False, pii_types_allowed=["AGE"]) == guarded()


def test_a_guard_that_is_off_changes_nothing() -> None:
    off = {"enabled": False, "threshold": 0.9, "action": "observe"}
    assert generation("prompt_guard", to=off) == generation()
    assert generation("screening", to={"max_tokens": 512}) == generation()
    allowing = {"allow_by_default": True}
    assert generation("model_config", "qwen3-8b", "pii_policy", to=allowing) == generation()


def test_prices_count_where_some_choice_weighs_them() -> None:
    def priced(weights: dict[str, float], price: float) -> str:
        changed = document()
        changed["selection"] = {"algorithm": {"type": "multi_factor", "weights": weights}}
        changed["model_config"]["qwen3-8b"]["pricing"] = {"prompt_per_1m": price, "completion_per_1m": 1.0}
        return generation_of(Settings.model_validate(changed), "h1")

    assert priced({"cost": 0.5}, 1.0) != priced({"cost": 0.5}, 2.0)
    assert priced({"cost": 0.0}, 1.0) == priced({"cost": 0.0}, 2.0)


def test_what_the_tools_file_says_counts_while_tools_are_selected() -> None:
    assert generation(tools_db=b"[1]") != generation(tools_db=b"[2]")
    off = {"enabled": False}
    assert generation("tools", to=off, tools_db=b"[1]") == generation("tools", to=off, tools_db=b"[2]")
