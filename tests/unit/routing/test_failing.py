"""The sequential test for a model that fails too many of its answers."""

from random import Random

import pytest

from router_extproc.routing.failing import GOOD, Failing


def fed(failing: Failing, outcomes: str, start: float = 0.0, pause: float = 1.0) -> Failing:
    """`x` is a failed answer; each `pause` seconds after the one before."""
    for place, outcome in enumerate(outcomes):
        failing.add(start + place * pause, failed=outcome == "x")
    return failing


def fresh() -> Failing:
    return Failing(10.0, 10.0)


@pytest.mark.parametrize("outcomes", ["xxx", "x...x...x", "x.....x....x"])
def test_three_failures_among_twelve_are_many(outcomes: str) -> None:
    assert fed(fresh(), outcomes).now


@pytest.mark.parametrize("outcomes", ["x", "xx", "x" + "." * 11 + "x" + "." * 11 + "x"])
def test_fewer_are_not(outcomes: str) -> None:
    assert not fed(fresh(), outcomes).now


def test_a_busy_model_needs_more_of_them() -> None:
    busy = fed(fresh(), "." * 1000, pause=0.02)
    assert not fed(busy, "xxx", start=20.0, pause=0.02).now
    assert fed(busy, "x", start=20.1).now


def test_good_answers_in_a_row_clear_it_and_one_more_failure_soon_brings_it_back() -> None:
    failing = fed(fresh(), "x" * 20)
    assert fed(failing, "." * (GOOD - 1), start=20.0).now
    assert not fed(failing, ".", start=40.0).now
    assert fed(failing, "....x", start=41.0).now


def test_a_cleared_model_is_treated_as_any_other() -> None:
    failing = fed(fresh(), "xxx" + "." * 40)
    assert not fed(failing, "x..x", start=50.0).now


def seconds_until(rate: float, share: float, seed: int, limit: float) -> float:
    """Seconds until a model that fails `share` of its answers is found to, or `limit`."""
    random, failing, at = Random(seed), fresh(), 0.0
    while at < limit:
        at += random.expovariate(rate)
        failing.add(at, failed=random.random() < share)
        if failing.now:
            return at
    return limit


@pytest.mark.parametrize(("rate", "share", "within"), [(5.0, 0.2, 1.0), (5.0, 0.15, 0.95), (1.0, 0.2, 0.8)])
def test_it_is_found_within_thirty_seconds(rate: float, share: float, within: float) -> None:
    times = [seconds_until(rate, share, seed, 30.0) for seed in range(200)]
    assert sum(time < 30.0 for time in times) >= within * len(times)


@pytest.mark.parametrize("rate", [1.0, 5.0, 20.0])
def test_a_sound_model_is_suspected_less_than_once_an_hour(rate: float) -> None:
    hours = 40
    assert sum(seconds_until(rate, 0.01, seed, 3600.0) < 3600.0 for seed in range(hours)) <= hours / 2
