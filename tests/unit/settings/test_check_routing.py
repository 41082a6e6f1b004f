"""Signals, decisions, classifiers and tools that are valid key by key and still cannot work."""

import json
from pathlib import Path
from typing import Any

import pytest

from router_extproc.base.errors import ConfigError
from router_extproc.settings.check import check_settings, problems_in
from router_extproc.settings.check_signals import SECTIONS
from router_extproc.settings.load import settle
from router_extproc.settings.problem import Severity
from router_extproc.settings.routing_schema import Signals
from router_extproc.settings.schema import Settings

FILE = Path("router.yaml")
POOL: dict[str, Any] = {
    "vllm_endpoints": [{"name": "a", "address": "127.0.0.1", "port": 9001}],
    "model_config": {
        "small": {"preferred_endpoints": ["a"]},
        "large": {"preferred_endpoints": ["a"], "reasoning_family": "qwen3", "loras": [{"name": "legal"}]},
    },
    "reasoning_families": {"qwen3": {"type": "chat_template_kwargs", "parameter": "enable_thinking"}},
    "default_model": "small",
}
SOME: dict[str, Any] = {
    "keywords": [{"name": "urgent", "keywords": ["asap"]}],
    "embeddings": [{"name": "refund", "candidates": ["money back"]}],
    "domains": [{"name": "science", "mmlu_categories": ["physics"]}],
    "complexity": [{"name": "need"}],
    "language": [{"name": "german", "languages": ["de"]}],
    "context": [{"name": "long", "min_tokens": "8K"}],
    "structure": [{"name": "code", "feature": "code_blocks", "predicate": {"gte": 1}}],
    "conversation": [{"name": "later", "feature": "user_turns", "predicate": {"gt": 1}}],
}


def decision(*conditions: Any, name: str = "d", **keys: Any) -> dict[str, Any]:
    parts = [
        {"type": part.partition(" ")[0], "name": part.partition(" ")[2]} if isinstance(part, str) else part
        for part in conditions
    ]
    return {"name": name, "rules": {"conditions": parts}, "modelRefs": [{"model": "large"}], **keys}


def problems(path: Path = FILE, **keys: Any) -> str:
    """The message about a configuration, empty when it is right."""
    try:
        check_settings(path, Settings.model_validate(POOL | keys))
    except ConfigError as error:
        return str(error).removeprefix(f"{path}: ")
    return ""


def with_signal(section: str, signal: dict[str, Any], condition: str) -> str:
    return problems(signals={section: [signal]}, decisions=[decision(condition)])


def test_one_of_each_kind_is_right() -> None:
    conditions = [
        f"{kind} {SOME[section][0]['name']}{':hard' if kind == 'complexity' else ''}"
        for kind, section in SECTIONS.items()
        if section in SOME
    ]
    assert problems(signals=SOME, decisions=[decision(*conditions, "domain math")]) == ""


def test_every_kind_of_signal_is_checked() -> None:
    assert set(SECTIONS.values()) == set(Signals.model_fields)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("keyword urgnet", "'urgnet' is not in signals.keywords; did you mean `urgent`?"),
        ("keyword x", "'x' is not in signals.keywords; there is urgent"),
        ("keyword refund", "'refund' is a signal of type embedding, not keyword; correct the type"),
        ("domain maths", "'maths' is not in signals.domains; did you mean `math`?"),
        ("complexity need", "'need' has no level; write NAME:hard, NAME:medium or NAME:easy"),
        ("complexity need:very", "'need:very' has no level; write"),
        ("complexity nead:hard", "'nead' is not in signals.complexity; did you mean `need`?"),
    ],
)
def test_a_condition_names_a_signal_that_exists(condition: str, message: str) -> None:
    inner = {"operator": "NOT", "conditions": [decision(condition)["rules"]["conditions"][0]]}
    said = problems(signals=SOME, decisions=[decision("domain law", inner)])
    assert f"decisions[0].rules.conditions[1].conditions[0].name: {message}" in said


def test_a_signal_that_no_decision_uses_is_told() -> None:
    assert problems(signals={"keywords": SOME["keywords"]}) == (
        "signals.keywords[0]: no decision uses 'urgent'; name it in a condition or remove it"
    )


