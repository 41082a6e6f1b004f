"""Entries in Milvus: a server shared by all replicas, or Milvus Lite embedded in this process.

Filters by partition and expiry inside Milvus, and checks both again on what comes back: isolation does not
rest on one expression. What an operator removes is checked in the same way before it is deleted.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import numpy as np

from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.caching.marks import Kind, Mark, Selector
from router_extproc.ports import PortError, Tally
from router_extproc.stores import expression
from router_extproc.stores.back import Loaded
from router_extproc.stores.codec import entry_of, row_of
from router_extproc.stores.collection import columns_of, search_parameters
from router_extproc.stores.connection import Connection
from router_extproc.stores.lite import LiteServer
from router_extproc.stores.mark_rows import MarkRows
from router_extproc.stores.memory import check_vector
from router_extproc.stores.options import Embedded, MilvusOptions, Server
from router_extproc.stores.table import BATCH, Row, Table

_LOG = logging.getLogger(__name__)

_SLAB_BYTES = 16 * 1024 * 1024
"""Stored bytes fetched by one query off the request path."""


class MilvusStore:
    """Made by `open`, inside the event loop that uses it. While Milvus does not answer, every method fails
    at once with PortError(UNAVAILABLE); it is used again when it is back. Implements `ports.Store`,
    `ports.Catalogue`, `ports.MarkStore` and `back.Back`."""

    def __init__(self, options: MilvusOptions, connection: Connection, lite: LiteServer | None) -> None:
        self._options = options
        self._connection = connection
        self._lite = lite
        self._columns = columns_of(options)
        self._table, self._mark_table = (
            Table(
                connection,
                name,
                page_rows=options.page_rows,
                write_timeout=options.write_timeout,
                embedded=lite is not None,
            )
            for name in (options.collection_name, options.marks_name)
        )
        self._marks = MarkRows(self._mark_table)
        self._counted = 0
        """Rows when they were last counted."""

    @classmethod
    async def open(
        cls, options: MilvusOptions, monotonic: Callable[[], float] = time.monotonic
    ) -> "MilvusStore":
        """Connect and create or check the collections, within `options.timeout`.

        OperatorError: wrong credentials, unknown database, other columns, dimension or index, a folder in
        use. A server that cannot be reached is not an error: the store starts without it.
        """
        target = options.target
        lite = await LiteServer.open(target.path) if isinstance(target, Embedded) else None
        try:
            connection = await Connection.open(options, lite, monotonic)
        except BaseException:
            if lite is not None:
                await lite.close()
            raise
        return cls(options, connection, lite)

    @property
    def target(self) -> Server | Embedded:
        return self._options.target

    @property
    def is_up(self) -> bool:
        """False while Milvus is being left alone after failures."""
        return self._connection.is_up

    async def get(self, partition: str, entry_id: str, at: float, within: float) -> Entry | None:
        rows = await self._table.query(
            expression.one(partition, entry_id, at),
            self._columns,
            within=self._bounded(within),
            limit=1,
            consistency=self._options.consistency,
        )
        for entry in self._readable(rows):
            if _is_alive(entry, partition, at) and entry.id == entry_id:
                return entry
        return None

    async def nearest(
        self, partition: str, vector: Vector, limit: int, at: float, within: float
    ) -> Sequence[Candidate]:
        check_vector(vector, self._options.dimension)
        wanted = expression.neighbours(partition, at)
        limit = limit if self._options.top_k is None else min(limit, self._options.top_k)
        if limit < 1:
            return []
        rows = await self._table.search(
            vector,
            self._bounded(within),
            filter=wanted,
            limit=limit,
            output_fields=self._columns,
            search_params=search_parameters(self._options, limit),
            anns_field=self._options.vector_field,
            consistency_level=self._options.consistency,
        )
        candidates: dict[str, Candidate] = {}
        for entry in self._readable(rows):
            if _is_alive(entry, partition, at) and not entry.exact_only:
                # Not Milvus's own distance: a quantised or approximate one would be compared with the
                # thresholds, and two backends would disagree.
                similarity = max(-1.0, min(1.0, float(np.dot(entry.vector, vector))))
                candidates[entry.id] = Candidate(entry, similarity)
        return sorted(candidates.values(), key=lambda each: -each.similarity)[:limit]

    async def put(self, entry: Entry) -> None:
        check_vector(entry.vector, self._options.dimension)
        await self._table.upsert(row_of(entry, self._options.vector_field))

    async def find(self, entry_id: str, at: float) -> Entry | None:
        wanted = expression.selected(Selector(Kind.ENTRY, entry_id), expression.live(at))
        rows = await self._table.query(wanted, self._columns, limit=1)
        for entry in self._readable(rows):
            if entry.id == entry_id and at < entry.expires_at:
                return entry
        return None

    async def entries(self, selector: Selector, at: float) -> AsyncIterator[Entry]:
        if selector.kind is Kind.PAIR:
            return
        wanted = expression.selected(selector, expression.live(at))
        async for page in self._table.pages(wanted, ["id", "size"]):
            for slab in _slabs(page):
                ids = [str(row["id"]) for row in slab]
                rows = await self._table.query(
                    f"{expression.those(ids)} and {expression.live(at)}", self._columns
                )
                for entry in self._readable(rows):
                    if selector.covers(entry) and at < entry.expires_at:
                        yield entry

    async def remove(self, selector: Selector, until: float) -> int:
        if selector.kind is Kind.PAIR:
            return 0
        old = f"created_at <= {expression.number(until)}"
        column = expression.COLUMN_OF.get(selector.kind)
        columns = ["id"] if column in (None, "id") else ["id", str(column)]
        removed = 0
        async for page in self._table.pages(expression.selected(selector, old), columns):
            # Compared here once more: a quoting that some Milvus reads otherwise must not delete the rest.
            ids = [str(row["id"]) for row in page if column is None or row[column] == selector.value]
            await self._table.delete(ids, old)
            removed += len(ids)
        return removed

    async def tallies(self) -> Sequence[Tally]:
        """Rows, with the dead ones that `purge` has not deleted yet. While Milvus is down, as many as last
        time."""
        is_up = True
        try:
            self._counted = await self._table.count()
        except PortError as error:
            _LOG.info("the rows of %s are not counted: %s", self._options.target, error)
            is_up = False
        return [Tally("milvus", self._counted, is_up=is_up)]

    async def load_marks(self, at: float) -> Sequence[Mark]:
        return await self._marks.load_marks(at)

    async def add_mark(self, mark: Mark) -> None:
        await self._marks.add_mark(mark)

    async def purge(self, at: float) -> int:
        """Delete entries and marks that are dead at `at`, at most 10,000 of each at a time; how many entries.
        Not for the request path."""
        deleted = await self._table.purge(at)
        await self._mark_table.purge(at)
        return deleted

    async def discard(self, ids: Sequence[str]) -> None:
        """Delete these entries, whatever their age."""
        await self._table.delete(ids)

    async def load(self, max_entries: int, max_bytes: int, at: float) -> Loaded:
        """The newest live entries, as many as stay within both bounds. For an embedded store: a server
        returns at most 16,384 rows of a query."""
        timeout = self._options.timeout
        live = expression.live(at)
        rows = await self._table.query(live, ["id", "created_at", "size"], within=timeout)
        rows.sort(key=lambda row: -float(row["created_at"]))
        chosen: list[Row] = []
        room = max_bytes
        for row in rows[:max_entries]:
            room -= int(row["size"])
            if room < 0:
                break
            chosen.append(row)
        entries: list[Entry] = []
        for slab in _slabs(chosen, len(chosen)):
            newest, oldest = float(slab[0]["created_at"]), float(slab[-1]["created_at"])
            between = (
                f"created_at >= {expression.number(oldest)} and created_at <= {expression.number(newest)}"
            )
            ids = {row["id"] for row in slab}
            fetched = await self._table.query(f"{between} and {live}", self._columns, within=timeout)
            read = self._readable([row for row in fetched if row["id"] in ids])
            entries += [entry for entry in read if entry.expires_at > at]
        entries.sort(key=lambda entry: -entry.created_at)
        return Loaded(entries, [str(row["id"]) for row in rows[len(chosen) :]])

    async def close(self) -> None:
        await self._connection.close()
        if self._lite is not None:
            await self._lite.close()

    def _bounded(self, within: float) -> float:
        return min(within, self._options.call_timeout)

    def _readable(self, rows: Sequence[Mapping[str, Any]]) -> list[Entry]:
        """The rows' entries; a line in the log for a row that another program or version wrote."""
        entries: list[Entry] = []
        for row in rows:
            try:
                entries.append(entry_of(row, self._options.vector_field, self._options.dimension))
            except PortError as error:
                _LOG.warning("%s: skipped %s", self._options.collection_name, error)
        return entries


def _is_alive(entry: Entry, partition: str, at: float) -> bool:
    return entry.partition == partition and at < entry.expires_at


def _slabs(rows: Sequence[Row], max_rows: int = BATCH) -> list[list[Row]]:
    """Consecutive rows in groups of about _SLAB_BYTES, and of at most `max_rows`."""
    slabs: list[list[Row]] = []
    filled = _SLAB_BYTES
    for row in rows:
        if filled >= _SLAB_BYTES or len(slabs[-1]) >= max_rows:
            slabs.append([])
            filled = 0
        slabs[-1].append(row)
        filled += int(row["size"])
    return slabs
