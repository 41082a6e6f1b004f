"""From the models that may answer to the order in which they are asked."""

from router_extproc.routing.facts import Facts
from router_extproc.routing.pick import Pick, pick
from router_extproc.routing.policy import Route
from router_extproc.routing.reasons import Adjusted, Dropped
from router_extproc.routing.select import Algorithm
from router_extproc.routing.session import SessionPolicy
from router_extproc.routing.world import Condition, World
from tests.support.policies import listing, policy, world


def picked(
    *models: str | Route, facts: Facts | None = None, at: World | None = None, session: str = "none"
) -> Pick:
    plan = policy(session=SessionPolicy(session))
    return pick(plan, listing(*models), facts or Facts(), at or world())


def dropped(pick: Pick) -> list[tuple[Dropped, ...]]:
    return [candidate.dropped for candidate in pick.candidates]


def test_the_order_of_preference_is_the_order_of_failover() -> None:
    found = picked("small", "large", "medium")
    assert found.order == (0, 1, 2)
    assert found.selection is not None
    assert found.selection.algorithm == "static"
    assert all(candidate.score is not None for candidate in found.candidates)


def test_models_that_lack_something_are_never_asked() -> None:
    found = picked("small", "large", facts=Facts(images=1))
    assert found.order == (1,)
    assert dropped(found) == [(Dropped.VISION,), ()]
    assert picked("small", "medium", facts=Facts(images=1)).order == ()


def test_models_left_alone_are_asked_last() -> None:
    found = picked("small", "medium", "large", at=world("small"))
    assert found.order == (1, 2, 0)
    assert dropped(found)[0] == (Dropped.UNAVAILABLE,)


def test_where_all_are_left_alone_the_first_answers_all_the_same() -> None:
    found = picked("medium", "large", at=world("medium", "large"))
    assert (found.order, found.adjusted) == ((0, 1), (Adjusted.NONE_AVAILABLE,))
    assert found.selection is None


def test_a_session_s_model_goes_first_and_the_others_stay_behind_it() -> None:
    found = picked("small", "medium", "large", at=world(session="large"), session="pin")
    assert (found.order, found.adjusted) == ((2, 0, 1), (Adjusted.SESSION_KEPT,))
    assert dropped(found) == [(Dropped.SESSION,), (Dropped.SESSION,), ()]


def test_a_conversation_that_moves_up_says_so() -> None:
    found = picked("large", "small", at=world(session="small"), session="escalate_only")
    assert (found.order[0], found.adjusted) == (0, (Adjusted.SESSION_RAISED,))
    assert picked("small", "large", at=world(session="small"), session="escalate_only").adjusted == (
        Adjusted.SESSION_KEPT,
    )


def test_a_pinned_model_that_is_down_gives_way_and_says_so() -> None:
    found = picked("small", "medium", at=world("small", session="small"), session="pin")
    assert (found.order, found.adjusted) == ((1, 0), (Adjusted.SESSION_UNAVAILABLE,))


def test_below_the_least_quality_a_model_answers_only_where_no_better_one_can() -> None:
    plan, algorithm = policy(), Algorithm("multi_factor", min_quality=0.5)
    routes = listing("small", "medium", "large", algorithm=algorithm)
    found = pick(plan, routes, Facts(), world())
    assert found.order[-1] == 0
    assert dropped(found)[0] == (Dropped.QUALITY,)
    assert pick(plan, routes, Facts(), world("medium", "large")).order[0] == 0


def test_a_session_does_not_pin_below_the_least_quality() -> None:
    plan = policy(session=SessionPolicy.PIN)
    routes = listing("small", "medium", algorithm=Algorithm(min_quality=0.5))
    found = pick(plan, routes, Facts(), world(session="small"))
    assert (found.order, found.adjusted) == ((1, 0), (Adjusted.SESSION_UNSUITABLE,))


def test_what_was_measured_moves_the_traffic() -> None:
    slow, fast = Condition(latency=10.0, samples=9), Condition(latency=1.0, samples=9)
    routes = listing("medium", "large", algorithm=Algorithm("latency_aware"))
    found = pick(policy(), routes, Facts(), world(chance=0.9, medium=slow, large=fast))
    assert found.order == (1, 0)


def test_a_session_stops_exploration() -> None:
    known = Condition(latency=1.0, samples=100)
    routes = listing("medium", "bare", algorithm=Algorithm("adaptive", exploration=0.2))
    at = world(chance=0.01, session="medium", medium=known, bare=Condition(latency=1.0, samples=0.5))
    free, bound = policy(), policy(session=SessionPolicy.PIN)
    explored = pick(free, routes, Facts(), at)
    assert explored.selection is not None
    assert explored.selection.explored
    assert explored.order[0] == 1
    kept = pick(bound, routes, Facts(), at)
    assert kept.selection is not None
    assert not kept.selection.explored
    assert kept.order[0] == 0
