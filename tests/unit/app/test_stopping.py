"""Signals and what they begin."""

import signal

import pytest

from router_extproc.app.stopping import Stop


@pytest.mark.parametrize(
    ("number", "drains"), [(signal.SIGTERM, True), (signal.SIGINT, False), (signal.SIGHUP, False)]
)
async def test_only_who_replaces_a_router_has_it_drain(number: int, drains: bool) -> None:
    stop = Stop()
    stop.ask(number)
    assert (stop.asked.is_set(), stop.drains, stop.hurried.is_set()) == (True, drains, False)


async def test_a_second_signal_hurries_whatever_it_is() -> None:
    stop, calls = Stop(), list[str]()
    stop.when_hurried(lambda: calls.append("hurry"))
    stop.ask(signal.SIGTERM)
    assert calls == []
    stop.ask(signal.SIGINT)
    assert calls == ["hurry"]
    assert stop.hurried.is_set()
    assert stop.drains
