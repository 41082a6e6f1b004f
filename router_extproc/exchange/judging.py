"""From a question to what happens with it: an answer from the cache, or a model of the pool."""

from dataclasses import replace

import msgspec

from router_extproc.base.digest import digest
from router_extproc.base.headers import HeaderEdits
from router_extproc.base.names import (
    FOR_ROUTER,
    INTERNAL,
    SELECTED_MODEL,
)
from router_extproc.base.refusals import Failure, Missed, Rejection, Uncached, Waited
from router_extproc.base.trace import TRACEPARENT
from router_extproc.caching.entry import Candidate
from router_extproc.caching.policy import Bounds, CacheUse, Mode, admits, by_meaning, choose
from router_extproc.exchange.comparing import LEAST_BUDGET, Asking, Decided, begin, go_on
from router_extproc.exchange.effects import (
    CacheMiss,
    CacheSkipped,
    Coalesced,
    Effect,
    HitKind,
    Join,
    Land,
    LookupSimilar,
    Phase,
    PortFailed,
    Remember,
    Reply,
    Routed,
    Sent,
)
from router_extproc.exchange.events import (
    Alone,
    AnalysisFailed,
    AnalysisReady,
    Compared,
    CompareFailed,
    Landed,
    Leads,
    LookupDone,
    LookupFailed,
)
from router_extproc.exchange.facts import facts_of
from router_extproc.exchange.guarding import Verdicts, judge, not_read, refuse
from router_extproc.exchange.intake import Step, analyse, reject
from router_extproc.exchange.notes import Analysed, Judged, NearestFound
from router_extproc.exchange.replaying import replay
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.exchange.stages import (
    Asked,
    AwaitAnalysis,
    AwaitExact,
    AwaitFlight,
    AwaitSame,
    AwaitSimilar,
    Client,
    Done,
    Fill,
    Forwarded,
)
from router_extproc.llm.system import SystemPrompt
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.decide import Decision, Unsuitable, decide
from router_extproc.routing.policy import ReasoningFamily, reasoning_fields
from router_extproc.routing.reasons import Dropped
from router_extproc.routing.tools import Tool
from router_extproc.routing.world import World

_WORD_FOR_WORD = CacheMiss(reason=Missed.WORD_FOR_WORD)


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
    decided, verdicts = _judged(asked, analysis, event.world, plan)
    seen = _seen(asked, decided, analysis)
    if verdicts.refusal is not None:
        return Done(), (*refuse(asked, decided, verdicts, plan, at), *seen)
    if isinstance(decided, Unsuitable):
        done, effects = _refuse(decided)
    elif verdicts.flagged:
        done, effects = _forward(asked, decided, analysis, plan, at, notes=_uncached(asked, Uncached.FLAGGED))
    else:
        done, effects = _look_up(stage, decided, analysis, plan, at)
    return done, (*verdicts.notes, *seen, *effects)


def _seen(asked: Asked, decided: Decision | Unsuitable, analysis: Analysis) -> tuple[Effect, ...]:
    return _note(asked, decided, analysis), Analysed(decided.category, analysis.timings)


def _note(asked: Asked, decided: Decision | Unsuitable, analysis: Analysis | None) -> Judged:
    return Judged(
        trace=decided.trace,
        key=decided.cache_key,
        confidence=decided.confidence,
        tokens=analysis.tokens if analysis else 0,
        truncated=analysis.truncated if analysis else False,
    )


def _trace_fields(client: Client) -> tuple[tuple[str, str], ...]:
    """`tracestate` and `baggage` pass as they came."""
    return () if client.trace is None else ((TRACEPARENT, client.trace.header()),)


def _judged(
    asked: Asked, analysis: Analysis | None, world: World, plan: Snapshot
) -> tuple[Decision | Unsuitable, Verdicts]:
    """Who is to answer, and what the guards say to that: nothing goes upstream, and nothing that is found by
    meaning answers, before both are known."""
    policy, facts = plan.screening, facts_of(asked.chat)
    decided = decide(plan.routing, asked.model, facts, analysis, _world(world, asked), policy.pii)
    return decided, judge(policy, asked, decided, analysis)


def _uncached(asked: Asked, reason: Uncached) -> tuple[Effect, ...]:
    return () if asked.use is None else (CacheSkipped(reason, storing=False),)


