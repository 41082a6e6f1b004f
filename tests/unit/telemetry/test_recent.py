from dataclasses import replace

from router_extproc.exchange.tracing import opened, traced
from router_extproc.telemetry.decision import DecisionRecord
from router_extproc.telemetry.recent import Recent
from router_extproc.telemetry.record import Decisions, record_of
from router_extproc.telemetry.story import Story
from tests.support.play import AT, PLAN, chat_headers


def story(name: str) -> Story:
    """Of an exchange of which nothing is known but that it was."""
    seen = opened(name, traced(name, chat_headers().headers, PLAN.tracing), "g1", AT)
    return Story(replace(seen, reference=name), ended=AT + 1)


def record(name: str) -> DecisionRecord:
    return record_of(story(name))


def holding(size: int, *names: str) -> Recent:
    recent = Recent(size)
    for name in names:
        recent.keep(record(name))
    return recent


def names(recent: Recent, limit: int = 9, after: str | None = None) -> list[str]:
    return [each.request_id for each in recent.latest(limit, after)]


def test_the_latest_come_first_and_no_more_than_asked_for() -> None:
    recent = holding(5, "a", "b", "c")
    assert names(recent) == ["c", "b", "a"]
    assert names(recent, limit=2) == ["c", "b"]


def test_the_oldest_makes_room() -> None:
    recent = holding(3, *(f"r{number}" for number in range(1000)))
    assert names(recent, limit=1000) == ["r999", "r998", "r997"]


def test_after_a_request_come_those_that_ended_later() -> None:
    recent = holding(5, "a", "b", "c", "d")
    assert names(recent, after="b") == ["d", "c"]
    assert names(recent, limit=1, after="b") == ["d"]
    assert names(recent, after="d") == []


def test_after_a_request_that_is_gone_come_the_latest() -> None:
    assert names(holding(2, "a", "b", "c"), after="a") == ["c", "b"]


def test_another_size_keeps_the_latest() -> None:
    recent = holding(3, "a", "b", "c")
    recent.resize(2)
    recent.keep(record("d"))
    assert (recent.size, names(recent)) == (2, ["d", "c"])
    recent.resize(0)
    recent.keep(record("e"))
    assert names(recent) == []


def test_what_is_told_is_kept_also_where_nothing_is_logged() -> None:
    recent = Recent(2)
    Decisions(recent, logs=False).tell(story("a"))
    assert names(recent) == ["a"]
