"""Which entry leaves a full cache: oldest, least recently used, or least frequently used.

Each policy is O(1) per call and keeps ids only. Knows nothing of entries, sizes or time.
"""

from collections import OrderedDict
from typing import Literal, Protocol

PolicyName = Literal["fifo", "lru", "lfu"]


class Eviction(Protocol):
    """An order over the ids it was given. Ids are unique; using or removing one it does not hold is a bug."""

    def add(self, entry_id: str) -> None:
        """Take in a new id."""
        ...

    def replace(self, entry_id: str) -> None:
        """The entry with this id was written again."""
        ...

    def use(self, entry_id: str) -> None:
        """The entry with this id answered somebody."""
        ...

    def remove(self, entry_id: str) -> None: ...

    def victim(self) -> str:
        """The id to give up next; KeyError when there is none."""
        ...


class Fifo:
    """The entry written longest ago leaves."""

    def __init__(self) -> None:
        self._order: OrderedDict[str, None] = OrderedDict()

    def add(self, entry_id: str) -> None:
        self._order[entry_id] = None

    def replace(self, entry_id: str) -> None:
        self._order.move_to_end(entry_id)

    def use(self, entry_id: str) -> None:
        """Being read does not lengthen a life."""

    def remove(self, entry_id: str) -> None:
        del self._order[entry_id]

    def victim(self) -> str:
        if not self._order:
            raise KeyError("empty")
        return next(iter(self._order))


class Lru(Fifo):
    """The entry used or written longest ago leaves."""

    def use(self, entry_id: str) -> None:
        self._order.move_to_end(entry_id)


class Lfu:
    """The entry used least often leaves; among equals, the one that came to that count first.

    A replaced entry keeps its count: it is the same question. Counts never decay, because every entry
    expires and so no old count outlives its entry.
    """

    def __init__(self) -> None:
        self._uses: dict[str, int] = {}
        self._ids: dict[int, OrderedDict[str, None]] = {}
        self._fewest = 0

    def add(self, entry_id: str) -> None:
        self._enter(entry_id, 0)
        self._fewest = 0

    def replace(self, entry_id: str) -> None:
        self._ids[self._uses[entry_id]].move_to_end(entry_id)

    def use(self, entry_id: str) -> None:
        uses = self._uses[entry_id]
        self._leave(entry_id)
        self._enter(entry_id, uses + 1)
        if uses == self._fewest and uses not in self._ids:
            self._fewest = uses + 1

    def remove(self, entry_id: str) -> None:
        self._leave(entry_id)

    def victim(self) -> str:
        if not self._ids:
            raise KeyError("empty")
        if self._fewest not in self._ids:
            # Only when several leave and none comes, because an addition makes the fewest 0 again.
            self._fewest = min(self._ids)
        return next(iter(self._ids[self._fewest]))

    def _enter(self, entry_id: str, uses: int) -> None:
        self._uses[entry_id] = uses
        self._ids.setdefault(uses, OrderedDict())[entry_id] = None

    def _leave(self, entry_id: str) -> None:
        uses = self._uses.pop(entry_id)
        del self._ids[uses][entry_id]
        if not self._ids[uses]:
            del self._ids[uses]


def eviction(name: PolicyName) -> Eviction:
    policies: dict[PolicyName, type[Fifo] | type[Lru] | type[Lfu]] = {"fifo": Fifo, "lru": Lru, "lfu": Lfu}
    return policies[name]()
