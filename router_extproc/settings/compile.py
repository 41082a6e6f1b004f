"""From validated settings to the immutable plan that the core works with."""

from router_extproc.base.digest import digest
from router_extproc.caching.policy import CachePolicy, CategoryPolicy, Consent, Mode
from router_extproc.caching.scope import Credential, Scope, Shared, Tenancy, TrustedHeader
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.exchange.tracing import Tracing, debug_digest
from router_extproc.routing.performance import FeedbackOptions
from router_extproc.routing.tools import ToolBox
from router_extproc.settings.cache_schema import CategoryCache, PairVerifier, SemanticCache
from router_extproc.settings.generation import generation_of
from router_extproc.settings.routing import Embed, compile_routing, decision_cache_key
from router_extproc.settings.routing_schema import DecisionCache, SystemPrompt
from router_extproc.settings.schema import Settings
from router_extproc.settings.screening import compile_screening


def compile_snapshot(
    settings: Settings,
    *,
    encoder: str,
    heads: str,
    embed: Embed,
    tenant_key: bytes = b"",
    tools_db: bytes = b"",
    tools: ToolBox | None = None,
    debug_token: str | None = None,
) -> Snapshot:
    """`encoder` identifies the vectors, `heads` the weights of heads and classifiers; `embed` makes vectors
    of the phrases that signals compare with. `tenant_key` keys the tenants' digests. `tools_db` is the tools'
    file as it was read, `tools` what was made of it. `debug_token` lets a client have a request shown."""
    return Snapshot(
        generation=generation_of(settings, heads, tools_db),
        encoder=encoder,
        aliases=frozenset({"auto", settings.auto_model_name, *settings.model_aliases}),
        routing=compile_routing(settings, embed),
        cache=_cache(settings, tenant_key),
        max_body_bytes=settings.limits.max_body_bytes,
        max_body_values=settings.limits.max_body_values,
        analysis_timeout=settings.encoder.timeout_ms / 1000,
        listed=_listed(settings),
        tools=tools,
        session_header=settings.session.header,
        learns=settings.selection.feedback.enabled,
        screening=compile_screening(settings),
        tracing=_tracing(settings, debug_token),
    )


def _tracing(settings: Settings, debug_token: str | None) -> Tracing:
    given = settings.observability.tracing
    debug = None if debug_token is None else debug_digest(debug_token)
    return Tracing(sends=given.enabled, ratio=given.sampling.ratio, debug=debug)


def feedback_of(settings: Settings) -> FeedbackOptions:
    """What is to be learned of the pool, and how fast."""
    given = settings.selection.feedback
    return FeedbackOptions(
        models=tuple(settings.models),
        enabled=given.enabled,
        failures=given.failures,
        error_rate=given.error_rate,
        retry_seconds=given.retry_seconds,
        max_retry_seconds=given.max_retry_seconds,
        silence_seconds=given.silence_seconds,
        half_life_seconds=given.half_life_seconds,
    )


def _listed(settings: Settings) -> tuple[str, ...]:
    """The names that choose for the client, then the pool's, if they are to be told, with their adapters."""
    aliases = ("auto", settings.auto_model_name, *settings.model_aliases)
    if not settings.include_config_models_in_list:
        return tuple(dict.fromkeys(aliases))
    loras = (lora.name for model in settings.models.values() for lora in model.loras)
    return tuple(dict.fromkeys((*aliases, *settings.models, *loras)))


def _cache(settings: Settings, tenant_key: bytes) -> CachePolicy:
    """By category, and by `decision_cache_key`."""
    cache = settings.semantic_cache
    own = {
        decision_cache_key(decision): _category_cache(
            decision.semantic_cache, cache, _frame(decision.system_prompt)
        )
        for decision in settings.decisions
    }
    return CachePolicy(
        enabled=cache.enabled,
        tenancy=Tenancy(scope_of(cache.scope), tenant_key),
        default=_category_cache(CategoryCache(), cache),
        categories={
            category.name: _category_cache(category.semantic_cache, cache, _frame(category.system_prompt))
            for category in settings.categories
        }
        | own,
        max_temperature=cache.max_temperature,
        max_answer_bytes=cache.max_answer_bytes,
        lookup_timeout=cache.lookup_timeout_ms / 1000,
        coalesce_timeout=cache.coalesce_timeout_ms / 1000,
        candidates=cache.candidates,
        stale_grace=float(cache.stale_if_error_seconds),
        verify_share=cache.verification.share,
        verifier=_consent(cache.verifier) if cache.verifier.enabled else None,
    )


SIGN_EASE, PLAIN_EASE = 4.0, 10.0
"""Fitted with the shipped thresholds: `docs/adr/0009`."""


def _consent(verifier: PairVerifier) -> Consent:
    return Consent(verifier.threshold, verifier.veto, SIGN_EASE, PLAIN_EASE, questions_only=True)


def scope_of(text: str) -> Scope:
    """`text` as the schema lets it pass."""
    if text == "shared":
        return Shared()
    return TrustedHeader(text.removeprefix("header:")) if text.startswith("header:") else Credential()


def _frame(prompt: SystemPrompt | None) -> str:
    """What the router says in a request beside its client: "" for nothing."""
    return "" if prompt is None else digest("frame", (prompt.mode.encode(), prompt.text.encode()))


def _category_cache(
    category: CategoryCache | DecisionCache, cache: SemanticCache, frame: str = ""
) -> CategoryPolicy:
    threshold, ttl = category.similarity_threshold, category.ttl_seconds
    return CategoryPolicy(
        mode=Mode(category.mode or cache.mode),
        threshold=cache.similarity_threshold if threshold is None else threshold,
        ttl=float(cache.ttl_seconds if ttl is None else ttl),
        frame=frame,
    )
