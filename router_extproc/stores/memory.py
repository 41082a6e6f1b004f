"""Entries in this process, each partition's in a block of its own: nothing of another one is even scored.

Owns the bounds, the order of eviction and what an entry is charged; how a block finds its rows is the block's
business. Everything runs on the event loop without an await, so no lock is needed; do not share an instance
between threads.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np

from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.caching.marks import Kind, Selector
from router_extproc.ports import PortError, Tally
from router_extproc.stores.block import GRAPH_FROM, Block, index_bytes
from router_extproc.stores.eviction import PolicyName, eviction

_ENTRY_OVERHEAD = 1024
"""Bytes charged per entry for its objects, ids and bookkeeping (measured: 0.9 kB)."""


_STEP = 500
"""Entries looked at before other tasks have their turn: a removal takes some 10 microseconds."""


class MemoryStore:
    """A bounded store: at most `max_entries` entries and `max_bytes` bytes of texts, answers and vectors.

    A full store gives up entries by `policy`. For `lru` and `lfu`, `get` uses the entry it returns and
    `nearest` uses the most similar one only: the others merely lived nearby. Expired entries are never
    returned; `purge` frees them. A partition of fewer than `graph_from` entries is searched exactly, a larger
    one approximately: then `nearest` may miss an entry, and never mistakes a similarity.
    """

    def __init__(
        self,
        dimension: int,
        max_entries: int,
        max_bytes: int,
        policy: PolicyName,
        graph_from: int = GRAPH_FROM,
    ) -> None:
        self._dimension = dimension
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._graph_from = graph_from
        self._order = eviction(policy)
        self._entries: dict[str, Entry] = {}
        self._sizes: dict[str, int] = {}
        self._blocks: dict[str, Block] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """What the entries held now are charged."""
        return self._bytes

    @property
    def max_entries(self) -> int:
        return self._max_entries

    @property
    def max_bytes(self) -> int:
        return self._max_bytes

    async def get(self, partition: str, entry_id: str, at: float, within: float = math.inf) -> Entry | None:
        """`within` is of no use here: this answers at once."""
        entry = self._entries.get(entry_id)
        if entry is None or entry.partition != partition or at >= entry.expires_at:
            return None
        self._order.use(entry_id)
        return entry

    async def nearest(
        self, partition: str, vector: Vector, limit: int, at: float, within: float = math.inf
    ) -> Sequence[Candidate]:
        check_vector(vector, self._dimension)
        block = self._blocks.get(partition)
        if block is None or limit < 1:
            return []
        found = block.nearest(np.ascontiguousarray(vector, dtype=np.float32), limit, at)
        if found:
            self._order.use(found[0].entry.id)
        return found

    async def put(self, entry: Entry) -> None:
        """PortError(INVALID): larger than the whole store, or a vector of another shape or not finite."""
        self.insert(entry)

    def insert(self, entry: Entry) -> list[str]:
        """Store or replace; the ids of the entries given up for it. PortError(INVALID) as for `put`."""
        check_vector(entry.vector, self._dimension)
        size = size_of(entry)
        if size > self._max_bytes:
            raise PortError(
                Failure.INVALID, f"an entry of {size} bytes exceeds the store's {self._max_bytes}"
            )
        before = self._entries.get(entry.id)
        if before is not None and before.partition != entry.partition:
            self._remove(entry.id)
        evicted = self._make_room(entry.id, size)
        if entry.id in self._entries:
            self._order.replace(entry.id)
        else:
            self._order.add(entry.id)
        self._bytes += size - self._sizes.get(entry.id, 0)
        self._sizes[entry.id] = size
        self._entries[entry.id] = entry
        self._place(entry)
        return evicted

    def fits(self, entry: Entry) -> bool:
        """Whether `put` would take this entry, were the store empty."""
        return size_of(entry) <= self._max_bytes

    def has(self, entry: Entry) -> bool:
        """Whether this entry, or a newer one in its place, is held. Does not count as a use."""
        held = self._entries.get(entry.id)
        return held is not None and held.created_at >= entry.created_at

    async def purge(self, at: float) -> int:
        """Free every entry that is dead at `at`; how many. O(n): call it now and then, not per request."""
        return await self._remove_if(lambda entry: at >= entry.expires_at)

    async def find(self, entry_id: str, at: float) -> Entry | None:
        entry = self._entries.get(entry_id)
        return entry if entry is not None and at < entry.expires_at else None

    async def entries(self, selector: Selector, at: float) -> AsyncIterator[Entry]:
        """Those that were here when the first was asked for, as they are now."""
        ids = [selector.value] if selector.kind is Kind.ENTRY else list(self._entries)
        for place, entry_id in enumerate(ids, start=1):
            entry = self._entries.get(entry_id)
            if entry is not None and at < entry.expires_at and selector.covers(entry):
                yield entry
            if place % _STEP == 0:
                await asyncio.sleep(0)

    async def remove(self, selector: Selector, until: float) -> int:
        """O(n), but for one entry."""
        if selector.kind is Kind.ENTRY:
            entry = self._entries.get(selector.value)
            if entry is None or entry.created_at > until:
                return 0
            self._remove(entry.id)
            return 1
        return await self._remove_if(lambda entry: entry.created_at <= until and selector.covers(entry))

    async def forget(self, selector: Selector, until: float) -> int:
        """Here, all that is kept is kept in this process: the same as `remove`."""
        return await self.remove(selector, until)

    async def tallies(self) -> Sequence[Tally]:
        return [Tally("memory", len(self), bytes=self._bytes, capacity=self._max_entries)]

    async def close(self) -> None:
        """Forget everything."""
        for entry_id in list(self._entries):
            self._remove(entry_id)

    async def _remove_if(self, unwanted: Callable[[Entry], bool]) -> int:
        """A few at a time, so that requests are served in between; how many."""
        removed, ids = 0, list(self._entries)
        for start in range(0, len(ids), _STEP):
            for entry_id in ids[start : start + _STEP]:
                entry = self._entries.get(entry_id)
                if entry is not None and unwanted(entry):
                    self._remove(entry_id)
                    removed += 1
            await asyncio.sleep(0)
        return removed

    def _make_room(self, entry_id: str, size: int) -> list[str]:
        """Evict until an entry `entry_id` of `size` bytes fits, in place of the one it may replace."""
        evicted: list[str] = []
        while (
            len(self._entries) + (entry_id not in self._entries) > self._max_entries
            or self._bytes - self._sizes.get(entry_id, 0) + size > self._max_bytes
        ):
            victim = self._order.victim()
            self._remove(victim)
            if victim != entry_id:
                evicted.append(victim)
        return evicted

    def _remove(self, entry_id: str) -> None:
        entry = self._entries.pop(entry_id)
        self._bytes -= self._sizes.pop(entry_id)
        self._order.remove(entry_id)
        self._displace(entry)

    def _place(self, entry: Entry) -> None:
        """Let `nearest` find the entry, unless it is for `get` alone."""
        if entry.exact_only:
            self._displace(entry)
            return
        block = self._blocks.get(entry.partition)
        if block is None:
            block = self._blocks[entry.partition] = Block(self._dimension, self._graph_from)
        block.write(entry)

    def _displace(self, entry: Entry) -> None:
        block = self._blocks.get(entry.partition)
        if block is not None and entry.id in block:
            block.remove(entry.id)
            if not block.entries:
                del self._blocks[entry.partition]


def check_vector(vector: Vector, dimension: int) -> None:
    """PortError(INVALID) unless `vector` has `dimension` finite components."""
    if vector.shape != (dimension,):
        raise PortError(
            Failure.INVALID, f"a vector of shape {vector.shape} in a store of dimension {dimension}"
        )
    # A product is the quickest test; it may also overflow, so it only acquits.
    if not math.isfinite(vector.dot(vector)) and not np.isfinite(vector).all():
        raise PortError(Failure.INVALID, "a vector with a component that is not finite")


def size_of(entry: Entry) -> int:
    """The bytes an entry is charged: its texts in UTF-8, its vector twice (entry and row), its
    part of an index (the most it can be, whether there is one or not), its objects."""
    completion = entry.completion
    texts = [entry.text, completion.content, *(part for pair in completion.extras for part in pair)]
    # surrogatepass: a lone surrogate, legal in a JSON string, still has a size
    return (
        sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
        + 2 * entry.vector.nbytes
        + index_bytes(len(entry.vector))
        + _ENTRY_OVERHEAD
    )
