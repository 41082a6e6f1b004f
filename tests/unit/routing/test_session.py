"""Whether a conversation stays with its model."""

import pytest

from router_extproc.routing.policy import Route
from router_extproc.routing.reasons import Adjusted
from router_extproc.routing.session import SessionPolicy, Stay, stay
from tests.support.policies import POOL

LISTED = (Route("small"), Route("medium"), Route("large"), Route("bare"))
ALL = (0, 1, 2, 3)


def kept(
    policy: str, model: str | None, usable: tuple[int, ...] = ALL, suited: tuple[int, ...] = ALL
) -> Stay:
    return stay(SessionPolicy(policy), model, POOL, LISTED, suited, usable)


@pytest.mark.parametrize(("policy", "model"), [("none", "large"), ("pin", None), ("escalate_only", None)])
def test_without_a_policy_or_a_past_everybody_may_answer(policy: str, model: str | None) -> None:
    assert kept(policy, model) == Stay(frozenset(ALL))


def test_a_pinned_model_stays() -> None:
    assert kept("pin", "small") == Stay(frozenset({0}))


def test_a_pinned_model_with_several_adapters_stays_with_all_of_them() -> None:
    listed = (Route("small"), Route("small", "lawyer"), Route("large"))
    assert stay(SessionPolicy.PIN, "small", POOL, listed, (0, 1, 2), (0, 1, 2)) == Stay(frozenset({0, 1}))


@pytest.mark.parametrize(
    ("model", "suited", "usable", "why"),
    [
        ("gone", ALL, ALL, Adjusted.SESSION_NOT_LISTED),
        ("small", (1, 2), (1, 2), Adjusted.SESSION_UNSUITABLE),
        ("small", (0, 1, 2), (1, 2), Adjusted.SESSION_UNAVAILABLE),
    ],
)
def test_a_pinned_model_that_cannot_go_on_gives_way(
    model: str, suited: tuple[int, ...], usable: tuple[int, ...], why: Adjusted
) -> None:
    assert kept("pin", model, usable, suited) == Stay(frozenset(usable), why)


def test_escalation_goes_up_and_never_sideways_while_the_model_can_answer() -> None:
    assert kept("escalate_only", "medium") == Stay(frozenset({1, 2}))
    assert kept("escalate_only", "small") == Stay(frozenset(ALL))
    assert kept("escalate_only", "large") == Stay(frozenset({2}))


def test_an_equal_stands_in_for_a_model_that_is_gone_and_the_worse_comes_last() -> None:
    assert kept("escalate_only", "medium", usable=(0, 3)) == Stay(
        frozenset({3}), Adjusted.SESSION_UNAVAILABLE
    )
    assert kept("escalate_only", "medium", usable=(0,)) == Stay(frozenset({0}), Adjusted.SESSION_LOWERED)


def test_a_session_s_model_that_left_the_pool_binds_nobody() -> None:
    assert kept("escalate_only", "gone") == Stay(frozenset(ALL), Adjusted.SESSION_NOT_LISTED)
