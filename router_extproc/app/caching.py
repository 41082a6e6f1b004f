"""The cache of a running router: its store, what was taken back from it, and the tasks that tend both."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from router_extproc.app.configuration import Configuration, milvus_options
from router_extproc.base.errors import OperatorError
from router_extproc.base.refusals import Failure, Uncached
from router_extproc.caching.entry import Entry
from router_extproc.caching.marks import Selector
from router_extproc.caching.policy import CachePolicy
from router_extproc.encoder.session import SentenceEncoder
from router_extproc.exchange.effects import CacheSkipped, PortFailed
from router_extproc.ports import Clock, PortError
from router_extproc.server.driver import log_bug
from router_extproc.settings.schema import Settings
from router_extproc.stores.marks import MarkBook
from router_extproc.stores.memory import MemoryStore
from router_extproc.stores.milvus import MilvusStore
from router_extproc.stores.options import Embedded
from router_extproc.stores.tiered import TieredStore
from router_extproc.stores.writer import WriteQueue
from router_extproc.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

WRITE_SECONDS: Final = 5.0
"""The longest one cache write may take; it is off every client's path."""

PURGE_SECONDS: Final = 60.0
"""How often dead entries are removed. Lookups never return them, so this only frees room."""


@dataclass(frozen=True, slots=True)
class Marker:
    """Implements `server.api.cache.Marker`: counted marks that live as long as anything they may cover."""

    book: MarkBook
    life: float
    metrics: Metrics

    async def add(self, selector: Selector, at: float) -> bool:
        shared = await self.book.add(selector, at, self.life)
        self.metrics.cache.invalidated(selector.kind)
        return shared


@dataclass(frozen=True, slots=True)
class Cache:
    """What is running. `store` is all tiers as one."""

    store: MemoryStore | TieredStore
    marks: MarkBook
    marker: Marker
    fill: Callable[[Entry], bool]
    """Keep an entry: in memory at once, behind it soon. False when there was no room to have it written."""


@asynccontextmanager
async def open_cache(
    configuration: Configuration,
    policy: CachePolicy,
    encoder: SentenceEncoder,
    clock: Clock,
    metrics: Metrics,
) -> AsyncIterator[Cache]:
    """The cache, running. Leaving the context writes what is pending and closes it. Raises OperatorError."""
    settings = configuration.settings
    async with AsyncExitStack() as stack:
        front, back = await _open_tiers(configuration, encoder)
        store = front if back is None else await _tiered(configuration, policy, front, back, clock)
        stack.push_async_callback(store.close)
        marks = MarkBook(store, back)
        writer: WriteQueue | None = None
        if isinstance(store, TieredStore):
            writer = _writer(store.put_far, settings, clock, metrics)
            stack.push_async_callback(writer.close, WRITE_SECONDS)

        async def refresh() -> None:
            await marks.refresh(clock.now())

        async def purge() -> None:
            try:
                await marks.sweep(clock.now())
            finally:
                await store.purge(clock.now() - policy.stale_grace)

        try:
            await refresh()
        except PortError:
            marks.distrust(clock.now())
        # Only a server has other routers that mark entries.
        alone = back is None or isinstance(back.target, Embedded)
        poll = PURGE_SECONDS if alone else settings.semantic_cache.invalidation_poll_seconds
        for name, seconds, work in (("marks", poll, refresh), ("purge", PURGE_SECONDS, purge)):
            task = asyncio.create_task(_repeat(work, seconds), name=f"cache-{name}")
            stack.push_async_callback(_end, task)
        metrics.cache.watch(
            entries=lambda: len(front),
            held=lambda: front.bytes,
            is_up=lambda: back is None or back.is_up,
            pending=lambda: 0 if writer is None else len(writer),
            marks=lambda: len(marks.current.at),
        )
        marker = Marker(marks, policy.longest_ttl + policy.stale_grace, metrics)
        yield Cache(store, marks, marker, _fill(store, writer, metrics))


async def _open_tiers(
    configuration: Configuration, encoder: SentenceEncoder
) -> tuple[MemoryStore, MilvusStore | None]:
    cache = configuration.settings.semantic_cache
    front = MemoryStore(encoder.dimension, cache.max_entries, cache.max_bytes, cache.eviction_policy)
    options = milvus_options(configuration, encoder=encoder.encoder, dimension=encoder.dimension)
    return front, None if options is None else await MilvusStore.open(options)


async def _tiered(
    configuration: Configuration, policy: CachePolicy, front: MemoryStore, back: MilvusStore, clock: Clock
) -> TieredStore:
    try:
        return await TieredStore.open(
            front,
            back,
            exclusive=isinstance(back.target, Embedded),
            similar_enough=min(each.threshold for each in policy.all),
            front_by_meaning=configuration.settings.semantic_cache.backend_type == "hybrid",
            at=clock.now(),
        )
    except PortError as error:
        await back.close()
        raise OperatorError(
            f"{back.target}: its entries cannot be read ({error}); remove it to start with an empty cache"
        ) from error


def _fill(
    store: MemoryStore | TieredStore, writer: WriteQueue | None, metrics: Metrics
) -> Callable[[Entry], bool]:
    """What was answered here is found here at once, however slow the store behind is."""
    near = store.insert if isinstance(store, MemoryStore) else store.put_near

    def fill(entry: Entry) -> bool:
        try:
            near(entry)
        except PortError as error:
            metrics.note(PortFailed("writer", error.reason))
            return True
        return writer is None or writer.offer(entry)

    return fill


def _writer(
    put: Callable[[Entry], Awaitable[None]], settings: Settings, clock: Clock, metrics: Metrics
) -> WriteQueue:
    def dropped(count: int) -> None:
        for _ in range(count):
            metrics.note(CacheSkipped(Uncached.QUEUE_FULL, storing=True))

    def failed(reason: Failure) -> None:
        metrics.note(PortFailed("writer", reason))

    return WriteQueue(
        put,
        settings.semantic_cache.max_pending_writes,
        clock,
        max_pending_bytes=settings.semantic_cache.max_pending_bytes,
        put_timeout=WRITE_SECONDS,
        on_dropped=dropped,
        on_failed=failed,
    )


async def _repeat(work: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Do `work` now and then, until cancelled. What cannot be done now is tried again later."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except PortError as error:
            log.info("the cache could not be looked after: %s", error)
        except Exception as error:
            # Whatever it was, the task must live: without it the store grows until the process ends.
            log_bug("looking after the cache", error)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):  # the cancellation of the line above
        await task
