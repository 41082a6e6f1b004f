"""What the core is given, and when it counts as another generation."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from router_extproc.base.headers import Headers
from router_extproc.base.refusals import Uncached
from router_extproc.caching.policy import CachePolicy, CategoryPolicy, Mode, may_use
from router_extproc.caching.scope import Credential, Scope, Shared, Tenancy, TrustedHeader
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.routing.policy import ReasoningFamily, Route
from router_extproc.settings.compile import compile_snapshot
from router_extproc.settings.schema import Settings
from tests.support.phrases import embed

SHIPPED = Path(__file__).parents[3] / "config" / "router.yaml"


def compiled(**changes: Any) -> Snapshot:
    document = yaml.safe_load(SHIPPED.read_text()) | changes
    return snapshot(Settings.model_validate(document))


def snapshot(settings: Settings, heads: str = "h1", tenant_key: bytes = b"") -> Snapshot:
    return compile_snapshot(settings, encoder="e1", heads=heads, embed=embed, tenant_key=tenant_key)


def first(plan: Snapshot, category: str) -> Route:
    return plan.routing.categories[category].candidates[0]


def test_categories_become_routes() -> None:
    plan = compiled()
    assert first(plan, "math") == Route("qwen3-32b", reasoning=True, quality=1.0, cost=0.4 + 1.2)
    assert first(plan, "history") == Route("qwen3-0.6b", quality=0.6, cost=0.02 + 0.06)
    assert plan.routing.default.candidates == (Route("qwen3-8b", cost=0.1 + 0.3),)
    switch = ReasoningFamily("chat_template_kwargs", "enable_thinking")
    assert plan.routing.models["qwen3-8b"].family == switch
    assert plan.aliases == {"auto", "MoM"}
    assert compiled(model_aliases=["router"]).aliases == {"auto", "MoM", "router"}


def test_the_best_score_wins_and_the_first_of_equals() -> None:
    scores = [
        {"model": "qwen3-0.6b", "score": 0.2},
        {"model": "qwen3-8b", "score": 0.9, "use_reasoning": True, "reasoning_effort": "high"},
        {"model": "qwen3-32b", "score": 0.9},
    ]
    plan = compiled(categories=[{"name": "law", "model_scores": scores}])
    assert [route.model for route in plan.routing.categories["law"].candidates] == [
        "qwen3-8b",
        "qwen3-32b",
        "qwen3-0.6b",
    ]
    best = first(plan, "law")
    assert (best.reasoning, best.effort, best.quality) == (True, "high", 0.9)


def cached(**changes: Any) -> CachePolicy:
    """The shipped cache policy with these keys of `semantic_cache` changed."""
    document = yaml.safe_load(SHIPPED.read_text())
    return compiled(semantic_cache=document["semantic_cache"] | changes).cache


def test_the_cache_s_policy_is_in_seconds() -> None:
    cache = cached(coalesce_timeout_ms=1500, stale_if_error_seconds=90, verification={"share": 0.25})
    assert cache.enabled
    assert cache.default == CategoryPolicy(Mode.SEMANTIC, 0.65, 3600.0)
    assert (cache.lookup_timeout, cache.coalesce_timeout, cache.stale_grace) == (0.05, 1.5, 90.0)
    assert (cache.verify_share, cache.candidates, cache.max_temperature) == (0.25, 5, 1.0)


def test_the_shipped_cache_keeps_what_is_asked_at_a_usual_temperature() -> None:
    """0.7 is what many clients send; 1.5 asks for another answer each time."""
    for temperature, reason in ((b"0.7", None), (b"1.5", Uncached.TEMPERATURE)):
        params = {"temperature": temperature}
        assert may_use(compiled().cache, "t1", "What is love?", params) is reason


def test_a_category_has_a_cache_policy_of_its_own_where_it_says_so() -> None:
    scores = [{"model": "qwen3-8b"}]
    own = {"mode": "exact", "similarity_threshold": 0.97, "ttl_seconds": 60}
    plan = compiled(
        categories=[
            {"name": "law", "model_scores": scores, "semantic_cache": {"mode": "off"}},
            {"name": "math", "model_scores": scores, "semantic_cache": own},
            {"name": "health", "model_scores": scores, "semantic_cache": {"similarity_threshold": 0.0}},
            {"name": "other", "model_scores": scores},
        ]
    ).cache
    assert plan.of("law") == CategoryPolicy(Mode.OFF, 0.65, 3600.0)
    assert plan.of("math") == CategoryPolicy(Mode.EXACT, 0.97, 60.0)
    assert plan.of("health") == CategoryPolicy(Mode.SEMANTIC, 0.0, 3600.0)
    assert plan.of("other") == plan.of("biology") == plan.of("") == plan.default


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("credential", Credential()),
        ("shared", Shared()),
        ("header:x-tenant", TrustedHeader("x-tenant")),
        ("header:shared", TrustedHeader("shared")),
    ],
)
def test_the_scope_says_who_shares(text: str, scope: Scope) -> None:
    assert cached(scope=text).tenancy == Tenancy(scope)


def test_nothing_is_shared_unless_the_configuration_says_so() -> None:
    document = yaml.safe_load(SHIPPED.read_text())
    del document["semantic_cache"]
    assert compiled(semantic_cache={}).cache.tenancy.scope == Credential()
    assert Settings.model_validate(document).semantic_cache.scope == "credential"


def test_the_tenants_digests_are_keyed() -> None:
    settings = Settings.model_validate(yaml.safe_load(SHIPPED.read_text()))
    keys = (b"", b"0123456789abcdef", b"fedcba9876543210")
    plans = [snapshot(settings, tenant_key=key) for key in keys]
    headers = Headers.of([("authorization", "Bearer k")])
    assert len({plan.cache.tenancy.of(headers) for plan in plans}) == 3
    assert len({plan.generation for plan in plans}) == 1
    assert "0123456789abcdef" not in repr(plans[1])


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


@pytest.mark.parametrize(
    "changes",
    [
        {"listeners": {}},
        {"limits": {"max_streams": 7}},
        {"semantic_cache": {"similarity_threshold": 0.9, "stale_if_error_seconds": 60}},
    ],
)
def test_what_does_not_decide_routing_is_the_same_generation(changes: dict[str, Any]) -> None:
    assert compiled(**changes).generation == compiled().generation


def test_a_category_s_cache_does_not_decide_routing() -> None:
    """Entries outlive a changed threshold: the new one is asked of them."""
    document = yaml.safe_load(SHIPPED.read_text())
    document["categories"][0]["semantic_cache"] = {"mode": "off"}
    assert compiled(categories=document["categories"]).generation == compiled().generation


def test_other_heads_are_another_generation() -> None:
    settings = Settings.model_validate(yaml.safe_load(SHIPPED.read_text()))
    assert snapshot(settings, heads="h2").generation != compiled().generation
