import random
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from unittest.mock import ANY

import pytest

from router_extproc.base.refusals import Failure, Missed
from router_extproc.exchange.effects import CacheHit, CacheMiss, HitKind, Note, PortFailed, Routed
from router_extproc.exchange.events import Message
from router_extproc.exchange.notes import AnswerEnded, Opened
from router_extproc.telemetry.story import Seen, Story
from router_extproc.telemetry.window import (
    MAX_FLOWS,
    OTHER,
    SLOT_SECONDS,
    SLOTS,
    AnsweredBy,
    Durations,
    Flow,
    Tally,
    Window,
)
from tests.support.play import ANSWER, AT, chat_body, chat_headers, pieces, play, response_headers
from tests.support.ports import FakeClock
from tests.support.stories import Scene

ASKED: tuple[Message, ...] = (chat_headers(), chat_body())
WHOLE: tuple[Message, ...] = (*ASKED, response_headers(), *pieces(ANSWER))
OPENED = play([chat_headers()]).only(Opened)[0]


def story(at: float, *notes: Note) -> Story:
    return Story(OPENED, [Seen(note, at) for note in notes], ended=at)


def routed(model: str = "large", seconds: float = 0.004, category: str = "math") -> Routed:
    return Routed("auto", model, category, "", 0.9, False, "auto_routing", seconds, None)


def hit(kind: HitKind = HitKind.EXACT, seconds: float = 0.001) -> CacheHit:
    return CacheHit(kind, "e" * 32, 1.0, "large", 1.0, seconds)


async def test_a_miss_its_hit_and_a_refusal_are_counted_with_their_ways() -> None:
    window = Window(AT)
    scene = Scene(tellers=[window.tell])
    await scene.told(*WHOLE)
    await scene.told(*ASKED, ident="x2")
    await scene.told(chat_headers(), chat_body("{"), ident="x3")
    recent = window.read(scene.clock.now())
    tally = recent.tally
    assert (recent.total, tally.requests) == (3, 3)
    assert (dict(tally.hits), dict(tally.misses)) == ({"exact": 1}, {"nothing_similar": 1})
    assert tally.hit_rate == 0.5
    assert dict(tally.refusals) == {"invalid_json": 1}
    assert dict(tally.flows) == {
        Flow("math", "", "large", AnsweredBy.MODEL): 1,
        Flow("", "", "", AnsweredBy.CACHE): 1,
        Flow("", "", "", AnsweredBy.ROUTER): 1,
    }
    assert dict(tally.asked) == {"large": 1}
    assert len(tally.added) == 2
    assert len(tally.took["large"]) == 1


def test_what_is_older_than_the_window_is_in_the_total_only() -> None:
    window = Window(AT)
    window.tell(story(AT, routed()))
    seconds = SLOT_SECONDS * (SLOTS + 1)
    window.tell(story(AT + seconds, routed()))
    recent = window.read(AT + seconds)
    assert (recent.total, recent.tally.requests) == (2, 1)
    assert window.read(AT + 3 * seconds).tally.requests == 0


def test_slots_are_bounded() -> None:
    window = Window(AT)
    for number in range(5 * SLOTS):
        window.tell(story(AT + number * SLOT_SECONDS, routed()))
    recent = window.read(AT + 5 * SLOTS * SLOT_SECONDS)
    assert len(recent.history) == SLOTS
    assert recent.tally.requests == SLOTS
    assert {moment.per_second for moment in recent.history} == {1 / SLOT_SECONDS}


def test_ways_in_the_window_are_bounded_and_the_rest_is_one() -> None:
    window = Window(AT)
    for number in range(2 * MAX_FLOWS):
        window.tell(story(AT + number * 60 * SLOT_SECONDS / (2 * MAX_FLOWS), routed(str(number))))
    tally = window.read(AT + 59 * SLOT_SECONDS).tally
    assert (len(tally.flows), tally.flows[OTHER]) == (MAX_FLOWS + 1, MAX_FLOWS)
    assert tally.flows.total() == tally.requests == 2 * MAX_FLOWS


