"""Memory in front of a store that lasts: what was stored here, and what other routers stored.

A Milvus server is shared with other routers. It is asked for a question that is not word for word in the
front, and its candidates are judged beside the front's: which of them may answer is the cache's decision,
and no similarity in front makes it for certain (the encoder ignores case, so texts that differ may even have
equal vectors). Its entries enter the front with the life they have left. An embedded Milvus belongs to this
process alone: all it holds is loaded into the front once, and from then on it is only written. Knows nothing
of pymilvus.
"""

from collections.abc import AsyncIterator, Sequence
from itertools import islice

from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.caching.marks import Selector
from router_extproc.ports import PortError, Tally
from router_extproc.stores.back import Back
from router_extproc.stores.memory import MemoryStore

_MAX_SURPLUS = 100_000
"""Ids remembered, 10 MB."""
_PURGED_AT_ONCE = 10_000

_BACK_SHARE = 0.8
"""Of the caller's time, for the back: when it fails, what the front found is still in time."""


_NEVER_READ = "an entry larger than the whole front would never be read"


class TieredStore:
    """`similar_enough` is the least cosine of a candidate that may answer: the similarity threshold of the
    cache. Such a candidate, found behind, is kept in front from then on; found in front, it is returned
    even when the back fails.

    `front_by_meaning`: whether the front takes part in `nearest`. Without, it holds what was asked word for
    word here, and neighbours are always the back's.

    Over an exclusive back, the entries the front gives up are of no use to anybody: their ids are kept until
    `purge` deletes them behind it too.
    """

    def __init__(
        self,
        front: MemoryStore,
        back: Back,
        *,
        exclusive: bool,
        similar_enough: float,
        front_by_meaning: bool = True,
    ) -> None:
        if exclusive and not front_by_meaning:
            raise ValueError("an exclusive back is never asked: its front must find neighbours")
        self._front = front
        self._back = back
        self._exclusive = exclusive
        self._front_by_meaning = front_by_meaning
        self._similar_enough = similar_enough
        self._surplus: dict[str, None] = {}

    @classmethod
    async def open(
        cls,
        front: MemoryStore,
        back: Back,
        *,
        exclusive: bool,
        similar_enough: float,
        at: float,
        front_by_meaning: bool = True,
    ) -> "TieredStore":
        """Put the two together; over an exclusive back, first fill the front with the newest entries that
        are live at `at`. PortError when they cannot be read."""
        store = cls(
            front,
            back,
            exclusive=exclusive,
            similar_enough=similar_enough,
            front_by_meaning=front_by_meaning,
        )
        if exclusive:
            loaded = await back.load(front.max_entries, front.max_bytes, at)
            store._give_up(loaded.surplus)
            for entry in reversed(loaded.entries):  # oldest first: the eviction order of a cache never closed
                store._give_up(front.insert(entry) if front.fits(entry) else [entry.id])
        return store

    async def get(self, partition: str, entry_id: str, at: float, within: float) -> Entry | None:
        near = await self._front.get(partition, entry_id, at, within)
        if near is not None or self._exclusive:
            return near
        far = await self._back.get(partition, entry_id, at, _BACK_SHARE * within)
        if far is not None:
            self._warm(far)
        return far

    async def nearest(
        self, partition: str, vector: Vector, limit: int, at: float, within: float
    ) -> Sequence[Candidate]:
        """The best of both tiers. PortError when the back fails and the front has nothing similar enough."""
        near: Sequence[Candidate] = []
        if self._front_by_meaning:
            near = await self._front.nearest(partition, vector, limit, at, within)
        if self._exclusive:
            return near
        try:
            far = await self._back.nearest(partition, vector, limit, at, _BACK_SHARE * within)
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
        """Into both, or into neither: the back first, because it may fail."""
        if self._exclusive and not self._front.fits(entry):
            raise PortError(Failure.INVALID, _NEVER_READ)
        await self.put_far(entry)
        self.put_near(entry)

    def put_near(self, entry: Entry) -> None:
        """Into the front, at once. PortError(INVALID) for an entry that no tier would ever answer with."""
        if self._front.fits(entry):
            evicted = self._front.insert(entry)
            if self._exclusive:
                self._surplus.pop(entry.id, None)
                self._give_up(evicted)
        elif self._exclusive:
            raise PortError(Failure.INVALID, _NEVER_READ)

    async def put_far(self, entry: Entry) -> None:
        """Into the back, which may take its time."""
        await self._back.put(entry)

    async def find(self, entry_id: str, at: float) -> Entry | None:
        """The newer of the two tiers' entries; the front's alone while the back is down."""
        near = await self._front.find(entry_id, at)
        if not self._asks_back:
            return near
        try:
            far = await self._back.find(entry_id, at)
        except PortError:
            if near is None:
                raise
            return near
        return _newer(near, far)

    async def entries(self, selector: Selector, at: float) -> AsyncIterator[Entry]:
        """The back's, which are all replicas', and those that only the front has: their writing failed, or is
        not visible behind yet. The front's alone while the back is down, which `tallies` tells."""
        near = {entry.id: entry async for entry in self._front.entries(selector, at)}
        if self._asks_back:
            async for far in self._back.entries(selector, at):
                mine = near.pop(far.id, far)
                yield mine if mine.created_at > far.created_at else far
        for entry in near.values():
            yield entry

    async def remove(self, selector: Selector, until: float) -> int:
        """From the front first: it is done even when the back fails. How many distinct ones at least: what
        only the smaller count has is not added."""
        near = await self._front.remove(selector, until)
        return max(near, await self._back.remove(selector, until))

    async def forget(self, selector: Selector, until: float) -> int:
        """Like `remove`, in front only: at once, whatever the back is doing. How many."""
        return await self._front.forget(selector, until)

    async def tallies(self) -> Sequence[Tally]:
        return [*await self._front.tallies(), *await self._back.tallies()]

    async def purge(self, at: float) -> int:
        """Free what is dead at `at` in both tiers, and what the front gave up; how many in the back."""
        await self._front.purge(at)
        ids = list(islice(self._surplus, _PURGED_AT_ONCE))
        if ids:
            await self._back.discard(ids)
            for entry_id in ids:
                if entry_id in self._surplus:
                    del self._surplus[entry_id]
                elif (again := await self._front.find(entry_id, at)) is not None:
                    await self._back.put(again)  # stored anew while it was being deleted
        return await self._back.purge(at) + len(ids)

    async def close(self) -> None:
        await self._back.close()
        await self._front.close()

    @property
    def _asks_back(self) -> bool:
        return not self._exclusive and self._back.is_up

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


def _newer(one: Entry | None, other: Entry | None) -> Entry | None:
    if one is None or other is None:
        return one or other
    return one if one.created_at > other.created_at else other
