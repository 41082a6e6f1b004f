"""What holds for every decision, over whatever policies, requests, analyses and states of the pool there may
be.

R1 a decision is total and repeatable · R2 who answers was listed, and lacks nothing · R3 the trace's outcome
is the decision · R4 what has a lower priority changes nothing · R5 the laws of NOT, AND and OR · R6 a signal
is asked once if a rule uses it, else never · R7 nobody who is left alone answers while another candidate can
· R8 the session keeps its word · R9 nothing of the prompt is in the trace.
"""

import json
from dataclasses import replace
from typing import Any, Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from router_extproc.routing.analysis import Analysis
from router_extproc.routing.compiled import Listing, RoutingPolicy, Ruled
from router_extproc.routing.decide import Decision, Unsuitable, decide
from router_extproc.routing.facts import Facts
from router_extproc.routing.policy import Model, Route, SystemPrompt
from router_extproc.routing.reasons import Adjusted, Rule
from router_extproc.routing.rules import Condition, Leaf, Outcome, Tree, evaluate, leaves
from router_extproc.routing.select import ALGORITHMS, Algorithm
from router_extproc.routing.session import SessionPolicy
from router_extproc.routing.signals import Evidence, Key
from router_extproc.routing.suitability import lacking
from router_extproc.routing.world import Condition as State
from router_extproc.routing.world import World
from tests.support.policies import Said, analysis

MODELS = ("a", "b", "c", "d")
SIGNALS = ("s1", "s2", "s3", "s4")
SECRET = "zebra-secret"

shares = st.floats(0, 1)
evidence = st.builds(Evidence, st.booleans(), shares)
conditions: st.SearchStrategy[Condition] = st.recursive(
    st.sampled_from([Leaf("keyword", name) for name in SIGNALS]),
    lambda parts: st.one_of(
        st.builds(Tree, st.just("AND"), st.lists(parts, max_size=3).map(tuple)),
        st.builds(Tree, st.just("OR"), st.lists(parts, min_size=1, max_size=3).map(tuple)),
        st.builds(lambda part: Tree("NOT", (part,)), parts),
    ),
    max_leaves=4,
)
trees = conditions.map(lambda each: each if isinstance(each, Tree) else Tree("AND", (each,)))
routes = st.builds(
    Route,
    st.sampled_from(MODELS),
    st.sampled_from([None, "adapter"]),
    st.booleans(),
    quality=shares,
    cost=st.one_of(st.none(), st.floats(0, 100)),
)
algorithms = st.builds(
    Algorithm, st.sampled_from(sorted(ALGORITHMS)), exploration=st.floats(0, 0.2), min_quality=shares
)


def listings(least: int = 1) -> st.SearchStrategy[Listing]:
    return st.builds(
        Listing,
        st.lists(routes, min_size=least, max_size=3).map(tuple),
        algorithms,
        st.sampled_from([None, SystemPrompt("x")]),
        st.booleans(),
        st.sampled_from(["", "decision:x"]),
    )


decisions = st.builds(Ruled, st.sampled_from(["x", "y", "z"]), st.integers(-2, 2), trees, listings())
qualities = st.sampled_from([0.2, 0.5, 0.8])
models = st.builds(
    Model,
    st.sampled_from([None, 100, 1000]),
    st.booleans(),
    st.booleans(),
    quality=qualities,
)


@st.composite
def policies(draw: st.DrawFn) -> RoutingPolicy:
    """Over all MODELS and SIGNALS."""
    return RoutingPolicy(
        models={name: draw(models) for name in MODELS},
        default=Listing((draw(routes),), Algorithm()),
        decisions=tuple(draw(st.lists(decisions, max_size=3))),
        signals={("keyword", name): Said(("keyword", name), draw(evidence)) for name in SIGNALS},
        categories={name: draw(listings(least=0)) for name in ("math", "law")},
        threshold=draw(shares),
        adapters={"adapter": "a"},
        session=draw(st.sampled_from(list(SessionPolicy))),
        tool_selection=draw(st.booleans()),
    )


facts = st.builds(
    Facts,
    st.just(SECRET),
    st.sampled_from([0, 90, 500, 10_000]),
    st.sampled_from([None, 1, 600]),
    tools=st.integers(0, 1),
    images=st.integers(0, 1),
    open_to_tools=st.booleans(),
)
heads = st.dictionaries(st.sampled_from(["math", "law", "other"]), shares, min_size=1)
analyses = st.one_of(st.none(), heads.map(lambda shares: analysis({"domain": shares})), st.just(analysis({})))
states = st.builds(
    State,
    st.booleans(),
    latency=st.one_of(st.none(), st.floats(0.01, 100)),
    error_rate=shares,
    in_flight=st.integers(0, 50),
    samples=st.floats(0, 100),
)
worlds = st.builds(
    World,
    st.fixed_dictionaries(dict.fromkeys(MODELS, states)),
    st.sampled_from([None, *MODELS, "gone"]),
    st.floats(0, 1, exclude_max=True),
)
requests = st.sampled_from([None, None, None, "a", "adapter", "unknown"])
Arguments = tuple[RoutingPolicy, str | None, Facts, Analysis | None, World]
cases: st.SearchStrategy[Arguments] = st.tuples(policies(), requests, facts, analyses, worlds)


