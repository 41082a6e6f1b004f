"""What a tiered store needs of the store behind it, beyond `ports.Store` and `ports.Catalogue`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from router_extproc.caching.entry import Entry
from router_extproc.ports import Catalogue, Store


@dataclass(frozen=True, slots=True)
class Loaded:
    """Live entries, newest first, and the ids of live entries there was no room for."""

    entries: Sequence[Entry]
    surplus: Sequence[str]


class Back(Store, Catalogue, Protocol):
    """A store that outlives the process. Every method may raise PortError."""

    @property
    def is_up(self) -> bool:
        """False while asking it would be in vain."""
        ...

    async def load(self, max_entries: int, max_bytes: int, at: float) -> Loaded:
        """The newest entries live at `at`, as many as stay within both bounds."""
        ...

    async def discard(self, ids: Sequence[str]) -> None:
        """Delete these entries, whatever their age."""
        ...

    async def purge(self, at: float) -> int:
        """Delete entries that are dead at `at`; how many."""
        ...
