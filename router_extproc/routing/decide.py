"""Which model answers, and how it is asked: one pure, total function of what is known about a request.

The order: the model that the client names; else the first decision whose rules hold, by priority, then by
confidence, then as written; else the category's models; else the default model. Of those that are listed,
models that lack what the request needs are left out, then the session and the selection have their say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from router_extproc.routing.analysis import Analysis
from router_extproc.routing.compiled import Listing, RoutingPolicy, Ruled
from router_extproc.routing.facts import Facts
from router_extproc.routing.pick import Pick, pick, traced
from router_extproc.routing.policy import Route, SystemPrompt
from router_extproc.routing.reasons import Adjusted, Dropped, Rule
from router_extproc.routing.rules import evaluate
from router_extproc.routing.signals import Evidence, Key, Reading
from router_extproc.routing.suitability import explain_lack, lacking
from router_extproc.routing.trace import Chosen, DecisionTrace, Needed, SignalTrace, Trace
from router_extproc.routing.world import World


@dataclass(frozen=True, slots=True)
class Decision:
    """`category` is empty when no domain was confident enough; `confidence` in [0, 1] is the likeliest
    domain's. `decision` names the configuration's decision that matched, "" where none did.

    `alternatives` are to be asked if `route` fails, in this order; nobody else is. `tool_selection`: tools
    may be added to this request. `cache_key` names the cache's policy. A model that the client named comes
    with no alternatives and changes nothing in the request.
    """

    route: Route
    rule: Rule
    trace: Trace
    decision: str = ""
    category: str = ""
    confidence: float = 0.0
    alternatives: tuple[Route, ...] = ()
    system_prompt: SystemPrompt | None = None
    tool_selection: bool = False
    cache_key: str = ""


@dataclass(frozen=True, slots=True)
class Unsuitable:
    """No model that may answer can. `message` is for the client; `lacking` is what is missing, of all models
    together."""

    lacking: tuple[Dropped, ...]
    message: str
    trace: Trace
    decision: str = ""
    category: str = ""
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class _Domain:
    """`ranked`: labels with probabilities, the likeliest first. `category` is the first of them if it is
    confident enough."""

    ranked: tuple[tuple[str, float], ...] = ()
    category: str = ""

    @property
    def confidence(self) -> float:
        return self.ranked[0][1] if self.ranked else 0.0


def decide(
    policy: RoutingPolicy, requested: str | None, facts: Facts, analysis: Analysis | None, world: World
) -> Decision | Unsuitable:
    """`requested` is the concrete model (or adapter) a client named, None for automatic choice: it is
    honoured as it is, and its category still reported. `analysis` is None where the encoder failed or was not
    asked."""
    domain = _domain(policy, analysis)
    if requested is not None:
        return _honoured(policy, requested, facts, domain, world)
    signals, outcomes = _judged(policy, Reading(facts, analysis))
    ruled = _first(policy.decisions, outcomes)
    rule, listing = _listed(policy, ruled, domain, failed=analysis is None)
    picked = pick(policy, listing, facts, world)
    routes = listing.candidates
    if not picked.order and routes != policy.default.candidates:
        rule = Rule.UNSUITABLE
        picked = _behind(
            picked, pick(policy, replace(listing, candidates=policy.default.candidates), facts, world)
        )
        routes = policy.default.candidates
    name = "" if ruled is None else ruled.name
    route = routes[picked.order[0]] if picked.order else None
    lacks = frozenset[Dropped]() if route else frozenset(d for c in picked.candidates for d in c.dropped)
    chosen = _chosen(route, Rule.UNSUITABLE if route is None else rule, name, domain.category, lacks)
    trace = _trace(None, facts, domain, picked, chosen, signals, outcomes)
    if route is None:
        message = explain_lack(lacks, facts)
        return Unsuitable(chosen.lacking, message, trace, name, domain.category, domain.confidence)
    return Decision(
        route=route,
        rule=rule,
        trace=trace,
        decision=name,
        category=domain.category,
        confidence=domain.confidence,
        alternatives=tuple(routes[place] for place in picked.order[1:]),
        system_prompt=listing.system_prompt,
        tool_selection=_adds_tools(policy, listing, route, facts),
        cache_key=listing.cache_key or domain.category,
    )


def _domain(policy: RoutingPolicy, analysis: Analysis | None) -> _Domain:
    shares = {} if analysis is None else analysis.heads.get(policy.domain, {})
    ranked = tuple(sorted(shares.items(), key=lambda item: -item[1]))
    if not ranked or ranked[0][1] < policy.threshold:
        return _Domain(ranked)
    return _Domain(ranked, ranked[0][0])


def _judged(
    policy: RoutingPolicy, reading: Reading
) -> tuple[tuple[SignalTrace, ...], tuple[DecisionTrace, ...]]:
    """Every rule's outcome, as written, and every signal that one of them asked for, each asked once."""
    seen: dict[Key, Evidence] = {}

    def evidence_of(key: Key) -> Evidence:
        found = seen.get(key)
        if found is None:
            found = policy.signals[key].evaluate(reading)
            seen[key] = found
        return found

    outcomes = [(ruled, evaluate(ruled.rule, evidence_of)) for ruled in policy.decisions]
    return (
        tuple(SignalTrace(*key, e.matched, e.confidence, e.detail) for key, e in seen.items()),
        tuple(
            DecisionTrace(ruled.name, ruled.priority, outcome.matched, outcome.confidence, outcome)
            for ruled, outcome in outcomes
        ),
    )


