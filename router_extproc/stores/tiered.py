"""Memory in front of a store that lasts: what was stored here, and what other routers stored.

A Milvus server is shared with other routers. It is asked for a question that is not word for word in the
front, and its candidates are judged beside the front's: which of them may answer is the cache's decision,
and no similarity in front makes it for certain (the encoder ignores case, so texts that differ may even have
equal vectors). An embedded Milvus belongs to this process alone: all it holds is loaded into the front once,
and from then on it is only written. Knows nothing of pymilvus.
"""

from collections.abc import Sequence
from itertools import islice

from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.ports import PortError
from router_extproc.stores.back import Back
from router_extproc.stores.memory import MemoryStore

_MAX_SURPLUS = 100_000
"""Ids remembered, 10 MB."""
_PURGED_AT_ONCE = 10_000


class TieredStore:
    """`similar_enough` is the least cosine of a candidate that may answer: the similarity threshold of the
    cache. Such a candidate, found behind, is kept in front from then on; found in front, it is returned
    even when the back fails.

    Over an exclusive back, the entries the front gives up are of no use to anybody: their ids are kept until
    `purge` deletes them behind it too.
    """

    def __init__(self, front: MemoryStore, back: Back, *, exclusive: bool, similar_enough: float) -> None:
        self._front = front
        self._back = back
        self._exclusive = exclusive
        self._similar_enough = similar_enough
        self._surplus: dict[str, None] = {}

    @classmethod
    async def open(
        cls, front: MemoryStore, back: Back, *, exclusive: bool, similar_enough: float, at: float
    ) -> "TieredStore":
        """Put the two together; over an exclusive back, first fill the front with the newest entries that
        are live at `at`. PortError when they cannot be read."""
        store = cls(front, back, exclusive=exclusive, similar_enough=similar_enough)
        if exclusive:
            loaded = await back.load(front.max_entries, front.max_bytes, at)
            store._give_up(loaded.surplus)
            for entry in reversed(loaded.entries):  # oldest first: the eviction order of a cache never closed
                store._give_up(front.insert(entry) if front.fits(entry) else [entry.id])
        return store

    async def get(self, partition: str, entry_id: str, at: float) -> Entry | None:
        near = await self._front.get(partition, entry_id, at)
        if near is not None or self._exclusive:
            return near
        far = await self._back.get(partition, entry_id, at)
        if far is not None:
            self._warm(far)
        return far

    async def nearest(self, partition: str, vector: Vector, limit: int, at: float) -> Sequence[Candidate]:
        """The best of both tiers. PortError when the back fails and the front has nothing similar enough."""
        near = await self._front.nearest(partition, vector, limit, at)
        if self._exclusive:
            return near
        try:
            far = await self._back.nearest(partition, vector, limit, at)
        except PortError:
            if near and near[0].similarity >= self._similar_enough:
                return near
            raise
        for candidate in far:
            if candidate.similarity >= self._similar_enough:
                self._warm(candidate.entry)
        # Both tiers may have an entry, and another router may have replaced it since: the newest counts.
        newest: dict[str, Candidate] = {}
        for candidate in sorted([*near, *far], key=lambda each: each.entry.created_at):
            newest[candidate.entry.id] = candidate
        return sorted(newest.values(), key=lambda each: -each.similarity)[:limit]

    async def put(self, entry: Entry) -> None:
        """Into both. The front has it even when this raises, because the back failed."""
        if self._front.fits(entry):
            evicted = self._front.insert(entry)
            if self._exclusive:
                self._surplus.pop(entry.id, None)
                self._give_up(evicted)
        elif self._exclusive:
            raise PortError(Failure.INVALID, "an entry larger than the whole front would never be read")
        await self._back.put(entry)

    async def purge(self, at: float) -> int:
        """Free what is dead at `at` in both tiers, and what the front gave up; how many in the back."""
        self._front.purge(at)
        ids = list(islice(self._surplus, _PURGED_AT_ONCE))
        if ids:
            await self._back.discard(ids)
            for entry_id in ids:
                self._surplus.pop(entry_id, None)
        return await self._back.purge(at) + len(ids)

    async def close(self) -> None:
        await self._back.close()
        await self._front.close()

    def _warm(self, entry: Entry) -> None:
        """Keep `entry` in front, unless it is there: writing it again would make it the youngest, and the
        back may be behind with an older answer."""
        if self._front.fits(entry) and not self._front.has(entry):
            self._front.insert(entry)

    def _give_up(self, ids: Sequence[str]) -> None:
        for entry_id in ids:
            self._surplus[entry_id] = None
        while len(self._surplus) > _MAX_SURPLUS:  # forgotten ones stay behind until they expire
            del self._surplus[next(iter(self._surplus))]
