"""Who is asked, who is warmed, and whose failure is seen."""

from collections.abc import Sequence

import pytest

from router_extproc.base.refusals import Failure
from router_extproc.caching.entry import Entry
from router_extproc.ports import PortError
from router_extproc.stores.back import Loaded
from router_extproc.stores.memory import MemoryStore
from router_extproc.stores.tiered import TieredStore
from tests.support.entries import DIMENSION, NOW, a_partition, a_vector, an_entry, between
from tests.support.ports import FakeStore

HERE = a_partition("here")
QUERY, OTHER = a_vector(1), a_vector(2)
DOWN = PortError(Failure.UNAVAILABLE)


class FakeBack(FakeStore):
    """A lasting store that keeps its entries in a list and tells what was deleted."""

    def __init__(self, *entries: Entry) -> None:
        super().__init__(*entries)
        self.discarded: list[str] = []

    async def load(self, max_entries: int, max_bytes: int, at: float) -> Loaded:
        live = sorted((e for e in self.entries.values() if at < e.expires_at), key=lambda e: -e.created_at)
        return Loaded(live[:max_entries], [entry.id for entry in live[max_entries:]])

    async def discard(self, ids: Sequence[str]) -> None:
        self.discarded += ids

    async def purge(self, at: float) -> int:
        dead = [key for key, entry in self.entries.items() if at >= entry.expires_at]
        for key in dead:
            del self.entries[key]
        return len(dead)


async def tiers(back: FakeBack, *, exclusive: bool = False, max_entries: int = 10) -> TieredStore:
    front = MemoryStore(DIMENSION, max_entries, 1 << 20, "fifo")
    return await TieredStore.open(front, back, exclusive=exclusive, similar_enough=0.85, at=NOW)


def similar(text: str, cosine: float, created_at: float = NOW) -> Entry:
    return an_entry(HERE, text, vector=between(QUERY, OTHER, cosine), created_at=created_at)


async def test_a_written_entry_is_in_both_tiers() -> None:
    back, entry = FakeBack(), similar("q", 1.0)
    store = await tiers(back)
    await store.put(entry)
    assert back.entries == {(HERE, entry.id): entry}
    back.trouble = DOWN
    assert await store.get(HERE, entry.id, NOW) is entry


async def test_the_front_has_what_the_back_refused() -> None:
    back, entry = FakeBack(), similar("q", 1.0)
    store = await tiers(back)
    back.trouble = DOWN
    with pytest.raises(PortError):
        await store.put(entry)
    assert await store.get(HERE, entry.id, NOW) is entry


async def test_an_entry_found_behind_is_in_front_from_then_on_until_it_expires() -> None:
    entry = similar("q", 1.0)
    back = FakeBack(entry)
    store = await tiers(back)
    assert await store.get(HERE, entry.id, NOW) is entry
    back.trouble = DOWN
    assert await store.get(HERE, entry.id, NOW) is entry
    with pytest.raises(PortError):
        await store.get(HERE, entry.id, entry.expires_at)


@pytest.mark.parametrize("cosine", [0.5, 0.86, 0.95, 1.0])
async def test_no_candidate_in_front_hides_one_behind(cosine: float) -> None:
    """The cache may refuse any candidate, whatever its similarity, and take the next."""
    in_front, behind = similar("in front", cosine), similar("behind", 0.9)
    back = FakeBack(behind)
    store = await tiers(back)
    await store.put(in_front)
    found = await store.nearest(HERE, QUERY, 4, NOW)
    best_first = sorted([(cosine, in_front.id), (0.9, behind.id)], reverse=True)
    assert [each.entry.id for each in found] == [entry_id for _, entry_id in best_first]
    back.trouble = DOWN
    assert len(await store.nearest(HERE, QUERY, 4, NOW)) == 2


async def test_only_what_may_hit_warms_the_front() -> None:
    back = FakeBack(similar("unlike", 0.5))
    store = await tiers(back)
    assert len(await store.nearest(HERE, QUERY, 4, NOW)) == 1
    back.trouble = DOWN
    with pytest.raises(PortError):
        await store.nearest(HERE, QUERY, 4, NOW)


async def test_an_older_answer_behind_does_not_replace_the_one_in_front() -> None:
    back, newer = FakeBack(), similar("q", 1.0)
    store = await tiers(back)
    await store.put(newer)
    back.entries = {(HERE, newer.id): similar("q", 1.0, created_at=NOW - 9)}
    await store.nearest(HERE, QUERY, 4, NOW)
    assert await store.get(HERE, newer.id, NOW) is newer


