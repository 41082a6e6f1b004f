"""Who is asked, who is warmed, and whose failure is seen."""

from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.caching.marks import Kind, Selector
from router_extproc.ports import PortError, Tally
from router_extproc.stores.back import Loaded
from router_extproc.stores.memory import MemoryStore
from router_extproc.stores.tiered import TieredStore
from tests.support.entries import DIMENSION, NOW, SOON, a_partition, a_vector, an_entry, between

HERE = a_partition("here")
QUERY, OTHER = a_vector(1), a_vector(2)
DOWN = PortError(Failure.UNAVAILABLE)


class FakeBack:
    """A lasting store that keeps its entries in a dictionary and tells what it was asked."""

    def __init__(self, *entries: Entry) -> None:
        self.held = {entry.id: entry for entry in entries}
        self.trouble: PortError | None = None
        self.is_up = True
        self.asked: list[str] = []
        self.within: list[float] = []
        self.discarded: list[str] = []
        self.closed = False

    def _answer(self, question: str) -> list[Entry]:
        self.asked.append(question)
        if self.trouble is not None:
            raise self.trouble
        return list(self.held.values())

    async def get(self, partition: str, entry_id: str, at: float, within: float) -> Entry | None:
        self.within.append(within)
        found = [each for each in self._answer("get") if each.id == entry_id and at < each.expires_at]
        return found[0] if found else None

    async def nearest(
        self, partition: str, vector: Vector, limit: int, at: float, within: float
    ) -> Sequence[Candidate]:
        self.within.append(within)
        live = [each for each in self._answer("nearest") if at < each.expires_at and not each.exact_only]
        found = [Candidate(each, float(np.dot(each.vector, vector))) for each in live]
        return sorted(found, key=lambda each: -each.similarity)[:limit]

    async def put(self, entry: Entry) -> None:
        self._answer("put")
        self.held[entry.id] = entry

    async def find(self, entry_id: str, at: float) -> Entry | None:
        found = [each for each in self._answer("find") if each.id == entry_id and at < each.expires_at]
        return found[0] if found else None

    async def entries(self, selector: Selector, at: float) -> AsyncIterator[Entry]:
        for entry in self._answer("entries"):
            if selector.covers(entry) and at < entry.expires_at:
                yield entry

    async def remove(self, selector: Selector, until: float) -> int:
        old = [e.id for e in self._answer("remove") if selector.covers(e) and e.created_at <= until]
        for entry_id in old:
            del self.held[entry_id]
        return len(old)

    async def tallies(self) -> Sequence[Tally]:
        return [Tally("fake", len(self.held), is_up=self.is_up)]

    async def load(self, max_entries: int, max_bytes: int, at: float) -> Loaded:
        live = sorted((e for e in self.held.values() if at < e.expires_at), key=lambda e: -e.created_at)
        return Loaded(live[:max_entries], [entry.id for entry in live[max_entries:]])

    async def discard(self, ids: Sequence[str]) -> None:
        self.discarded += ids

    async def purge(self, at: float) -> int:
        dead = [entry.id for entry in self.held.values() if at >= entry.expires_at]
        for entry_id in dead:
            del self.held[entry_id]
        return len(dead)

    async def close(self) -> None:
        self.closed = True


async def tiers(
    back: FakeBack, *, exclusive: bool = False, max_entries: int = 10, front_by_meaning: bool = True
) -> TieredStore:
    front = MemoryStore(DIMENSION, max_entries, 1 << 20, "fifo")
    return await TieredStore.open(
        front,
        back,
        exclusive=exclusive,
        similar_enough=0.85,
        at=NOW,
        front_by_meaning=front_by_meaning,
    )


def similar(text: str, cosine: float, created_at: float = NOW) -> Entry:
    return an_entry(HERE, text, vector=between(QUERY, OTHER, cosine), created_at=created_at)


async def test_a_written_entry_is_in_both_tiers() -> None:
    back, entry = FakeBack(), similar("q", 1.0)
    store = await tiers(back)
    await store.put(entry)
    assert back.held == {entry.id: entry}
    back.trouble = DOWN
    assert await store.get(HERE, entry.id, NOW, SOON) is entry