def test_ways_that_nobody_took_lately_make_room() -> None:
    window = Window(AT)
    for number in range(MAX_FLOWS):
        window.tell(story(AT, routed(str(number))))
    later = AT + SLOT_SECONDS
    window.tell(story(later, routed("new")))
    assert window.read(later).tally.flows[OTHER] == 1
    later += SLOTS * SLOT_SECONDS
    for number in range(MAX_FLOWS + 3):
        window.tell(story(later, routed(str(number))))
    flows = window.read(later).tally.flows
    assert (len(flows), flows[OTHER]) == (MAX_FLOWS + 1, 1 + 3)


def test_a_way_that_is_told_apart_stays_so_when_there_are_too_many() -> None:
    window = Window(AT)
    for number in range(MAX_FLOWS + 1):
        window.tell(story(AT, routed(str(number))))
    for at in (AT, AT + SLOT_SECONDS):
        window.tell(story(at, routed("0")))
    flows = window.read(AT + SLOT_SECONDS).tally.flows
    assert flows[Flow("", "", "0", AnsweredBy.MODEL)] == 3


def happenings(chance: random.Random) -> list[Story]:
    """Half an hour of requests of every kind, now many in a slot, now none for minutes."""
    stories, at = [], AT
    while at < AT + 1800:
        model = chance.choice("abc")
        ended = AnswerEnded(model, chance.random(), None, None)
        stories.append(
            chance.choice(
                (
                    story(at, CacheMiss(), routed(model, chance.random(), chance.choice("xyz")), ended),
                    story(at, CacheMiss(), routed(model), PortFailed("store", Failure.TIMEOUT)),
                    story(at, hit(chance.choice(list(HitKind)))),
                    story(at),
                )
            )
        )
        at += chance.choice((0.1, 1.0, 4.0)) if chance.random() < 0.98 else chance.choice((40, 200, 400))
    return stories


