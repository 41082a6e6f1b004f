"""Milvus stores filled with many entries, for measuring their lookups.

Filled in batches through pymilvus, because one entry at a time takes minutes; asked through the store.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pymilvus import MilvusClient

from bench.indexes import LIMIT, NOW, PARTITION, entry
from bench.vectors import DIMENSION, Matrix
from router_extproc.stores.codec import row_of
from router_extproc.stores.lite import LiteServer
from router_extproc.stores.milvus import MilvusStore
from router_extproc.stores.options import Credentials, Embedded, MilvusOptions, Server
from tests.support.milvus import PASSWORD, USER, MilvusServer, disposable_folder

_BATCH = 500
_PATIENCE = 30.0
"""Seconds. Milvus Lite takes longer than the store's own deadlines here, and that is to be measured."""


@dataclass(frozen=True, slots=True)
class Behind:
    """A filled store. `seconds`: what filling it took."""

    name: str
    store: MilvusStore
    seconds: float

    async def nearest(self, vector: Matrix) -> Sequence[int]:
        """Rows, most similar first."""
        found = await self.store.nearest(PARTITION, vector, LIMIT, NOW, _PATIENCE)
        return [int(candidate.entry.id, 16) for candidate in found]


@asynccontextmanager
async def lite(folder: Path, vectors: Matrix) -> AsyncIterator[Behind]:
    """Milvus Lite, closed and opened again after filling, as after a restart: what it has not written down
    yet it searches twenty times more slowly."""
    options = _options(Embedded(folder))
    await (await MilvusStore.open(options)).close()  # makes the collection
    server = await LiteServer.open(folder)
    try:
        seconds = await asyncio.to_thread(_fill, lambda: MilvusClient(uri=server.uri), options, vectors)
    finally:
        await server.close()
    async with _opened(options) as store:
        yield Behind("Milvus Lite", store, seconds)


@asynccontextmanager
async def server(vectors: Matrix) -> AsyncIterator[Behind]:
    """A Milvus server of this machine, started for this."""
    with disposable_folder() as folder:
        running = MilvusServer.prepare(folder)
        try:
            await asyncio.to_thread(running.start)
            options = _options(Server(running.host, running.port, credentials=Credentials(USER, PASSWORD)))
            async with _opened(options) as store:
                seconds = await asyncio.to_thread(_fill, running.client, options, vectors)
                yield Behind("Milvus server", store, seconds)
        finally:
            running.kill()


def _options(target: Server | Embedded) -> MilvusOptions:
    return MilvusOptions(
        target,
        dimension=DIMENSION,
        encoder="bench",
        consistency="Strong",
        timeout=2 * _PATIENCE,
        call_timeout=_PATIENCE,
    )


@asynccontextmanager
async def _opened(options: MilvusOptions) -> AsyncIterator[MilvusStore]:
    store = await MilvusStore.open(options)
    try:
        yield store
    finally:
        await store.close()


def _fill(connect: Callable[[], MilvusClient], options: MilvusOptions, vectors: Matrix) -> float:
    began = time.perf_counter()
    client = connect()
    try:
        for start in range(0, len(vectors), _BATCH):
            batch = enumerate(vectors[start : start + _BATCH], start)
            rows = [row_of(entry(row, vector), options.vector_field) for row, vector in batch]
            client.insert(options.collection_name, rows, timeout=_PATIENCE)
    finally:
        client.close()
    return time.perf_counter() - began
