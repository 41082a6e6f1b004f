"""Entries in this process, found by exact brute force over one partition.

Each partition has a block of contiguous rows of its own, so `nearest` is a matrix-vector product over
exactly the rows that may be returned: nothing of another partition is even scored. Everything runs on the
event loop without an await, so no lock is needed; do not share an instance between threads.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.ports import PortError
from router_extproc.stores.eviction import PolicyName, eviction

_ENTRY_OVERHEAD = 1024
"""Bytes charged per entry for its objects, ids and bookkeeping (measured: 0.9 kB)."""

_STRIPE = 512
"""Rows per product. OpenBLAS hands a larger one to several threads, which on a busy machine costs far more
than it brings: 10,000 x 384 at once took 16 ms (p50), in stripes 2.1 ms, with both cores busy."""


class _Block:
    """The live rows of one partition: `ids[i]` belongs to `vectors[i]` and `expires_at[i]`, i < len(ids).

    Grows by doubling and shrinks at a quarter, so it holds at most four times the live rows.
    """

    __slots__ = ("expires_at", "ids", "row_of", "vectors")

    def __init__(self, dimension: int) -> None:
        self.ids: list[str] = []
        self.row_of: dict[str, int] = {}
        self.vectors: NDArray[np.float32] = np.empty((1, dimension), dtype=np.float32)
        self.expires_at: NDArray[np.float64] = np.empty(1, dtype=np.float64)

    def write(self, entry: Entry) -> None:
        row = self.row_of.get(entry.id)
        if row is None:
            row = len(self.ids)
            if row == len(self.vectors):
                self._resize(2 * row)
            self.ids.append(entry.id)
            self.row_of[entry.id] = row
        self.vectors[row] = entry.vector
        self.expires_at[row] = entry.expires_at

    def remove(self, entry_id: str) -> None:
        row, last = self.row_of.pop(entry_id), len(self.ids) - 1
        if row != last:
            moved = self.ids[last]
            self.ids[row], self.row_of[moved] = moved, row
            self.vectors[row], self.expires_at[row] = self.vectors[last], self.expires_at[last]
        self.ids.pop()
        if 0 < last <= len(self.vectors) // 4:
            self._resize(len(self.vectors) // 2)

    def nearest(self, vector: Vector, limit: int, at: float) -> list[tuple[str, float]]:
        count = len(self.ids)
        live = np.flatnonzero(self.expires_at[:count] > at)
        if not len(live):
            return []
        similarities = np.empty(count, dtype=np.float32)
        for start in range(0, count, _STRIPE):
            stop = min(start + _STRIPE, count)
            np.dot(self.vectors[start:stop], vector, out=similarities[start:stop])
        scores = similarities if len(live) == count else similarities[live]
        if len(scores) > limit:
            best = np.argpartition(scores, len(scores) - limit)[-limit:]
            live, scores = live[best], scores[best]
        order = np.argsort(-scores, kind="stable")
        return [(self.ids[live[i]], float(scores[i])) for i in order]

    def _resize(self, capacity: int) -> None:
        count = len(self.ids)
        vectors = np.empty((capacity, self.vectors.shape[1]), dtype=np.float32)
        expires_at = np.empty(capacity, dtype=np.float64)
        vectors[:count], expires_at[:count] = self.vectors[:count], self.expires_at[:count]
        self.vectors, self.expires_at = vectors, expires_at


class MemoryStore:
    """A bounded store: at most `max_entries` entries and `max_bytes` bytes of texts, answers and vectors.

    A full store gives up entries by `policy`. For `lru` and `lfu`, `get` uses the entry it returns and
    `nearest` uses the most similar one only: the others merely lived nearby. Expired entries are never
    returned; `purge` frees them.
    """

    def __init__(
        self,
        dimension: int,
        max_entries: int,
        max_bytes: int,
        policy: PolicyName,
    ) -> None:
        self._dimension = dimension
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._order = eviction(policy)
        self._entries: dict[str, Entry] = {}
        self._sizes: dict[str, int] = {}
        self._blocks: dict[str, _Block] = {}
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

    async def get(self, partition: str, entry_id: str, at: float) -> Entry | None:
        entry = self._entries.get(entry_id)
        if entry is None or entry.partition != partition or at >= entry.expires_at:
            return None
        self._order.use(entry_id)
        return entry

    async def nearest(self, partition: str, vector: Vector, limit: int, at: float) -> Sequence[Candidate]:
        self._check(vector)
        block = self._blocks.get(partition)
        if block is None or limit < 1:
            return []
        found = block.nearest(np.asarray(vector, dtype=np.float32), limit, at)
        if found:
            self._order.use(found[0][0])
        return [Candidate(self._entries[each], max(-1.0, min(1.0, score))) for each, score in found]

    async def put(self, entry: Entry) -> None:
        """PortError(INVALID): larger than the whole store, or a vector of another shape or not finite."""
        self.insert(entry)

    def insert(self, entry: Entry) -> list[str]:
        """Store or replace; the ids of the entries given up for it. PortError(INVALID) as for `put`."""
        self._check(entry.vector)
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
        block = self._blocks.get(entry.partition)
        if block is None:
            block = self._blocks[entry.partition] = _Block(self._dimension)
        block.write(entry)
        return evicted

    def fits(self, entry: Entry) -> bool:
        """Whether `put` would take this entry, were the store empty."""
        return size_of(entry) <= self._max_bytes

    def has(self, entry: Entry) -> bool:
        """Whether this entry, or a newer one in its place, is held. Does not count as a use."""
        held = self._entries.get(entry.id)
        return held is not None and held.created_at >= entry.created_at

    def purge(self, at: float) -> int:
        """Free every entry that is dead at `at`; how many. O(n): call it now and then, not per request."""
        dead = [entry.id for entry in self._entries.values() if at >= entry.expires_at]
        for entry_id in dead:
            self._remove(entry_id)
        return len(dead)

    async def close(self) -> None:
        """Forget everything."""
        for entry_id in list(self._entries):
            self._remove(entry_id)

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
        block = self._blocks[entry.partition]
        block.remove(entry_id)
        if not block.ids:
            del self._blocks[entry.partition]

    def _check(self, vector: Vector) -> None:
        check_vector(vector, self._dimension)


def check_vector(vector: Vector, dimension: int) -> None:
    """PortError(INVALID) unless `vector` has `dimension` finite components."""
    if vector.shape != (dimension,):
        raise PortError(
            Failure.INVALID, f"a vector of shape {vector.shape} in a store of dimension {dimension}"
        )
    if not np.isfinite(vector).all():
        raise PortError(Failure.INVALID, "a vector with a component that is not finite")


def size_of(entry: Entry) -> int:
    """The bytes an entry is charged: its texts in UTF-8, its vector twice (entry and row), its objects."""
    completion = entry.completion
    texts = [entry.text, completion.content, *(part for pair in completion.extras for part in pair)]
    # surrogatepass: a lone surrogate, legal in a JSON string, still has a size
    return (
        sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
        + 2 * entry.vector.nbytes
        + _ENTRY_OVERHEAD
    )