async def test_the_front_has_what_is_answered_here_at_once_whatever_the_back_does() -> None:
    back, entry = FakeBack(), similar("q", 1.0)
    store = await tiers(back)
    back.trouble = DOWN
    store.put_near(entry)
    with pytest.raises(PortError):
        await store.put_far(entry)
    assert await store.get(HERE, entry.id, NOW, SOON) is entry


async def test_what_is_brought_in_is_in_both_tiers_or_in_neither() -> None:
    back, entry = FakeBack(), similar("q", 1.0)
    store = await tiers(back)
    back.trouble = DOWN
    with pytest.raises(PortError):
        await store.put(entry)
    back.trouble = None
    assert await store.get(HERE, entry.id, NOW, SOON) is None


async def test_an_entry_found_behind_is_in_front_from_then_on_until_it_expires() -> None:
    entry = similar("q", 1.0)
    back = FakeBack(entry)
    store = await tiers(back)
    assert await store.get(HERE, entry.id, NOW, SOON) is entry
    back.trouble = DOWN
    assert await store.get(HERE, entry.id, NOW, SOON) is entry
    with pytest.raises(PortError):
        await store.get(HERE, entry.id, entry.expires_at, SOON)


@pytest.mark.parametrize("cosine", [0.5, 0.86, 0.95, 1.0])
async def test_no_candidate_in_front_hides_one_behind(cosine: float) -> None:
    """The cache may refuse any candidate, whatever its similarity, and take the next."""
    in_front, behind = similar("in front", cosine), similar("behind", 0.9)
    back = FakeBack(behind)
    store = await tiers(back)
    await store.put(in_front)
    found = await store.nearest(HERE, QUERY, 4, NOW, SOON)
    best_first = sorted([(cosine, in_front.id), (0.9, behind.id)], reverse=True)
    assert [each.entry.id for each in found] == [entry_id for _, entry_id in best_first]
    back.trouble = DOWN
    assert len(await store.nearest(HERE, QUERY, 4, NOW, SOON)) == 2


async def test_only_what_may_hit_warms_the_front() -> None:
    back = FakeBack(similar("unlike", 0.5))
    store = await tiers(back)
    assert len(await store.nearest(HERE, QUERY, 4, NOW, SOON)) == 1
    back.trouble = DOWN
    with pytest.raises(PortError):
        await store.nearest(HERE, QUERY, 4, NOW, SOON)


async def test_an_older_answer_behind_does_not_replace_the_one_in_front() -> None:
    back, newer = FakeBack(), similar("q", 1.0)
    store = await tiers(back)
    await store.put(newer)
    back.held = {newer.id: similar("q", 1.0, created_at=NOW - 9)}
    await store.nearest(HERE, QUERY, 4, NOW, SOON)
    assert await store.get(HERE, newer.id, NOW, SOON) is newer


async def test_being_found_behind_too_does_not_make_an_entry_in_front_younger() -> None:
    back = FakeBack()
    store = await tiers(back, max_entries=2)
    oldest, younger = similar("oldest", 1.0), similar("younger", 0.1)
    for entry in (oldest, younger):
        await store.put(entry)
    assert len(await store.nearest(HERE, QUERY, 4, NOW, SOON)) == 2
    await store.put(similar("new", 0.1))
    back.trouble = DOWN
    assert await store.get(HERE, younger.id, NOW, SOON) is younger
    with pytest.raises(PortError):
        await store.get(HERE, oldest.id, NOW, SOON)


async def test_both_tiers_together_keep_to_the_limit_and_the_newest_of_each_entry() -> None:
    back = FakeBack()
    store = await tiers(back)
    await store.put(similar("q", 0.8, created_at=NOW - 9))
    newer = similar("q", 0.7, created_at=NOW)
    back.held = {each.id: each for each in (newer, similar("r", 0.6), similar("s", 0.5))}
    found = await store.nearest(HERE, QUERY, 2, NOW, SOON)
    assert [each.entry for each in found] == [newer, back.held[similar("r", 0.6).id]]


async def test_a_failing_back_is_told_only_when_the_front_has_nothing_similar_enough() -> None:
    back = FakeBack()
    store = await tiers(back)
    entry = similar("q", 0.9)
    await store.put(entry)
    back.trouble = DOWN
    assert len(await store.nearest(HERE, QUERY, 4, NOW, SOON)) == 1
    for lookup in (store.get(HERE, "0" * 32, NOW, SOON), store.nearest(HERE, -QUERY, 4, NOW, SOON)):
        with pytest.raises(PortError):
            await lookup


