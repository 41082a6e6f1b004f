"""Which of the candidates is preferred, and why."""

import pytest

from router_extproc.routing.policy import Route
from router_extproc.routing.select import (
    ALGORITHMS,
    RECHECK_SHARE,
    Algorithm,
    Selection,
    Weights,
    select,
)
from router_extproc.routing.world import Condition, World

A, B, C = Route("a", quality=0.8), Route("b", quality=0.8), Route("c", quality=0.8)
LEARNING = [name for name in ALGORITHMS if name != "static"]


def known(latency: float = 1.0, errors: float = 0.0, under_way: int = 0, samples: float = 5.0) -> Condition:
    return Condition(latency=latency, error_rate=errors, in_flight=under_way, samples=samples)


def chosen(name: str, a: Condition, b: Condition, chance: float = 0.99) -> Selection:
    return select(Algorithm(name), (A, B), World({"a": a, "b": b}, chance=chance))


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_of_equals_the_first_listed_is_chosen(name: str) -> None:
    for conditions in ({}, {"a": known(), "b": known()}):
        selection = select(Algorithm(name), (A, B), World(conditions, chance=0.5))
        assert selection.order == (0, 1)
        assert not selection.explored
        assert selection.reason.startswith("the first listed")


@pytest.mark.parametrize("name", LEARNING)
def test_one_five_times_slower_is_left(name: str) -> None:
    selection = chosen(name, known(latency=5.0), known())
    assert selection.order == (1, 0)
    assert "b rather than a" in selection.reason
    assert "takes 5.0 times as long" in selection.reason


@pytest.mark.parametrize("name", LEARNING)
def test_one_that_fails_one_answer_in_five_is_left(name: str) -> None:
    selection = chosen(name, known(errors=0.2), known())
    assert selection.order == (1, 0)
    assert "fails 20% of its answers" in selection.reason


@pytest.mark.parametrize("name", LEARNING)
def test_a_small_difference_moves_nothing(name: str) -> None:
    assert chosen(name, known(latency=1.2, errors=0.02), known()).order == (0, 1)


def test_static_goes_by_the_list_alone() -> None:
    assert chosen("static", known(latency=50.0, errors=0.4), known()).order == (0, 1)


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_those_left_alone_come_last_and_the_reason_says_so(name: str) -> None:
    world = World({"a": Condition(available=False)}, chance=0.9)
    selection = select(Algorithm(name), (A, B, C), world)
    assert selection.order == (1, 2, 0)
    assert selection.reason.startswith("a is left alone after failures")


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_where_all_are_left_alone_the_list_decides(name: str) -> None:
    world = World({model: Condition(available=False, latency=5.0) for model in "abc"})
    selection = select(Algorithm(name), (A, B, C), world)
    assert selection.order == (0, 1, 2)
    assert not selection.explored


def test_candidates_below_the_least_quality_do_not_answer() -> None:
    routes = (Route("a", quality=0.3), Route("b", quality=0.6), Route("c", quality=0.5))
    selection = select(Algorithm("multi_factor", min_quality=0.5), routes, World())
    assert set(selection.order) == {1, 2}
    assert len(selection.scores) == 3
    assert selection.scores[0] == 0.0


def test_where_all_are_below_the_least_quality_all_may_answer() -> None:
    assert select(Algorithm(min_quality=0.9), (A, B), World()).order == (0, 1)


@pytest.mark.parametrize(
    ("weights", "first"),
    [
        (Weights(quality=1, latency=0, cost=0, load=0), "good"),
        (Weights(quality=0, latency=1, cost=0, load=0), "fast"),
        (Weights(quality=0, latency=0, cost=1, load=0), "cheap"),
        (Weights(quality=0, latency=0, cost=0, load=1), "idle"),
        (Weights(quality=0, latency=0, cost=0, load=0), "good"),
    ],
)
def test_each_weight_prefers_its_own(weights: Weights, first: str) -> None:
    routes = (
        Route("good", quality=0.9, cost=8.0),
        Route("fast", quality=0.5, cost=8.0),
        Route("cheap", quality=0.5, cost=1.0),
        Route("idle", quality=0.5, cost=8.0),
    )
    conditions = {route.model: known(latency=4.0, under_way=90) for route in routes}
    conditions |= {"fast": known(latency=1.0, under_way=90), "idle": known(latency=4.0)}
    selection = select(Algorithm("multi_factor", weights), routes, World(conditions, chance=0.9))
    assert routes[selection.order[0]].model == first


def test_what_costs_nothing_is_the_cheapest_and_what_is_unknown_is_no_worse() -> None:
    routes = (Route("dear", cost=5.0), Route("free", cost=0.0), Route("unknown", cost=None))
    scores = select(Algorithm("multi_factor", Weights(0, 0, 1, 0)), routes, World()).scores
    assert scores == (0.0, 1.0, 1.0)


@pytest.mark.parametrize("name", LEARNING)
def test_a_model_not_heard_of_is_tried_by_a_share_of_the_requests(name: str) -> None:
    unheard = known(latency=5.0, samples=0.0)
    tried = chosen(name, known(), unheard, chance=RECHECK_SHARE - 0.01)
    assert tried.order == (1, 0)
    assert tried.explored
    assert tried.reason == "b is tried, to learn how it does"
    assert not chosen(name, known(), unheard, chance=RECHECK_SHARE).explored


@pytest.mark.parametrize("name", LEARNING)
def test_nobody_is_tried_before_anything_is_measured(name: str) -> None:
    world = World({"a": Condition(), "b": Condition()})
    assert not select(Algorithm(name, exploration=0.0), (A, B), world).explored


def test_what_could_not_win_at_its_best_is_not_tried() -> None:
    routes = (Route("a", quality=0.9, cost=1.0), Route("b", quality=0.2, cost=9.0))
    world = World({"a": known()}, chance=0.0)
    assert not select(Algorithm("multi_factor"), routes, world).explored
    assert select(Algorithm("latency_aware"), routes, world).explored


def test_adaptive_explores_less_the_more_is_known() -> None:
    def share(samples: float) -> float:
        world = {"a": known(), "b": known(samples=samples), "c": known(samples=samples)}
        algorithm = Algorithm("adaptive", exploration=0.2)
        draws = [select(algorithm, (A, B, C), World(world, chance=draw / 1000)) for draw in range(1000)]
        return sum(draw.explored for draw in draws) / 1000

    shares = [share(samples) for samples in (0.01, 1.0, 5.0, 14.0)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(0.2, abs=0.01)
    assert shares[-1] < 0.02


def test_a_decision_can_be_repeated() -> None:
    world = World({"a": known(latency=2.0), "b": known(samples=0.0)}, chance=0.03)
    assert select(Algorithm("adaptive"), (A, B), world) == select(Algorithm("adaptive"), (A, B), world)


def test_there_must_be_candidates_and_an_algorithm() -> None:
    with pytest.raises(ValueError, match="nothing to select"):
        select(Algorithm(), (), World())
    with pytest.raises(KeyError):
        select(Algorithm("unheard"), (A,), World())
