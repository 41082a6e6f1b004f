"""Fakes of the ports, driven by the test: they answer what they are told, and record what they were asked."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np

from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.exchange.effects import Note
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.compiled import Needs

DIMENSION = 4


def unit_vector(axis: int = 0) -> Vector:
    """A vector of length 1 along `axis` (0 to DIMENSION - 1): different axes have cosine 0."""
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[axis] = 1.0
    return vector


def an_analysis(*, vector: Vector | None = None, **heads: dict[str, float]) -> Analysis:
    return Analysis(
        vector=unit_vector() if vector is None else vector, heads=heads, encoder="fake-encoder", tokens=8
    )


class FakeClock:
    """Stands still until the test advances it."""

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += seconds


class RecordingTelemetry:
    """Keeps every note, in order."""

    def __init__(self) -> None:
        self.notes: list[Note] = []

    def note(self, note: Note) -> None:
        self.notes.append(note)


class Held:
    """A failure mode of the fakes: calls wait until `release()`, or until they are cancelled."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        """Set when the first call has begun to wait."""
        self.cancelled = asyncio.Event()
        self._released = asyncio.Event()

    def release(self) -> None:
        self._released.set()

    async def wait(self) -> None:
        self.entered.set()
        try:
            await self._released.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


Trouble = Exception | Held | None
"""What happens instead of an answer: it is raised, or it is waited for before the answer."""


async def _suffer(trouble: Trouble) -> None:
    if isinstance(trouble, Held):
        await trouble.wait()
    elif trouble is not None:
        raise trouble


class FakeAnalyst:
    """Answers `answer(text)` and `same(text, other)`; by default the same analysis for every text, and that
    all texts ask the same."""

    def __init__(
        self,
        answer: Callable[[str], Analysis] | None = None,
        *,
        trouble: Trouble = None,
        same: Callable[[str, str], float | None] = lambda text, other: 1.0,
    ) -> None:
        self._answer = answer or (lambda _: an_analysis())
        self._same = same
        self.trouble = trouble
        self.texts: list[str] = []
        self.pairs: list[tuple[str, str]] = []

    @property
    def encoder(self) -> str:
        return "fake-encoder"

    async def analyse(self, text: str, needs: Needs | None = None, others: Sequence[str] = ()) -> Analysis:
        self.texts.append(text)
        await _suffer(self.trouble)
        return self._answer(text)

    async def same(self, text: str, other: str) -> float | None:
        self.pairs.append((text, other))
        await _suffer(self.trouble)
        return self._same(text, other)


class FakeStore:
    """A list of entries with the contract of the port: partitions, expiry, cosine order, `exact_only`."""

    def __init__(self, *entries: Entry, trouble: Trouble = None) -> None:
        self.entries = {(entry.partition, entry.id): entry for entry in entries}
        self.trouble = trouble
        self.asked: list[tuple[str, str]] = []
        """`("get" or "nearest", partition)` of each lookup."""
        self.within: list[float] = []
        """The deadline of each lookup, in seconds."""
        self.closed = False

    async def get(self, partition: str, entry_id: str, at: float, within: float) -> Entry | None:
        self.asked.append(("get", partition))
        self.within.append(within)
        await _suffer(self.trouble)
        entry = self.entries.get((partition, entry_id))
        return entry if entry is not None and at < entry.expires_at else None

    async def nearest(
        self, partition: str, vector: Vector, limit: int, at: float, within: float
    ) -> Sequence[Candidate]:
        self.asked.append(("nearest", partition))
        self.within.append(within)
        await _suffer(self.trouble)
        here = [entry for entry in self.entries.values() if entry.partition == partition]
        live = [entry for entry in here if at < entry.expires_at and not entry.exact_only]
        candidates = [Candidate(entry, float(np.dot(entry.vector, vector))) for entry in live]
        return sorted(candidates, key=lambda candidate: -candidate.similarity)[:limit]

    async def put(self, entry: Entry) -> None:
        await _suffer(self.trouble)
        self.entries[entry.partition, entry.id] = entry

    async def close(self) -> None:
        self.closed = True
