"""The feedback loop in simulated time: what is measured moves the traffic, soon enough and not too often.

The runs are drawn from fixed seeds, several for each rate. What holds is a matter of probability: at few
requests a second other seeds may take longer, which docs/ROUTING_SELECTION.md gives in numbers.
"""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_extproc.routing.circuit import State
from router_extproc.routing.performance import (
    MAX_ADJUSTMENTS,
    MAX_UNDER_WAY,
    Adjustment,
    AdjustmentKind,
    Failed,
    FeedbackOptions,
    Performance,
    Ticket,
)
from router_extproc.routing.policy import Route
from router_extproc.routing.select import ALGORITHMS, RECHECK_SHARE, Algorithm, select
from router_extproc.routing.world import Condition, World
from tests.support.simulated_time import Doing, Load, Run, Schedule, simulate

TWO = (Route("a", cost=1.0), Route("b", cost=1.0))
OPTIONS = FeedbackOptions(("a", "b"))
LEARNING = [name for name in ALGORITHMS if name != "static"]
SOUND, SLOW, WELL, FAILING, AGAIN, END = 30.0, 30.0, 80.0, 130.0, 180.0, 230.0
CHANGES: Schedule = {
    "a": [(SLOW, Doing(slowness=5.0)), (WELL, Doing()), (FAILING, Doing(failing=0.2)), (AGAIN, Doing())]
}
WITHIN = 30.0


def follows(run: Run) -> None:
    """Thirty seconds after each change, and until the next one, the traffic is where it belongs."""
    ends = ((SLOW, WELL, "b"), (WELL, FAILING, "a"), (FAILING, AGAIN, "b"), (AGAIN, END, "a"))
    shares = {changed: run.share(model, changed + WITHIN, end) for changed, end, model in ends}
    assert all(share > 0.5 for share in shares.values()), shares


@pytest.mark.parametrize("name", LEARNING)
@pytest.mark.parametrize("rate", [3.0, 10.0])
@pytest.mark.parametrize("seed", range(4))
def test_traffic_leaves_a_slow_or_failing_model_and_comes_back(name: str, rate: float, seed: int) -> None:
    run = simulate(TWO, Algorithm(name), OPTIONS, Load(rate, END), CHANGES, seed)
    assert run.share("a", 0.0, SOUND) > 0.5
    follows(run)
    assert run.switches() <= 6


@pytest.mark.parametrize("seed", range(40))
def test_five_requests_a_second_are_enough_to_follow(seed: int) -> None:
    run = simulate(TWO, Algorithm("multi_factor"), OPTIONS, Load(5.0, END), CHANGES, seed)
    follows(run)
    assert run.switches() <= 6


@pytest.mark.parametrize("rate", [1.0, 5.0])
def test_a_model_that_fails_one_answer_in_a_hundred_is_hardly_ever_left(rate: float) -> None:
    """Both do. Ten half hours: less than once an hour."""
    both: Schedule = {name: [(0.0, Doing(failing=0.01))] for name in "ab"}
    away = 0
    for seed in range(10):
        run = simulate(TWO, Algorithm("multi_factor"), OPTIONS, Load(rate, 1800.0), both, seed)
        away += sum(one.kind is AdjustmentKind.FAILING and one.model == "a" for one in run.adjustments)
    assert away <= 5


def test_traffic_follows_at_fifty_requests_a_second() -> None:
    run = simulate(TWO, Algorithm("multi_factor"), OPTIONS, Load(50.0, END), CHANGES, seed=1)
    follows(run)
    assert run.switches() == 4


@pytest.mark.parametrize("seed", range(4))
def test_one_request_a_second_is_enough_to_follow_a_models_speed(seed: int) -> None:
    changes: Schedule = {"a": [(30.0, Doing(slowness=5.0)), (90.0, Doing())]}
    run = simulate(TWO, Algorithm("multi_factor"), OPTIONS, Load(1.0, 150.0), changes, seed)
    assert run.share("b", 45.0, 90.0) > 0.5
    assert run.share("a", 120.0, 150.0) > 0.5


