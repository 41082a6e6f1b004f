"""Answers are read one after the other, after their streams, and never kept unread."""

import asyncio
from dataclasses import replace

import pytest

from router_extproc.base.completion import Completion
from router_extproc.base.refusals import Failure, Uncached
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.exchange.effects import AnswerScreened, CacheSkipped, PortFailed, ScreenAnswer
from router_extproc.exchange.keeping import PASSAGE
from router_extproc.ports import PortError
from router_extproc.routing.analysis import Analysis
from router_extproc.screening.policy import AnswerPolicy, Least, ScreeningPolicy
from router_extproc.screening.reading import Screening
from router_extproc.server.answers import AnswerScreener
from tests.support.play import entry
from tests.support.ports import FakeAnalyst, FakeClock, Held, RecordingTelemetry, Trouble, an_analysis

POLICY = ScreeningPolicy(answers=AnswerPolicy(pii=Least(0.5)))
SECRET = "the card 4539 1488 0343 6467"


class Stage:
    """A screener over a fake analyst that finds a card where there is one. `landed` has what those who wait
    got, `cache` what was kept."""

    def __init__(self, trouble: Trouble = None, *, room: int = 10, **bounds: int) -> None:
        self.analyst = FakeAnalyst(self.answer, trouble=trouble)
        self.telemetry = RecordingTelemetry()
        self.clock = FakeClock(0.0)
        self.room = room
        self.cache: list[Entry] = []
        self.landed: list[tuple[str, Candidate | None]] = []
        self.settled = asyncio.Semaphore(0)
        self.screener = AnswerScreener(self.analyst, self.fill, self.telemetry, self.clock, **bounds)

    def answer(self, text: str) -> Analysis:
        types = {"CREDIT_CARD": 1.0} if SECRET in text else {}
        return replace(an_analysis(), screening=Screening(types=types))

    def fill(self, kept: Entry) -> bool:
        self.cache.append(kept)
        return len(self.cache) <= self.room

    def offer(self, content: str = "Four.", name: str = "e", timeout: float = 5.0) -> bool:
        said = Completion("m", content, "stop", (("reasoning_content", "thought"),))
        asked = ScreenAnswer(entry("p", "q", id=name, completion=said), POLICY, timeout)
        return self.screener.offer(asked, lambda candidate: self.land(name, candidate))

    def land(self, name: str, candidate: Candidate | None) -> None:
        """As a flight does: only the first landing counts."""
        if name not in dict(self.landed):
            self.landed.append((name, candidate))
            self.settled.release()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            for _ in range(count):
                await self.settled.acquire()

    def refusals(self) -> list[Uncached | None]:
        return [note.refused for note in self.telemetry.notes if isinstance(note, AnswerScreened)]


async def test_what_is_clean_is_kept_and_given_to_those_who_wait() -> None:
    stage = Stage()
    assert stage.offer(name="clean")
    assert stage.offer(SECRET, "secret")
    await stage.until(2)
    await stage.screener.close()
    [kept] = stage.cache
    assert stage.landed == [("clean", Candidate(kept, 1.0)), ("secret", None)]
    assert stage.refusals() == [None, Uncached.PERSONAL_DATA]
    assert CacheSkipped(Uncached.PERSONAL_DATA, storing=True) in stage.telemetry.notes


