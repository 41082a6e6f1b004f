"""What the store makes of Milvus's answers when Milvus is wrong: nothing crosses, nothing dead is served."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from router_extproc.base.refusals import Failure
from router_extproc.caching.entry import Entry
from router_extproc.caching.marks import Kind, Selector
from router_extproc.ports import PortError
from router_extproc.stores.codec import row_of
from router_extproc.stores.connection import Connection
from router_extproc.stores.milvus import MilvusStore
from router_extproc.stores.options import MilvusOptions, Server
from tests.support.entries import DIMENSION, NOW, SOON, a_partition, a_vector, an_entry, between

HERE, THERE = a_partition("here"), a_partition("there")
VECTOR = a_vector(1)
FIELD = "meaning"


class HeedlessMilvus:
    """Answers every question with all its rows, in the order they came, and claims that all are alike."""

    def __init__(self, *entries: Entry) -> None:
        self.rows = [row_of(entry, FIELD) for entry in entries]
        self.filters: list[str] = []
        self.limits: list[int] = []
        self.within: list[float] = []
        self.deleted: list[str] = []
        self.trouble: PortError | None = None

    async def query(self, collection: str, **arguments: Any) -> list[dict[str, Any]]:
        self.filters.append(arguments["filter"])
        if arguments["output_fields"] == ["count(*)"]:
            return [{"count(*)": len(self.rows)}]
        return self.rows

    async def search(self, collection: str, data: object, **arguments: Any) -> list[list[dict[str, Any]]]:
        self.filters.append(arguments["filter"])
        self.limits.append(arguments["limit"])
        return [[{"id": row["id"], "distance": 1.0, "entity": row} for row in self.rows]]

    async def delete(self, collection: str, **arguments: Any) -> None:
        self.deleted.append(arguments["filter"])

    async def call(self, operation: Callable[[Any], Awaitable[Any]], within: float) -> Any:
        """In place of the connection's."""
        self.within.append(within)
        if self.trouble is not None:
            raise self.trouble
        return await operation(self)


def store_over(milvus: HeedlessMilvus, **changes: Any) -> MilvusStore:
    options = MilvusOptions(Server("127.0.0.1"), DIMENSION, "e", vector_field=FIELD, **changes)
    return MilvusStore(options, cast("Connection", milvus), None)


async def test_rows_of_another_partition_are_dropped_even_if_milvus_returns_them() -> None:
    mine, theirs = an_entry(HERE, vector=VECTOR), an_entry(THERE, vector=VECTOR)
    store = store_over(HeedlessMilvus(theirs, mine))
    assert [each.entry.id for each in await store.nearest(HERE, VECTOR, 4, NOW, SOON)] == [mine.id]
    assert await store.get(HERE, theirs.id, NOW, SOON) is None


async def test_dead_rows_are_dropped_even_if_milvus_returns_them() -> None:
    dead = an_entry(HERE, vector=VECTOR, expires_at=NOW)
    store = store_over(HeedlessMilvus(dead))
    assert list(await store.nearest(HERE, VECTOR, 4, NOW, SOON)) == []
    assert await store.get(HERE, dead.id, NOW, SOON) is None


async def test_a_row_with_another_id_is_not_an_exact_hit() -> None:
    store = store_over(HeedlessMilvus(an_entry(HERE, "another question")))
    assert await store.get(HERE, an_entry(HERE, "this question").id, NOW, SOON) is None


async def test_an_entry_returned_twice_is_one_candidate() -> None:
    entry = an_entry(HERE, vector=VECTOR)
    assert len(await store_over(HeedlessMilvus(entry, entry)).nearest(HERE, VECTOR, 4, NOW, SOON)) == 1


async def test_similarity_is_computed_here_and_orders_the_candidates() -> None:
    cosines = [0.3, 0.9, 0.6]
    entries = [an_entry(HERE, str(c), vector=between(VECTOR, a_vector(2), c)) for c in cosines]
    found = await store_over(HeedlessMilvus(*entries)).nearest(HERE, VECTOR, 2, NOW, SOON)
    assert [each.similarity for each in found] == pytest.approx([0.9, 0.6], abs=1e-6)


