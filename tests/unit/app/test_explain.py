"""What `explain` prints."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import yaml

from router_extproc.app.explain import as_text, document_of
from router_extproc.routing.analysis import Analysis
from router_extproc.screening.reading import Screening
from router_extproc.settings.compile import compile_snapshot
from router_extproc.settings.schema import Settings
from tests.support.phrases import embed

SHIPPED = Path(__file__).parents[3] / "config" / "router.yaml"
PROMPT = "Refund my zebra, please."
DECISIONS = [
    {
        "name": "refunds",
        "priority": 3,
        "rules": {
            "conditions": [
                {"type": "keyword", "name": "refund"},
                {"operator": "NOT", "conditions": [{"type": "domain", "name": "math"}]},
            ]
        },
        "modelRefs": [{"model": "qwen3-8b", "use_reasoning": True}, {"model": "qwen3-32b"}],
        "system_prompt": {"text": "Be kind.", "mode": "insert"},
        "semantic_cache": {"mode": "off"},
    }
]
SIGNALS = {"keywords": [{"name": "refund", "keywords": ["refund"]}]}


def explained(said: Analysis | None = None, **changes: Any) -> dict[str, Any]:
    settings = Settings.model_validate(yaml.safe_load(SHIPPED.read_text()) | changes)
    plan = compile_snapshot(settings, encoder="e1", heads="h1", embed=embed)
    analysis = said or Analysis(embed([PROMPT])[0], {"domain": {"law": 0.7, "math": 0.3}}, "e1", 6)
    return document_of(PROMPT, plan, analysis, settings)


def test_a_category_explains_itself() -> None:
    document = explained()
    assert (document["model"], document["rule"], document["category"]) == ("qwen3-32b", "auto_routing", "law")
    assert document["request_edits"] == {
        "model": "qwen3-32b",
        "chat_template_kwargs": {"enable_thinking": False},
    }
    text = as_text(document)
    assert "law at 70% reaches the threshold of 50% (auto_routing)" in text
    assert "per million tokens in and out" in text


def test_a_decision_shows_its_whole_trace() -> None:
    document = explained(decisions=DECISIONS, signals=SIGNALS)
    assert (document["decision"], document["alternatives"]) == ("refunds", ["qwen3-32b"])
    assert document["cache"]["mode"] == "off"
    text = as_text(document)
    for line in (
        "model      qwen3-8b, reasoning on",
        "because    the rules of decision 'refunds' hold (decision)",
        "signals    + keyword refund  1.00  1 of 1 keywords",
        "- domain math  0.30  math 0.3000",
        "decisions  + refunds  priority 3, confidence 1.00",
        "    + NOT",
        "      - domain math",
        "candidates qwen3-8b  quality 0.50  score",
        "selection  static: the first listed",
        "then       qwen3-32b",
        "prompt     system prompt: insert",
    ):
        assert line in text
    assert "zebra" not in json.dumps(document)


def test_a_prompt_that_nobody_can_answer_is_explained_too() -> None:
    models = yaml.safe_load(SHIPPED.read_text())["model_config"]
    for model in models.values():
        model["context_window"] = 16
    document = explained(model_config=models)
    assert (document["model"], document["rule"]) == (None, "unsuitable")
    assert "none: No model that may answer this request has a context window" in as_text(document)
    assert "dropped: context_window" in as_text(document)


def test_a_head_that_fails_is_shown() -> None:
    document = explained(Analysis(embed([PROMPT])[0], {}, "e1", 6, failed=("domain",)))
    assert (document["rule"], document["trace"]["failed"]) == ("no_analysis", ["domain"])
    text = as_text(document)
    assert "failed     heads: domain\n" in text
    assert "what the domain is could not be found out (no_analysis)" in text


def test_a_group_is_shown_as_its_types_and_an_everyday_prompt_stays_where_it_belongs() -> None:
    models = yaml.safe_load(SHIPPED.read_text())["model_config"]
    models["qwen3-32b"]["pii_policy"] = {"pii_types_allowed": ["QUASI_IDENTIFIERS"]}
    models["qwen3-8b"]["pii_policy"] = {}
    said = Screening(attack=0.0, types={"GPE": 0.9, "AGE": 0.9, "NRP": 0.9})
    document = explained(
        Analysis(embed([PROMPT])[0], {"domain": {"law": 0.7}}, "e1", 6, screening=said), model_config=models
    )
    assert document["model"] == "qwen3-32b"
    assert document["guards"]["pii"]["allowed"] == {
        "qwen3-32b": ["AGE", "DATE_TIME", "GPE", "NRP", "ORGANIZATION", "TITLE"],
        "qwen3-8b": [],
    }
    text = as_text(document)
    assert "qwen3-32b may see AGE, DATE_TIME, GPE, NRP, ORGANIZATION, TITLE\n" in text
    assert "qwen3-8b may see no personal data\n" in text


def test_guards_that_are_off_are_said_to_be() -> None:
    document = explained()
    assert document["guards"]["jailbreak"] == {
        "enabled": False,
        "threshold": 0.5,
        "probability": None,
        "blocked": False,
    }
    text = as_text(document)
    assert "guards     jailbreaks are not looked for\n" in text
    assert "personal data is not looked for\n" in text


def test_what_the_guards_find_is_shown_with_what_follows() -> None:
    models = yaml.safe_load(SHIPPED.read_text())["model_config"]
    models["qwen3-32b"]["pii_policy"] = {"pii_types_allowed": ["AGE"]}
    found = Screening(attack=0.8, types={"PERSON": 0.9, "GPE": 0.2})
    analysis = Analysis(embed([PROMPT])[0], {"domain": {"law": 0.7}}, "e1", 6, screening=found)
    categories = [
        {
            "name": "law",
            "model_scores": [{"model": "qwen3-32b"}, {"model": "qwen3-8b", "score": 0.1}],
            "jailbreak_threshold": 0.75,
        }
    ]
    document = explained(analysis, model_config=models, categories=categories, prompt_guard={"enabled": True})
    assert document["model"] == "qwen3-8b"
    assert document["guards"]["pii"]["counted"] == ["PERSON"]
    text = as_text(document)
    assert "guards     jailbreak 0.8000, counts from 0.75: blocked\n" in text
    assert "personal data: GPE 0.20, PERSON 0.90; from 0.50 counts PERSON\n" in text
    assert document["guards"]["pii"]["allowed"] == {"qwen3-32b": ["AGE"]}
    assert "           qwen3-32b may see AGE\n" in text
    analysis = dataclasses.replace(analysis, screening=Screening(attack=0.7))
    calm = explained(analysis, model_config=models, categories=categories, prompt_guard={"enabled": True})
    assert calm["model"] == "qwen3-32b"
    assert "counts from 0.75: passes\n" in as_text(calm)
    assert "personal data: none; from 0.50 counts nothing\n" in as_text(calm)


def test_thinking_by_uncertainty_explains_itself() -> None:
    heads = {"domain": {"math": 0.4, "physics": 0.3, "law": 0.3}}
    said = Analysis(embed([PROMPT])[0], heads, "e1", 6)
    document = explained(said, entropy_reasoning={"enabled": True})
    assert (document["model"], document["reasoning"]) == ("qwen3-8b", "on")
    assert document["request_edits"]["chat_template_kwargs"] == {"enable_thinking": True}
    text = as_text(document)
    assert "uncertainty very_high (0.99 of the most), 70.0% for categories that think" in text
    assert "on: very_high_uncertainty_conservative_default; applied" in text
    assert "uncertainty" not in as_text(explained(said))


def test_a_setting_that_wins_over_the_uncertainty_is_told() -> None:
    text = as_text(explained(entropy_reasoning={"enabled": True}))
    assert "not applied: the model has a setting, or cannot be switched" in text