async def test_being_found_behind_too_does_not_make_an_entry_in_front_younger() -> None:
    back = FakeBack()
    store = await tiers(back, max_entries=2)
    oldest, younger = similar("oldest", 1.0), similar("younger", 0.1)
    for entry in (oldest, younger):
        await store.put(entry)
    assert len(await store.nearest(HERE, QUERY, 4, NOW)) == 2
    await store.put(similar("new", 0.1))
    back.trouble = DOWN
    assert await store.get(HERE, younger.id, NOW) is younger
    with pytest.raises(PortError):
        await store.get(HERE, oldest.id, NOW)


async def test_both_tiers_together_keep_to_the_limit_and_the_newest_of_each_entry() -> None:
    back = FakeBack()
    store = await tiers(back)
    await store.put(similar("q", 0.8, created_at=NOW - 9))
    newer = similar("q", 0.7, created_at=NOW)
    back.entries = {(HERE, e.id): e for e in (newer, similar("r", 0.6), similar("s", 0.5))}
    found = await store.nearest(HERE, QUERY, 2, NOW)
    assert [each.entry for each in found] == [newer, back.entries[HERE, similar("r", 0.6).id]]


async def test_a_failing_back_is_told_only_when_the_front_has_nothing_similar_enough() -> None:
    back = FakeBack()
    store = await tiers(back)
    entry = similar("q", 0.9)
    await store.put(entry)
    back.trouble = DOWN
    assert len(await store.nearest(HERE, QUERY, 4, NOW)) == 1
    for lookup in (store.get(HERE, "0" * 32, NOW), store.nearest(HERE, -QUERY, 4, NOW)):
        with pytest.raises(PortError):
            await lookup


async def test_an_exclusive_back_is_loaded_once_and_then_only_written() -> None:
    entries = [similar(f"q{i}", 0.1 * i, created_at=NOW - 100 + i) for i in range(8)]
    back = FakeBack(*entries)
    store = await tiers(back, exclusive=True, max_entries=5)
    for entry in entries:
        assert (await store.get(HERE, entry.id, NOW) is not None) == (entry in entries[3:])
    assert await store.nearest(HERE, OTHER, 1, NOW)
    assert await store.get(HERE, "0" * 32, NOW) is None
    assert back.asked == []


async def test_after_loading_the_oldest_entry_is_the_first_to_leave() -> None:
    entries = [similar(f"q{i}", 0.1, created_at=NOW - 100 + i) for i in range(3)]
    store = await tiers(FakeBack(*entries), exclusive=True, max_entries=3)
    await store.put(similar("new", 0.1))
    assert await store.get(HERE, entries[0].id, NOW) is None
    assert await store.get(HERE, entries[1].id, NOW) is not None


async def test_what_the_front_gives_up_is_deleted_behind_an_exclusive_front() -> None:
    entries = [similar(f"q{i}", 0.1, created_at=NOW - 100 + i) for i in range(4)]
    back = FakeBack(*entries)
    store = await tiers(back, exclusive=True, max_entries=2)
    await store.put(similar("new", 0.1))
    await store.put(entries[1])
    await store.purge(NOW)
    assert set(back.discarded) == {entries[0].id, entries[2].id, entries[3].id}
    await store.purge(NOW)
    assert len(back.discarded) == 3


async def test_what_a_shared_front_gives_up_stays_behind_it() -> None:
    back = FakeBack()
    store = await tiers(back, max_entries=1)
    for i in range(3):
        await store.put(similar(f"q{i}", 0.1))
    assert await store.purge(NOW) == 0
    assert back.discarded == []
    assert len(back.entries) == 3


async def test_purge_frees_the_dead_in_both_tiers() -> None:
    back = FakeBack()
    store = await tiers(back)
    await store.put(similar("q", 0.1))
    assert await store.purge(NOW + 1e6) == 1
    assert back.entries == {}


async def test_an_entry_too_large_for_the_front_is_kept_behind_a_shared_one_only() -> None:
    large = an_entry(HERE, content="x" * (1 << 20))
    shared, own = FakeBack(), FakeBack()
    await (await tiers(shared)).put(large)
    assert len(shared.entries) == 1
    with pytest.raises(PortError):
        await (await tiers(own, exclusive=True)).put(large)
    assert own.entries == {}


async def test_closing_closes_the_back() -> None:
    back = FakeBack()
    await (await tiers(back)).close()
    assert back.closed
