"""From validated settings to the immutable plan that the core works with."""

import json
from typing import Any

from router_extproc.base.digest import digest
from router_extproc.caching.policy import CachePolicy
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.routing.decide import ReasoningFamily, Route, RoutingPolicy
from router_extproc.settings.schema import Category, Settings

ROUTING_KEYS: dict[str, Any] = {
    "auto_model_name": True,
    "categories": True,
    "classifier": True,
    "default_model": True,
    "default_reasoning_effort": True,
    "models": {"__all__": {"reasoning_family"}},
    "reasoning_families": True,
}
"""The settings that decide routing, as pydantic's `include`. A change of any of them is a new generation; a
port is not, nor a model's servers or price."""


def compile_snapshot(settings: Settings, *, encoder: str, heads: str) -> Snapshot:
    """`encoder` identifies the vectors, `heads` the classifiers' weights."""
    return Snapshot(
        generation=_generation(settings, heads),
        encoder=encoder,
        aliases=frozenset({"auto", settings.auto_model_name}),
        routing=_routing(settings),
        cache=_cache(settings),
        max_body_bytes=settings.limits.max_body_bytes,
        analysis_timeout=settings.encoder.timeout_ms / 1000,
    )


def _generation(settings: Settings, heads: str) -> str:
    document = settings.model_dump(mode="json", include=ROUTING_KEYS)
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return digest("generation", (canonical.encode(), heads.encode()))


def _routing(settings: Settings) -> RoutingPolicy:
    families = {
        name: ReasoningFamily(family.type, family.parameter)
        for name, family in settings.reasoning_families.items()
    }
    return RoutingPolicy(
        routes={category.name: _route(category, settings) for category in settings.categories},
        threshold=settings.classifier.category_model.threshold,
        default=Route(settings.default_model),
        families={
            name: families[model.reasoning_family] if model.reasoning_family else None
            for name, model in settings.models.items()
        },
    )


def _route(category: Category, settings: Settings) -> Route:
    """The highest score answers; of equal scores, the first."""
    best = max(category.model_scores, key=lambda score: score.score)
    effort = best.reasoning_effort or settings.default_reasoning_effort
    return Route(best.model, best.use_reasoning, effort)


def _cache(settings: Settings) -> CachePolicy:
    cache = settings.semantic_cache
    return CachePolicy(
        enabled=cache.enabled,
        threshold=cache.similarity_threshold,
        ttl=float(cache.ttl_seconds),
        max_answer_bytes=cache.max_answer_bytes,
        lookup_timeout=cache.lookup_timeout_ms / 1000,
    )
