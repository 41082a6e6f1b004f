"""From a question to what happens with it: an answer from the cache, or a model of the pool."""

import msgspec

from router_extproc.base.digest import digest
from router_extproc.base.headers import HeaderEdits
from router_extproc.base.names import (
    INTERNAL,
    SELECTED_MODEL,
    VSR_CACHE_CONTROL,
    VSR_CACHE_ENTRY,
    VSR_CACHE_HIT,
    VSR_CACHE_QUESTION,
    VSR_CACHE_SIMILARITY,
    VSR_CATEGORY,
    VSR_MODEL,
    VSR_REASONING,
    VSR_RESPONSE_PATH,
)
from router_extproc.base.refusals import Failure, Uncached, Waited
from router_extproc.caching.entry import Candidate
from router_extproc.caching.policy import Bounds, CacheUse, Mode, admits, by_meaning, choose
from router_extproc.exchange.effects import (
    CacheHit,
    CacheMiss,
    CacheSkipped,
    Coalesced,
    Effect,
    HitKind,
    ImmediateReply,
    Join,
    Land,
    LookupSimilar,
    Phase,
    PortFailed,
    Reply,
    Routed,
)
from router_extproc.exchange.events import (
    Alone,
    AnalysisFailed,
    AnalysisReady,
    Landed,
    Leads,
    LookupDone,
    LookupFailed,
)
from router_extproc.exchange.intake import Step, analyse
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.exchange.stages import (
    Asked,
    AwaitAnalysis,
    AwaitExact,
    AwaitFlight,
    AwaitSimilar,
    Client,
    Done,
    Fill,
    Forwarded,
)
from router_extproc.llm.render import render_json, render_sse
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.decide import Decision, decide, reasoning_fields

LEAST_BUDGET = 0.001
"""Seconds: with less left for lookups, no store could answer."""


def on_exact(stage: AwaitExact, event: LookupDone, plan: Snapshot, at: float) -> Step:
    bounds = Bounds(event.marks, at)
    for candidate in event.candidates:
        # The store filtered by partition, id and expiry; a leak must need two bugs, so all are checked again.
        same = candidate.entry.text == stage.use.identity.text
        if same and admits(plan.cache, stage.use, candidate.entry, bounds):
            return _answer(stage.asked.client, stage.use, candidate, HitKind.EXACT, at)
    return _join(stage, plan, at)


def on_exact_failed(stage: AwaitExact, event: LookupFailed, plan: Snapshot, at: float) -> Step:
    return _join(stage, plan, at, (PortFailed("store", event.reason),))


def _join(stage: AwaitExact, plan: Snapshot, at: float, notes: tuple[Effect, ...] = ()) -> Step:
    """Ask for company. A request whose answer may not be kept neither leads nor follows."""
    budget = plan.cache.lookup_timeout - max(0.0, at - stage.since)
    if plan.cache.coalesce_timeout <= 0 or not stage.use.control.keeps:
        return analyse(stage.asked, plan, budget, notes)
    join = Join(stage.use.identity.entry_id, plan.cache.coalesce_timeout)
    return AwaitFlight(stage.asked, stage.use, budget), (*notes, join)


def on_leads(stage: AwaitFlight, event: Leads, plan: Snapshot, at: float) -> Step:
    return analyse(stage.asked, plan, stage.budget)


def on_landed(stage: AwaitFlight, event: Landed, plan: Snapshot, at: float) -> Step:
    """The leader has the same partition and text, so what may answer it may answer here, unless this client
    wants less of the cache."""
    if admits(plan.cache, stage.use, event.candidate.entry, Bounds(event.marks, at)):
        done, effects = _answer(stage.asked.client, stage.use, event.candidate, HitKind.COALESCED, at)
        return done, (*effects, Coalesced(Waited.ANSWERED))
    return analyse(stage.asked, plan, stage.budget, (Coalesced(Waited.NOT_ADMITTED),))


def on_alone(stage: AwaitFlight, event: Alone, plan: Snapshot, at: float) -> Step:
    return analyse(stage.asked, plan, stage.budget, (Coalesced(event.reason),))