@st.composite
def contests(draw: st.DrawFn) -> Arguments:
    """Decisions between different models that nearly all suit: what is left is up to the pool's state, the
    session and the algorithm."""
    names = draw(st.permutations(MODELS))
    algorithm = replace(draw(algorithms), min_quality=draw(st.sampled_from([0.0, 0.0, 0.4])))
    candidates = tuple(Route(name, quality=draw(qualities)) for name in names)
    contest = Ruled("x", 0, Tree("AND"), Listing(candidates, algorithm))
    windows = st.sampled_from([None, None, None, 1])
    policy = RoutingPolicy(
        models={name: Model(draw(windows), quality=draw(qualities)) for name in MODELS},
        default=Listing((Route("a"),), Algorithm()),
        decisions=(contest,),
        session=draw(st.sampled_from([*SessionPolicy, SessionPolicy.PIN, SessionPolicy.ESCALATE_ONLY])),
    )
    up = st.sampled_from([True, True, True, False])
    at = World(
        {name: replace(draw(states), available=draw(up)) for name in MODELS},
        draw(st.sampled_from([*MODELS, *MODELS, "gone", None])),
        draw(st.floats(0, 1, exclude_max=True)),
    )
    return policy, None, Facts(SECRET), None, at


def listed(policy: RoutingPolicy, decision: Decision) -> tuple[Route, ...]:
    """Those that may answer for what the decision says it went by."""
    if decision.rule is Rule.DECISION:
        names = [ruled for ruled in policy.decisions if ruled.name == decision.decision]
        return tuple(route for ruled in names for route in ruled.listing.candidates)
    if decision.rule is Rule.CATEGORY:
        return policy.categories[decision.category].candidates
    return policy.default.candidates


@settings(deadline=None, max_examples=100)
@given(cases)
def test_r1_a_decision_is_total_and_repeatable(case: Arguments) -> None:
    first, second = decide(*case), decide(*case)
    assert isinstance(first, Decision | Unsuitable)
    assert first == second


@settings(deadline=None, max_examples=150)
@given(cases)
def test_r2_who_answers_was_listed_and_lacks_nothing(case: Arguments) -> None:
    policy, requested, asked, _, _ = case
    decision = decide(*case)
    if requested is not None:
        assert isinstance(decision, Decision)
        assert requested in (decision.route.model, decision.route.adapter)
        return
    if isinstance(decision, Unsuitable):
        assert all(lacking(policy.models[route.model], asked) for route in policy.default.candidates)
        assert decision.lacking
        return
    for route in (decision.route, *decision.alternatives):
        assert route in listed(policy, decision)
        assert lacking(policy.models[route.model], asked) == ()
    if decision.tool_selection:
        assert policy.models[decision.route.model].tools


@settings(deadline=None, max_examples=100)
@given(cases)
def test_r2_a_model_that_suits_is_never_overlooked(case: Arguments) -> None:
    """All candidates that lack nothing are in the order, each once."""
    policy, requested, asked, _, _ = case
    decision = decide(*case)
    if requested is not None or isinstance(decision, Unsuitable) or decision.rule is Rule.DECISION:
        return
    suited = [route for route in listed(policy, decision) if not lacking(policy.models[route.model], asked)]
    ordered = [decision.route, *decision.alternatives]
    assert sorted(map(repr, ordered)) == sorted(map(repr, suited))


@settings(deadline=None, max_examples=100)
@given(cases)
def test_r3_the_trace_s_outcome_is_the_decision(case: Arguments) -> None:
    decision = decide(*case)
    outcome = decision.trace.outcome
    assert (outcome.decision, outcome.category) == (decision.decision, decision.category)
    if isinstance(decision, Unsuitable):
        assert (outcome.model, outcome.rule, outcome.lacking) == (None, Rule.UNSUITABLE, decision.lacking)
        return
    route = decision.route
    assert (outcome.model, outcome.adapter, outcome.reasoning) == (
        route.model,
        route.adapter,
        route.reasoning,
    )
    assert outcome.rule is decision.rule
    matched = [each for each in decision.trace.decisions if each.matched]
    if decision.rule is Rule.DECISION:
        best = max(matched, key=lambda each: (each.priority, each.confidence))
        assert best.name == decision.decision
    elif decision.rule not in (Rule.UNSUITABLE, Rule.REQUESTED):
        assert matched == []


