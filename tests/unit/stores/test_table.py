"""Walking over a collection: every row once, however the ids fall, and no page above the limit."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.base.refusals import Failure
from router_extproc.ports import PortError
from router_extproc.stores.connection import Connection
from router_extproc.stores.table import BATCH, Table
from tests.support.entries import a_vector

PAGE = 4


class Rows:
    """A collection of rows that have an id only. Understands `beginning` and `exactly`; returns no more rows
    than it is asked for."""

    def __init__(self, ids: set[str], fails_at: int = -1) -> None:
        self.ids = ids
        self.fails_at = fails_at
        self.limits: list[int] = []
        self.deleted: list[str] = []

    async def query(self, collection: str, **arguments: Any) -> list[dict[str, str]]:
        if len(self.limits) == self.fails_at:
            raise PortError(Failure.UNAVAILABLE)
        self.limits.append(arguments["limit"])
        found = re.fullmatch(r'id (?:== "(\w*)"|>= "(\w*)" and id < "(\w+)") and wanted', arguments["filter"])
        assert found is not None
        exact, low, high = found.groups()
        inside = [each for each in self.ids if (each == exact if low is None else low <= each < high)]
        return [{"id": each} for each in inside[: arguments["limit"]]]

    async def delete(self, collection: str, **arguments: Any) -> None:
        self.deleted.append(arguments["filter"])

    async def call(self, operation: Callable[[Any], Awaitable[Any]], within: float) -> Any:
        """In place of the connection's."""
        return await operation(self)


def table_of(rows: Rows, page_rows: int = PAGE) -> Table:
    return Table(cast("Connection", rows), "c", page_rows=page_rows, write_timeout=1.0, embedded=False)


async def walk(rows: Rows) -> list[str]:
    pages = [page async for page in table_of(rows).pages("wanted", ["id"])]
    assert all(0 < len(page) < PAGE for page in pages)
    return [row["id"] for page in pages for row in page]


ids = st.sets(st.text("0123456789abcdef", min_size=1, max_size=6), max_size=60)
close_ids = st.sets(st.text("0f", min_size=1, max_size=8), max_size=60)
"""Ids that share long prefixes, and are each other's."""


@given(ids | close_ids)
async def test_every_row_is_listed_exactly_once(ids: set[str]) -> None:
    rows = Rows(ids)
    assert sorted(await walk(rows)) == sorted(ids)
    assert set(rows.limits) <= {PAGE, 1}


async def test_a_failing_page_fails_the_listing() -> None:
    everything = {f"{number:02x}" for number in range(256)}
    for fails_at in (0, 1, 9):
        with pytest.raises(PortError):
            await walk(Rows(everything, fails_at))


async def test_a_listing_that_fits_is_one_query() -> None:
    rows = Rows({"0a", "1b"})
    await walk(rows)
    assert len(rows.limits) == 1


async def test_deletes_are_batched_and_keep_their_condition() -> None:
    rows = Rows(set())
    await table_of(rows).delete([f"{number:04x}" for number in range(2 * BATCH + 1)], "created_at <= 1")
    assert [each.count('"') // 2 for each in rows.deleted] == [BATCH, BATCH, 1]
    assert all(each.endswith("] and created_at <= 1") for each in rows.deleted)


async def test_nobody_is_asked_when_no_time_is_left() -> None:
    table = table_of(Rows(set()))
    for asked in (table.query("wanted", ["id"], within=0.0), table.search(a_vector(1), -0.001)):
        with pytest.raises(PortError) as raised:
            await asked
        assert raised.value.reason is Failure.TIMEOUT


class Log:
    """Of writes and flushes; the next `failing` writes fail."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.failing = 0

    async def upsert(self, collection: str, row: object, **arguments: Any) -> None:
        if self.failing:
            self.failing -= 1
            raise PortError(Failure.UNAVAILABLE)
        self.done.append("write")

    async def flush(self, collection: str, **arguments: Any) -> None:
        self.done.append("flush")

    async def call(self, operation: Callable[[Any], Awaitable[Any]], within: float) -> Any:
        """In place of the connection's."""
        return await operation(self)


@pytest.mark.parametrize("embedded", [True, False])
async def test_after_a_write_that_failed_an_embedded_log_is_begun_anew_and_a_server_s_is_left_alone(
    embedded: bool,
) -> None:
    log = Log()
    table = Table(cast("Connection", log), "c", page_rows=PAGE, write_timeout=1.0, embedded=embedded)
    await table.upsert({})
    log.failing = 2
    for _ in range(2):
        with pytest.raises(PortError):
            await table.upsert({})
    await table.upsert({})
    await table.upsert({})
    assert log.done == ["write", "write", *(["flush"] if embedded else []), "write"]
