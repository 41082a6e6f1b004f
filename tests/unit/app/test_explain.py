"""What `explain` prints."""

import json
from pathlib import Path
from typing import Any

import yaml

from router_extproc.app.explain import as_text, document_of
from router_extproc.routing.analysis import Analysis
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


def explained(**changes: Any) -> dict[str, Any]:
    settings = Settings.model_validate(yaml.safe_load(SHIPPED.read_text()) | changes)
    plan = compile_snapshot(settings, encoder="e1", heads="h1", embed=embed)
    analysis = Analysis(embed([PROMPT])[0], {"domain": {"law": 0.7, "math": 0.3}}, "e1", 6)
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
