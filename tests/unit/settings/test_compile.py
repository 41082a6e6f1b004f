"""What the core is given, and when it counts as another generation."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from router_extproc.exchange.snapshot import Snapshot
from router_extproc.routing.decide import ReasoningFamily, Route
from router_extproc.settings.compile import compile_snapshot
from router_extproc.settings.schema import Settings

SHIPPED = Path(__file__).parents[3] / "config" / "router.yaml"


def compiled(**changes: Any) -> Snapshot:
    document = yaml.safe_load(SHIPPED.read_text()) | changes
    return compile_snapshot(Settings.model_validate(document), encoder="e1", heads="h1")


def test_categories_become_routes() -> None:
    plan = compiled()
    assert plan.routing.routes["math"] == Route("qwen3-32b", reasoning=True, effort="medium")
    assert plan.routing.routes["history"] == Route("qwen3-0.6b")
    assert plan.routing.default == Route("qwen3-8b")
    assert plan.routing.families["qwen3-8b"] == ReasoningFamily("chat_template_kwargs", "enable_thinking")
    assert plan.aliases == {"auto", "MoM"}


def test_the_best_score_wins_and_the_first_of_equals() -> None:
    scores = [
        {"model": "qwen3-0.6b", "score": 0.2},
        {"model": "qwen3-8b", "score": 0.9, "use_reasoning": True, "reasoning_effort": "high"},
        {"model": "qwen3-32b", "score": 0.9},
    ]
    plan = compiled(categories=[{"name": "law", "model_scores": scores}])
    assert plan.routing.routes == {"law": Route("qwen3-8b", reasoning=True, effort="high")}


def test_the_cache_s_policy_is_in_seconds() -> None:
    cache = compiled().cache
    assert (cache.enabled, cache.threshold, cache.ttl, cache.lookup_timeout) == (True, 0.85, 3600.0, 0.05)


def test_a_changed_policy_is_another_generation() -> None:
    assert compiled().generation == compiled().generation
    assert compiled(default_model="qwen3-32b").generation != compiled().generation
    assert compiled(classifier={"category_model": {"threshold": 0.6}}).generation != compiled().generation


def models(**changes: Any) -> dict[str, Any]:
    """The shipped `model_config` with one model changed; a value of None removes the key."""
    document: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())["model_config"]
    model = document["qwen3-8b"] | changes
    document["qwen3-8b"] = {key: value for key, value in model.items() if value is not None}
    return {"model_config": document}


@pytest.mark.parametrize(
    "changes",
    [
        {"pricing": None},
        {"pricing": {"prompt_per_1m": 9.0, "completion_per_1m": 9.0}},
        {"preferred_endpoints": ["large", "medium"]},
    ],
)
def test_a_model_s_price_and_servers_do_not_decide_routing(changes: dict[str, Any]) -> None:
    assert compiled(**models(**changes)).generation == compiled().generation


def test_a_model_s_reasoning_family_and_another_model_are_another_generation() -> None:
    unswitched, one_more = models(reasoning_family=None), models()
    one_more["model_config"]["one-more"] = {"preferred_endpoints": ["small"]}
    generations = {compiled(**each).generation for each in ({}, unswitched, one_more)}
    assert len(generations) == 3


@pytest.mark.parametrize("changes", [{"listeners": {}}, {"limits": {"max_streams": 7}}])
def test_what_does_not_decide_routing_is_the_same_generation(changes: dict[str, Any]) -> None:
    assert compiled(**changes).generation == compiled().generation


def test_other_heads_are_another_generation() -> None:
    settings = Settings.model_validate(yaml.safe_load(SHIPPED.read_text()))
    other = compile_snapshot(settings, encoder="e1", heads="h2")
    assert other.generation != compiled().generation