@pytest.mark.parametrize(
    ("section", "signal", "condition", "message"),
    [
        (
            "complexity",
            {"name": "n", "hard_above": 0.3},
            "complexity n:hard",
            "complexity[0].easy_below: must be below",
        ),
        (
            "complexity",
            {"name": "n", "hard_candidates": ["x"]},
            "complexity n:hard",
            "belong together; give both",
        ),
        (
            "complexity",
            {"name": "n", "threshold": 0.2},
            "complexity n:hard",
            "threshold: has no effect without cand",
        ),
        (
            "complexity",
            {"name": "n", "hard_above": 0.7, "hard_candidates": ["x"], "easy_candidates": ["y"]},
            "complexity n:hard",
            "hard_above: has no effect with candidates; use threshold",
        ),
        ("context", {"name": "n"}, "context n", "signals.context[0]: holds for every request"),
        (
            "context",
            {"name": "n", "min_tokens": "4K", "max_tokens": 3999},
            "context n",
            "signals.context[0].max_tokens: is below min_tokens (4K), so it never holds",
        ),
        ("context", {"name": "n", "min_tokens": "4K", "max_tokens": 4000}, "context n", ""),
        ("domains", {"name": "sums"}, "domain sums", "'sums' is no domain; or give mmlu_categories"),
        ("domains", {"name": "s", "mmlu_categories": ["phisics"]}, "domain s", "did you mean `physics`?"),
        ("keywords", {"name": "n", "keywords": ["a", " "]}, "keyword n", "keywords[0].keywords[1]: is blank"),
        (
            "structure",
            {"name": "n", "feature": "lines", "predicate": {"gt": 3, "lt": 3}},
            "structure n",
            "signals.structure[0].predicate: can never hold",
        ),
        (
            "structure",
            {"name": "n", "feature": "lines", "predicate": {"gte": 3, "lte": 3}},
            "structure n",
            "",
        ),
        (
            "structure",
            {"name": "n", "feature": "lines", "predicate": {"gt": 3, "eq": 3}},
            "structure n",
            "never hold",
        ),
    ],
)
def test_a_signal_is_whole(section: str, signal: dict[str, Any], condition: str, message: str) -> None:
    said = with_signal(section, signal, condition)
    assert message in said if message else said == ""


def test_names_stand_once() -> None:
    twice = [SOME["keywords"][0]] * 2
    decisions = [decision("keyword urgent"), decision("domain law")]
    said = problems(signals={"keywords": twice}, decisions=decisions)
    assert "signals.keywords[1].name: 'urgent' stands twice" in said
    assert "decisions[1].name: 'd' stands twice" in said


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"model": "larg"}, "modelRefs[0].model: 'larg' is not in model_config; did you mean `large`?"),
        (
            {"model": "large", "lora_name": "legl"},
            "modelRefs[0].lora_name: 'legl' is not in model_config.large.loras",
        ),
        ({"model": "small", "use_reasoning": True}, "use_reasoning: 'small' has no reasoning_family"),
        (
            {"model": "large", "reasoning_effort": "low"},
            "reasoning_effort: has no effect without use_reasoning",
        ),
    ],
)
def test_references_name_what_exists(reference: dict[str, Any], message: str) -> None:
    assert message in problems(decisions=[decision("domain law", modelRefs=[reference])])


def test_one_model_is_listed_once() -> None:
    twice = [{"model": "large"}, {"model": "large", "lora_name": "legal"}, {"model": "large"}]
    said = problems(decisions=[decision("domain law", modelRefs=twice)])
    assert said == "decisions[0].modelRefs[2]: 'large' stands here already; remove it"


def test_a_decision_below_one_that_always_holds_is_never_reached() -> None:
    everything = decision(name="rest", priority=5)
    below = decision("domain law", priority=4)
    level = decision("domain law", name="level", priority=5)
    message = "is never reached: 'rest' always holds and has priority 5"
    assert f"decisions[1]: {message}, this one 4" in problems(decisions=[everything, below])
    assert problems(decisions=[everything, level]) == ""
    math = [{"name": "math", "model_scores": [{"model": "large"}]}]
    assert f"categories[0].model_scores: {message}" in problems(decisions=[everything], categories=math)


@pytest.mark.parametrize(
    ("rules", "always"),
    [
        ({}, True),
        ({"conditions": [{"operator": "AND"}]}, True),
        ({"operator": "OR", "conditions": [{"operator": "AND"}, {"type": "domain", "name": "law"}]}, True),
        ({"conditions": [{"operator": "AND"}, {"type": "domain", "name": "law"}]}, False),
        ({"operator": "NOT", "conditions": [{"type": "domain", "name": "law"}]}, False),
    ],
)
def test_what_always_holds_is_seen_through_nesting(rules: dict[str, Any], always: bool) -> None:
    said = problems(decisions=[decision(rules=rules, priority=1), decision("domain law", name="later")])
    assert ("never reached" in said) is always


