"""The two forms of vLLM Semantic Router: what becomes of their keys, and where errors about them point."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from router_extproc.base.errors import ConfigError
from router_extproc.settings.dialects import Form, form_of
from router_extproc.settings.dialects_inert import INERT, PLUGINS, WHOLE
from router_extproc.settings.dump import document_of, dump
from router_extproc.settings.load import Loaded, load, read_settings, settle
from router_extproc.settings.problem import grouped, path_of

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "config" / "examples"
FILE = Path("config.yaml")

POOL: dict[str, Any] = {
    "vllm_endpoints": [{"name": "a", "address": "10.0.0.1", "port": 8000}],
    "model_config": {
        "small": {"reasoning_family": "qwen3"},
        "large": {"reasoning_family": "gpt-oss", "loras": [{"name": "legal"}]},
    },
    "reasoning_families": {
        "qwen3": {"type": "chat_template_kwargs", "parameter": "enable_thinking"},
        "gpt-oss": {"type": "reasoning_effort", "parameter": "reasoning_effort"},
    },
    "default_model": "small",
    "clear_route_cache": True,
}
OURS = {key: value for key, value in POOL.items() if key != "clear_route_cache"}
MATH = {"name": "math", "model_scores": [{"model": "large", "score": 0.9, "use_reasoning": True}]}
PROMPT: dict[str, Any] = {"type": "system_prompt", "configuration": {"mode": "x", "system_prompt": "y"}}


def settled(**keys: Any) -> Loaded:
    return settle(FILE, POOL | keys)


def refused(**keys: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        settled(**keys)
    return str(caught.value).removeprefix(f"{FILE}: ")


def canonical(**keys: Any) -> dict[str, Any]:
    """What `config migrate` makes of it."""
    document: dict[str, Any] = yaml.safe_load(dump(document_of(settled(**keys).settings)))
    return document


def warnings(**keys: Any) -> dict[str, str]:
    return {notice.path: notice.text for notice in settled(**keys).warnings}


def deciding(**keys: Any) -> list[dict[str, Any]]:
    """`decisions` of version 0.1 with one of these keys, about mathematics."""
    rules = {"operator": "OR", "conditions": [{"type": "domain", "name": "math"}]}
    return [{"name": "sums", "rules": rules, "modelRefs": [{"model": "large"}], **keys}]


@pytest.mark.parametrize("name", ["vsr-2025.yaml", "vsr-v0.1.yaml", "vsr-milvus.yaml"])
def test_the_examples_load_and_migrate_without_loss(name: str, tmp_path: Path) -> None:
    loaded = read_settings(EXAMPLES / name)
    assert loaded.form is (Form.VSR_V01 if "v0.1" in name else Form.VSR_2025)
    (tmp_path / "tools_db.json").write_bytes((EXAMPLES / "tools_db.json").read_bytes())
    ours = tmp_path / "router.yaml"
    ours.write_text(dump(document_of(loaded.settings)))
    again = read_settings(ours)
    assert again.form is Form.CANONICAL
    assert again.settings == loaded.settings
    assert again.warnings == ()


def test_the_examples_have_every_section_of_their_form() -> None:
    names = ("2025", "v0.1", "milvus")
    notices = [notice for name in names for notice in load(EXAMPLES / f"vsr-{name}.yaml")[1]]
    found = {f"{'semantic_cache.milvus.' if each.file else ''}{path_of(each.loc)}" for each in notices}
    whole = {path for path in WHOLE if "*" not in path}
    assert whole - found == {
        "classifier.mcp_category_model", "feedback_detector", "preference_rules",
        "prompt_guard.classifier_vllm_endpoint",
    }  # fmt: skip


def test_our_own_file_is_taken_as_it_is() -> None:
    path = ROOT / "config" / "router.yaml"
    loaded = read_settings(path)
    assert loaded.form is Form.CANONICAL
    assert loaded.warnings == ()
    assert document_of(loaded.settings) == yaml.safe_load(path.read_text())


def test_the_migrated_file_has_the_sections_in_our_order() -> None:
    ours = [*yaml.safe_load((ROOT / "config" / "router.yaml").read_text())]
    migrated = [
        *canonical(categories=[MATH], prompt_guard={}, classifier={"category_model": {"threshold": 0.6}})
    ]
    assert [key for key in migrated if key in ours] == [key for key in ours if key in migrated]


def test_what_is_not_given_keeps_the_other_router_s_meaning() -> None:
    document = canonical(clear_route_cache=True)
    assert document["semantic_cache"] == {"enabled": False}
    assert document["include_config_models_in_list"] is False
    assert document["model_config"]["small"]["preferred_endpoints"] == ["a"]
    assert "semantic_cache.enabled" in warnings(clear_route_cache=True)


def test_nothing_and_an_empty_text_are_as_if_not_given() -> None:
    category = MATH | {"system_prompt": "", "semantic_cache_enabled": None}
    score = {"model": "large", "score": 1, "lora_name": "", "reasoning_effort": "", "use_reasoning": False}
    plain = settled(categories=[MATH | {"description": "d", "model_scores": [score]}])
    empty = settled(categories=[category | {"description": "d", "model_scores": [score]}])
    assert empty.settings == plain.settings


@pytest.mark.parametrize(
    ("keys", "ours"),
    [
        (
            {"system_prompt": "Count.", "system_prompt_mode": "insert"},
            {"system_prompt": {"text": "Count.", "mode": "insert"}},
        ),
        ({"system_prompt": "Count.", "system_prompt_enabled": False}, {}),
        ({"semantic_cache_enabled": False}, {"semantic_cache": {"mode": "off"}}),
        ({"semantic_cache_enabled": True}, {}),
        (
            {"semantic_cache_similarity_threshold": 0.92},
            {"semantic_cache": {"similarity_threshold": 0.92}},
        ),
    ],
)
def test_flat_keys_of_a_category_become_sections(keys: dict[str, Any], ours: dict[str, Any]) -> None:
    category = canonical(categories=[MATH | {"name": "Math"} | keys], router={})["categories"][0]
    assert category == MATH | ours


def test_rules_stand_above_domains_and_the_first_keyword_rule_above_the_others() -> None:
    rules = [{"category": name, "operator": "OR", "keywords": [name]} for name in ("urgent", "math", "math")]
    similar = {"category": "math", "threshold": 0.7, "keywords": ["sum"], "aggregation_method": "any"}
    urgent = {
        "name": "urgent",
        "model_scores": [{"model": "small", "score": 0.2}, {"model": "large", "score": 0.8}],
    }
    mapped = {"name": "science", "mmlu_categories": ["physics"], "model_scores": MATH["model_scores"]}
    document = canonical(keyword_rules=rules, embedding_rules=[similar], categories=[MATH, urgent, mapped])
    ranked = sorted(document["decisions"], key=lambda decision: -decision["priority"])
    assert [(each["name"], each["rules"]["conditions"]) for each in ranked] == [
        ("urgent (keyword)", [{"type": "keyword", "name": "urgent"}]),
        ("math (keyword)", [{"type": "keyword", "name": "math"}]),
        ("math (keyword) 2", [{"type": "keyword", "name": "math 2"}]),
        ("math (embedding)", [{"type": "embedding", "name": "math"}]),
        ("science (domain)", [{"type": "domain", "name": "science"}]),
    ]
    assert len({each["priority"] for each in ranked}) == 5
    assert ranked[0]["modelRefs"] == [{"model": "large", "quality": 0.8}, {"model": "small", "quality": 0.2}]
    assert document["signals"]["domains"] == [{"name": "science", "mmlu_categories": ["physics"]}]
    assert document["signals"]["embeddings"][0]["candidates"] == ["sum"]
    assert [category["name"] for category in document["categories"]] == ["math"]


def test_a_rule_without_a_category_goes_to_the_default_model_and_says_so() -> None:
    rule = {"category": "nobody", "operator": "OR", "keywords": ["x"]}
    assert canonical(keyword_rules=[rule])["decisions"][0]["modelRefs"] == [{"model": "small"}]
    assert "goes to default_model" in warnings(keyword_rules=[rule])["keyword_rules[0]"]


def test_a_category_that_nothing_leads_to_is_told() -> None:
    said = warnings(categories=[MATH, {"name": "poetry", "model_scores": MATH["model_scores"]}], router={})
    assert "no question is ever in 'poetry'" in said["categories[1]"]


def test_a_domain_of_two_categories_is_refused() -> None:
    mapped = {"name": "figures", "mmlu_categories": ["Math"], "model_scores": MATH["model_scores"]}
    message = refused(categories=[MATH, mapped])
    assert message.startswith("categories[1].mmlu_categories: 'math' is in categories[0] already")


def test_plugins_become_keys_of_the_decision() -> None:
    plugins = [
        {"type": "system_prompt", "configuration": {"system_prompt": "Count.", "mode": "insert"}},
        {"type": "semantic-cache", "configuration": {"enabled": True, "similarity_threshold": 0.9}},
    ]
    decision = canonical(decisions=deciding(plugins=plugins))["decisions"][0]
    assert decision["system_prompt"] == {"text": "Count.", "mode": "insert"}
    assert decision["semantic_cache"] == {"similarity_threshold": 0.9}


def test_a_cache_plugin_that_is_not_enabled_switches_the_cache_off() -> None:
    plugins = [{"type": "semantic-cache", "configuration": {}}]
    assert canonical(decisions=deciding(plugins=plugins))["decisions"][0]["semantic_cache"] == {"mode": "off"}


@pytest.mark.parametrize("kind", PLUGINS)
def test_a_plugin_without_effect_is_told_with_the_reason(kind: str) -> None:
    said = warnings(decisions=deciding(plugins=[{"type": kind, "configuration": {}}]))
    assert said["decisions[0].plugins[0]"] == f"{kind}: {PLUGINS[kind].reason}"


def test_every_reason_says_something() -> None:
    for reason in (*INERT.values(), *(whole.reason for whole in (*WHOLE.values(), *PLUGINS.values()))):
        assert reason
        assert not reason.endswith(".")


@pytest.mark.parametrize("kind", ["fact_check", "user_feedback", "preference", "keywrd"])
def test_a_condition_that_nothing_can_tell_is_refused(kind: str) -> None:
    rules = {
        "operator": "AND",
        "conditions": [{"type": "domain", "name": "math"}, {"type": kind, "name": "needs_fact_check"}],
    }
    message = refused(decisions=deciding(rules=rules, plugins=[]), fact_check_rules=[])
    assert message.startswith(f"decisions[0].rules.conditions[1].type: {kind!r} ")
    assert "remove the decision, or say it with one of" in message
    assert ("did you mean `keyword`?" in message) is (kind == "keywrd")


def test_decisions_in_kubernetes_are_not_ignored() -> None:
    message = refused(config_source="kubernetes")
    assert message.startswith("config_source: decisions in Kubernetes resources are not read")


def test_by_confidence_means_that_priorities_do_not_count() -> None:
    decisions = [*deciding(priority=5), *deciding(name="more", priority=9)]
    migrated = canonical(decisions=decisions, strategy="confidence")["decisions"]
    assert all("priority" not in decision for decision in migrated)
    assert "decisions[1].priority" in warnings(decisions=decisions, strategy="confidence")
    assert refused(strategy="luck") == "strategy: input should be 'priority' or 'confidence'"


def test_rules_about_language_and_length_become_signals() -> None:
    rules = {
        "operator": "AND",
        "conditions": [{"type": "language", "name": "de"}, {"type": "context", "name": "long"}],
    }
    signals = canonical(
        decisions=deciding(rules=rules),
        language_rules=[{"name": "de", "description": "German"}],
        context_rules=[{"name": "long", "min_tokens": "4K", "max_tokens": "32K"}],
    )["signals"]
    assert signals["language"] == [{"name": "de", "languages": ["de"]}]
    assert signals["context"] == [{"name": "long", "min_tokens": "4K", "max_tokens": "32K"}]


def test_a_file_may_mix_the_forms() -> None:
    listener = {"port": 9000}
    loaded = settled(prompt_guard={"enabled": True}, listeners={"envoy": listener}, model_aliases=["gpt"])
    assert loaded.settings.listeners.envoy.port == 9000
    assert loaded.settings.model_aliases == ["gpt"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"prompt_guard": {"enabeld": True}},
            "prompt_guard.enabeld: unknown key; did you mean `enabled`?",
        ),
        (
            {"router": {}, "semantic_cache": {"enabled": True, "use_hnws": True}},
            "semantic_cache.use_hnws: unknown key; did you mean `use_hnsw`?",
        ),
        ({"router": {}, "keyword_rule": []}, "keyword_rule: unknown key; did you mean `keyword_rules`?"),
        (
            {"categories": [MATH | {"jailbreak_enable": True, "pii_enabled": True}]},
            "categories[0].jailbreak_enable: unknown key; did you mean `jailbreak_enabled`?",
        ),
        (
            {"categories": [{"name": "x", "system_promt": "y", "description": "z"}]},
            "categories[0].system_promt: unknown key; did you mean `system_prompt`?",
        ),
        (
            {"keyword_rules": [{"category": "math", "operator": "XOR", "keywords": ["x"]}]},
            "keyword_rules[0].operator: input should be 'AND', 'OR' or 'NOR'",
        ),
        (
            {"keyword_rules": [{"category": "math", "operator": "OR", "keyword": ["x"]}]},
            "keyword_rules[0].keyword: unknown key; did you mean `keywords`?",
        ),
        (
            {"embedding_rules": [{"category": "math", "threshold": 7, "keywords": ["x"]}]},
            "embedding_rules[0].threshold: input should be less than or equal to 1",
        ),
        ({"keyword_rules": {}}, "keyword_rules: input should be a valid list"),
        (
            {"keyword_rules": [{"category": "a", "name": "b", "operator": "OR", "keywords": ["x"]}]},
            "keyword_rules[0].category: is another word for name",
        ),
        (
            {"categories": [{"name": "hr", "mmlu_categories": ["laws"], "model_scores": [{"model": "big"}]}]},
            "categories[0].mmlu_categories[0]: 'laws' is no domain; did you mean `law`?",
        ),
        (
            {
                "keyword_rules": [{"category": "hr", "operator": "OR", "keywords": ["x"]}],
                "categories": [{"name": "hr", "model_scores": [{"model": "smal", "score": 1}]}],
            },
            "categories[0].model_scores[0].model: 'smal' is not in model_config; did you mean `small`?",
        ),
        (
            {"router": {}, "vllm_endpoints": [{"name": "a", "address": "http://x", "port": 1}]},
            "vllm_endpoints[0].address: string should match pattern",
        ),
        (
            {"decisions": deciding(plugins=[{"type": "semantic_cache"}])},
            "decisions[0].plugins[0].type: unknown plugin; did you mean `semantic-cache`?",
        ),
        (
            {"decisions": deciding(plugins=[{"type": "pii", "configuration": {"treshold": 1}}])},
            "decisions[0].plugins[0].configuration.treshold: unknown key; did you mean `threshold`?",
        ),
        (
            {"decisions": deciding(plugins=[PROMPT])},
            "decisions[0].plugins[0].configuration.mode: input should be 'insert' or 'replace'",
        ),
        (
            {"categories": [MATH | {"system_prompt": "x", "system_prompt_enabled": "yes"}]},
            "categories[0].system_prompt_enabled: input should be a valid boolean",
        ),
    ],
)  # fmt: skip
def test_errors_point_into_the_user_s_file(keys: dict[str, Any], message: str) -> None:
    assert message in refused(**keys)


def test_what_has_no_effect_in_the_other_forms_is_a_warning_and_is_not_migrated() -> None:
    score = {"model": "small", "score": 1, "use_reasoning": True, "reasoning_effort": "high"}
    spare = [*POOL["vllm_endpoints"], {"name": "b", "address": "10.0.0.2", "port": 8000}]
    pool = {name: model | {"preferred_endpoints": ["a"]} for name, model in POOL["model_config"].items()}
    keys = {
        "vllm_endpoints": spare,
        "model_config": pool,
        "categories": [MATH | {"model_scores": [score]}],
        "keyword_rules": [{"name": "idle", "operator": "OR", "keywords": ["x"]}],
        "decisions": deciding(),
    }
    said = warnings(**keys)
    assert "no model uses 'b'" in said["vllm_endpoints[1]"]
    assert "only on or off" in said["categories[0].model_scores[0].reasoning_effort"]
    assert "no decision uses 'idle'" in said["keyword_rules[0]"]
    document = canonical(**keys)
    assert len(document["vllm_endpoints"]) == 1
    assert document["categories"][0]["model_scores"] == [
        {"model": "small", "score": 1.0, "use_reasoning": True}
    ]
    assert "keywords" not in document.get("signals", {})


def test_of_two_scores_of_one_model_the_lower_one_is_without_effect() -> None:
    scores = [{"model": "large", "score": 0.2}, {"model": "large", "score": 0.9}]
    rule = {"category": "math", "operator": "OR", "keywords": ["x"]}
    document = canonical(categories=[MATH | {"model_scores": scores}], keyword_rules=[rule])
    assert document["categories"][0]["model_scores"] == [{"model": "large", "score": 0.9}]
    assert document["decisions"][0]["modelRefs"] == [{"model": "large", "quality": 0.9}]


def test_files_named_from_the_folder_above_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "tools_db.json").write_bytes((EXAMPLES / "tools_db.json").read_bytes())
    path = folder / "config.yaml"
    path.write_text(
        yaml.safe_dump(POOL | {"tools": {"enabled": True, "tools_db_path": "config/tools_db.json"}})
    )
    assert (folder / str(load(path)[0].tools.tools_db_path)).samefile(folder / "tools_db.json")


@pytest.mark.parametrize("value", ["${PORT}", "${HOST:-10.0.0.1}"])
def test_a_placeholder_is_not_taken_literally(value: str) -> None:
    message = refused(vllm_endpoints=[{"name": "a", "address": value, "port": 8000}])
    assert f"vllm_endpoints[0].address: {value} is not replaced by an environment variable; write" in message


def test_a_placeholder_in_a_text_is_told_and_one_without_effect_is_not() -> None:
    said = warnings(
        categories=[MATH | {"system_prompt": "You work for ${COMPANY}."}],
        prompt_guard={"model_id": "${MODEL}"},
    )
    assert "stands in the text as it is" in said["categories[0].system_prompt"]


def test_our_own_form_is_known_by_having_no_key_of_another() -> None:
    assert form_of(OURS) is Form.CANONICAL
    assert form_of(OURS | {"decisions": deciding()}) is Form.CANONICAL
    guards = {"prompt_guard": {"enabled": True}, "categories": [MATH | {"jailbreak_threshold": 0.8}]}
    assert form_of(OURS | guards) is Form.CANONICAL
    assert form_of(POOL) is Form.VSR_2025
    assert form_of(POOL | {"decisions": []}) is Form.VSR_V01


def test_one_remark_about_several_places_is_one_line() -> None:
    lines = grouped(
        settled(categories=[MATH | {"description": "d"}, {"name": "law", "description": "d"}]).warnings
    )
    assert "categories[0].description and 1 more: is a comment" in lines


def test_places_stay_right_after_something_before_them_was_taken_out() -> None:
    """The first score goes in the first round, the effort of the second only when its switch is gone."""
    pool = POOL["model_config"] | {"small": {"preferred_endpoints": ["a"]}}
    second = {"model": "small", "score": 0.9, "use_reasoning": True, "reasoning_effort": "high"}
    scores = [{"model": "small", "score": 0.1}, second]
    keys = {"model_config": pool, "categories": [MATH | {"model_scores": scores}], "router": {}}
    assert {path for path in warnings(**keys) if path.startswith("categories")} == {
        "categories[0].model_scores[0]",
        "categories[0].model_scores[1].use_reasoning",
        "categories[0].model_scores[1].reasoning_effort",
    }
    assert canonical(**keys)["categories"][0]["model_scores"] == [{"model": "small", "score": 0.9}]


ENTROPY = "is not given: thinking goes by the uncertainty about the category, as it does there"
SCIENCE = {"name": "science", "mmlu_categories": ["physics"], "model_scores": MATH["model_scores"]}


@pytest.mark.parametrize("category", [MATH, SCIENCE])
def test_in_the_form_of_2025_thinking_goes_by_the_uncertainty(category: dict[str, Any]) -> None:
    assert canonical(categories=[category])["entropy_reasoning"] == {"enabled": True}
    assert warnings(categories=[category])["entropy_reasoning"] == ENTROPY


def test_it_stays_as_it_is_given() -> None:
    given = {"enabled": False}
    assert canonical(categories=[MATH], entropy_reasoning=given)["entropy_reasoning"] == given
    assert "entropy_reasoning" not in warnings(categories=[MATH], entropy_reasoning=given)


def test_it_stays_off_where_it_would_change_nothing_and_in_version_0_1() -> None:
    still = {"name": "law", "model_scores": [{"model": "small", "score": 1.0, "use_reasoning": False}]}
    assert "entropy_reasoning" not in canonical(categories=[still])
    assert "entropy_reasoning" not in canonical(
        categories=[MATH], model_config={**POOL["model_config"], "small": {}}
    )
    assert "entropy_reasoning" not in canonical(strategy="priority", decisions=deciding())