async def test_every_lookup_filters_inside_milvus_too() -> None:
    milvus = HeedlessMilvus()
    store = store_over(milvus)
    await store.get(HERE, "0f", NOW, SOON)
    await store.nearest(HERE, VECTOR, 4, NOW, SOON)
    alive = f'partition == "{HERE}" and expires_at > 1700000000.250000000'
    assert milvus.filters == [f'id == "0f" and {alive}', f"{alive} and exact_only == false"]


async def test_rows_found_by_id_only_are_dropped_even_if_milvus_returns_them() -> None:
    exact = an_entry(HERE, vector=VECTOR, exact_only=True)
    store = store_over(HeedlessMilvus(exact))
    assert list(await store.nearest(HERE, VECTOR, 4, NOW, SOON)) == []
    assert await store.get(HERE, exact.id, NOW, SOON) is not None


@pytest.mark.parametrize(("top_k", "limit"), [(None, 4), (2, 2), (9, 4)])
async def test_no_more_candidates_are_asked_for_than_configured(top_k: int | None, limit: int) -> None:
    milvus = HeedlessMilvus(*(an_entry(HERE, str(i), vector=VECTOR) for i in range(6)))
    found = await store_over(milvus, top_k=top_k).nearest(HERE, VECTOR, 4, NOW, SOON)
    assert milvus.limits == [limit]
    assert len(found) == limit


async def test_a_lookup_takes_the_least_of_its_own_time_and_the_caller_s() -> None:
    milvus = HeedlessMilvus(an_entry(HERE, vector=VECTOR))
    store = store_over(milvus, call_timeout=0.5)
    for within in (0.02, 3.0):
        await store.get(HERE, "0f", NOW, within)
        await store.nearest(HERE, VECTOR, 4, NOW, within)
    assert milvus.within == [0.02, 0.02, 0.5, 0.5]


@pytest.mark.parametrize("kind", [Kind.TENANT, Kind.MODEL, Kind.CATEGORY, Kind.ENTRY])
async def test_only_what_is_selected_is_deleted_or_listed_even_if_milvus_returns_more(kind: Kind) -> None:
    """Were a quoting ever read otherwise, the rest must not be deleted."""
    wanted = an_entry(HERE, "wanted", tenant="b", model="b", category="b")
    other = an_entry(HERE, "other")
    value = wanted.id if kind is Kind.ENTRY else "b"
    milvus = HeedlessMilvus(other, wanted)
    store = store_over(milvus)
    assert await store.remove(Selector(kind, value), NOW) == 1
    [expression] = milvus.deleted
    assert wanted.id in expression
    assert other.id not in expression
    assert expression.endswith("and created_at <= 1700000000.250000000")
    assert [each.id async for each in store.entries(Selector(kind, value), NOW)] == [wanted.id]


async def test_the_dead_are_neither_found_nor_listed_even_if_milvus_returns_them() -> None:
    dead = an_entry(HERE, expires_at=NOW)
    store = store_over(HeedlessMilvus(dead))
    assert await store.find(dead.id, NOW) is None
    assert [each async for each in store.entries(Selector(Kind.ALL), NOW)] == []


async def test_a_pair_selects_nothing_and_asks_nobody() -> None:
    milvus = HeedlessMilvus(an_entry(HERE))
    store, pair = store_over(milvus), Selector(Kind.PAIR, "0f:1a")
    assert [each async for each in store.entries(pair, NOW)] == []
    assert await store.remove(pair, NOW) == 0
    assert milvus.filters == milvus.deleted == []


async def test_a_store_that_is_down_still_tells_how_full_it_was() -> None:
    milvus = HeedlessMilvus(an_entry(HERE, "a"), an_entry(HERE, "b"))
    store = store_over(milvus)
    [up] = await store.tallies()
    milvus.trouble = PortError(Failure.UNAVAILABLE)
    [down] = await store.tallies()
    assert (up.entries, up.is_up) == (2, True)
    assert (down.entries, down.is_up) == (2, False)
