"""Which model answers, and how it is asked: one pure, total function of what is known about a request.

The order: the model that the client names, unless it must not see what the request holds; else the first
decision whose rules hold, by priority, then by confidence, then as written; else the category's models; else
the default model. Of those that are listed, models that lack what the request needs, or must not see it, are
left out, then the session and the selection have their say. Whether the chosen one thinks its route says;
where the configuration does not, the uncertainty about the category may.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from router_extproc.routing.analysis import Analysis
from router_extproc.routing.compiled import Listing, RoutingPolicy, Ruled
from router_extproc.routing.facts import Facts
from router_extproc.routing.personal import Personal, explain_denial, personal
from router_extproc.routing.pick import Pick, pick, traced
from router_extproc.routing.policy import Route, SystemPrompt
from router_extproc.routing.reasons import Adjusted, Dropped, Rule
from router_extproc.routing.rules import evaluate
from router_extproc.routing.signals import Evidence, Key, Reading
from router_extproc.routing.suitability import explain_lack, lacking
from router_extproc.routing.trace import Chosen, DecisionTrace, Needed, SignalTrace, Trace
from router_extproc.routing.uncertainty import NO_DATA, Uncertainty, judge
from router_extproc.routing.world import World
from router_extproc.screening.policy import PiiPolicy

NO_PII_POLICY = PiiPolicy()


@dataclass(frozen=True, slots=True)
class Decision:
    """`category` is empty when no domain was confident enough; `confidence` in [0, 1] is the likeliest
    domain's. `decision` names the configuration's decision that matched, "" where none did.

    `alternatives` are to be asked if `route` fails, in this order; nobody else is. `tool_selection`: tools
    may be added to this request. `cache_key` names the cache's policy and the guards'. `sensitive` are the
    types of personal data that count in it. A model that the client named comes with no alternatives and
    changes nothing in the request.
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
    sensitive: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Unsuitable:
    """No model that may answer can. `message` is for the client; `lacking` is what is missing, of all models
    together. `denied_to` is the first model that could have answered but must not see `denied`, the types of
    personal data that it is denied; "" where there is none."""

    lacking: tuple[Dropped, ...]
    message: str
    trace: Trace
    decision: str = ""
    category: str = ""
    confidence: float = 0.0
    cache_key: str = ""
    sensitive: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    denied_to: str = ""


@dataclass(frozen=True, slots=True)
class _Domain:
    """`ranked`: labels with probabilities, the likeliest first. `category` is the first of them if it is
    confident enough. `failed`: the heads, this one or others, that said nothing. `uncertainty` is None where
    nothing goes by it."""

    ranked: tuple[tuple[str, float], ...] = ()
    category: str = ""
    failed: tuple[str, ...] = ()
    uncertainty: Uncertainty | None = None

    @property
    def confidence(self) -> float:
        return self.ranked[0][1] if self.ranked else 0.0


def decide(
    policy: RoutingPolicy,
    requested: str | None,
    facts: Facts,
    analysis: Analysis | None,
    world: World,
    pii: PiiPolicy = NO_PII_POLICY,
) -> Decision | Unsuitable:
    """`requested` is the concrete model (or adapter) a client named, None for automatic choice: it is
    honoured as it is, unless `pii` keeps the request from it, and its category still reported. `analysis` is
    None where the encoder failed. What a head that failed would have said counts as not so, as everything
    does without an analysis."""
    domain = _domain(policy, analysis)
    if requested is not None:
        domain = replace(domain, uncertainty=None)
        data = personal(pii, domain.category, analysis)
        return _honoured(policy, requested, facts, domain, world, data)
    signals, outcomes = _judged(policy, Reading(facts, analysis))
    ruled = _first(policy.decisions, outcomes)
    rule, listing = _listed(policy, ruled, domain, failed=analysis is None)
    own_default = listing.candidates == policy.default.candidates
    listing, default = (_settled(each, domain, policy) for each in (listing, policy.default))
    key = listing.cache_key or domain.category
    data = personal(pii, key, analysis)
    picked = pick(policy, listing, facts, world, data.barred)
    routes = listing.candidates
    if not picked.order and not own_default:
        rule, routes = Rule.UNSUITABLE, default.candidates
        default = replace(listing, candidates=routes)
        picked = _behind(picked, pick(policy, default, facts, world, data.barred))
    name = "" if ruled is None else ruled.name
    route = routes[picked.order[0]] if picked.order else None
    lacks = frozenset[Dropped]() if route else frozenset(d for c in picked.candidates for d in c.dropped)
    chosen = _chosen(route, Rule.UNSUITABLE if route is None else rule, name, domain.category, lacks)
    domain = _applied(domain, route, policy)
    trace = _trace(None, facts, domain, picked, chosen, data, signals, outcomes)
    if route is None:
        return _unsuitable(trace, facts, domain, data, key)
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
        cache_key=key,
        sensitive=data.types,
    )


