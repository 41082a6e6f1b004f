"""Settings as the routing core sees them."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from router_extproc.routing.compiled import RoutingPolicy
from router_extproc.routing.policy import Model, ReasoningFamily, Route, SystemPrompt
from router_extproc.routing.rules import Leaf, Tree
from router_extproc.routing.select import Algorithm, Weights
from router_extproc.routing.session import SessionPolicy
from router_extproc.routing.signals import (
    Bounds,
    ComplexitySignal,
    ContextSignal,
    ConversationSignal,
    EmbeddingSignal,
    Keyword,
    KeywordSignal,
    LabelSignal,
    StructureSignal,
)
from router_extproc.settings.routing import compile_routing, decision_cache_key, tokens
from router_extproc.settings.schema import Settings
from tests.support.phrases import embed

SHIPPED = Path(__file__).parents[3] / "config" / "router.yaml"


@functools.cache
def shipped() -> str:
    """As JSON: parsing YAML once is enough."""
    return json.dumps(yaml.safe_load(SHIPPED.read_text()))


def settings(**changes: Any) -> Settings:
    return Settings.model_validate(json.loads(shipped()) | changes)


def compiled(**changes: Any) -> RoutingPolicy:
    return compile_routing(settings(**changes), embed)


REFS = [{"model": "qwen3-8b"}]
SIGNALS: dict[str, Any] = {
    "keywords": [{"name": "refunds", "operator": "AND", "keywords": ["Refund", "credit  card"]}],
    "embeddings": [{"name": "greeting", "candidates": ["hello", "good morning"], "threshold": 0.7}],
    "domains": [
        {"name": "science", "mmlu_categories": ["math", "physics"], "threshold": 0.4},
        {"name": "law"},
    ],
    "complexity": [
        {"name": "need", "hard_above": 0.7},
        {"name": "like", "hard_candidates": ["prove it"], "easy_candidates": ["say hi"], "threshold": 0.2},
    ],
    "language": [{"name": "german", "languages": ["de"], "threshold": 0.3}],
    "context": [{"name": "long", "min_tokens": "4K", "max_tokens": "1M"}],
    "structure": [{"name": "code", "feature": "code_blocks", "predicate": {"gte": 1}}],
    "conversation": [{"name": "deep", "feature": "user_turns", "predicate": {"gt": 3}}],
    "classifiers": [{"name": "angry", "classifier": "tone", "labels": ["angry"]}],
}


def rule(*keys: tuple[str, str], operator: str = "OR") -> dict[str, Any]:
    return {"operator": operator, "conditions": [{"type": kind, "name": name} for kind, name in keys]}


def with_signals(*keys: tuple[str, str], **changes: Any) -> RoutingPolicy:
    decisions = [{"name": "d", "rules": rule(*keys), "modelRefs": REFS}]
    return compiled(signals=SIGNALS, decisions=decisions, **changes)


def test_each_kind_of_signal_is_compiled() -> None:
    keys = [
        ("keyword", "refunds"),
        ("domain", "science"),
        ("domain", "law"),
        ("domain", "health"),
        ("language", "german"),
        ("context", "long"),
        ("structure", "code"),
        ("conversation", "deep"),
        ("classifier", "angry"),
        ("complexity", "need:hard"),
    ]
    words = (Keyword("refund", ("refund",)), Keyword("credit card", ("credit", "card")))
    assert dict(with_signals(*keys).signals) == dict(
        zip(
            keys,
            [
                KeywordSignal("refunds", "AND", words),
                LabelSignal("domain", "science", "domain", ("math", "physics"), 0.4),
                LabelSignal("domain", "law", "domain", ("law",), 0.5),
                LabelSignal("domain", "health", "domain", ("health",), 0.5),
                LabelSignal("language", "german", "language", ("de",), 0.3),
                ContextSignal("long", 4000, 1_000_000),
                StructureSignal("code", "code_blocks", Bounds(gte=1)),
                ConversationSignal("deep", "user_turns", Bounds(gt=3)),
                LabelSignal("classifier", "angry", "tone", ("angry",), 0.5),
                ComplexitySignal("need:hard", "hard", 0.7, 0.4),
            ],
            strict=True,
        )
    )


def test_phrases_become_vectors_once_and_only_where_a_rule_uses_them() -> None:
    asked: list[Sequence[str]] = []

    def counting(texts: Sequence[str]) -> NDArray[np.float32]:
        asked.append(list(texts))
        return embed(texts)

    decisions = [
        {
            "name": "a",
            "rules": rule(("complexity", "like:hard"), ("complexity", "like:easy")),
            "modelRefs": REFS,
        }
    ]
    policy = compile_routing(settings(signals=SIGNALS, decisions=decisions), counting)
    assert asked == [["prove it"], ["say hi"]]
    hard, easy = (policy.signals["complexity", f"like:{level}"] for level in ("hard", "easy"))
    assert isinstance(hard, ComplexitySignal)
    assert isinstance(easy, ComplexitySignal)
    assert hard.prototypes is easy.prototypes
    assert hard.prototypes is not None
    assert hard.prototypes.threshold == 0.2
    asked.clear()
    compile_routing(settings(signals=SIGNALS), counting)
    assert asked == []


def test_an_embedding_signal_has_a_row_for_each_candidate() -> None:
    signal = with_signals(("embedding", "greeting")).signals["embedding", "greeting"]
    assert isinstance(signal, EmbeddingSignal)
    assert (signal.candidates.shape, signal.threshold, signal.aggregation) == ((2, 384), 0.7, "max")


def test_rules_nest() -> None:
    rules = {
        "conditions": [
            {"type": "domain", "name": "math"},
            {"operator": "NOT", "conditions": [{"type": "structure", "name": "code"}]},
        ]
    }
    policy = compiled(
        signals=SIGNALS, decisions=[{"name": "d", "priority": 7, "rules": rules, "modelRefs": REFS}]
    )
    decision = policy.decisions[0]
    assert decision.priority == 7
    assert decision.rule == Tree("AND", (Leaf("domain", "math"), Tree("NOT", (Leaf("structure", "code"),))))


MODELS: dict[str, Any] = {
    "seeing": {
        "preferred_endpoints": ["small"],
        "quality": 0.9,
        "context_window": 8192,
        "capabilities": ["vision"],
        "loras": [{"name": "lawyer"}],
        "pricing": {"prompt_per_1m": 1.0, "completion_per_1m": 3.0},
    },
    "thinking": {"preferred_endpoints": ["medium", "large"], "reasoning_family": "qwen3"},
}


def pooled(**changes: Any) -> RoutingPolicy:
    given: dict[str, Any] = {"model_config": MODELS, "default_model": "thinking", "categories": []}
    return compiled(**(given | changes))


def test_models_say_what_they_can() -> None:
    policy = pooled()
    qwen = ReasoningFamily("chat_template_kwargs", "enable_thinking")
    assert policy.models == {
        "seeing": Model(8192, vision=True, tools=False, quality=0.9),
        "thinking": Model(family=qwen),
    }
    assert policy.adapters == {"lawyer": "seeing"}
    assert policy.default.candidates == (Route("thinking"),)


def test_candidates_keep_their_order_and_know_price_and_quality() -> None:
    refs = [
        {"model": "thinking", "use_reasoning": True, "reasoning_effort": "high", "quality": 0.7},
        {"model": "seeing", "lora_name": "lawyer"},
    ]
    policy = pooled(decisions=[{"name": "d", "modelRefs": refs}])
    assert policy.decisions[0].listing.candidates == (
        Route("thinking", reasoning=True, effort="high", quality=0.7),
        Route("seeing", "lawyer", quality=0.9, cost=4.0),
    )


def test_a_decision_has_its_own_algorithm_or_the_common_one() -> None:
    own = {"type": "adaptive", "weights": {"quality": 1.0}, "exploration": 0.1, "min_quality": 0.2}
    policy = pooled(
        selection={"algorithm": {"type": "latency_aware"}},
        decisions=[
            {"name": "own", "modelRefs": REFS_OF_POOL, "algorithm": own},
            {"name": "common", "modelRefs": REFS_OF_POOL},
        ],
    )
    first, second = (decision.listing.algorithm for decision in policy.decisions)
    assert first == Algorithm("adaptive", Weights(quality=1.0), 0.1, 0.2)
    assert second == policy.default.algorithm == Algorithm("latency_aware")


REFS_OF_POOL = [{"model": "thinking"}]


def test_prompts_sessions_tools_and_caches_are_told() -> None:
    decision = {
        "name": "d",
        "modelRefs": REFS_OF_POOL,
        "system_prompt": {"text": "Be brief.", "mode": "insert"},
        "tool_selection": False,
        "semantic_cache": {"mode": "off"},
    }
    policy = pooled(
        decisions=[decision],
        session={"policy": "pin"},
        tools={"enabled": True, "tools_db_path": "tools.json"},
        categories=[{"name": "law", "system_prompt": {"text": "You are a lawyer."}}],
    )
    listing = policy.decisions[0].listing
    assert listing.system_prompt == SystemPrompt("Be brief.", "insert")
    assert (listing.tool_selection, listing.cache_key) == (False, "decision:d")
    assert (policy.session, policy.tool_selection) == (SessionPolicy.PIN, True)
    assert policy.categories["law"].candidates == ()
    assert policy.categories["law"].system_prompt == SystemPrompt("You are a lawyer.", "replace")


def test_every_decision_has_a_place_of_its_own_in_the_cache() -> None:
    decided = settings(decisions=[{"name": "d", "modelRefs": REFS}]).decisions[0]
    assert decision_cache_key(decided) == "decision:d"


def test_a_classifier_may_stand_in_for_the_domains() -> None:
    classes = [{"name": "bills", "examples": ["my bill"]}, {"name": "else", "examples": ["hello"]}]
    classifiers = [{"name": "topic", "classes": classes, "use_as_domain": True}]
    policy = with_signals(("domain", "bills"), classifiers=classifiers)
    assert policy.domain == "topic"
    assert policy.signals["domain", "bills"].head == "topic"


@pytest.mark.parametrize(
    ("given", "count"),
    [(0, 0), (4096, 4096), ("4096", 4096), ("4K", 4000), ("1.5M", 1_500_000), ("32k", 32_000)],
)
def test_tokens_may_be_given_in_thousands_and_millions(given: int | str, count: int) -> None:
    assert tokens(given) == count


@pytest.mark.parametrize("key", [("keyword", "none"), ("complexity", "need:odd"), ("complexity", "need")])
def test_a_name_that_was_never_checked_is_an_error(key: tuple[str, str]) -> None:
    with pytest.raises(KeyError):
        with_signals(key)
