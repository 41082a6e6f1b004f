"""Entries in Milvus: a server shared by all replicas, or Milvus Lite embedded in this process.

Filters by partition and expiry inside Milvus, and checks both again on what comes back: isolation does not
rest on one expression. Never flushes: fresh rows are found in Milvus's growing segments, and a flush costs
seconds and is rate limited. Writes are one at a time, because Lite allows one writer per collection.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.ports import PortError
from router_extproc.stores import collection
from router_extproc.stores.back import Loaded
from router_extproc.stores.codec import entry_of, row_of
from router_extproc.stores.connection import Connection
from router_extproc.stores.lite import LiteServer
from router_extproc.stores.memory import check_vector
from router_extproc.stores.options import Embedded, MilvusOptions

_LOG = logging.getLogger(__name__)

_BATCH = 500
"""Ids per delete: 500 ids make an expression of 18 kB."""
_MAX_BATCHES = 20
"""Of one `purge`: the next one goes on."""
_SLAB_BYTES = 16 * 1024 * 1024
"""Stored bytes fetched by one query while loading."""


class MilvusStore:
    """Made by `open`, inside the event loop that uses it. While Milvus does not answer, every method fails
    at once with PortError(UNAVAILABLE); it is used again when it is back."""

    def __init__(self, options: MilvusOptions, connection: Connection, lite: LiteServer | None) -> None:
        self._options = options
        self._name = options.collection_name
        self._connection = connection
        self._lite = lite
        self._writing = asyncio.Lock()

    @classmethod
    async def open(
        cls, options: MilvusOptions, monotonic: Callable[[], float] = time.monotonic
    ) -> "MilvusStore":
        """Connect and create or check the collection, within `options.timeout`.

        OperatorError: wrong credentials, unknown database, other columns or dimension, a folder in use. A
        server that cannot be reached is not an error: the store starts without it.
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
    def is_up(self) -> bool:
        """False while Milvus is being left alone after failures."""
        return self._connection.is_up

    async def get(self, partition: str, entry_id: str, at: float) -> Entry | None:
        wanted = collection.one(partition, entry_id, at)
        for row in await self._query(wanted, collection.COLUMNS, limit=1):
            entry = self._readable(row)
            if entry is not None and _is_alive(entry, partition, at) and entry.id == entry_id:
                return entry
        return None

    async def nearest(self, partition: str, vector: Vector, limit: int, at: float) -> Sequence[Candidate]:
        check_vector(vector, self._options.dimension)
        wanted = collection.alive(partition, at)
        if limit < 1:
            return []
        timeout = self._options.call_timeout
        found = await self._connection.call(
            lambda client: client.search(
                self._name,
                [vector],
                filter=wanted,
                limit=limit,
                output_fields=collection.COLUMNS,
                search_params=collection.search_parameters(self._options, limit),
                anns_field="vector",
                timeout=timeout,
                consistency_level=self._options.consistency,
            ),
            timeout,
        )
        candidates: dict[str, Candidate] = {}
        for hit in found[0]:
            entry = self._readable(hit["entity"])
            if entry is not None and _is_alive(entry, partition, at):
                # Not Milvus's own distance: a quantised or approximate one would be compared with the
                # thresholds, and two backends would disagree.
                similarity = max(-1.0, min(1.0, float(np.dot(entry.vector, vector))))
                candidates[entry.id] = Candidate(entry, similarity)
        return sorted(candidates.values(), key=lambda each: -each.similarity)[:limit]

    async def put(self, entry: Entry) -> None:
        check_vector(entry.vector, self._options.dimension)
        row = row_of(entry)
        timeout = self._options.write_timeout
        async with self._writing:
            await self._connection.call(
                lambda client: client.upsert(self._name, row, timeout=timeout), timeout
            )

    async def purge(self, at: float) -> int:
        """Delete rows that are dead at `at`, at most 10,000 at a time; how many. Not for the request path."""
        dead = f"expires_at <= {collection.number(at)}"
        deleted = 0
        for _ in range(_MAX_BATCHES):
            rows = await self._query(dead, ["id"], limit=_BATCH, within=self._options.write_timeout)
            ids = [str(row["id"]) for row in rows]
            if ids:
                # The condition once more: an entry may have been written anew in between.
                await self._delete(f"{collection.those(ids)} and {dead}")
                deleted += len(ids)
            if len(ids) < _BATCH:
                break
        return deleted

    async def discard(self, ids: Sequence[str]) -> None:
        """Delete these entries, whatever their age."""
        for start in range(0, len(ids), _BATCH):
            await self._delete(collection.those(ids[start : start + _BATCH]))

    async def load(self, max_entries: int, max_bytes: int, at: float) -> Loaded:
        """The newest live entries, as many as stay within both bounds. For an embedded store: a server
        returns at most 16,384 rows of a query."""
        timeout = self._options.timeout
        live = f"expires_at > {collection.number(at)}"
        rows = await self._query(live, ["id", "created_at", "size"], within=timeout)
        rows.sort(key=lambda row: -float(row["created_at"]))
        chosen: list[dict[str, Any]] = []
        room = max_bytes
        for row in rows[:max_entries]:
            room -= int(row["size"])
            if room < 0:
                break
            chosen.append(row)
        entries: list[Entry] = []
        for slab in _slabs(chosen):
            newest, oldest = float(slab[0]["created_at"]), float(slab[-1]["created_at"])
            between = (
                f"created_at >= {collection.number(oldest)} and created_at <= {collection.number(newest)}"
            )
            ids = {row["id"] for row in slab}
            fetched = await self._query(f"{between} and {live}", collection.COLUMNS, within=timeout)
            read = (self._readable(row) for row in fetched if row["id"] in ids)
            entries += [entry for entry in read if entry is not None and entry.expires_at > at]
        entries.sort(key=lambda entry: -entry.created_at)
        return Loaded(entries, [str(row["id"]) for row in rows[len(chosen) :]])

    async def close(self) -> None:
        await self._connection.close()
        if self._lite is not None:
            await self._lite.close()

    async def _query(
        self, expression: str, columns: list[str], limit: int | None = None, within: float | None = None
    ) -> list[dict[str, Any]]:
        timeout = within or self._options.call_timeout
        bound: dict[str, int] = {} if limit is None else {"limit": limit}
        rows = await self._connection.call(
            lambda client: client.query(
                self._name,
                filter=expression,
                output_fields=columns,
                timeout=timeout,
                consistency_level=self._options.consistency,
                **bound,
            ),
            timeout,
        )
        return list(rows)

    async def _delete(self, expression: str) -> None:
        timeout = self._options.write_timeout
        async with self._writing:
            await self._connection.call(
                lambda client: client.delete(self._name, filter=expression, timeout=timeout), timeout
            )

    def _readable(self, row: Mapping[str, Any]) -> Entry | None:
        """The row's entry; None, and a line in the log, when another program or version wrote the row."""
        try:
            return entry_of(row, self._options.dimension)
        except PortError as error:
            _LOG.warning("%s: skipped %s", self._name, error)
            return None


def _is_alive(entry: Entry, partition: str, at: float) -> bool:
    return entry.partition == partition and at < entry.expires_at


def _slabs(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Consecutive rows in groups of about _SLAB_BYTES."""
    slabs: list[list[dict[str, Any]]] = []
    filled = _SLAB_BYTES
    for row in rows:
        if filled >= _SLAB_BYTES:
            slabs.append([])
            filled = 0
        slabs[-1].append(row)
        filled += int(row["size"])
    return slabs