@settings(deadline=None, max_examples=100)
@given(cases, decisions, st.integers(0, 4))
def test_r4_a_decision_of_lower_priority_changes_nothing(case: Arguments, more: Ruled, place: int) -> None:
    policy, requested, asked, said, at = case
    before = decide(*case)
    matched = [each.priority for each in before.trace.decisions if each.matched]
    if not matched:
        return
    lower = replace(more, name="lower", priority=max(matched) - 1)
    more_decisions = (*policy.decisions[:place], lower, *policy.decisions[place:])
    after = decide(replace(policy, decisions=more_decisions), requested, asked, said, at)
    assert after.trace.outcome == before.trace.outcome
    if isinstance(before, Decision) and isinstance(after, Decision):
        assert (after.route, after.alternatives) == (before.route, before.alternatives)


@st.composite
def judged(draw: st.DrawFn) -> dict[Key, Evidence]:
    return {("keyword", name): draw(evidence) for name in SIGNALS}


@settings(deadline=None, max_examples=100)
@given(judged(), conditions, conditions)
def test_r5_not_and_or_keep_their_laws(said: dict[Key, Evidence], one: Condition, other: Condition) -> None:
    def outcome(operator: Literal["AND", "OR", "NOT"], *parts: Condition) -> Outcome:
        return evaluate(Tree(operator, parts), said.__getitem__)

    def negated(part: Condition) -> Tree:
        return Tree("NOT", (part,))

    first, second = (evaluate(part, said.__getitem__) for part in (one, other))
    both, either = outcome("AND", one, other), outcome("OR", one, other)
    assert both.matched == (first.matched and second.matched)
    assert either.matched == (first.matched or second.matched)
    assert outcome("NOT", one).matched != first.matched
    assert outcome("NOT", negated(one)).matched == first.matched
    assert (
        outcome("NOT", Tree("AND", (one, other))).matched
        == outcome("OR", negated(one), negated(other)).matched
    )
    assert (
        outcome("NOT", Tree("OR", (one, other))).matched
        == outcome("AND", negated(one), negated(other)).matched
    )
    assert outcome("AND", other, one).matched == both.matched
    for each in (first, second, both, either):
        assert 0 <= each.confidence <= 1
        assert each.matched or each.confidence == 0
    if both.matched:
        low, high = sorted((first.confidence, second.confidence))
        assert low - 1e-9 <= both.confidence <= high + 1e-9
        assert either.confidence == high


@settings(deadline=None, max_examples=100)
@given(cases)
def test_r6_a_signal_is_asked_once_if_a_rule_uses_it_and_else_never(case: Arguments) -> None:
    policy, requested, *_ = case
    decision = decide(*case)
    used = {key for ruled in policy.decisions for key in leaves(ruled.rule)}
    expected: Any = set() if requested is not None else used
    for key, signal in policy.signals.items():
        assert isinstance(signal, Said)
        assert signal.asked == (key in expected)
    assert {(each.kind, each.name) for each in decision.trace.signals} == expected


@settings(deadline=None, max_examples=300)
@given(st.one_of(contests(), cases))
def test_r7_nobody_left_alone_answers_while_another_candidate_can(case: Arguments) -> None:
    _, requested, _, _, at = case
    decision = decide(*case)
    if requested is not None or isinstance(decision, Unsuitable):
        return
    available = [at.of(route.model).available for route in (decision.route, *decision.alternatives)]
    assert available[0] or not any(available)
    # And they are tried in the same order of hope.
    assert available == sorted(available, reverse=True)
    assert (Adjusted.NONE_AVAILABLE in decision.trace.adjusted) == (not any(available))


@settings(deadline=None, max_examples=300)
@given(st.one_of(contests(), cases))
def test_r8_the_session_keeps_its_word(case: Arguments) -> None:
    policy, requested, _, _, at = case
    decision = decide(*case)
    if requested is not None or isinstance(decision, Unsuitable) or at.session_model is None:
        return
    said = decision.trace.adjusted
    everyone = (decision.route, *decision.alternatives)
    usable = [route.model for route in everyone if at.of(route.model).available]
    if policy.session is SessionPolicy.NONE:
        assert not any(each.value.startswith("session") for each in said)
        return
    assert len([each for each in said if each.value.startswith("session")]) == (1 if usable else 0)
    if policy.session is SessionPolicy.PIN:
        assert (Adjusted.SESSION_KEPT in said) == (usable != [] and decision.route.model == at.session_model)
        left_for_quality = Adjusted.SESSION_UNSUITABLE in said
        assert at.session_model not in usable or left_for_quality or Adjusted.SESSION_KEPT in said
        return
    past = policy.models.get(at.session_model)
    if past is None or not usable:
        return
    went_down = policy.models[decision.route.model].quality < past.quality
    assert went_down == (Adjusted.SESSION_LOWERED in said)


@settings(deadline=None, max_examples=100)
@given(cases)
def test_r9_nothing_of_the_prompt_is_in_the_trace(case: Arguments) -> None:
    decision = decide(*case)
    assert SECRET not in json.dumps(decision.trace.as_json())
    assert SECRET not in repr(decision)
