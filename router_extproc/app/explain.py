"""`explain`: what would be done with a prompt, and the whole trace of how that came about."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from router_extproc.app.configuration import load
from router_extproc.app.mind import Mind
from router_extproc.app.models import find_bundle
from router_extproc.base.refusals import Uncached
from router_extproc.caching.policy import CachePolicy, Mode, exact_only
from router_extproc.exchange.facts import facts_of
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.llm.chat import parse_chat
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.decide import Decision, Unsuitable, decide
from router_extproc.routing.policy import ReasoningFamily, Route, reasoning_fields
from router_extproc.routing.world import World
from router_extproc.screening.policy import ScreeningPolicy, is_attack
from router_extproc.screening.reading import Screening
from router_extproc.screening.spans import PII_TYPES
from router_extproc.settings.pool_schema import Pricing
from router_extproc.settings.schema import Settings

SHOWN = 5
"""How many domains are printed."""


def explain(config: Path, prompt: str, *, as_json: bool) -> int:
    """The decision for a single user message with `"model": "auto"`, and its evidence. Nothing is known of
    the pool's state here: every model counts as available and unmeasured."""
    configuration = load(config)
    settings = configuration.settings
    mind = Mind.load(find_bundle(settings), configuration)
    document = document_of(prompt, mind.plan(configuration), mind.analyse(prompt), settings)
    sys.stdout.write(json.dumps(document) + "\n" if as_json else as_text(document))
    return 0


def document_of(prompt: str, plan: Snapshot, analysis: Analysis, settings: Settings) -> dict[str, Any]:
    """What `explain --json` prints."""
    # A terminal may pass on half of a surrogate pair, which no request can hold.
    said = prompt.encode("utf-8", "replace").decode()
    body = {"model": "auto", "messages": [{"role": "user", "content": said}]}
    facts = facts_of(parse_chat(json.dumps(body).encode()))
    decision = decide(plan.routing, None, facts, analysis, World(), plan.screening.pii)
    cache = decision.cache_key if isinstance(decision, Decision) else decision.category
    return {
        **_chosen(decision, plan, settings),
        "rule": decision.trace.outcome.rule.value,
        "decision": decision.decision,
        "category": decision.category,
        "confidence": round(decision.confidence, 4),
        "threshold": plan.routing.threshold,
        "probabilities": {name: round(share, 4) for name, share in decision.trace.domain},
        "trace": decision.trace.as_json(),
        "tokens": analysis.tokens,
        "truncated": analysis.truncated,
        "encoder": analysis.encoder,
        "generation": plan.generation,
        "guards": _guards_document(plan.screening, decision, analysis.screening or Screening()),
        "cache": _cache_document(plan.cache, cache, prompt, truncated=analysis.truncated),
    }


def _chosen(decision: Decision | Unsuitable, plan: Snapshot, settings: Settings) -> dict[str, Any]:
    if isinstance(decision, Unsuitable):
        return {"model": None, "refused": decision.message}
    route = decision.route
    pricing: Pricing | None = settings.models[route.model].pricing
    prompt = decision.system_prompt
    return {
        "model": route.model,
        "lora": route.adapter,
        "reasoning": "on" if route.reasoning else "off",
        "alternatives": [other.name for other in decision.alternatives],
        "pricing": pricing.model_dump() if pricing else None,
        "system_prompt": prompt.mode if prompt else None,
        "request_edits": _edits(route, plan.routing.models[route.model].family),
    }


def _edits(route: Route, family: ReasoningFamily | None) -> dict[str, object]:
    switch = reasoning_fields(family, route)
    if switch is None:
        return {"model": route.name}
    field, key, value = switch
    return {"model": route.name, field: {key: value} if key else value}


def _guards_document(
    policy: ScreeningPolicy, decision: Decision | Unsuitable, found: Screening
) -> dict[str, object]:
    """What was found, what counts of it where the prompt goes, and what each model that may not see all types
    may see there. Types and scores only."""
    attack, pii = policy.guard.of(decision.cache_key), policy.pii.of(decision.cache_key)
    seen = policy.pii.allowed(decision.cache_key, PII_TYPES) if pii.enabled else {}
    return {
        "jailbreak": {
            "enabled": attack.enabled,
            "threshold": attack.threshold,
            "probability": None if found.attack is None else round(found.attack, 4),
            "blocked": is_attack(policy.guard, decision.cache_key, found),
        },
        "pii": {
            "enabled": pii.enabled,
            "threshold": pii.threshold,
            "types": {kind: round(score, 4) for kind, score in sorted(found.types.items())},
            "counted": sorted(decision.sensitive),
            "allowed": {model: sorted(types) for model, types in sorted(seen.items())},
        },
    }


def _cache_document(policy: CachePolicy, key: str, prompt: str, *, truncated: bool) -> dict[str, object]:
    """How a prompt of this category or decision uses the cache, as the first turn of a conversation."""
    own = policy.of(key)
    refused = Uncached.TRUNCATED if truncated else exact_only(prompt, {}, later=False)
    if own.mode is Mode.EXACT:
        refused = Uncached.CATEGORY_EXACT
    return {
        "mode": own.mode.value if policy.enabled else "off",
        "exact_only": refused.value if refused is not None else None,
        "similarity_threshold": own.threshold,
        "verifier": asdict(policy.verifier) if policy.verifier else None,
        "ttl_seconds": own.ttl,
        "shared_by": "equal tenant, model, earlier turns and parameters",
    }