@pytest.mark.parametrize("name", LEARNING)
@pytest.mark.parametrize(("rate", "noise"), [(1.0, 0.3), (10.0, 0.3), (10.0, 0.6)])
def test_equal_models_do_not_take_turns(name: str, rate: float, noise: float) -> None:
    for seed in range(3):
        run = simulate(TWO, Algorithm(name), OPTIONS, Load(rate, 180.0, noise=noise), {}, seed)
        assert run.switches() <= 2
        assert run.share("a", 0.0, 180.0) > 0.6


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_without_feedback_nothing_moves(name: str) -> None:
    changes: Schedule = {
        "a": [(5.0, Doing(slowness=5.0)), (20.0, Doing(failing=0.9)), (40.0, Doing(dead=True))]
    }
    run = simulate(TWO, Algorithm(name), replace(OPTIONS, enabled=False), Load(10.0, 60.0), changes, seed=1)
    assert {one.model for one in run.asked} == {"a"}
    assert not any(one.explored for one in run.asked)
    assert run.adjustments == []


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_the_death_of_one_of_three_models_under_load_costs_next_to_nothing(name: str) -> None:
    three = (*TWO, Route("c", cost=1.0))
    options = replace(OPTIONS, models=("a", "b", "c"))
    changes: Schedule = {"a": [(20.0, Doing(dead=True)), (50.0, Doing())]}
    for seed in range(3):
        run = simulate(three, Algorithm(name), options, Load(10.0, 110.0, retry=True), changes, seed)
        assert run.lost() <= 0.005
        assert run.share("a", 23.0, 50.0) < 0.05
        assert run.share("a", 50.0 + options.max_retry_seconds, 110.0) > 0.5
        assert {one.model for one in run.asked} <= {"a", "b", "c"}


def test_a_dead_model_alone_costs_a_few_requests_without_a_retry() -> None:
    """Those under way when it dies, those until the circuit opens, and one for each time it is tried."""
    changes: Schedule = {"a": [(20.0, Doing(dead=True))]}
    run = simulate(TWO, Algorithm("static"), OPTIONS, Load(20.0, 80.0), changes, seed=1)
    failed = [one.at for one in run.asked if not one.answered and one.at >= 20.0]
    assert len(failed) <= OPTIONS.failures + 5 + 2


def test_twenty_per_cent_failures_hardly_ever_open_the_circuit() -> None:
    """They do if the first three answers after the change all fail, which is one time in 25 or so."""
    changes: Schedule = {"a": [(10.0, Doing(failing=0.2))]}
    one = (Route("a"),)
    opened = 0
    for seed in range(12):
        run = simulate(one, Algorithm(), FeedbackOptions(("a",)), Load(20.0, 60.0), changes, seed)
        opened += any(adjustment.kind is AdjustmentKind.OPENED for adjustment in run.adjustments)
    assert opened <= 1


@pytest.mark.parametrize("name", LEARNING)
def test_finding_out_is_bounded(name: str) -> None:
    """The second model is slow all the time: it gets one request now and then, never two at once."""
    changes: Schedule = {"b": [(0.0, Doing(slowness=5.0))]}
    algorithm = Algorithm(name, exploration=0.0)
    run = simulate(TWO, algorithm, OPTIONS, Load(10.0, 120.0), changes, seed=2)
    assert 0 < sum(one.explored for one in run.asked) <= 12
    assert all(one.explored for one in run.asked if one.model == "b")


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(list(ALGORITHMS)),
    st.lists(
        st.tuples(st.booleans(), st.none() | st.floats(0.01, 30.0), st.floats(0.0, 1.0)),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([0.0, 0.05, 0.2]),
)
def test_exploration_stays_under_its_bound(
    name: str, conditions: list[tuple[bool, float | None, float]], exploration: float
) -> None:
    """By counting over evenly spaced chances, with conditions that somebody heard of lately."""
    routes = [Route(str(place)) for place in range(len(conditions))]
    known = {
        str(place): Condition(available, latency, error_rate=errors, samples=0.01)
        for place, (available, latency, errors) in enumerate(conditions)
    }
    draws = [
        select(Algorithm(name, exploration=exploration), routes, World(known, chance=draw / 500))
        for draw in range(500)
    ]
    assert sum(draw.explored for draw in draws) / 500 <= exploration + 1 / 500
    for draw in draws:
        assert sorted(draw.order) == list(range(len(routes)))
        assert len(draw.scores) == len(routes)
        usable = [place for place in draw.order if conditions[place][0]]
        assert list(draw.order[: len(usable)]) == usable or not usable
    unheard = {model: replace(condition, samples=0.0) for model, condition in known.items()}
    tried = [
        select(Algorithm(name), routes, World(unheard, chance=draw / 100)).explored for draw in range(100)
    ]
    assert sum(tried) / 100 <= RECHECK_SHARE + 0.05 + 0.01


