"""The bounds of the store in memory; what it shares with every store is in the contract suite."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router_extproc.base.refusals import Failure
from router_extproc.caching.entry import Entry
from router_extproc.caching.marks import Kind, Selector
from router_extproc.ports import PortError
from router_extproc.stores.eviction import PolicyName
from router_extproc.stores.memory import MemoryStore, size_of
from tests.support.entries import DIMENSION, NOW, a_partition, a_vector, an_entry, between

HERE = a_partition("here")


def store_of(max_entries: int = 3, max_bytes: int = 1 << 20, policy: PolicyName = "fifo") -> MemoryStore:
    return MemoryStore(DIMENSION, max_entries, max_bytes, policy)


async def held(store: MemoryStore, texts: str) -> str:
    """Which of the one-letter questions are there. Looks with a policy-neutral `fifo` store only."""
    return "".join([t for t in texts if await store.get(HERE, an_entry(HERE, t).id, NOW)])


async def test_the_oldest_entry_leaves_a_full_store() -> None:
    store = store_of()
    for text in "abcde":
        await store.put(an_entry(HERE, text))
    assert await held(store, "abcde") == "cde"
    assert len(store) == 3


async def test_insert_tells_what_it_gave_up() -> None:
    store = store_of()
    entries = [an_entry(HERE, text) for text in "abcd"]
    assert [store.insert(entry) for entry in entries] == [[], [], [], [entries[0].id]]


async def test_writing_an_entry_again_takes_no_room_from_others() -> None:
    store = store_of()
    for text in "abccc":
        await store.put(an_entry(HERE, text))
    assert await held(store, "abc") == "abc"


async def test_lru_counts_a_hit_by_id_as_use() -> None:
    store = store_of(policy="lru")
    for text in "abc":
        await store.put(an_entry(HERE, text))
    await store.get(HERE, an_entry(HERE, "a").id, NOW)
    await store.put(an_entry(HERE, "d"))
    assert await held(store, "abcd") == "acd"


async def test_only_the_most_similar_entry_counts_as_used_by_a_search() -> None:
    store, query, other = store_of(policy="lru"), a_vector(1), a_vector(2)
    for text, cosine in (("best", 0.9), ("second", 0.8), ("third", 0.7)):
        await store.put(an_entry(HERE, text, vector=between(query, other, cosine)))
    assert len(await store.nearest(HERE, query, 3, NOW)) == 3
    assert store.insert(an_entry(HERE, "new")) == [an_entry(HERE, "second").id]


async def test_lfu_keeps_the_entry_that_answers_most() -> None:
    store = store_of(policy="lfu")
    for text in "abc":
        await store.put(an_entry(HERE, text))
    for text in "aac":
        await store.get(HERE, an_entry(HERE, text).id, NOW)
    assert store.insert(an_entry(HERE, "d")) == [an_entry(HERE, "b").id]
    assert store.insert(an_entry(HERE, "e")) == [an_entry(HERE, "d").id]


async def test_has_knows_an_entry_and_what_it_replaced_without_using_it() -> None:
    store = store_of(policy="lru", max_entries=2)
    entry, newer = an_entry(HERE, "a"), an_entry(HERE, "a", created_at=NOW + 1)
    assert not store.has(entry)
    await store.put(entry)
    await store.put(an_entry(HERE, "b"))
    assert store.has(entry)
    assert not store.has(newer)
    assert store.insert(an_entry(HERE, "c")) == [entry.id]
    await store.put(newer)
    assert store.has(entry)


async def test_bytes_are_bounded_and_counted_exactly() -> None:
    size = size_of(an_entry(HERE, "a", content="語" * 1000))
    assert size > 3000
    store = store_of(max_entries=100, max_bytes=2 * size)
    for text in "abc":
        await store.put(an_entry(HERE, text, content="語" * 1000))
    assert await held(store, "abc") == "bc"
    assert store.bytes == 2 * size
    await store.put(an_entry(HERE, "b", content="short"))
    assert store.bytes == size + size_of(an_entry(HERE, "b", content="short"))
    await store.close()
    assert store.bytes == len(store) == 0


async def test_an_entry_larger_than_the_store_is_refused_and_evicts_nobody() -> None:
    store = store_of(max_bytes=8000)
    await store.put(an_entry(HERE, "a"))
    large = an_entry(HERE, "large", content="x" * 8000)
    assert not store.fits(large)
    with pytest.raises(PortError) as raised:
        await store.put(large)
    assert raised.value.reason is Failure.INVALID
    assert await held(store, "a") == "a"


async def test_growing_an_entry_may_evict_others_and_the_entry_stays() -> None:
    store = store_of(max_entries=100, max_bytes=5 * size_of(an_entry(HERE, "a")))
    for text in "abc":
        await store.put(an_entry(HERE, text))
    await store.put(an_entry(HERE, "a", content="x" * 3 * size_of(an_entry(HERE, "a"))))
    assert "a" in await held(store, "abc")
    assert store.bytes <= store.max_bytes


async def test_purge_frees_the_dead_only() -> None:
    store = store_of()
    await store.put(an_entry(HERE, "a", expires_at=NOW + 1))
    await store.put(an_entry(HERE, "b", expires_at=NOW + 2))
    assert await store.purge(NOW + 1) == 1
    assert await held(store, "ab") == "b"


async def test_a_changed_array_does_not_change_what_was_stored() -> None:
    store, vector = store_of(), a_vector(3)
    await store.put(an_entry(HERE, "a", vector=vector))
    before = vector.copy()
    vector[:] = 0
    [found] = await store.nearest(HERE, before, 1, NOW)
    assert found.similarity == pytest.approx(1.0, abs=1e-6)


steps = st.lists(
    st.tuples(st.sampled_from(["put", "purge"]), st.integers(0, 2), st.integers(0, 9), st.integers(1, 20)),
    max_size=60,
)


@settings(deadline=None)
@given(steps=steps, policy=st.sampled_from(["fifo", "lru", "lfu"]), limit=st.integers(1, 6))
async def test_it_always_agrees_with_brute_force_over_what_it_holds(
    steps: list[tuple[str, int, int, int]], policy: PolicyName, limit: int
) -> None:
    store = store_of(max_entries=12, policy=policy)
    shadow: dict[str, Entry] = {}
    partitions = [a_partition(i) for i in range(3)]
    for at, (action, partition, question, life) in enumerate(steps):
        if action == "purge":
            await store.purge(NOW + at)
            shadow = {k: e for k, e in shadow.items() if e.expires_at > NOW + at}
            continue
        vector = a_vector(question + 10 * life)
        entry = an_entry(partitions[partition], str(question), vector=vector, expires_at=NOW + at + life)
        for gone in store.insert(entry):
            del shadow[gone]
        shadow[entry.id] = entry
    assert len(store) == len(shadow)
    at_end, query = NOW + len(steps), a_vector(999)
    for each in partitions:
        live = [e for e in shadow.values() if e.partition == each and e.expires_at > at_end]
        expected = sorted((float(np.dot(e.vector, query)) for e in live), reverse=True)[:limit]
        found = await store.nearest(each, query, limit, at_end)
        assert [c.similarity for c in found] == pytest.approx(expected, abs=1e-6)
        assert {c.entry.id for c in found} <= {e.id for e in live}


async def test_removing_one_entry_looks_at_no_other() -> None:
    store = store_of()
    for text in "ab":
        await store.put(an_entry(HERE, text, created_at=NOW))
    wanted = Selector(Kind.ENTRY, an_entry(HERE, "a").id)
    assert await store.remove(wanted, NOW - 1) == 0
    assert await store.forget(wanted, NOW) == 1
    assert await held(store, "ab") == "b"
    assert await store.remove(Selector(Kind.ENTRY, "x"), NOW) == 0


async def test_removed_entries_give_their_room_back() -> None:
    store = store_of()
    for text in "abc":
        await store.put(an_entry(HERE, text))
    assert await store.remove(Selector(Kind.ALL), NOW) == 3
    [tally] = await store.tallies()
    assert (tally.entries, tally.bytes, tally.capacity) == (0, 0, store.max_entries)


async def test_a_listing_may_be_interrupted_by_changes() -> None:
    store = store_of()
    for text in "abc":
        await store.put(an_entry(HERE, text))
    listing = store.entries(Selector(Kind.ALL), NOW)
    await anext(listing)
    await store.remove(Selector(Kind.ALL), NOW)
    assert [each async for each in listing] == []