WHY = {
    "decision": "the rules of decision {decision!r} hold",
    "auto_routing": "{category} at {confidence:.0%} reaches the threshold of {threshold:.0%}",
    "below_threshold": "the best domain has {confidence:.0%}, below the threshold of {threshold:.0%}",
    "no_analysis": "no decision holds, and what the domain is could not be found out",
    "no_route": "no decision holds, and no models are configured for the category {category!r}",
    "unsuitable": "nothing else that is listed can answer this request",
}


def as_text(document: Mapping[str, Any]) -> str:
    """What `explain` prints for people."""
    lines = [
        _line("model", _model(document)),
        _line("because", f"{WHY[document['rule']].format(**document)} ({document['rule']})"),
        *_block("domains", _domains(document["probabilities"])),
        *_block("thinking", _thinking(document["trace"]["uncertainty"])),
        *_traced(document["trace"]),
        *_request(document),
        *_block("guards", _guards(document["guards"])),
        _line("cache", json.dumps(document["cache"])),
        _line(
            "encoder",
            f"{document['encoder']}, {document['tokens']} tokens"
            + (", truncated" if document["truncated"] else ""),
        ),
        _line("generation", document["generation"]),
    ]
    return "\n".join(lines) + "\n"


def _model(document: Mapping[str, Any]) -> str:
    if document["model"] is None:
        return f"none: {document['refused']}"
    adapter = f", LoRA {document['lora']}" if document["lora"] else ""
    return f"{document['model']}{adapter}, reasoning {document['reasoning']}"


def _request(document: Mapping[str, Any]) -> Iterator[str]:
    if document["model"] is None:
        return
    if document["alternatives"]:
        yield _line("then", ", ".join(document["alternatives"]))
    if document["system_prompt"]:
        yield _line("prompt", f"system prompt: {document['system_prompt']}")
    yield _line("edits", json.dumps(document["request_edits"]))
    pricing = document["pricing"]
    price = "{prompt_per_1m} and {completion_per_1m} {currency} per million tokens in and out"
    yield _line("price", price.format(**pricing) if pricing else "not configured")


def _guards(guards: Mapping[str, Any]) -> Iterator[str]:
    attack, pii = guards["jailbreak"], guards["pii"]
    if attack["enabled"] and attack["probability"] is not None:
        verdict = "blocked" if attack["blocked"] else "passes"
        yield f"jailbreak {attack['probability']:.4f}, counts from {attack['threshold']:.2f}: {verdict}"
    else:
        yield "jailbreaks are not looked for"
    if not pii["enabled"]:
        yield "personal data is not looked for"
        return
    types = ", ".join(f"{kind} {score:.2f}" for kind, score in pii["types"].items())
    counted = ", ".join(pii["counted"]) or "nothing"
    yield f"personal data: {types or 'none'}; from {pii['threshold']:.2f} counts {counted}"
    for model, seen in pii["allowed"].items():
        yield f"{model} may see {', '.join(seen) or 'no personal data'}"


def _domains(shares: Mapping[str, float]) -> list[str]:
    ranked = list(shares.items())[:SHOWN]
    width = max((len(name) for name, _ in ranked), default=0)
    return [f"{name:{width}}  {share:6.1%}  {'#' * round(share * 40)}" for name, share in ranked]


def _thinking(doubt: Mapping[str, Any] | None) -> Iterator[str]:
    if doubt is None:
        return
    yield (
        f"uncertainty {doubt['level']} ({doubt['normalised']:.2f} of the most), "
        f"{doubt['share']:.1%} for categories that think"
    )
    used = "applied" if doubt["applied"] else "not applied: the model has a setting, or cannot be switched"
    yield f"{'on' if doubt['reasoning'] else 'off'}: {doubt['reason']}; {used}"


def _traced(trace: Mapping[str, Any]) -> Iterator[str]:
    if trace["failed"]:
        yield _line("failed", f"heads: {', '.join(trace['failed'])}")
    yield from _block("signals", (_signal(signal) for signal in trace["signals"]))
    yield from _block("decisions", (line for each in trace["decisions"] for line in _decision(each)))
    yield from _block("candidates", (_candidate(each) for each in trace["candidates"]))
    chosen = trace["selection"]
    if chosen:
        explored = ", explored" if chosen["explored"] else ""
        yield _line("selection", f"{chosen['algorithm']}: {chosen['reason']}{explored}")
    if trace["adjusted"]:
        yield _line("adjusted", ", ".join(trace["adjusted"]))


def _signal(signal: Mapping[str, Any]) -> str:
    name = f"{signal['kind']} {signal['name']}"
    return f"{_sign(signal)} {name}  {signal['confidence']:.2f}  {signal['detail']}"


def _decision(decision: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{_sign(decision)} {decision['name']}  priority {decision['priority']}, "
        f"confidence {decision['confidence']:.2f}"
    )
    yield from _rule(decision["rules"], 1)


def _rule(rule: Mapping[str, Any], depth: int) -> Iterator[str]:
    yield f"{'  ' * depth}{_sign(rule)} {rule['rule']} {rule['name']}".rstrip()
    for part in rule["conditions"]:
        yield from _rule(part, depth + 1)


def _candidate(candidate: Mapping[str, Any]) -> str:
    name = candidate["adapter"] or candidate["model"]
    score = "" if candidate["score"] is None else f"  score {candidate['score']:.3f}"
    dropped = f"  dropped: {', '.join(candidate['dropped'])}" if candidate["dropped"] else ""
    return f"{name}  quality {candidate['quality']:.2f}{score}{dropped}"


def _sign(traced: Mapping[str, Any]) -> str:
    return "+" if traced["matched"] else "-"


def _line(label: str, value: str) -> str:
    return f"{label:11}{value}"


def _block(label: str, values: Iterable[str]) -> Iterator[str]:
    for number, value in enumerate(values):
        yield _line("" if number else label, value)