CALLS = st.lists(
    st.tuples(
        st.sampled_from(
            ["sent", "first", "ok", "bad", "4xx", "cut", "flows", "failed", "cancelled", "crash", "stranger"]
        ),
        st.integers(0, 30),
        st.sampled_from([0.0, 0.1, 1.0, 2.5, 10.0, 31.0]),
    ),
    max_size=60,
)


def call(performance: Performance, kind: str, ticket: Ticket, at: float) -> None:
    """One way a request can go on."""
    match kind:
        case "first":
            performance.first_token(ticket, at)
        case "flows":
            performance.flows(ticket, at)
        case "cut":
            performance.finished(ticket, at, 200, 50, complete=False)
        case "ok":
            performance.finished(ticket, at, 200, 50)
        case "bad":
            performance.finished(ticket, at, 503)
        case "4xx":
            performance.finished(ticket, at, 404)
        case "failed":
            performance.failed(ticket, at, Failed.TIMEOUT)
        case "cancelled":
            performance.cancelled(ticket, at)


@settings(deadline=None, max_examples=150)
@given(CALLS)
def test_whatever_is_reported_the_counts_are_right_and_one_request_probes(
    calls: list[tuple[str, int, float]],
) -> None:
    """Tickets are used in any order, several times, or never; a crash is many failures at once."""
    performance = Performance(replace(OPTIONS, models=("a",)))
    tickets: list[Ticket] = []
    under_way: set[int] = set()
    probe: tuple[int, float] | None = None
    at = 0.0
    for kind, which, passed in calls:
        at += passed
        free = performance.condition("a", at).available
        state = performance.states(at)["a"]
        if probe is not None and (at - probe[1] >= OPTIONS.max_retry_seconds or probe[0] not in under_way):
            probe = None
        if state is State.HALF_OPEN:
            assert free == (probe is None)
        else:
            assert free == (state is State.CLOSED)
        if kind == "sent":
            tickets.append(performance.sent("a", at))
            under_way.add(tickets[-1].number)
            if state is State.HALF_OPEN and free:
                probe = (tickets[-1].number, at)
        elif kind == "stranger":
            performance.finished(performance.sent("elsewhere", at), at, 200, 5)
        elif kind == "crash":
            for _ in range(60):
                performance.failed(performance.sent("a", at), at, Failed.RESET)
            assert not performance.condition("a", at).available
        elif tickets:
            ticket = tickets[which % len(tickets)]
            call(performance, kind, ticket, at)
            if kind not in ("first", "flows"):
                under_way.discard(ticket.number)
        condition = performance.condition("a", at)
        assert condition.in_flight == len(under_way)
        assert 0.0 <= condition.error_rate <= 1.0
        assert condition.samples >= 0.0
        assert condition.latency is None or condition.latency > 0.0
        assert set(performance.conditions(at)) == {"a"}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(0.0, 60.0), st.floats(0.0, 100.0), st.integers(0, 5000)), max_size=60))
def test_a_model_that_only_succeeds_is_always_available(answers: list[tuple[float, float, int]]) -> None:
    performance = Performance(OPTIONS)
    at = 0.0
    for passed, seconds, tokens in answers:
        at += passed
        ticket = performance.sent("a", at)
        performance.finished(ticket, at + seconds, 200, tokens)
        condition = performance.condition("a", at)
        assert condition.available
        assert condition.error_rate == 0.0
    assert all(
        one.kind in (AdjustmentKind.SLOWER, AdjustmentKind.FASTER) for one in performance.adjustments()
    )


def test_memory_is_bounded_however_much_is_sent_and_never_ends() -> None:
    performance = Performance(OPTIONS)
    for number in range(MAX_UNDER_WAY + 500):
        performance.sent("a", number / 1000)
        performance.sent(f"unknown-{number}", number / 1000)
    assert performance.condition("a", 20.0).in_flight == MAX_UNDER_WAY
    assert set(performance.conditions(20.0)) == {"a", "b"}
    at = 30.0
    for number in range(MAX_ADJUSTMENTS):
        at += 40.0
        for _ in range(3):
            performance.failed(performance.sent("b", at + number), at + number, Failed.RESET)
    kept: tuple[Adjustment, ...] = performance.adjustments()
    assert len(kept) == MAX_ADJUSTMENTS
    assert performance.adjustments() == ()