@pytest.mark.parametrize(
    ("trouble", "failure"),
    [
        (PortError(Failure.OVERLOADED), Failure.OVERLOADED),
        (TimeoutError(), Failure.TIMEOUT),
        (KeyError("a bug"), Failure.INVALID),
    ],
    ids=str,
)
async def test_an_answer_that_cannot_be_read_is_not_kept_and_ends_nothing(
    trouble: Exception, failure: Failure, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(trouble)
    stage.offer(name="first")
    await stage.until(1)
    stage.analyst.trouble = None
    stage.offer(name="second")
    await stage.until(1)
    await stage.screener.close()
    assert [each.id for each in stage.cache] == ["second"]
    assert stage.refusals() == [Uncached.UNSCREENED, None]
    assert PortFailed("analyst", failure) in stage.telemetry.notes
    assert ("KeyError in ScreenAnswer" in caplog.text) is isinstance(trouble, KeyError)
    assert "a bug" not in caplog.text


async def test_an_encoder_that_hangs_is_left_at_the_deadline() -> None:
    hang = Held()
    stage = Stage(hang)
    stage.offer(timeout=0.001)
    await stage.until(1)
    await stage.screener.close()
    assert hang.cancelled.is_set()
    assert (stage.cache, stage.landed) == ([], [("e", None)])
    assert PortFailed("analyst", Failure.TIMEOUT) in stage.telemetry.notes


async def test_a_card_in_any_passage_keeps_the_answer_out_and_thoughts_are_read() -> None:
    """The other passages are read each in a pass of its own, so that requests come between."""
    stage = Stage()
    long = "Four. " * 1000
    stage.offer(long + SECRET, "end")
    stage.offer(long, "clean")
    await stage.until(2)
    await stage.screener.close()
    assert stage.landed[0] == ("end", None)
    assert [each.id for each in stage.cache] == ["clean"]
    assert max(map(len, stage.analyst.texts)) <= PASSAGE
    assert stage.analyst.texts.count("thought") == 2


async def test_a_guard_that_said_nothing_keeps_the_answer_out() -> None:
    stage = Stage()
    stage.answer = lambda text: an_analysis()  # type: ignore[method-assign]
    stage.analyst = FakeAnalyst(stage.answer)
    screener = AnswerScreener(stage.analyst, stage.fill, stage.telemetry, stage.clock)
    screener.offer(ScreenAnswer(entry("p"), POLICY, 5.0), lambda candidate: stage.land("e", candidate))
    await stage.until(1)
    await screener.close()
    await stage.screener.close()
    assert (stage.cache, stage.refusals()) == ([], [Uncached.UNSCREENED])


async def test_what_does_not_fit_is_not_taken() -> None:
    hang = Held()
    stage = Stage(hang, max_pending=2)
    assert [stage.offer(name=name) for name in "abc"] == [True, True, False]
    hang.release()
    await stage.until(2)
    assert stage.offer(name="d")
    await stage.until(1)
    await stage.screener.close()
    assert [name for name, _ in stage.landed] == ["a", "b", "d"]


async def test_characters_are_bounded_too_and_given_back() -> None:
    hang = Held()
    stage = Stage(hang, max_characters=40)
    assert [stage.offer("w" * 20, name) for name in "ab"] == [True, False]
    hang.release()
    await stage.until(1)
    assert stage.offer("w" * 20, "c")
    await stage.until(1)
    await stage.screener.close()
    assert not stage.offer()


async def test_a_full_queue_of_writes_is_noted() -> None:
    stage = Stage(room=0)
    stage.offer()
    await stage.until(1)
    await stage.screener.close()
    assert CacheSkipped(Uncached.QUEUE_FULL, storing=True) in stage.telemetry.notes


async def test_closing_keeps_nothing_unread_and_leaves_nobody_waiting() -> None:
    hang = Held()
    stage = Stage(hang)
    for name in "abc":
        stage.offer(name=name)
    async with asyncio.timeout(5):
        await hang.entered.wait()
        await stage.screener.close()
    assert hang.cancelled.is_set()
    assert stage.cache == []
    assert stage.landed == [(name, None) for name in "abc"]
    assert stage.telemetry.notes == [CacheSkipped(Uncached.QUEUE_FULL, storing=True)] * 3


async def test_an_answer_that_expired_while_it_waited_is_not_kept() -> None:
    stage = Stage()
    stage.clock.at = entry("p").expires_at
    stage.offer()
    await stage.until(1)
    await stage.screener.close()
    assert (stage.cache, stage.refusals()) == ([], [Uncached.EXPIRED])
