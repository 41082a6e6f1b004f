"""From validated settings to the immutable plan that the core works with."""

import json
from typing import Any

from router_extproc.base.digest import digest
from router_extproc.caching.policy import CachePolicy, CategoryPolicy, Mode
from router_extproc.caching.scope import Credential, Scope, Shared, Tenancy, TrustedHeader
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.routing.decide import ReasoningFamily, Route, RoutingPolicy
from router_extproc.settings.schema import Category, CategoryCache, SemanticCache, Settings

ROUTING_KEYS: dict[str, Any] = {
    "auto_model_name": True,
    "categories": {"__all__": {"name", "model_scores"}},
    "classifier": True,
    "default_model": True,
    "default_reasoning_effort": True,
    "models": {"__all__": {"reasoning_family"}},
    "reasoning_families": True,
}
"""The settings that decide routing, as pydantic's `include`. A change of any of them is a new generation; a
port is not, nor a model's servers or price."""


def compile_snapshot(settings: Settings, *, encoder: str, heads: str, tenant_key: bytes = b"") -> Snapshot:
    """`encoder` identifies the vectors, `heads` the classifiers' weights; `tenant_key` keys the tenants'
    digests."""
    return Snapshot(
        generation=_generation(settings, heads),
        encoder=encoder,
        aliases=frozenset({"auto", settings.auto_model_name}),
        routing=_routing(settings),
        cache=_cache(settings, tenant_key),
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


def _cache(settings: Settings, tenant_key: bytes) -> CachePolicy:
    cache = settings.semantic_cache
    return CachePolicy(
        enabled=cache.enabled,
        tenancy=Tenancy(scope_of(cache.scope), tenant_key),
        default=_category_cache(CategoryCache(), cache),
        categories={
            category.name: _category_cache(category.semantic_cache, cache) for category in settings.categories
        },
        max_temperature=cache.max_temperature,
        max_answer_bytes=cache.max_answer_bytes,
        lookup_timeout=cache.lookup_timeout_ms / 1000,
        coalesce_timeout=cache.coalesce_timeout_ms / 1000,
        candidates=cache.candidates,
        stale_grace=float(cache.stale_if_error_seconds),
        verify_share=cache.verification.share,
    )


def scope_of(text: str) -> Scope:
    """`text` as the schema lets it pass."""
    if text == "shared":
        return Shared()
    return TrustedHeader(text.removeprefix("header:")) if text.startswith("header:") else Credential()


def _category_cache(category: CategoryCache, cache: SemanticCache) -> CategoryPolicy:
    threshold, ttl = category.similarity_threshold, category.ttl_seconds
    return CategoryPolicy(
        mode=Mode(category.mode or cache.mode),
        threshold=cache.similarity_threshold if threshold is None else threshold,
        ttl=float(cache.ttl_seconds if ttl is None else ttl),
    )