def test_a_rule_that_never_holds_is_told() -> None:
    rules = {"operator": "NOT", "conditions": [{"operator": "AND"}]}
    assert problems(decisions=[decision(rules=rules)]).startswith("decisions[0].rules: can never hold")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model_aliases": ["large"]}, "model_aliases[0]: 'large' is a model, and an alias means automatic"),
        ({"model_aliases": ["MoM"]}, "model_aliases[0]: 'MoM' means automatic choice already"),
        ({"model_aliases": ["x", "x"]}, "model_aliases[1]: 'x' means automatic choice already"),
        (
            {"model_aliases": ["legal"]},
            "model_config.large.loras[0].name: 'legal' is the name of a model or an alias",
        ),
        ({"session": {"ttl_seconds": 5}}, "session.ttl_seconds: has no effect with policy none"),
        ({"session": {"policy": "pin", "header": "cookie"}}, "session.header: 'cookie' means something else"),
        (
            {"selection": {"algorithm": {"exploration": 0.1}}},
            "selection.algorithm.exploration: has no effect with",
        ),
        (
            {"selection": {"algorithm": {"weights": {"load": 1}}}},
            "selection.algorithm.weights: has no effect with type",
        ),
        (
            {"selection": {"feedback": {"retry_seconds": 40}}},
            "selection.feedback.max_retry_seconds: is below retry_seconds (40)",
        ),
        ({"tools": {"enabled": True}}, "tools.tools_db_path: is required with `enabled: true`"),
        (
            {"decisions": [decision("domain law", tool_selection=True)]},
            "tool_selection: has no effect: tools are not",
        ),
        (
            {"categories": [{"name": "law", "semantic_cache": {"mode": "off", "ttl_seconds": 1}}]},
            "categories[0].semantic_cache.ttl_seconds: has no effect with mode off",
        ),
    ],
)
def test_names_collide_with_nothing_and_keys_have_an_effect(keys: dict[str, Any], message: str) -> None:
    assert message in problems(**keys)


def test_a_section_that_is_switched_off_may_stay() -> None:
    assert problems(tools={"enabled": False, "tools_db_path": "none.json", "top_k": 4}) == ""
    assert problems(selection={"feedback": {"enabled": False, "failures": 9}}) == ""


def test_prices_in_two_currencies_are_not_compared() -> None:
    models = {
        name: model | {"pricing": {"currency": currency, "prompt_per_1m": 1, "completion_per_1m": 1}}
        for (name, model), currency in zip(POOL["model_config"].items(), ("USD", "EUR"), strict=True)
    }
    assert problems(model_config=models) == ""
    said = problems(model_config=models, selection={"algorithm": {"type": "multi_factor"}})
    assert said.startswith("model_config.large.pricing.currency: prices in EUR and USD cannot be compared")


def test_a_key_in_clear_text_is_a_warning() -> None:
    models = POOL["model_config"] | {"small": {"preferred_endpoints": ["a"], "api_key": {"env": "KEY"}}}
    far = [{"name": "a", "address": "api.example.org", "port": 443}]
    settings = Settings.model_validate(POOL | {"model_config": models, "vllm_endpoints": far})
    (found,) = problems_in(FILE, settings)
    assert (found.severity, str(found)) == (
        Severity.WARNING,
        "model_config.small.api_key: goes to 'a' in clear text; give that endpoint `tls: {}`, unless the "
        "network is yours",
    )
    safe = [far[0] | {"tls": {}}]
    assert problems(model_config=models, vllm_endpoints=safe) == ""
    assert [*problems_in(FILE, Settings.model_validate(POOL | {"model_config": models}))] == []


def test_the_simulator_speaks_no_tls() -> None:
    endpoint = POOL["vllm_endpoints"][0] | {"tls": {}}
    pool = {"small": {"preferred_endpoints": ["a"]}}
    said = problems(vllm_endpoints=[endpoint], model_config=pool, simulator={"models": {"small": {}}})
    assert said.startswith("vllm_endpoints[0].tls: the simulator speaks no TLS")


ASKS: dict[str, Any] = {"name": "spam", "classifier": "mail", "labels": ["junk"]}
TWO = [{"name": "junk", "examples": ["win"]}, {"name": "fine", "examples": ["hello"]}]


