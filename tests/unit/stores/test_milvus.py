"""What the store makes of Milvus's answers when Milvus is wrong: nothing crosses, nothing dead is served."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from router_extproc.caching.entry import Entry
from router_extproc.stores.codec import row_of
from router_extproc.stores.connection import Connection
from router_extproc.stores.milvus import MilvusStore
from router_extproc.stores.options import MilvusOptions, Server
from tests.support.entries import DIMENSION, NOW, a_partition, a_vector, an_entry, between

HERE, THERE = a_partition("here"), a_partition("there")
VECTOR = a_vector(1)


class HeedlessMilvus:
    """Answers every question with all its rows, in the order they came, and claims that all are alike."""

    def __init__(self, *entries: Entry) -> None:
        self.rows = [row_of(entry) for entry in entries]
        self.filters: list[str] = []

    async def query(self, collection: str, **arguments: Any) -> list[dict[str, Any]]:
        self.filters.append(arguments["filter"])
        return self.rows

    async def search(self, collection: str, data: object, **arguments: Any) -> list[list[dict[str, Any]]]:
        self.filters.append(arguments["filter"])
        return [[{"id": row["id"], "distance": 1.0, "entity": row} for row in self.rows]]

    async def call(self, operation: Callable[[Any], Awaitable[Any]], within: float) -> Any:
        """In place of the connection's."""
        return await operation(self)


def store_over(milvus: HeedlessMilvus) -> MilvusStore:
    options = MilvusOptions(Server("127.0.0.1"), DIMENSION, "e")
    return MilvusStore(options, cast("Connection", milvus), None)


async def test_rows_of_another_partition_are_dropped_even_if_milvus_returns_them() -> None:
    mine, theirs = an_entry(HERE, vector=VECTOR), an_entry(THERE, vector=VECTOR)
    store = store_over(HeedlessMilvus(theirs, mine))
    assert [each.entry.id for each in await store.nearest(HERE, VECTOR, 4, NOW)] == [mine.id]
    assert await store.get(HERE, theirs.id, NOW) is None


async def test_dead_rows_are_dropped_even_if_milvus_returns_them() -> None:
    dead = an_entry(HERE, vector=VECTOR, expires_at=NOW)
    store = store_over(HeedlessMilvus(dead))
    assert list(await store.nearest(HERE, VECTOR, 4, NOW)) == []
    assert await store.get(HERE, dead.id, NOW) is None


async def test_a_row_with_another_id_is_not_an_exact_hit() -> None:
    store = store_over(HeedlessMilvus(an_entry(HERE, "another question")))
    assert await store.get(HERE, an_entry(HERE, "this question").id, NOW) is None


async def test_an_entry_returned_twice_is_one_candidate() -> None:
    entry = an_entry(HERE, vector=VECTOR)
    assert len(await store_over(HeedlessMilvus(entry, entry)).nearest(HERE, VECTOR, 4, NOW)) == 1


async def test_similarity_is_computed_here_and_orders_the_candidates() -> None:
    cosines = [0.3, 0.9, 0.6]
    entries = [an_entry(HERE, str(c), vector=between(VECTOR, a_vector(2), c)) for c in cosines]
    found = await store_over(HeedlessMilvus(*entries)).nearest(HERE, VECTOR, 2, NOW)
    assert [each.similarity for each in found] == pytest.approx([0.9, 0.6], abs=1e-6)


async def test_every_lookup_filters_inside_milvus_too() -> None:
    milvus = HeedlessMilvus()
    store = store_over(milvus)
    await store.get(HERE, "0f", NOW)
    await store.nearest(HERE, VECTOR, 4, NOW)
    alive = f'partition == "{HERE}" and expires_at > 1700000000.250000000'
    assert milvus.filters == [f'id == "0f" and {alive}', alive]
