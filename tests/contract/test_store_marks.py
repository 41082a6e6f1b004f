"""What every store of marks promises: see `ports.MarkStore`."""

from collections.abc import AsyncIterator

import pytest

from router_extproc.caching.marks import Kind, Mark, Selector, pair_of
from router_extproc.stores.marks import MarkBook
from router_extproc.stores.milvus import MilvusStore
from router_extproc.stores.options import MilvusOptions
from router_extproc.stores.tiered import TieredStore
from tests.support.backends import new_front, opened
from tests.support.entries import NOW, SOON, an_entry, new_partition

LIFE = 3600.0


@pytest.fixture(params=["lite", "server"])
def options(request: pytest.FixtureRequest) -> MilvusOptions:
    options: MilvusOptions = request.getfixturevalue(f"{request.param}_options")
    return options


@pytest.fixture
async def marked(options: MilvusOptions) -> AsyncIterator[MilvusStore]:
    async with opened(options) as store:
        yield store


async def loaded(store: MilvusStore, at: float, among: list[Mark]) -> list[Mark]:
    """Of the marks on the values of `among`, those that are there: a server is shared by all tests."""
    values = {mark.selector for mark in among}
    found = [mark for mark in await store.load_marks(at) if mark.selector in values]
    return sorted(found, key=lambda mark: mark.id)


async def test_marks_come_back_exactly_whatever_they_are_on(marked: MilvusStore) -> None:
    values = ['a"b', "\\", "é中文👍", "line\nbreak", "", pair_of("f" * 64, "0" * 64), new_partition()]
    marks = [
        Mark(Selector(kind, value), NOW + 0.123456, NOW + LIFE)
        for kind, value in zip([Kind.TENANT, Kind.MODEL, Kind.CATEGORY, *Kind], values, strict=False)
    ]
    for mark in marks:
        await marked.add_mark(mark)
    assert await loaded(marked, NOW, marks) == sorted(marks, key=lambda mark: mark.id)


async def test_a_later_mark_of_the_same_selector_takes_the_place_of_the_earlier(marked: MilvusStore) -> None:
    selector = Selector(Kind.MODEL, new_partition())
    earlier, later = Mark(selector, NOW, NOW + LIFE), Mark(selector, NOW + 1, NOW + LIFE)
    await marked.add_mark(earlier)
    await marked.add_mark(later)
    assert await loaded(marked, NOW, [earlier]) == [later]


async def test_expired_marks_are_not_loaded_and_purge_deletes_them(marked: MilvusStore) -> None:
    mark = Mark(Selector(Kind.MODEL, new_partition()), NOW - 1e7, NOW - 1e7 + 1)
    await marked.add_mark(mark)
    assert await loaded(marked, NOW - 1e7, [mark]) == [mark]
    assert await loaded(marked, NOW - 1e7 + 1, [mark]) == []
    await marked.purge(NOW - 1e7 + 1)
    assert await loaded(marked, NOW - 1e7, [mark]) == []


async def test_marks_survive_a_restart(options: MilvusOptions) -> None:
    mark = Mark(Selector(Kind.MODEL, new_partition()), NOW, NOW + LIFE)
    async with opened(options) as store:
        await store.add_mark(mark)
    async with opened(options) as store:
        assert await loaded(store, NOW, [mark]) == [mark]


async def test_what_one_replica_takes_back_no_other_serves_and_sweeping_deletes_it(
    server_options: MilvusOptions,
) -> None:
    entry = an_entry(new_partition(), tenant=new_partition()[:12], created_at=NOW - 1)
    async with opened(server_options) as our_back, opened(server_options) as their_back:
        ours, theirs = (
            TieredStore(new_front(), back, exclusive=False, similar_enough=0.85)
            for back in (our_back, their_back)
        )
        our_book, their_book = MarkBook(ours, our_back), MarkBook(theirs, their_back)
        await theirs.put(entry)
        assert await ours.get(entry.partition, entry.id, NOW, SOON) is not None
        assert await our_book.add(Selector(Kind.TENANT, entry.tenant), NOW, LIFE)
        assert our_book.current.revokes(entry)
        await their_book.refresh(NOW + 1)
        assert their_book.current.revokes(entry)
        while await our_book.sweep(NOW + 1):
            pass
        assert await our_back.find(entry.id, NOW) is None
        while await their_book.sweep(NOW + 1):
            pass
        assert await theirs.find(entry.id, NOW) is None