def _look_up(stage: AwaitAnalysis, decision: Decision, analysis: Analysis, plan: Snapshot, at: float) -> Step:
    """Ask by meaning, where that is allowed."""
    asked, use = stage.asked, stage.asked.use
    if use is None:
        return _forward(asked, decision, analysis, plan, at)
    mode = plan.cache.of(decision.cache_key).mode
    if mode is Mode.OFF:
        skipped = CacheSkipped(Uncached.CATEGORY_OFF, storing=False)
        return _forward(asked, decision, analysis, plan, at, notes=(skipped,))
    refused = by_meaning(use, mode, truncated=analysis.truncated)
    if decision.tool_selection and refused is None:
        refused = Uncached.TOOLS
    fill = Fill(use, analysis.vector, exact_only=refused is not None)
    if not use.control.asks:
        return _forward(asked, decision, analysis, plan, at, fill)
    if refused is not None:
        skipped = CacheSkipped(refused, storing=False)
        return _forward(asked, decision, analysis, plan, at, fill, (_WORD_FOR_WORD, skipped))
    if stage.budget < LEAST_BUDGET:
        late = PortFailed("store", Failure.TIMEOUT)
        return _forward(asked, decision, analysis, plan, at, fill, (late, CacheMiss(reason=Missed.NO_TIME)))
    lookup = LookupSimilar(use.identity.partition, analysis.vector, plan.cache.candidates, stage.budget)
    return AwaitSimilar(asked, use, analysis, decision), (lookup,)


def on_analysis_failed(stage: AwaitAnalysis, event: AnalysisFailed, plan: Snapshot, at: float) -> Step:
    """Without an analysis the default model answers, unless a guard is to fail closed, and nothing is stored:
    an entry needs a vector."""
    asked = stage.asked
    decided, verdicts = _judged(asked, None, event.world, plan)
    failed = (_note(asked, decided, None), PortFailed("analyst", event.reason))
    if verdicts.refusal is not None:
        return Done(), (*refuse(asked, decided, verdicts, plan, at), *failed)
    notes: tuple[Effect, ...] = (*verdicts.notes, *failed)
    if isinstance(decided, Unsuitable):
        done, effects = _refuse(decided)
        return done, (*effects, *notes)
    return _forward(asked, decided, None, plan, at, notes=(*notes, *_uncached(asked, Uncached.NO_ANALYSIS)))


def on_similar(stage: AwaitSimilar, event: LookupDone, plan: Snapshot, at: float) -> Step:
    bounds = Bounds(event.marks, at)
    choice = choose(plan.cache, stage.use, stage.decision.cache_key, event.candidates, bounds)
    nearest = NearestFound(max((each.similarity for each in event.candidates), default=None))
    done, effects = _decide(stage, begin(choice, stage.use, plan, bounds), plan, at)
    return done, (nearest, *effects)


def on_compared(stage: AwaitSame, event: Compared | CompareFailed, plan: Snapshot, at: float) -> Step:
    bounds = Bounds(event.marks, at)
    return _decide(stage.found, go_on(stage.doubt, event, stage.found.use, plan, bounds), plan, at)


def _decide(stage: AwaitSimilar, outcome: Asking | Decided, plan: Snapshot, at: float) -> Step:
    """Ask the verifier, or answer from the cache, or go upstream."""
    if isinstance(outcome, Asking):
        return AwaitSame(stage, outcome.doubt), (outcome.question,)
    use, choice = stage.use, outcome.choice
    fill = Fill(use, stage.analysis.vector, exact_only=False)
    if choice.hit is None:
        notes: tuple[Effect, ...] = (*outcome.failed, CacheMiss(choice.refused))
        return _forward(stage.asked, stage.decision, stage.analysis, plan, at, fill, notes)
    compared = use.control.keeps and _whole(stage.analysis, plan)
    if compared and _is_sampled(stage.asked, plan.cache.verify_share):
        fill = Fill(use, stage.analysis.vector, exact_only=False, verify=choice.hit)
        # Only this client waits for the model: for the others the hit is as good as it was.
        return _forward(stage.asked, stage.decision, stage.analysis, plan, at, fill, (Land(choice.hit),))
    hit = replay(stage.asked.client, use, choice.hit, HitKind.SEMANTIC, at, outcome.probability)
    return Done(), (*hit, Land(choice.hit))


def on_similar_failed(stage: AwaitSimilar, event: LookupFailed, plan: Snapshot, at: float) -> Step:
    notes = (PortFailed("store", event.reason), CacheMiss(reason=Missed.STORE_FAILED))
    fill = Fill(stage.use, stage.analysis.vector, exact_only=False)
    return _forward(stage.asked, stage.decision, stage.analysis, plan, at, fill, notes)


def _refuse(decision: Unsuitable) -> Step:
    """With OpenAI's code where the request is too long for every model that may answer: clients shorten it
    then, and ask again. Where one only lacks something else, a shorter request would not be the cure."""
    too_long = all(Dropped.CONTEXT_WINDOW in each.dropped for each in decision.trace.candidates)
    if not too_long:
        return reject(Rejection.UNSUITABLE, decision.message, None)
    return reject(Rejection.UNSUITABLE, decision.message, "messages", "context_length_exceeded")