def on_analysis(stage: AwaitAnalysis, event: AnalysisReady, plan: Snapshot, at: float) -> Step:
    asked, analysis = stage.asked, event.analysis
    decision = decide(plan.routing, asked.model, analysis)
    use = asked.use
    if use is None:
        return _forward(asked, decision, analysis, plan, at)
    mode = plan.cache.of(decision.category).mode
    if mode is Mode.OFF:
        skipped = CacheSkipped(Uncached.CATEGORY_OFF, storing=False)
        return _forward(asked, decision, analysis, plan, at, notes=(skipped,))
    refused = by_meaning(use, mode, truncated=analysis.truncated)
    fill = Fill(use, analysis.vector, exact_only=refused is not None)
    if not use.control.asks:
        return _forward(asked, decision, analysis, plan, at, fill)
    if refused is not None:
        skipped = CacheSkipped(refused, storing=False)
        return _forward(asked, decision, analysis, plan, at, fill, (CacheMiss(), skipped))
    if stage.budget < LEAST_BUDGET:
        late = PortFailed("store", Failure.TIMEOUT)
        return _forward(asked, decision, analysis, plan, at, fill, (late, CacheMiss()))
    lookup = LookupSimilar(use.identity.partition, analysis.vector, plan.cache.candidates, stage.budget)
    return AwaitSimilar(asked, use, analysis, decision), (lookup,)


def on_analysis_failed(stage: AwaitAnalysis, event: AnalysisFailed, plan: Snapshot, at: float) -> Step:
    """Without an analysis the default model answers, and nothing is stored: an entry needs a vector."""
    decision = decide(plan.routing, stage.asked.model, None)
    notes: tuple[Effect, ...] = (PortFailed("analyst", event.reason),)
    if stage.asked.use is not None:
        notes = (*notes, CacheSkipped(Uncached.NO_ANALYSIS, storing=False))
    return _forward(stage.asked, decision, None, plan, at, notes=notes)


def on_similar(stage: AwaitSimilar, event: LookupDone, plan: Snapshot, at: float) -> Step:
    use, decision = stage.use, stage.decision
    choice = choose(plan.cache, use, decision.category, event.candidates, Bounds(event.marks, at))
    fill = Fill(use, stage.analysis.vector, exact_only=False)
    if choice.hit is None:
        return _forward(stage.asked, decision, stage.analysis, plan, at, fill, (CacheMiss(choice.refused),))
    if use.control.keeps and _is_sampled(stage.asked, plan.cache.verify_share):
        fill = Fill(use, stage.analysis.vector, exact_only=False, verify=choice.hit)
        # Only this client waits for the model: for the others the hit is as good as it was.
        return _forward(stage.asked, decision, stage.analysis, plan, at, fill, (Land(choice.hit),))
    done, effects = _answer(stage.asked.client, use, choice.hit, HitKind.SEMANTIC, at)
    return done, (*effects, Land(choice.hit))


def on_similar_failed(stage: AwaitSimilar, event: LookupFailed, plan: Snapshot, at: float) -> Step:
    notes = (PortFailed("store", event.reason), CacheMiss())
    fill = Fill(stage.use, stage.analysis.vector, exact_only=False)
    return _forward(stage.asked, stage.decision, stage.analysis, plan, at, fill, notes)


def _is_sampled(asked: Asked, share: float) -> bool:
    """Chance without a source of chance: an exchange's ident is random, and so is its digest."""
    return int(digest("sample", (asked.client.ident.encode(),))[:8], 16) < share * 2**32


def _answer(client: Client, use: CacheUse, candidate: Candidate, kind: HitKind, at: float) -> Step:
    """Replay an entry in the form the client asked for."""
    hit = replay(client, use, candidate, kind, at)
    return Done(), hit


def replay(
    client: Client, use: CacheUse, candidate: Candidate, kind: HitKind, at: float
) -> tuple[ImmediateReply, CacheHit]:
    """The answer of `candidate`'s entry, as JSON or as an event stream, and what is to be noted of it."""
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
    note = CacheHit(kind, entry.id, candidate.similarity, entry.model, age, at - client.started)
    return ImmediateReply(200, tuple(headers), body, f"cache_{kind.value}"), note


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
    fill: Fill | None = None,
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
    edits = HeaderEdits(
        set=((SELECTED_MODEL, route.model),),
        # A compressed answer could not be read for the cache; an uncompressed one suits every client.
        remove=(
            *(name for name in (*INTERNAL, VSR_CACHE_CONTROL) if name != SELECTED_MODEL),
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
        seconds=at - asked.client.started,
        timings=analysis.timings if analysis else None,
    )
    left = () if fill is not None or asked.use is None else (Land(None),)
    return Forwarded(asked.client, decision, reasoning, fill), (reply, *left, *notes, note)


def _client_sets(asked: Asked, name: str, key: str | None) -> bool:
    """Whether the client itself switched thinking; its own setting wins."""
    raw = asked.chat.params.get(name)
    if raw is None or key is None:
        return raw is not None
    value = msgspec.json.decode(raw)
    return not isinstance(value, dict) or key in value
