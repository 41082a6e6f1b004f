"""Ways to open a store, for suites that run over every adapter."""

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from router_extproc.ports import Catalogue, Store
from router_extproc.stores.memory import MemoryStore
from router_extproc.stores.milvus import MilvusStore
from router_extproc.stores.options import MilvusOptions
from tests.support.entries import DIMENSION


class Kept(Store, Catalogue, Protocol):
    """What every adapter is: entries to look up, and to look after."""


@dataclass(frozen=True)
class Backend:
    """`lasting` ones find their entries again when opened a second time."""

    name: str
    open: Callable[[], Awaitable[Kept]]
    lasting: bool


def new_front(max_entries: int = 1000) -> MemoryStore:
    return MemoryStore(DIMENSION, max_entries=max_entries, max_bytes=1 << 26, policy="fifo")


def impatient(options: MilvusOptions, **changes: Any) -> MilvusOptions:
    """Options that soon give up, and soon try again."""
    return dataclasses.replace(
        options, call_timeout=0.3, write_timeout=0.3, failures_to_open=3, first_retry=0.1, **changes
    )


@asynccontextmanager
async def opened(options: MilvusOptions) -> AsyncIterator[MilvusStore]:
    store = await MilvusStore.open(options)
    try:
        yield store
    finally:
        await store.close()