def test_what_is_read_is_what_a_count_of_the_last_slots_alone_gives() -> None:
    stories = happenings(random.Random(7))
    window = Window(AT)
    for number, each in enumerate(stories):
        window.tell(each)
        if number % 5 == 0:
            first = (each.ended // SLOT_SECONDS - SLOTS) * SLOT_SECONDS
            alone = Window(each.ended)
            for one in stories[: number + 1]:
                if one.ended >= first:
                    alone.tell(one)
            found, expected = window.read(each.ended).tally, alone.read(each.ended).tally
            assert figures(found) == figures(expected)
            assert found.requests > 0


def figures(tally: Tally) -> tuple[object, ...]:
    shares = (0.01, 0.5, 0.95, 1.0)
    counts = (tally.hits, tally.misses, tally.failures, tally.flows, tally.asked, tally.failed)
    return (
        tally.requests,
        *(dict(each) for each in counts),
        tally.added.percentiles(*shares),
        {model: (len(took), took.percentiles(*shares)) for model, took in tally.took.items()},
    )


def test_a_reading_costs_the_same_however_many_slots_there_are() -> None:
    window, calls = Window(AT), []
    for number in range(SLOTS + 1):
        at = AT + number * SLOT_SECONDS
        window.tell(story(at, CacheMiss(), routed(), AnswerEnded("large", 2.0, None, None)))
        if number in (2, SLOTS):
            calls.append(calls_of(partial(window.read, at)))
    assert calls[0] == calls[1]


def calls_of(work: Callable[[], object]) -> int:
    """Python functions, save generators' steps, that `work` calls."""
    names: list[str] = []
    sys.setprofile(
        lambda frame, event, _: names.append(frame.f_code.co_name) if event == "call" else None,
    )
    try:
        work()
    finally:
        sys.setprofile(None)
    return len([name for name in names if not name.startswith("<")])


def test_what_was_read_does_not_change_with_what_comes() -> None:
    window = Window(AT)
    window.tell(story(AT, routed()))
    recent = window.read(AT + SLOT_SECONDS)
    window.tell(story(AT + SLOT_SECONDS, routed()))
    recent.tally.take(window.read(AT + SLOT_SECONDS).tally)
    assert window.read(AT + SLOT_SECONDS).tally.requests == 2


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_step_of_the_wall_clock_moves_nothing(step: float) -> None:
    steady = FakeClock(1234.0)
    window = Window(steady.now(), steady.now)
    wall = AT
    for second in range(60):
        if second == 20:
            wall += step
        for _ in range(30):
            window.tell(story(wall + second, routed()))
        steady.advance(1.0)
    recent = window.read(window.at(wall))
    assert (recent.seconds, recent.uptime, recent.tally.requests) == (60, 60, 1800)
    assert recent.per_second == pytest.approx(30, rel=0.1)
    assert {moment.per_second for moment in recent.history[1:]} == {30.0}


def test_history_begins_with_the_router_and_has_gaps_where_nothing_was() -> None:
    window = Window(AT)
    window.tell(story(AT, routed(), CacheMiss()))
    window.tell(story(AT + 2 * SLOT_SECONDS, hit()))
    history = window.read(AT + 3 * SLOT_SECONDS).history
    assert [moment.per_second for moment in history] == [0.2, 0.0, 0.2]
    assert [moment.hit_rate for moment in history] == [0.0, None, 1.0]
    assert history[1].added_p95 is None


def test_the_rate_is_that_of_the_last_slots() -> None:
    window = Window(AT)
    for _ in range(100):
        window.tell(story(AT, routed()))
    now = AT + 20 * SLOT_SECONDS
    assert window.read(now).per_second == 0
    for _ in range(30):
        window.tell(story(now - 1, routed()))
    assert window.read(now).per_second == pytest.approx(30 / 10)
    assert Window(AT).read(AT).per_second == 0


def test_a_time_before_the_latest_counts_as_that() -> None:
    window = Window(AT)
    latest = AT + 10 * SLOT_SECONDS
    window.tell(story(latest, routed()))
    window.tell(story(AT - 1000, routed()))
    assert window.read(AT - 1000) == replace(window.read(latest), tally=ANY)
    assert (window.read(AT - 1000).tally.requests, window.read(AT).seconds) == (2, latest - AT)


def test_a_stale_answer_is_in_no_rate() -> None:
    window = Window(AT)
    window.tell(story(AT, CacheMiss(reason=Missed.NOTHING_SIMILAR), routed(), hit(HitKind.STALE, 9.0)))
    tally = window.read(AT).tally
    assert tally.hit_rate == 0.0
    assert dict(tally.hits) == {"stale": 1}
    assert tally.added.percentile(1.0) == pytest.approx(4.0, rel=0.03)


def test_an_answer_that_broke_off_has_no_latency() -> None:
    window = Window(AT)
    ended = AnswerEnded("large", 2.0, None, None)
    window.tell(story(AT, routed(), replace(ended, complete=False)))
    assert "large" not in window.read(AT).tally.took
    window.tell(story(AT, routed(), ended))
    assert window.read(AT).tally.took["large"].percentile(0.5) == pytest.approx(2000, rel=0.03)


@pytest.mark.parametrize("milliseconds", [0.02, 0.5, 3.0, 47.0, 900.0, 30_000.0])
def test_a_percentile_is_exact_within_three_in_a_hundred(milliseconds: float) -> None:
    durations = Durations()
    for _ in range(95):
        durations.add(milliseconds / 1000)
    for _ in range(5):
        durations.add(milliseconds)
    for share in (0.5, 0.95):
        assert durations.percentile(share) == pytest.approx(milliseconds, rel=0.03, abs=0.001)
    assert (durations.percentile(0.96) or 0) > 2 * milliseconds
    assert Durations().percentile(0.5) is None


def test_times_that_cannot_be_are_held_in_the_first_and_the_last_bin() -> None:
    durations = Durations()
    durations.add(-1.0)
    durations.add(1e9)
    assert durations.percentile(0.5) == 0.01
    assert 900_000 < (durations.percentile(1.0) or 0) < 1_100_000


def test_percentiles_in_one_pass_are_those_of_one_each() -> None:
    durations = Durations()
    for number in range(1, 100):
        durations.add(number / 1000)
    shares = (0.001, 0.5, 0.5, 0.95, 1.0)
    assert durations.percentiles(*shares) == tuple(durations.percentile(share) for share in shares)
    assert durations.percentile(0.5) == pytest.approx(50, rel=0.03)
    assert Durations().percentiles(0.5, 0.95) == (None, None)
