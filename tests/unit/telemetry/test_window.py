from dataclasses import replace

import pytest

from router_extproc.base.refusals import Missed
from router_extproc.exchange.effects import AnswerScreened, CacheHit, CacheMiss, HitKind, Note, Routed
from router_extproc.exchange.events import Message
from router_extproc.exchange.notes import AnswerEnded, Opened
from router_extproc.telemetry.story import Seen, Story
from router_extproc.telemetry.window import (
    MAX_FLOWS,
    SLOT_SECONDS,
    SLOTS,
    AnsweredBy,
    Durations,
    Flow,
    Window,
)
from tests.support.play import ANSWER, AT, chat_body, chat_headers, pieces, play, response_headers
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


def test_ways_in_one_slot_are_bounded() -> None:
    window = Window(AT)
    for number in range(2 * MAX_FLOWS):
        window.tell(story(AT, routed(str(number)), judgeless()))
    assert len(window.read(AT).tally.flows) == MAX_FLOWS
    assert window.read(AT).tally.requests == 2 * MAX_FLOWS


def judgeless() -> Note:
    """A note that no count looks at."""
    return AnswerScreened(None, "math", "large", "r", "t")


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


def test_a_clock_that_goes_back_moves_nothing_into_the_past() -> None:
    window = Window(AT)
    window.tell(story(AT + 10 * SLOT_SECONDS, routed()))
    window.tell(story(AT - 1000, routed()))
    recent = window.read(AT - 1000)
    assert recent.tally.requests == 2
    assert (recent.seconds, recent.uptime) == (0, 0)


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
