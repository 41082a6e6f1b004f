"""From a question to what happens with it: an answer from the cache, or a model of the pool."""

import msgspec

from router_extproc.base.digest import digest
from router_extproc.base.headers import HeaderEdits
from router_extproc.base.names import (
    INTERNAL,
    SELECTED_MODEL,
    VSR_CACHE_HIT,
    VSR_CATEGORY,
    VSR_MODEL,
    VSR_REASONING,
)
from router_extproc.base.refusals import Uncached
from router_extproc.caching.entry import Candidate
from router_extproc.caching.policy import choose
from router_extproc.exchange.effects import (
    CacheHit,
    CacheMiss,
    CacheSkipped,
    Effect,
    ImmediateReply,
    LookupSimilar,
    Phase,
    PortFailed,
    Reply,
    Routed,
)
from router_extproc.exchange.events import AnalysisFailed, AnalysisReady, LookupDone, LookupFailed
from router_extproc.exchange.intake import Step, analyse
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.exchange.stages import (
    Asked,
    AwaitAnalysis,
    AwaitExact,
    AwaitSimilar,
    Done,
    Fill,
    Forwarded,
)
from router_extproc.llm.render import render_json, render_sse
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.decide import Decision, decide, reasoning_fields


def on_exact(stage: AwaitExact, event: LookupDone, plan: Snapshot, at: float) -> Step:
    asked = stage.asked
    for candidate in event.candidates:
        entry, identity = candidate.entry, asked.identity
        # The store filtered by partition, id and expiry; a leak must need two bugs, so all are checked again.
        if (
            identity is not None
            and entry.partition == identity.partition
            and entry.text == identity.text
            and at < entry.expires_at
        ):
            return _answer(asked, candidate, "exact", at)
    return analyse(asked, plan)


def on_exact_failed(stage: AwaitExact, event: LookupFailed, plan: Snapshot, at: float) -> Step:
    return analyse(stage.asked, plan, (PortFailed("store", event.reason),))


def on_analysis(stage: AwaitAnalysis, event: AnalysisReady, plan: Snapshot, at: float) -> Step:
    asked, analysis = stage.asked, event.analysis
    decision = decide(plan.routing, asked.model, analysis)
    if asked.identity is None:
        return _forward(asked, decision, analysis, plan, at)
    if analysis.truncated:
        # Texts that begin alike may ask different things where the encoder no longer looked.
        notes = (CacheMiss(0), CacheSkipped(Uncached.TRUNCATED, storing=False))
        return _forward(asked, decision, analysis, plan, at, notes)
    lookup = LookupSimilar(
        asked.identity.partition, analysis.vector, plan.cache.candidates, plan.cache.lookup_timeout
    )
    return AwaitSimilar(asked, asked.identity, analysis, decision), (lookup,)


def on_analysis_failed(stage: AwaitAnalysis, event: AnalysisFailed, plan: Snapshot, at: float) -> Step:
    """Without an analysis the default model answers, and nothing is stored: an entry needs a vector."""
    decision = decide(plan.routing, stage.asked.model, None)
    notes: tuple[Effect, ...] = (PortFailed("analyst", event.reason),)
    if stage.asked.identity is not None:
        notes = (*notes, CacheSkipped(Uncached.NO_ANALYSIS, storing=False))
    return _forward(stage.asked, decision, None, plan, at, notes)


def on_similar(stage: AwaitSimilar, event: LookupDone, plan: Snapshot, at: float) -> Step:
    choice = choose(plan.cache, stage.identity, event.candidates, at)
    if choice.hit is not None:
        return _answer(stage.asked, choice.hit, "semantic", at)
    return _forward(stage.asked, stage.decision, stage.analysis, plan, at, (CacheMiss(choice.refused),))


def on_similar_failed(stage: AwaitSimilar, event: LookupFailed, plan: Snapshot, at: float) -> Step:
    notes = (PortFailed("store", event.reason), CacheMiss(0))
    return _forward(stage.asked, stage.decision, stage.analysis, plan, at, notes)


def _answer(asked: Asked, candidate: Candidate, kind: str, at: float) -> Step:
    """Replay an entry in the form the client asked for."""
    entry = candidate.entry
    ident = "chatcmpl-" + digest("completion", (asked.ident.encode(), entry.id.encode()))
    if asked.chat.stream:
        content_type = "text/event-stream"
        body = render_sse(entry.completion, ident, int(at), asked.chat.include_usage)
    else:
        content_type = "application/json"
        body = render_json(entry.completion, ident, int(at))
    headers = (
        ("content-type", content_type),
        (VSR_CACHE_HIT, "true"),
        *selection_headers(entry.model, entry.category, entry.reasoning),
    )
    note = CacheHit(
        kind, candidate.similarity, entry.model, max(0.0, at - entry.created_at), at - asked.started
    )
    return Done(), (ImmediateReply(200, headers, body, f"cache_{kind}"), note)


def selection_headers(model: str, category: str, reasoning: bool | None) -> tuple[tuple[str, str], ...]:
    """What the client is told about the choice, in VSR's value formats."""
    headers = [(VSR_MODEL, model)]
    if category:
        headers.append((VSR_CATEGORY, category))
    if reasoning is not None:
        headers.append((VSR_REASONING, "on" if reasoning else "off"))
    return tuple(headers)


def _forward(
    asked: Asked,
    decision: Decision,
    analysis: Analysis | None,
    plan: Snapshot,
    at: float,
    notes: tuple[Effect, ...] = (),
) -> Step:
    """Send the request to the decision's model. The body changes only where the decision says so."""
    route = decision.route
    body, reasoning = asked.chat.raw, None
    if asked.model is None:
        switch = reasoning_fields(plan.routing.families[route.model], route)
        body = asked.chat.edited(model=route.model, defaults=(switch,) if switch else ())
        own_setting = switch is not None and _client_sets(asked, switch[0], switch[1])
        reasoning = None if own_setting else route.reasoning
    fill = None
    if asked.identity is not None and analysis is not None:
        fill = Fill(asked.identity, analysis.vector, analysis.truncated)
    edits = HeaderEdits(
        set=((SELECTED_MODEL, route.model),),
        # A compressed answer could not be read for the cache; an uncompressed one suits every client.
        remove=(
            *(name for name in INTERNAL if name != SELECTED_MODEL),
            *(("accept-encoding",) if fill else ()),
        ),
    )
    reply = Reply(
        Phase.REQUEST_BODY,
        edits,
        body=None if body is asked.chat.raw else body,
        clear_route_cache=True,
    )
    note = Routed(
        requested=asked.model or "auto",
        model=route.model,
        category=decision.category,
        confidence=decision.confidence,
        reasoning=bool(reasoning),
        rule=decision.rule.value,
        seconds=at - asked.started,
        timings=analysis.timings if analysis else None,
    )
    return Forwarded(decision, reasoning, fill, asked.started), (reply, *notes, note)


def _client_sets(asked: Asked, name: str, key: str | None) -> bool:
    """Whether the client itself switched thinking; its own setting wins."""
    raw = asked.chat.params.get(name)
    if raw is None or key is None:
        return raw is not None
    value = msgspec.json.decode(raw)
    return not isinstance(value, dict) or key in value
