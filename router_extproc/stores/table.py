"""One collection of Milvus: its calls, each with a bound, and walking over all of its rows.

Writes are one at a time, because Milvus Lite allows one writer per collection. Never flushes a server: fresh
rows are found in Milvus's growing segments, and a flush costs seconds and is rate limited. Knows rows, not
entries.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from pymilvus import AsyncMilvusClient

from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.ports import PortError
from router_extproc.stores.connection import Connection
from router_extproc.stores.expression import beginning, dead, exactly, those
from router_extproc.stores.options import Consistency

DIGITS = "0123456789abcdef"

BATCH = 500
"""Ids per delete, or per fetch: 500 ids make an expression of 18 kB."""
_MAX_BATCHES = 20
"""Of one `purge`: the next one goes on."""

Row = dict[str, Any]


class Table:
    """`page_rows`: rows listed by one query, below the 16,384 that Milvus returns at most. `write_timeout`
    (seconds) bounds a write and every call that is off the request path. `embedded`: it is Milvus Lite's,
    whose log has to be begun anew after a write that failed: on a full disk that may have left half a record,
    and what comes after one is not found when the log is read again."""

    def __init__(
        self, connection: Connection, name: str, *, page_rows: int, write_timeout: float, embedded: bool
    ) -> None:
        self._connection = connection
        self._name = name
        self._page_rows = page_rows
        self._write_timeout = write_timeout
        self._embedded = embedded
        self._writing = asyncio.Lock()
        self._torn = False

    async def query(
        self,
        expression: str,
        columns: Sequence[str],
        within: float | None = None,
        limit: int | None = None,
        consistency: Consistency = "Strong",
    ) -> list[Row]:
        """The rows for which `expression` holds; `within` seconds, by default `write_timeout`."""
        timeout = self._write_timeout if within is None else within
        bound: dict[str, int] = {} if limit is None else {"limit": limit}
        _require_time(timeout)
        rows = await self._connection.call(
            lambda client: client.query(
                self._name,
                filter=expression,
                output_fields=list(columns),
                timeout=timeout,
                consistency_level=consistency,
                **bound,
            ),
            timeout,
        )
        return list(rows)

    async def search(self, vector: Vector, within: float, **arguments: Any) -> list[Row]:
        """The rows nearest to `vector`; `arguments` are those of pymilvus's `search`."""
        _require_time(within)
        found = await self._connection.call(
            lambda client: client.search(self._name, [vector], timeout=within, **arguments), within
        )
        return [hit["entity"] for hit in found[0]]

    async def upsert(self, row: Row) -> None:
        timeout = self._write_timeout
        await self._write(lambda client: client.upsert(self._name, row, timeout=timeout))

    async def delete(self, ids: Sequence[str], condition: str | None = None) -> None:
        """Delete the rows with these ids for which `condition` holds: one may have been written anew since
        it was chosen."""
        for start in range(0, len(ids), BATCH):
            chosen = those(ids[start : start + BATCH])
            await self._delete(chosen if condition is None else f"{chosen} and {condition}")

    async def pages(self, condition: str, columns: Sequence[str]) -> AsyncIterator[list[Row]]:
        """Every row for which `condition` holds, a page at a time, each once.

        Rows come in no order, so a page cannot begin where the last one ended. But ids are digests, spread
        evenly: what does not fit into one page is split into sixteen by the ids' next digit. PortError when
        one page fails: a listing is whole or it fails.
        """
        prefixes = [""]
        while prefixes:
            prefix = prefixes.pop()
            rows = await self.query(beginning(prefix, condition), columns, limit=self._page_rows)
            if len(rows) >= self._page_rows:
                prefixes += [prefix + digit for digit in DIGITS]
                # An id that is the prefix and nothing else begins with none of the sixteen.
                rows = [row for row in rows if row["id"] == prefix] or await self.query(
                    exactly(prefix, condition), columns, limit=1
                )
            if rows:
                yield rows

    async def count(self) -> int:
        """How many rows there are, dead ones too."""
        [row] = await self.query("", ["count(*)"])
        return int(row["count(*)"])

    async def purge(self, at: float) -> int:
        """Delete rows that are dead at `at`, at most 10,000 at a time; how many."""
        deleted = 0
        for _ in range(_MAX_BATCHES):
            rows = await self.query(dead(at), ["id"], limit=BATCH)
            ids = [str(row["id"]) for row in rows]
            if ids:
                await self.delete(ids, dead(at))
                deleted += len(ids)
            if len(ids) < BATCH:
                break
        return deleted

    async def _delete(self, expression: str) -> None:
        timeout = self._write_timeout
        await self._write(lambda client: client.delete(self._name, filter=expression, timeout=timeout))

    async def _write(self, operation: Callable[[AsyncMilvusClient], Awaitable[object]]) -> None:
        """One at a time. What it has done is there after a crash, or it raises PortError."""
        timeout = self._write_timeout
        async with self._writing:
            torn, self._torn = self._torn, self._embedded
            await self._connection.call(operation, timeout)
            if torn:
                # Not before the write, which shows that there is room again.
                await self._connection.call(lambda client: client.flush(self._name, timeout=timeout), timeout)
            self._torn = False


def _require_time(within: float) -> None:
    if within <= 0:
        raise PortError(Failure.TIMEOUT, "no time was left to ask Milvus")
