"""Ways to open a store, for suites that run over every adapter."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from router_extproc.ports import Store
from router_extproc.stores.memory import MemoryStore
from router_extproc.stores.milvus import MilvusStore
from router_extproc.stores.options import MilvusOptions
from tests.support.entries import DIMENSION


@dataclass(frozen=True)
class Backend:
    """`lasting` ones find their entries again when opened a second time."""

    name: str
    open: Callable[[], Awaitable[Store]]
    lasting: bool


def new_front(max_entries: int = 1000) -> MemoryStore:
    return MemoryStore(DIMENSION, max_entries=max_entries, max_bytes=1 << 26, policy="fifo")


@asynccontextmanager
async def opened(options: MilvusOptions) -> AsyncIterator[MilvusStore]:
    store = await MilvusStore.open(options)
    try:
        yield store
    finally:
        await store.close()