async def test_an_exclusive_back_is_loaded_once_and_then_only_written() -> None:
    entries = [similar(f"q{i}", 0.1 * i, created_at=NOW - 100 + i) for i in range(8)]
    back = FakeBack(*entries)
    store = await tiers(back, exclusive=True, max_entries=5)
    for entry in entries:
        assert (await store.get(HERE, entry.id, NOW, SOON) is not None) == (entry in entries[3:])
    assert await store.nearest(HERE, OTHER, 1, NOW, SOON)
    assert await store.get(HERE, "0" * 32, NOW, SOON) is None
    assert back.asked == []


async def test_after_loading_the_oldest_entry_is_the_first_to_leave() -> None:
    entries = [similar(f"q{i}", 0.1, created_at=NOW - 100 + i) for i in range(3)]
    store = await tiers(FakeBack(*entries), exclusive=True, max_entries=3)
    await store.put(similar("new", 0.1))
    assert await store.get(HERE, entries[0].id, NOW, SOON) is None
    assert await store.get(HERE, entries[1].id, NOW, SOON) is not None


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
    assert len(back.held) == 3


async def test_purge_frees_the_dead_in_both_tiers() -> None:
    back = FakeBack()
    store = await tiers(back)
    await store.put(similar("q", 0.1))
    assert await store.purge(NOW + 1e6) == 1
    assert back.held == {}


async def test_an_entry_too_large_for_the_front_is_kept_behind_a_shared_one_only() -> None:
    large = an_entry(HERE, content="x" * (1 << 20))
    shared, own = FakeBack(), FakeBack()
    await (await tiers(shared)).put(large)
    assert len(shared.held) == 1
    with pytest.raises(PortError):
        await (await tiers(own, exclusive=True)).put(large)
    assert own.held == {}


async def test_closing_closes_the_back() -> None:
    back = FakeBack()
    await (await tiers(back)).close()
    assert back.closed


async def test_the_back_gets_most_of_the_time_and_the_front_what_is_left_to_answer_in() -> None:
    back = FakeBack()
    store = await tiers(back)
    await store.get(HERE, "0" * 32, NOW, 0.05)
    await store.nearest(HERE, QUERY, 4, NOW, 0.05)
    assert back.within == pytest.approx([0.04, 0.04])


async def test_an_entry_found_behind_dies_in_front_when_it_would_have_behind() -> None:
    """Warming is no second life: the replica that stored it decided how long it lives."""
    entry = an_entry(HERE, vector=QUERY, expires_at=NOW + 10)
    back = FakeBack(entry)
    store = await tiers(back)
    assert len(await store.nearest(HERE, QUERY, 4, NOW + 9, SOON)) == 1
    back.trouble = DOWN
    assert len(await store.nearest(HERE, QUERY, 4, NOW + 9.9, SOON)) == 1
    with pytest.raises(PortError):
        await store.nearest(HERE, QUERY, 4, NOW + 10, SOON)


async def test_without_meaning_in_front_neighbours_are_always_the_back_s() -> None:
    back = FakeBack()
    store = await tiers(back, front_by_meaning=False)
    written, behind = similar("written here", 1.0), similar("behind", 0.9)
    await store.put(written)
    back.held = {behind.id: behind}
    assert [each.entry for each in await store.nearest(HERE, QUERY, 4, NOW, SOON)] == [behind]
    back.trouble = DOWN
    with pytest.raises(PortError):
        await store.nearest(HERE, QUERY, 4, NOW, SOON)


async def test_without_meaning_in_front_what_was_seen_here_is_still_found_word_for_word() -> None:
    back = FakeBack()
    store = await tiers(back, front_by_meaning=False)
    written, behind = similar("written here", 1.0), similar("behind", 0.9)
    await store.put(written)
    back.held[behind.id] = behind
    await store.nearest(HERE, QUERY, 4, NOW, SOON)
    back.trouble = DOWN
    assert await store.get(HERE, written.id, NOW, SOON) is written
    assert await store.get(HERE, behind.id, NOW, SOON) is behind