def _is_sampled(asked: Asked, share: float) -> bool:
    return _chance("sample", asked) < share


def _world(world: World, asked: Asked) -> World:
    return replace(world, chance=_chance("route", asked))


def _chance(use: str, asked: Asked) -> float:
    """In [0, 1). Chance without a source of chance: an exchange's ident is random, and so is its digest."""
    return int(digest(use, (asked.client.ident.encode(),))[:8], 16) / 2**32


def _answer(client: Client, use: CacheUse, candidate: Candidate, kind: HitKind, at: float) -> Step:
    """Replay an entry in the form the client asked for."""
    hit = replay(client, use, candidate, kind, at)
    return Done(), hit


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
    fill, notes = _kept(fill, analysis, plan, notes)
    route = decision.route
    body, reasoning, own_setting = asked.chat.raw, None, False
    family = plan.routing.models[route.model].family if asked.model is None else None
    if asked.model is None:
        switch = reasoning_fields(family, route)
        body = asked.chat.edited(
            model=route.name,
            defaults=(switch,) if switch else (),
            system=_system(decision),
            tools=_tools(decision, analysis, plan),
        )
        own_setting = switch is not None and _client_sets(asked, switch[0], switch[1])
        reasoning = None if own_setting else route.reasoning
    edits = HeaderEdits(
        set=((SELECTED_MODEL, route.model), *_trace_fields(asked.client)),
        # A compressed answer could not be read for the cache; an uncompressed one suits every client.
        remove=(
            *(name for name in (*INTERNAL, *FOR_ROUTER) if name != SELECTED_MODEL),
            *(("accept-encoding",) if fill else ()),
        ),
    )
    reply = Reply(
        Phase.REQUEST_BODY,
        edits,
        body=None if body is asked.chat.raw else body,
        clear_route_cache=True,
    )
    note = _routed(asked, decision, analysis, reasoning, None if own_setting else family, at)
    left: tuple[Effect, ...] = () if fill is not None or asked.use is None else (Land(None),)
    if asked.session is not None:
        left = (*left, Remember(asked.session, route.model))
    # Before the reply: who is asked next must know of this one.
    sent = (Sent(route.model, at),) if plan.learns else ()
    prompted = asked.model is None and decision.system_prompt is not None
    return Forwarded(asked.client, decision, reasoning, prompted, fill), (*sent, reply, *left, *notes, note)


def _routed(
    asked: Asked,
    decision: Decision,
    analysis: Analysis | None,
    reasoning: bool | None,
    family: ReasoningFamily | None,
    at: float,
) -> Routed:
    """`family` is that of a model whose reasoning the router set."""
    return Routed(
        requested=asked.model or "auto",
        model=decision.route.model,
        category=decision.category,
        decision=decision.decision,
        confidence=decision.confidence,
        reasoning=bool(reasoning),
        rule=decision.rule.value,
        seconds=at - asked.client.started,
        timings=analysis.timings if analysis else None,
        uncertainty=decision.trace.uncertainty,
        effort=decision.route.effort if reasoning else "",
        family=family.name if family else "",
        parameter=family.parameter if family else "",
    )


def _kept(
    fill: Fill | None, analysis: Analysis | None, plan: Snapshot, notes: tuple[Effect, ...]
) -> tuple[Fill | None, tuple[Effect, ...]]:
    """Where a head failed, another model may answer than the rules want, and where a guard did, nobody knows
    what is in the request: not for the cache."""
    if fill is None or analysis is None or _whole(analysis, plan):
        return fill, notes
    return None, (*notes, CacheSkipped(Uncached.NO_ANALYSIS, storing=True))


def _whole(analysis: Analysis, plan: Snapshot) -> bool:
    """Whether everybody who was asked about the request has spoken."""
    return not analysis.failed and not not_read(plan.screening, analysis)


def _system(decision: Decision) -> SystemPrompt | None:
    prompt = decision.system_prompt
    return None if prompt is None else SystemPrompt(prompt.text, replaces=prompt.mode == "replace")


def _tools(decision: Decision, analysis: Analysis | None, plan: Snapshot) -> tuple[Tool, ...]:
    """Those to add to the request. Without an analysis nobody knows which."""
    if not decision.tool_selection or plan.tools is None or analysis is None:
        return ()
    return plan.tools.select(analysis.vector)


def _client_sets(asked: Asked, name: str, key: str | None) -> bool:
    """Whether the client itself switched thinking; its own setting wins."""
    raw = asked.chat.params.get(name)
    if raw is None or key is None:
        return raw is not None
    value = msgspec.json.decode(raw)
    return not isinstance(value, dict) or key in value
