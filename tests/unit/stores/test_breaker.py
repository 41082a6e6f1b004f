"""The breaker's states, with time as an argument."""

from router_extproc.stores.breaker import Breaker


def broken(at: float = 0.0) -> Breaker:
    breaker = Breaker(threshold=2, first_delay=1.0, longest_delay=5.0)
    breaker.failed(at)
    breaker.failed(at)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = Breaker(threshold=3, first_delay=1.0, longest_delay=5.0)
    for _ in range(10):
        breaker.failed(0.0)
        breaker.failed(0.0)
        assert not breaker.is_open
        breaker.succeeded()
    for _ in range(3):
        assert not breaker.is_open
        breaker.failed(0.0)
    assert breaker.is_open


def test_a_closed_breaker_grants_no_probe() -> None:
    assert not Breaker(threshold=3, first_delay=0.0, longest_delay=5.0).grant_probe(100.0)


def test_it_grants_one_probe_per_delay() -> None:
    breaker = broken()
    assert [breaker.grant_probe(at) for at in (0.0, 0.99, 1.0, 1.0, 1.99, 2.0)] == [
        False, False, True, False, False, True,
    ]  # fmt: skip


def test_the_delay_doubles_with_each_failed_probe_up_to_the_longest() -> None:
    breaker, now, delays = broken(), 0.0, []
    for _ in range(5):
        began = now
        while not breaker.grant_probe(now):
            now += 0.25
        delays.append(now - began)
        breaker.probe_failed(now)
    assert delays == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_success_closes_it_and_forgets_the_delay() -> None:
    breaker = broken()
    breaker.probe_failed(1.0)
    breaker.succeeded()
    assert not breaker.is_open
    breaker.failed(10.0)
    assert not breaker.is_open
    breaker.failed(10.0)
    assert breaker.grant_probe(11.0)


def test_stragglers_do_not_put_the_probe_off() -> None:
    breaker = broken()
    for _ in range(5):
        breaker.failed(0.9)
    assert breaker.grant_probe(1.0)
