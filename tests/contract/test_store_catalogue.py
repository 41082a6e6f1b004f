"""What every store promises to operators, whichever adapter keeps the entries: see `ports.Catalogue`."""

import dataclasses
from collections.abc import Sequence

import pytest

from router_extproc.caching.entry import Entry
from router_extproc.caching.marks import Kind, Selector, pair_of
from router_extproc.stores.options import MilvusOptions
from tests.support.backends import Kept, opened
from tests.support.entries import NOW, SOON, a_vector, an_entry, new_partition

EVERYTHING = Selector(Kind.ALL)

HOSTILE = [
    'a"b',
    "a'b",
    '" or "" == "',
    "' or '' == '",
    '\\" or "" == \\"',
    'x" or id != "',
    "a\\",
    "\\\\",
    "\\u0041",
    "\\x41\\101",
    "line\nbreak\r\ttab",
    "\x00\x1b\x7f\u2028\ufeff",
    "%_*?{a}{{b}}$1",
    "é中文👍 ελ",
    "",
]
SELECTED_BY = [Kind.TENANT, Kind.MODEL, Kind.CATEGORY]


def entries_like(values: Sequence[str]) -> list[Entry]:
    """One entry for each value, which is its tenant, its model and its category."""
    partition = new_partition()
    return [
        an_entry(partition, f"question {number}", tenant=value, model=value, category=value)
        for number, value in enumerate(values)
    ]


async def listed(store: Kept, selector: Selector, at: float = NOW) -> list[str]:
    return sorted([entry.id async for entry in store.entries(selector, at)])


def unique(value: str = "") -> str:
    """A value that no other test's entries have."""
    return new_partition()[:12] + value


async def test_values_of_any_kind_select_what_has_them_and_nothing_else(store: Kept) -> None:
    own = unique()
    values = [own + hostile for hostile in HOSTILE]
    entries = entries_like(values)
    for entry in entries:
        await store.put(entry)
    for number, (value, entry) in enumerate(zip(values, entries, strict=True)):
        for kind in SELECTED_BY:
            assert await listed(store, Selector(kind, value)) == [entry.id]
        assert await store.remove(Selector(SELECTED_BY[number % 3], value), NOW) == 1
        assert await store.find(entry.id, NOW) is None
    left = [await store.get(entry.partition, entry.id, NOW, SOON) for entry in entries]
    assert left == [None] * len(entries)


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_a_value_that_nothing_has_selects_nothing(store: Kept, hostile: str) -> None:
    [bystander] = entries_like([unique()])
    await store.put(bystander)
    for kind in (*SELECTED_BY, Kind.ENTRY):
        assert await listed(store, Selector(kind, hostile)) == []
        assert await store.remove(Selector(kind, hostile), NOW) == 0
    assert await store.find(hostile, NOW) is None
    assert await store.find(bystander.id, NOW) is not None


async def test_a_listing_gives_entries_as_they_were_stored_and_no_dead_ones(store: Kept) -> None:
    tenant = unique()
    alive = an_entry(new_partition(), "alive", tenant=tenant, exact_only=True)
    await store.put(alive)
    await store.put(an_entry(alive.partition, "dead", tenant=tenant, expires_at=NOW))
    [found] = [entry async for entry in store.entries(Selector(Kind.TENANT, tenant), NOW)]
    assert found.vector.tolist() == alive.vector.tolist()
    assert dataclasses.replace(found, vector=alive.vector) == alive


async def test_everything_is_listed_once(store: Kept) -> None:
    mine = [an_entry(new_partition(), str(number)) for number in range(5)]
    for entry in mine:
        await store.put(entry)
    found = await listed(store, EVERYTHING)
    assert len(set(found)) == len(found)
    assert {entry.id for entry in mine} <= set(found)


async def test_one_entry_is_found_and_removed_by_its_id_in_whatever_partition(store: Kept) -> None:
    wanted, other = an_entry(new_partition(), "wanted"), an_entry(new_partition(), "other")
    for entry in (wanted, other):
        await store.put(entry)
    found = await store.find(wanted.id, NOW)
    assert found is not None
    assert found.text == "wanted"
    assert await store.find(wanted.id, wanted.expires_at) is None
    assert await store.remove(Selector(Kind.ENTRY, wanted.id), NOW) == 1
    assert await store.find(wanted.id, NOW) is None
    assert await store.find(other.id, NOW) is not None


async def test_what_was_created_later_stays(store: Kept) -> None:
    tenant, partition = unique(), new_partition()
    times = [NOW - 1, NOW, NOW + 0.000001, NOW + 1]
    entries = [an_entry(partition, str(at), tenant=tenant, created_at=at) for at in times]
    for entry in entries:
        await store.put(entry)
    assert await store.remove(Selector(Kind.TENANT, tenant), NOW) == 2
    assert await listed(store, Selector(Kind.TENANT, tenant)) == sorted(each.id for each in entries[2:])


async def test_everything_old_is_removed_from_every_lookup(store: Kept) -> None:
    partition, vector, long_ago = new_partition(), a_vector(1), NOW - 1e7
    old = [an_entry(partition, str(i), vector=vector, created_at=long_ago + i) for i in range(3)]
    for entry in old:
        await store.put(entry)
    assert await store.remove(EVERYTHING, long_ago + 1) == 2
    found = await store.nearest(partition, vector, 9, NOW, SOON)
    assert [candidate.entry.id for candidate in found] == [old[2].id]
    assert await store.remove(EVERYTHING, long_ago + 2) == 1


async def test_a_pair_selects_nothing(store: Kept) -> None:
    entry = an_entry(new_partition())
    await store.put(entry)
    pair = Selector(Kind.PAIR, pair_of(entry.id, entry.id))
    assert await listed(store, pair) == []
    assert await store.remove(pair, NOW) == 0
    assert await store.find(entry.id, NOW) is not None


async def test_tallies_count_entries_in_each_tier(store: Kept) -> None:
    before = [tally.entries for tally in await store.tallies()]
    for number in range(3):
        await store.put(an_entry(new_partition(), str(number)))
    tallies = await store.tallies()
    assert [tally.entries for tally in tallies] == [count + 3 for count in before]
    assert all(tally.is_up for tally in tallies)
    assert all(tally.bytes for tally in tallies if tally.backend == "memory")


@pytest.mark.parametrize("kind", ["lite", "server"])
async def test_a_listing_longer_than_a_page_is_whole(kind: str, request: pytest.FixtureRequest) -> None:
    options: MilvusOptions = request.getfixturevalue(f"{kind}_options")
    tenant, partition = unique(), new_partition()
    entries = [an_entry(partition, str(number), tenant=tenant) for number in range(40)]
    async with opened(dataclasses.replace(options, page_rows=7)) as store:
        for entry in entries:
            await store.put(entry)
        selector = Selector(Kind.TENANT, tenant)
        assert await listed(store, selector) == sorted(entry.id for entry in entries)
        assert await store.remove(selector, NOW) == 40
        assert await listed(store, selector) == []


async def test_replicas_that_share_a_server_list_and_remove_each_others_entries(
    server_options: MilvusOptions,
) -> None:
    tenant = unique()
    entry = an_entry(new_partition(), tenant=tenant)
    selector = Selector(Kind.TENANT, tenant)
    async with opened(server_options) as ours, opened(server_options) as theirs:
        await theirs.put(entry)
        assert await listed(ours, selector) == [entry.id]
        assert await ours.remove(selector, NOW) == 1
        assert await theirs.get(entry.partition, entry.id, NOW, SOON) is None
