import asyncio

import numpy as np
import pytest

from router_extproc.base.completion import Completion
from router_extproc.base.refusals import Failure, Verified
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Candidate
from router_extproc.exchange.effects import CacheVerified, Note, Verify
from router_extproc.ports import PortError
from router_extproc.server.verifier import Verifier
from tests.support.play import entry
from tests.support.ports import FakeAnalyst, Held, RecordingTelemetry, Trouble, an_analysis


class Telemetry(RecordingTelemetry):
    """Tells when there is something to read."""

    def __init__(self) -> None:
        super().__init__()
        self._noted = asyncio.Semaphore(0)

    def note(self, note: Note) -> None:
        super().note(note)
        self._noted.release()

    async def outcomes(self, count: int) -> list[Verified]:
        async with asyncio.timeout(5):
            for _ in range(count):
                await self._noted.acquire()
        return [note.outcome for note in self.notes if isinstance(note, CacheVerified)]


def a_verify(cached: str, fresh: str, entry_id: str = "e") -> Verify:
    kept = entry("p", id=entry_id, completion=Completion("m", cached, "stop"))
    return Verify(Candidate(kept, 0.9), Completion("m", fresh, "stop"))


def leaning(cosine: float) -> Vector:
    return np.array([cosine, (1 - cosine**2) ** 0.5], np.float32)


def an_analyst(cosine: float = 0.0, trouble: Trouble = None) -> FakeAnalyst:
    """Answers that begin with "fresh" have this cosine with all others."""
    return FakeAnalyst(
        lambda text: an_analysis(vector=leaning(cosine if text.startswith("fresh") else 1.0)), trouble=trouble
    )


@pytest.mark.parametrize(
    ("cached", "fresh", "cosine", "outcome"),
    [
        ("words", "fresh words", 0.95, Verified.SAME),
        ("words", "fresh words", 0.7, Verified.UNDECIDED),
        ("words", "fresh words", 0.1, Verified.DIFFERENT),
        ("It is 4.", "fresh: it is 5.", 0.99, Verified.DIFFERENT),
        ("It is 4.", "It  is 4.", -1.0, Verified.SAME),
    ],
)
async def test_two_answers_are_compared_and_the_outcome_is_noted(
    cached: str, fresh: str, cosine: float, outcome: Verified
) -> None:
    telemetry = Telemetry()
    verifier = Verifier(an_analyst(cosine), telemetry)
    assert verifier.offer(a_verify(cached, fresh))
    await telemetry.outcomes(1)
    assert telemetry.notes == [CacheVerified(outcome, "math", "e")]
    await verifier.close()


@pytest.mark.parametrize(
    "trouble", [PortError(Failure.OVERLOADED), TimeoutError(), KeyError("a bug")], ids=str
)
async def test_an_encoder_that_fails_decides_nothing_and_ends_nothing(
    trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry, analyst = Telemetry(), an_analyst(0.95, trouble)
    verifier = Verifier(analyst, telemetry)
    verifier.offer(a_verify("words", "fresh words"))
    assert await telemetry.outcomes(1) == [Verified.UNDECIDED]
    analyst.trouble = None
    verifier.offer(a_verify("words", "fresh words"))
    assert await telemetry.outcomes(1) == [Verified.UNDECIDED, Verified.SAME]
    await verifier.close()
    assert ("KeyError in Verify" in caplog.text) is isinstance(trouble, KeyError)
    assert "a bug" not in caplog.text


async def test_an_encoder_that_hangs_is_left_at_the_deadline() -> None:
    telemetry, hang = Telemetry(), Held()
    verifier = Verifier(an_analyst(trouble=hang), telemetry, timeout=0.001)
    verifier.offer(a_verify("words", "fresh words"))
    assert await telemetry.outcomes(1) == [Verified.UNDECIDED]
    assert hang.cancelled.is_set()
    await verifier.close()


async def test_what_does_not_fit_is_not_taken() -> None:
    telemetry, hang = Telemetry(), Held()
    verifier = Verifier(an_analyst(1.0, hang), telemetry, max_pending=2)
    assert verifier.offer(a_verify("words", "fresh words", "0"))
    async with asyncio.timeout(5):
        await hang.entered.wait()
    taken = [verifier.offer(a_verify("words", "fresh words", str(number))) for number in (1, 2, 3)]
    assert taken == [True, True, False]
    hang.release()
    await telemetry.outcomes(3)
    assert [note.entry for note in telemetry.notes if isinstance(note, CacheVerified)] == ["0", "1", "2"]
    assert verifier.offer(a_verify("words", "fresh words"))
    await verifier.close()


async def test_only_the_beginning_of_a_long_answer_is_compared() -> None:
    telemetry, analyst = Telemetry(), an_analyst(0.95)
    verifier = Verifier(analyst, telemetry, max_characters=10)
    verifier.offer(a_verify("w" * 50, "fresh" + "w" * 50))
    await telemetry.outcomes(1)
    assert [len(text) for text in analyst.texts] == [10, 10]
    await verifier.close()


async def test_closing_ends_a_comparison_and_forgets_the_others() -> None:
    telemetry, hang = Telemetry(), Held()
    verifier = Verifier(an_analyst(trouble=hang), telemetry)
    for _ in range(3):
        verifier.offer(a_verify("words", "fresh words"))
    async with asyncio.timeout(5):
        await hang.entered.wait()
        await verifier.close()
    assert hang.cancelled.is_set()
    assert telemetry.notes == []
