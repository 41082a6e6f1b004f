"""The simulation does what its schedule says, and can be repeated."""

import pytest

from router_extproc.routing.performance import FeedbackOptions
from router_extproc.routing.policy import Route
from router_extproc.routing.select import Algorithm
from tests.support.simulated_time import Doing, Load, Run, simulate

ROUTES = (Route("a"), Route("b"))
OFF = FeedbackOptions(("a", "b"), enabled=False)


def play(load: Load, doing: Doing, seed: int = 1) -> Run:
    return simulate(ROUTES, Algorithm(), OFF, load, {"a": [(0.0, doing)]}, seed)


def test_requests_come_at_the_rate_and_a_seed_repeats_them() -> None:
    run = play(Load(20.0, 50.0), Doing())
    assert len(run.asked) == pytest.approx(1000, rel=0.1)
    assert run.asked == play(Load(20.0, 50.0), Doing()).asked
    assert run.asked != play(Load(20.0, 50.0), Doing(), seed=2).asked
    assert run.lost() == 0.0
    assert run.share("a", 0.0, 50.0) == 1.0
    assert run.majority() == ["a"] * 5
    assert run.switches() == 0


def test_models_fail_and_die_as_scheduled() -> None:
    assert play(Load(20.0, 50.0), Doing(failing=0.2)).lost() == pytest.approx(0.2, abs=0.05)
    assert play(Load(20.0, 5.0), Doing(dead=True)).lost() == 1.0
    assert play(Load(20.0, 5.0, retry=True), Doing(dead=True)).lost() == 0.0


def test_a_slow_model_has_more_under_way() -> None:
    options = FeedbackOptions(("a", "b"))
    most = [
        simulate(
            ROUTES, Algorithm(), options, Load(20.0, 30.0), {"a": [(0.0, Doing(slowness))]}, 1
        ).most_under_way
        for slowness in (1.0, 5.0)
    ]
    assert most[1] > 2 * most[0] > 0