async def test_an_exclusive_back_needs_a_front_that_finds_by_meaning() -> None:
    with pytest.raises(ValueError, match="exclusive"):
        await tiers(FakeBack(), exclusive=True, front_by_meaning=False)


EVERYTHING = Selector(Kind.ALL)


async def listed(store: TieredStore) -> list[Entry]:
    return sorted([each async for each in store.entries(EVERYTHING, NOW)], key=lambda each: each.text)


async def test_a_listing_has_each_entry_of_both_tiers_once_and_the_newest_of_two() -> None:
    back = FakeBack()
    store = await tiers(back)
    old_here, new_here = similar("a", 0.1, created_at=NOW - 9), similar("b", 0.1)
    for entry in (old_here, new_here, similar("c", 0.1)):
        await store.put(entry)
    new_behind, old_behind = similar("a", 0.2), similar("b", 0.2, created_at=NOW - 9)
    behind_only = similar("d", 0.1)
    back.held = {each.id: each for each in (new_behind, old_behind, behind_only)}
    found = await listed(store)
    assert [each.text for each in found] == ["a", "b", "c", "d"]
    assert [each is wanted for each, wanted in zip(found, (new_behind, new_here), strict=False)] == [True] * 2
    assert found[3] is behind_only


async def test_a_listing_is_the_front_s_while_the_back_is_down_and_fails_when_it_fails_in_between() -> None:
    back, entry = FakeBack(similar("behind", 0.1)), similar("here", 0.1)
    store = await tiers(back)
    await store.put(entry)
    back.is_up = False
    assert [each.text for each in await listed(store)] == ["here"]
    back.is_up, back.trouble = True, DOWN
    with pytest.raises(PortError):
        await listed(store)


async def test_an_exclusive_back_is_not_asked_to_list() -> None:
    back = FakeBack(similar("q", 0.1))
    store = await tiers(back, exclusive=True)
    assert [each.text for each in await listed(store)] == ["q"]
    assert await store.find(similar("q", 0.1).id, NOW) is not None
    assert back.asked == []


async def test_find_gives_the_newer_of_the_two() -> None:
    back = FakeBack()
    store = await tiers(back)
    older, newer = similar("q", 0.1, created_at=NOW - 9), similar("q", 0.1)
    for here, behind in ((older, newer), (newer, older)):
        await store.put(here)
        back.held = {behind.id: behind}
        assert await store.find(newer.id, NOW) is newer
        await store.remove(EVERYTHING, NOW)


async def test_find_fails_with_the_back_only_when_the_front_has_nothing() -> None:
    back, entry = FakeBack(), similar("q", 0.1)
    store = await tiers(back)
    await store.put(entry)
    back.trouble = DOWN
    assert await store.find(entry.id, NOW) is entry
    with pytest.raises(PortError):
        await store.find("0" * 32, NOW)
    back.is_up = False
    assert await store.find("0" * 32, NOW) is None


async def test_remove_is_done_in_front_even_when_the_back_fails() -> None:
    back, entry = FakeBack(), similar("q", 0.1)
    store = await tiers(back)
    await store.put(entry)
    back.trouble = DOWN
    with pytest.raises(PortError):
        await store.remove(EVERYTHING, NOW)
    with pytest.raises(PortError):
        await store.get(HERE, entry.id, NOW, SOON)
    back.trouble = None
    assert await store.remove(EVERYTHING, NOW) == 1
    assert back.held == {}


async def test_forget_leaves_the_back_alone() -> None:
    back, entry = FakeBack(), similar("q", 0.1)
    store = await tiers(back)
    await store.put(entry)
    back.asked.clear()
    assert await store.forget(EVERYTHING, NOW) == 1
    assert back.asked == []
    assert await store.get(HERE, entry.id, NOW, SOON) is entry
    assert back.asked == ["get"]


async def test_tallies_begin_with_the_front() -> None:
    back = FakeBack(similar("a", 0.1), similar("b", 0.1))
    store = await tiers(back, max_entries=10)
    await store.put(similar("a", 0.1))
    near, far = await store.tallies()
    assert (near.backend, near.entries, near.capacity) == ("memory", 1, 10)
    assert near.bytes is not None
    assert near.bytes > 0
    assert (far.backend, far.entries) == ("fake", 2)
