"""When a model is left alone after failures, and how it comes back."""

from collections.abc import Iterator
from itertools import count

import pytest

from router_extproc.routing.circuit import ENOUGH, Circuit, Limits, State

LIMITS = Limits(failures=3, error_rate=0.5, retry_seconds=2.0, max_retry_seconds=30.0, memory_seconds=60.0)


class Watched:
    """A circuit, what it noted, and numbers for its requests."""

    def __init__(self) -> None:
        self.noted: list[tuple[State, float]] = []
        self.circuit = Circuit(LIMITS, lambda state, at: self.noted.append((state, at)))
        self._numbers: Iterator[int] = count(1)

    def ask(self, at: float, *, fails: bool) -> None:
        number = next(self._numbers)
        self.circuit.sent(number, at)
        if fails:
            self.circuit.failed(number, at, at)
        else:
            self.circuit.succeeded(number, at, at)

    def opened(self) -> "Watched":
        for _ in range(3):
            self.ask(10.0, fails=True)
        assert self.circuit.state is State.OPEN
        return self


def test_it_opens_after_failures_in_a_row() -> None:
    watched = Watched()
    for fails in (True, True, False, True, True):
        watched.ask(0.0, fails=fails)
    assert watched.circuit.available(0.0)
    fresh = Watched().opened()
    assert not fresh.circuit.available(11.9)
    assert fresh.noted == [(State.OPEN, 10.0)]


def test_each_earlier_failure_asks_for_two_more_in_a_row() -> None:
    watched = Watched()
    watched.ask(0.0, fails=True)
    watched.ask(0.0, fails=False)
    for _ in range(4):
        watched.ask(1.0, fails=True)
    assert watched.circuit.available(1.0)
    watched.ask(1.0, fails=True)
    assert not watched.circuit.available(1.0)


def test_earlier_failures_are_forgotten() -> None:
    watched = Watched()
    for _ in range(2):
        watched.ask(0.0, fails=True)
    watched.ask(0.0, fails=False)
    for _ in range(3):
        watched.ask(61.0, fails=True)
    assert not watched.circuit.available(61.0)


def test_it_opens_by_the_share_of_failures_when_enough_is_known() -> None:
    watched = Watched()
    for number in range(ENOUGH - 1):
        watched.ask(0.0, fails=number % 2 == 0)
    assert watched.circuit.available(0.0)
    watched.ask(0.0, fails=True)
    assert not watched.circuit.available(0.0)


def test_one_request_finds_out_and_its_success_closes() -> None:
    watched = Watched().opened()
    circuit = watched.circuit
    assert circuit.available(12.0)
    circuit.sent(100, 12.0)
    assert not circuit.available(12.5)
    circuit.sent(101, 12.5)
    circuit.succeeded(101, 12.5, 12.6)
    assert circuit.state is State.HALF_OPEN
    circuit.succeeded(100, 12.0, 13.0)
    assert circuit.available(13.0)
    assert [state for state, _ in watched.noted] == [State.OPEN, State.HALF_OPEN, State.CLOSED]


def test_the_pause_doubles_up_to_the_longest() -> None:
    watched = Watched().opened()
    at, pauses = 10.0, []
    for number in range(100, 107):
        tried = at
        while not watched.circuit.available(tried):
            tried += 0.5
        pauses.append(tried - at)
        watched.circuit.sent(number, tried)
        watched.circuit.failed(number, tried, tried)
        at = tried
    assert pauses == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_the_pause_goes_on_growing_when_it_opens_again_soon() -> None:
    watched = Watched().opened()
    watched.ask(12.0, fails=False)
    for _ in range(3):
        watched.ask(13.0, fails=True)
    assert not watched.circuit.available(16.9)
    assert watched.circuit.available(17.0)


def test_the_pause_starts_anew_after_a_good_while() -> None:
    watched = Watched().opened()
    watched.ask(12.0, fails=False)
    for _ in range(3):
        watched.ask(50.0, fails=True)
    assert watched.circuit.available(52.0)


def test_a_probe_that_does_not_report_expires_and_may_still_bring_good_news() -> None:
    watched = Watched().opened()
    watched.circuit.sent(100, 12.0)
    assert not watched.circuit.available(41.9)
    assert watched.circuit.available(42.0)
    watched.circuit.succeeded(100, 12.0, 43.0)
    assert watched.circuit.state is State.CLOSED


def test_a_probe_that_says_nothing_lets_another_one_go() -> None:
    watched = Watched().opened()
    watched.circuit.sent(100, 12.0)
    watched.circuit.undecided(100)
    assert watched.circuit.available(12.0)
    assert watched.circuit.state is State.HALF_OPEN


@pytest.mark.parametrize("fails", [True, False])
def test_late_news_from_before_it_closed_says_nothing(fails: bool) -> None:
    watched = Watched().opened()
    watched.ask(12.0, fails=False)
    for number in range(200, 210):
        if fails:
            watched.circuit.failed(number, 9.0, 14.0)
        else:
            watched.circuit.succeeded(number, 9.0, 14.0)
    assert watched.circuit.available(14.0)