def _first(decisions: Sequence[Ruled], outcomes: Sequence[DecisionTrace]) -> Ruled | None:
    matched = [pair for pair in zip(decisions, outcomes, strict=True) if pair[1].matched]
    if not matched:
        return None
    # Of equal ones `min` keeps the first.
    return min(matched, key=lambda pair: (-pair[0].priority, -pair[1].confidence))[0]


def _listed(
    policy: RoutingPolicy, ruled: Ruled | None, domain: _Domain, *, failed: bool
) -> tuple[Rule, Listing]:
    """Who may answer. `failed`: there is no analysis."""
    if ruled is not None:
        return Rule.DECISION, ruled.listing
    if failed and policy.needs.analysis:
        return Rule.NO_ANALYSIS, policy.default
    if domain.ranked and not domain.category:
        return Rule.BELOW_THRESHOLD, policy.default
    listing = policy.categories.get(domain.category)
    if listing is None:
        return Rule.NO_ROUTE, policy.default
    if not listing.candidates:
        return Rule.NO_ROUTE, replace(listing, candidates=policy.default.candidates)
    return Rule.CATEGORY, listing


def _behind(first: Pick, default: Pick) -> Pick:
    """The default's pick, with what was tried before it in the trace."""
    adjusted = (Adjusted.DEFAULT_STANDS_IN, *default.adjusted) if default.order else ()
    return replace(default, candidates=(*first.candidates, *default.candidates), adjusted=adjusted)


def _adds_tools(policy: RoutingPolicy, listing: Listing, route: Route, facts: Facts) -> bool:
    asked = facts.open_to_tools and policy.tool_selection and listing.tool_selection
    return asked and policy.models[route.model].tools


def _honoured(policy: RoutingPolicy, requested: str, facts: Facts, domain: _Domain, world: World) -> Decision:
    """The client's own choice, also where our estimates say that it will fail: they are only estimates."""
    if requested in policy.models or requested not in policy.adapters:
        route = Route(requested)
    else:
        route = Route(policy.adapters[requested], requested)
    model = policy.models.get(route.model)
    lacks = lacking(model, facts) if model else ()
    if model:
        route = replace(route, quality=model.quality)
    adjusted = [Adjusted.REQUESTED_LACKS] if lacks else []
    if not world.of(route.model).available:
        adjusted.append(Adjusted.REQUESTED_UNAVAILABLE)
    picked = Pick((0,), traced((route,), (lacks,)), adjusted=tuple(adjusted))
    chosen = _chosen(route, Rule.REQUESTED, "", domain.category)
    return Decision(
        route=route,
        rule=Rule.REQUESTED,
        trace=_trace(requested, facts, domain, picked, chosen),
        category=domain.category,
        confidence=domain.confidence,
        cache_key=domain.category,
    )


def _chosen(
    route: Route | None, rule: Rule, decision: str, category: str, lacks: frozenset[Dropped] = frozenset()
) -> Chosen:
    if route is None:
        ordered = tuple(reason for reason in Dropped if reason in lacks)
        return Chosen(None, None, False, rule, decision, category, ordered)
    return Chosen(route.model, route.adapter, route.reasoning, rule, decision, category)


def _trace(
    requested: str | None,
    facts: Facts,
    domain: _Domain,
    picked: Pick,
    chosen: Chosen,
    signals: tuple[SignalTrace, ...] = (),
    decisions: tuple[DecisionTrace, ...] = (),
) -> Trace:
    return Trace(
        requested=requested,
        needed=Needed(facts.needed_window, facts.needs_vision, facts.needs_tools),
        domain=domain.ranked,
        signals=signals,
        decisions=decisions,
        candidates=picked.candidates,
        selection=picked.selection,
        adjusted=picked.adjusted,
        outcome=chosen,
    )
