"""An entry of the cache as the answer to a request, in the form that its client wants."""

from router_extproc.base.digest import digest
from router_extproc.base.headers import header_text
from router_extproc.base.names import (
    VSR_CACHE_ENTRY,
    VSR_CACHE_HIT,
    VSR_CACHE_QUESTION,
    VSR_CACHE_SIMILARITY,
    VSR_CATEGORY,
    VSR_DECISION,
    VSR_MODEL,
    VSR_REASONING,
    VSR_RESPONSE_PATH,
)
from router_extproc.caching.entry import Candidate
from router_extproc.caching.policy import CacheUse
from router_extproc.exchange.effects import CacheHit, HitKind, ImmediateReply
from router_extproc.exchange.stages import Client
from router_extproc.llm.render import render_json, render_sse
from router_extproc.routing.policy import DECISION_KEY


def replay(
    client: Client,
    use: CacheUse,
    candidate: Candidate,
    kind: HitKind,
    at: float,
    probability: float | None = None,
) -> tuple[ImmediateReply, CacheHit]:
    """The answer of `candidate`'s entry, as JSON or as an event stream, and what is to be noted of it.
    `probability` is the verifier's, if it was asked."""
    entry = candidate.entry
    ident = "chatcmpl-" + digest("completion", (client.ident.encode(), entry.id.encode()))
    if client.stream:
        content_type = "text/event-stream"
        body = render_sse(entry.completion, ident, int(at), client.include_usage)
    else:
        content_type = "application/json"
        body = render_json(entry.completion, ident, int(at))
    age = max(0.0, at - entry.created_at)
    headers = [
        ("content-type", content_type),
        ("age", str(int(age))),
        (VSR_RESPONSE_PATH, "cache"),
        (VSR_CACHE_HIT, "stale" if kind is HitKind.STALE else "true"),
        (VSR_CACHE_ENTRY, entry.id),
        (VSR_CACHE_QUESTION, use.identity.entry_id),
        *selection_headers(entry.model, entry.category, entry.reasoning),
    ]
    if entry.text != use.identity.text:
        headers.append((VSR_CACHE_SIMILARITY, f"{candidate.similarity:.4f}"))
    note = CacheHit(
        kind,
        entry.id,
        candidate.similarity,
        entry.model,
        age,
        at - client.started,
        probability,
        entry.completion.usage,
    )
    return ImmediateReply(200, tuple(headers), body, f"cache_{kind.value}"), note


def selection_headers(model: str, cache_key: str, reasoning: bool | None) -> tuple[tuple[str, str], ...]:
    """What the client is told about the choice, in VSR's value formats. `cache_key` is a category's name, or
    a decision's after its prefix."""
    headers = [(VSR_MODEL, model)]
    if cache_key.startswith(DECISION_KEY):
        headers.append((VSR_DECISION, header_text(cache_key.removeprefix(DECISION_KEY))))
    elif cache_key:
        headers.append((VSR_CATEGORY, header_text(cache_key)))
    if reasoning is not None:
        headers.append((VSR_REASONING, "on" if reasoning else "off"))
    return tuple(headers)
