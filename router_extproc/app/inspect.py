"""`check-config`, `render-envoy` and `explain`: what would happen, without doing it."""

import json
import sys
from pathlib import Path

from router_extproc.app.configuration import load, milvus_options, tenant_key, topology_of
from router_extproc.app.models import find_bundle
from router_extproc.app.router import Mind
from router_extproc.base.errors import OperatorError
from router_extproc.base.refusals import Uncached
from router_extproc.caching.policy import CachePolicy, Mode, exact_only
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.decide import Decision, decide, reasoning_fields
from router_extproc.settings.schema import Pricing

SHOWN = 5
"""How many domains `explain` prints."""


def check_config(path: Path) -> int:
    """One line on success; raises ConfigError with every problem found otherwise."""
    configuration = load(path)
    milvus_options(configuration, encoder="unknown-yet", dimension=None)
    tenant_key(configuration)
    settings = configuration.settings
    cache = settings.semantic_cache
    backend = {
        "memory": "cache in memory",
        "milvus": "cache in Milvus",
        "hybrid": "cache in memory and Milvus",
    }[cache.backend_type]
    sys.stdout.write(
        f"{path}: valid; {len(settings.models)} models, {len(settings.categories)} categories, "
        f"default {settings.default_model}, {backend if cache.enabled else 'no cache'}\n"
    )
    return 0


def render_envoy_file(config: Path, output: Path | None) -> int:
    # Imported here: Envoy's typed messages take a second to load, and the other commands do without.
    from router_extproc.envoyconf.render import render_envoy

    text = render_envoy(topology_of(load(config).settings))
    if output is None:
        sys.stdout.write(text)
        return 0
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{output}: cannot be written: {error.strerror}") from error
    return 0


def explain(config: Path, prompt: str, *, as_json: bool) -> int:
    """The decision for a single user message with `"model": "auto"`, and its evidence."""
    settings = load(config).settings
    mind = Mind.load(find_bundle(settings), settings)
    plan = mind.plan(settings)
    tokens = mind.encoder.tokenise(prompt)
    vector = mind.encoder.run(tokens)
    heads = {name: head.probabilities(vector) for name, head in mind.heads.items()}
    analysis = Analysis(vector, heads, mind.encoder.encoder, len(tokens.ids), tokens.truncated)
    decision = decide(plan.routing, None, analysis)
    document = _document(plan, analysis, decision, settings.models[decision.route.model].pricing)
    document["cache"] = _cache_document(plan.cache, decision.category, prompt, truncated=analysis.truncated)
    sys.stdout.write(json.dumps(document) + "\n" if as_json else _text(document))
    return 0


def _document(
    plan: Snapshot, analysis: Analysis, decision: Decision, pricing: Pricing | None
) -> dict[str, object]:
    route = decision.route
    switch = reasoning_fields(plan.routing.families[route.model], route)
    return {
        "model": route.model,
        "reasoning": "on" if route.reasoning else "off",
        "pricing": pricing.model_dump() if pricing else None,
        "rule": decision.rule.value,
        "category": decision.category,
        "confidence": round(decision.confidence, 4),
        "threshold": plan.routing.threshold,
        "probabilities": {name: round(share, 4) for name, share in decision.probabilities},
        "request_edits": {
            "model": route.model,
            **({switch[0]: {switch[1]: switch[2]} if switch[1] else switch[2]} if switch else {}),
        },
        "tokens": analysis.tokens,
        "truncated": analysis.truncated,
        "encoder": analysis.encoder,
        "generation": plan.generation,
    }


def _cache_document(policy: CachePolicy, category: str, prompt: str, *, truncated: bool) -> dict[str, object]:
    """How a prompt of this category uses the cache, as the first turn of a conversation."""
    own = policy.of(category)
    refused = Uncached.TRUNCATED if truncated else exact_only(prompt, {}, later=False)
    if own.mode is Mode.EXACT:
        refused = Uncached.CATEGORY_EXACT
    return {
        "mode": own.mode.value if policy.enabled else "off",
        "exact_only": refused.value if refused is not None else None,
        "similarity_threshold": own.threshold,
        "ttl_seconds": own.ttl,
        "shared_by": "equal tenant, model, earlier turns and parameters",
    }


def _price(pricing: dict[str, object]) -> str:
    return "{prompt_per_1m} and {completion_per_1m} {currency} per million tokens in and out".format(
        **pricing
    )


WHY = {
    "auto_routing": "{category} at {confidence:.0%} reaches the threshold of {threshold:.0%}",
    "below_threshold": "the best domain has {confidence:.0%}, below the threshold of {threshold:.0%}",
    "no_route": "no model is configured for {category}",
}


def _text(document: dict[str, object]) -> str:
    shares = document["probabilities"]
    ranked = list(shares.items())[:SHOWN] if isinstance(shares, dict) else []
    width = max((len(name) for name, _ in ranked), default=0)
    why = WHY[str(document["rule"])].format(**document)
    cache, pricing = document["cache"], document["pricing"]
    lines = [
        f"model      {document['model']}, reasoning {document['reasoning']}",
        f"because    {why} ({document['rule']})",
        "domains    "
        + f"\n{'':11}".join(
            f"{name:{width}}  {share:6.1%}  {'#' * round(share * 40)}" for name, share in ranked
        ),
        f"edits      {json.dumps(document['request_edits'])}",
        f"price      {_price(pricing)}" if isinstance(pricing, dict) else "price      not configured",
        f"cache      {json.dumps(cache)}",
        f"encoder    {document['encoder']}, {document['tokens']} tokens"
        + (", truncated" if document["truncated"] else ""),
        f"generation {document['generation']}",
    ]
    return "\n".join(lines) + "\n"