def test_a_classifier_signal_asks_a_class_that_exists() -> None:
    decisions = [decision("classifier spam")]
    mail = {"name": "mail", "classes": TWO}
    assert problems(classifiers=[mail], signals={"classifiers": [ASKS]}, decisions=decisions) == ""
    said = problems(
        classifiers=[mail], signals={"classifiers": [ASKS | {"labels": ["junck"]}]}, decisions=decisions
    )
    assert "labels[0]: 'junck' is no class of 'mail'; did you mean `junk`?" in said
    said = problems(
        classifiers=[mail], signals={"classifiers": [ASKS | {"classifier": "mial"}]}, decisions=decisions
    )
    assert "'mial' is not in classifiers; did you mean `mail`?" in said
    assert "classifiers[0]: no signal asks 'mail'" in problems(classifiers=[mail])


def test_a_classifier_of_ours_brings_its_own_domains() -> None:
    mail = {"name": "mail", "classes": TWO, "use_as_domain": True}
    assert problems(classifiers=[mail], decisions=[decision("domain junk")]) == ""
    assert "'law' is not in signals.domains" in problems(
        classifiers=[mail], decisions=[decision("domain law")]
    )
    said = problems(classifiers=[mail], categories=[{"name": "law", "model_scores": [{"model": "large"}]}])
    assert said.startswith("categories[0]: no question is in 'law', because a classifier of yours")
    assert "'domain' is a head of the router's own" in problems(classifiers=[mail | {"name": "domain"}])


def test_a_classifier_s_folder_has_what_it_needs(tmp_path: Path) -> None:
    file, folder = tmp_path / "router.yaml", tmp_path / "mail"
    keys: dict[str, Any] = {"classifiers": [{"name": "mail", "path": "mail", "use_as_domain": True}]}
    assert f"{folder} is not a folder; it is relative to this file" in problems(file, **keys)
    folder.mkdir()
    said = problems(file, **keys)
    for part in ("config.json", "tokeniser", ".onnx"):
        assert part in said
    for name in ("config.json", "tokenizer.json", "model.onnx"):
        (folder / name).touch()
    assert problems(file, **keys) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not valid JSON"),
        ("{}", "must be a list of tools"),
        ("[]", "must be a list of tools"),
        ('[{"tool": {"function": {}}, "description": "d"}]', "entry 0 must be a `description` and a `tool`"),
        ('[{"tool": {"function": {"name": "f"}}}]', "entry 0 must be a `description` and a `tool`"),
    ],
)
def test_tools_need_a_file_of_tools(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "tools.json").write_text(text)
    said = problems(tmp_path / "router.yaml", tools={"enabled": True, "tools_db_path": "tools.json"})
    assert said.startswith("tools.tools_db_path: ")
    assert message in said


def test_a_tool_stands_once(tmp_path: Path) -> None:
    tool = {"tool": {"type": "function", "function": {"name": "f"}}, "description": "d"}
    (tmp_path / "tools.json").write_text(json.dumps([tool]))
    keys: dict[str, Any] = {"tools": {"enabled": True, "tools_db_path": "tools.json"}}
    assert problems(tmp_path / "router.yaml", **keys) == ""
    (tmp_path / "tools.json").write_text(json.dumps([tool, tool]))
    assert "entry 1: 'f' stands twice" in problems(tmp_path / "router.yaml", **keys)


def test_a_part_of_a_rule_is_told_as_what_it_was_meant_to_be() -> None:
    """Not as everything that it could have been."""
    broken = [
        {"type": "keyword"},
        {"operator": "XOR", "conditions": []},
        {"type": "keyword", "nme": "x", "name": "y"},
    ]
    with pytest.raises(ConfigError) as caught:
        settle(FILE, POOL | {"decisions": [decision(*broken)]})
    assert str(caught.value).removeprefix(f"{FILE}: ").split("; ")[:3] == [
        "decisions[0].rules.conditions[0].name: is required",
        "decisions[0].rules.conditions[1].operator: input should be 'AND', 'OR' or 'NOT'",
        "decisions[0].rules.conditions[2].nme: unknown key",
    ]


def test_two_remarks_about_one_value_are_one() -> None:
    signals = {"context": [{"name": "long", "min_tokens": "many"}]}
    with pytest.raises(ConfigError) as caught:
        settle(FILE, POOL | {"signals": signals})
    assert str(caught.value).count("signals.context[0].min_tokens: ") == 1