def _unsuitable(trace: Trace, facts: Facts, domain: _Domain, data: Personal, key: str) -> Unsuitable:
    """Personal data is the reason where a model lacks nothing else: without it, that one would answer."""
    kept_from = next((each for each in trace.candidates if each.dropped == (Dropped.PII,)), None)
    denied = data.denied[kept_from.model] if kept_from else frozenset()
    denied_to = kept_from.adapter or kept_from.model if kept_from else ""
    lacks = frozenset(trace.outcome.lacking)
    return Unsuitable(
        lacking=trace.outcome.lacking,
        message=explain_denial(denied_to, denied) if denied else explain_lack(lacks, facts),
        trace=trace,
        decision=trace.outcome.decision,
        category=domain.category,
        confidence=domain.confidence,
        cache_key=key,
        sensitive=data.types,
        denied=denied,
        denied_to=denied_to,
    )


def _domain(policy: RoutingPolicy, analysis: Analysis | None) -> _Domain:
    shares = {} if analysis is None else analysis.heads.get(policy.domain, {})
    doubt = None if policy.thinking is None else judge(policy.thinking, shares, policy.threshold)
    failed = () if analysis is None else analysis.failed
    ranked = tuple(sorted(shares.items(), key=lambda item: -item[1]))
    category = ranked[0][0] if ranked and ranked[0][1] >= policy.threshold else ""
    return _Domain(ranked, category, failed, doubt)


def _settled(listing: Listing, domain: _Domain, policy: RoutingPolicy) -> Listing:
    """Candidates that are unsettled think as the uncertainty wants it. Those whose thinking cannot be
    switched, and all of them where nothing is known, stay as they are."""
    doubt = domain.uncertainty
    if doubt is None or doubt.reason == NO_DATA:
        return listing
    candidates = tuple(
        replace(route, reasoning=doubt.reasoning) if _is_switched(route, policy) else route
        for route in listing.candidates
    )
    return replace(listing, candidates=candidates)


def _is_switched(route: Route, policy: RoutingPolicy) -> bool:
    return route.unsettled and policy.models[route.model].family is not None


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
    if policy.categories and policy.domain in domain.failed:
        return Rule.NO_ANALYSIS, policy.default
    listing = policy.categories.get(domain.category)
    if listing is None:
        return Rule.NO_ROUTE, policy.default
    if not listing.candidates:
        return Rule.NO_ROUTE, replace(listing, candidates=policy.default.candidates)
    return Rule.CATEGORY, listing


def _applied(domain: _Domain, route: Route | None, policy: RoutingPolicy) -> _Domain:
    """With whether the chosen route thinks as the uncertainty wants it, and because of it."""
    doubt = domain.uncertainty
    if doubt is None or doubt.reason == NO_DATA or route is None or not _is_switched(route, policy):
        return domain
    return replace(domain, uncertainty=replace(doubt, applied=True))


def _behind(first: Pick, default: Pick) -> Pick:
    """The default's pick, with what was tried before it in the trace."""
    adjusted = (Adjusted.DEFAULT_STANDS_IN, *default.adjusted) if default.order else ()
    return replace(default, candidates=(*first.candidates, *default.candidates), adjusted=adjusted)


def _adds_tools(policy: RoutingPolicy, listing: Listing, route: Route, facts: Facts) -> bool:
    asked = facts.open_to_tools and policy.tool_selection and listing.tool_selection
    return asked and policy.models[route.model].tools


def _honoured(
    policy: RoutingPolicy, requested: str, facts: Facts, domain: _Domain, world: World, data: Personal
) -> Decision | Unsuitable:
    """The client's own choice, also where our estimates say that it will fail: they are only estimates. What
    the model must not see it does not get."""
    if requested in policy.models or requested not in policy.adapters:
        route = Route(requested)
    else:
        route = Route(policy.adapters[requested], requested)
    model = policy.models.get(route.model)
    if route.model in data.barred:
        picked = Pick((), traced((route,), ((Dropped.PII,),)))
        chosen = _chosen(None, Rule.REQUESTED, "", domain.category, frozenset((Dropped.PII,)))
        trace = _trace(requested, facts, domain, picked, chosen, data)
        return _unsuitable(trace, facts, domain, data, domain.category)
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
        trace=_trace(requested, facts, domain, picked, chosen, data),
        category=domain.category,
        confidence=domain.confidence,
        cache_key=domain.category,
        sensitive=data.types,
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
    data: Personal,
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
        failed=domain.failed,
        sensitive=tuple(sorted(data.types)),
        uncertainty=domain.uncertainty,
    )
