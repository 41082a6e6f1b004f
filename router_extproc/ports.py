"""What the exchange needs from the world, as protocols. Adapters implement them; only `app` builds those.

Every method may raise `PortError`; any other exception is a bug. Deadlines are the caller's: the
driver wraps each await, so an adapter must be safe to cancel at any await.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.caching.marks import Mark, Selector
from router_extproc.exchange.effects import Note, Question, ScreenAnswer
from router_extproc.exchange.effects import Store as StoreEffect
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.compiled import Needs


class PortError(Exception):
    """A port could not do its work. `reason` is a metric label; the message names the cause, no user data."""

    def __init__(self, reason: Failure, message: str = "") -> None:
        super().__init__(message or reason.value)
        self.reason = reason


class Analyst(Protocol):
    """Understands texts. One pass of a model per call; calls are queued inside."""

    @property
    def encoder(self) -> str:
        """Identity of the encoder: changes whenever equal texts may get different vectors."""
        ...

    async def analyse(self, text: str, needs: Needs | None = None, others: Sequence[str] = ()) -> Analysis:
        """`needs` is what will be read of the analysis, None for all of it: the rest may be missing. `others`
        are texts that the guards look at too; nothing else does."""
        ...

    async def same(self, text: str, other: str) -> float | None:
        """The probability, in [0, 1], that an answer to `other` serves `text`; None when the two together
        are longer than can be judged."""
        ...


class Store(Protocol):
    """Keeps cache entries. All methods honour `partition` and `expires_at` (an entry is dead when
    `at >= expires_at`); time is always an argument, in Unix seconds."""

    async def get(self, partition: str, entry_id: str, at: float, within: float) -> Entry | None:
        """The live entry with this id in this partition. `within`: the caller's deadline in seconds; a store
        that asks another one leaves itself time to answer with what it has."""
        ...

    async def nearest(
        self, partition: str, vector: Vector, limit: int, at: float, within: float
    ) -> Sequence[Candidate]:
        """Up to `limit` live entries of the partition, most similar first, without those that are
        `exact_only`. `within` as for `get`."""
        ...

    async def put(self, entry: Entry) -> None:
        """Store or replace. Idempotent."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Tally:
    """How full a tier is. `bytes` and `capacity` are None where the tier does not know or has no bound."""

    backend: str
    entries: int
    bytes: int | None = None
    capacity: int | None = None
    is_up: bool = True


class Catalogue(Protocol):
    """What operators do with the entries of a cache, all replicas' together where they share a store. Not
    for the request path: calls may take seconds. Methods may raise PortError."""

    async def find(self, entry_id: str, at: float) -> Entry | None:
        """The live entry with this id, in whatever partition."""
        ...

    def entries(self, selector: Selector, at: float) -> AsyncIterator[Entry]:
        """The live entries that `selector` covers, each once, in no particular order, a page at a time."""
        ...

    async def remove(self, selector: Selector, until: float) -> int:
        """Delete what `selector` covers and was created at `until` or before; how many."""
        ...

    async def tallies(self) -> Sequence[Tally]:
        """One for each tier, the first asked first."""
        ...


class MarkStore(Protocol):
    """Where marks outlive the process and reach the other replicas. Methods may raise PortError."""

    async def load_marks(self, at: float) -> Sequence[Mark]:
        """Every mark that has not expired at `at`."""
        ...

    async def add_mark(self, mark: Mark) -> None:
        """Keep it, in place of an earlier one of the same selector."""
        ...


class Clock(Protocol):
    def now(self) -> float:
        """Unix seconds."""
        ...


class Telemetry(Protocol):
    def note(self, note: Note) -> None:
        """Record what happened. Never blocks, never raises."""
        ...


Deed = type[Question | StoreEffect | ScreenAnswer]
"""What was done for an exchange: the kind alone, because the effect itself holds texts."""


class Witness(Protocol):
    """Sees one exchange, from its first message to its end; times are Unix seconds. Methods never block and
    never raise. May be called for exchanges that are none of the router's business."""

    def saw(self, note: Note, at: float) -> None:
        """`at`: when it was noted. A note that has seconds of its own is more exact."""
        ...

    def did(
        self,
        deed: Deed,
        status: str,
        began: float,
        ended: float,
        concluded: float,
        entry: str | None = None,
    ) -> None:
        """`status` is `hit`, `miss`, `done`, or why it failed. `concluded`: when the exchange had made
        something of it. `entry`: the id of the entry that was handed over to be kept."""
        ...

    def replied(self, status: int) -> None:
        """The router answered in a model's place, with this HTTP status."""
        ...

    def over(self, at: float) -> None:
        """Called once, last. Nothing waits for it."""
        ...


class Unwatched:
    """A `Witness` that nobody asks."""

    def saw(self, note: Note, at: float) -> None:
        return

    def did(
        self,
        deed: Deed,
        status: str,
        began: float,
        ended: float,
        concluded: float,
        entry: str | None = None,
    ) -> None:
        return

    def replied(self, status: int) -> None:
        return

    def over(self, at: float) -> None:
        return
