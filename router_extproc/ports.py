"""What the exchange needs from the world, as protocols. Adapters implement them; only `app` builds those.

Every method may raise `PortError`; any other exception is a bug. Deadlines are the caller's: the
driver wraps each await, so an adapter must be safe to cancel at any await.
"""

from collections.abc import Sequence
from typing import Protocol

from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.exchange.effects import Note
from router_extproc.routing.analysis import Analysis


class PortError(Exception):
    """A port could not do its work. `reason` is a metric label; the message names the cause, no user data."""

    def __init__(self, reason: Failure, message: str = "") -> None:
        super().__init__(message or reason.value)
        self.reason = reason


class Analyst(Protocol):
    """Understands texts. One encoder pass per call; calls are batched inside."""

    @property
    def encoder(self) -> str:
        """Identity of the encoder: changes whenever equal texts may get different vectors."""
        ...

    async def analyse(self, text: str) -> Analysis: ...


class Store(Protocol):
    """Keeps cache entries. All methods honour `partition` and `expires_at` (an entry is dead when
    `at >= expires_at`); time is always an argument, in Unix seconds."""

    async def get(self, partition: str, entry_id: str, at: float) -> Entry | None:
        """The live entry with this id in this partition."""
        ...

    async def nearest(self, partition: str, vector: Vector, limit: int, at: float) -> Sequence[Candidate]:
        """Up to `limit` live entries of the partition, most similar first."""
        ...

    async def put(self, entry: Entry) -> None:
        """Store or replace. Idempotent."""
        ...

    async def close(self) -> None: ...


class Clock(Protocol):
    def now(self) -> float:
        """Unix seconds."""
        ...


class Telemetry(Protocol):
    def note(self, note: Note) -> None:
        """Record what happened. Never blocks, never raises."""
        ...
