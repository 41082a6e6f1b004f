"""The running router: every object built once, started in order, stopped in the reverse order."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from router_extproc.app.configuration import Configuration, milvus_options, place, reachable
from router_extproc.base.digest import digest
from router_extproc.base.errors import OperatorError
from router_extproc.base.refusals import Failure, Uncached
from router_extproc.encoder.batcher import BatchingAnalyst
from router_extproc.encoder.bundle import Bundle
from router_extproc.encoder.cpu import available_threads
from router_extproc.encoder.heads import DOMAIN_WEIGHTS, LinearHead, load_head
from router_extproc.encoder.session import Options, SentenceEncoder, open_encoder
from router_extproc.exchange.effects import CacheSkipped, PortFailed
from router_extproc.exchange.exchange import Exchange
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.ports import PortError, Store
from router_extproc.routing.decide import DOMAIN
from router_extproc.server.driver import Ports
from router_extproc.server.http import Check, probe, serve_api, serve_metrics
from router_extproc.server.listener import Listener
from router_extproc.server.servicer import Servicer
from router_extproc.settings.compile import compile_snapshot
from router_extproc.settings.schema import Settings
from router_extproc.stores.memory import MemoryStore
from router_extproc.stores.milvus import MilvusStore
from router_extproc.stores.options import Embedded
from router_extproc.stores.tiered import TieredStore
from router_extproc.stores.writer import WriteQueue
from router_extproc.telemetry.metrics import CONTENT_TYPE, Metrics

log = logging.getLogger(__name__)

WRITE_SECONDS: Final = 5.0
"""The longest one cache write may take; it is off every client's path."""

PURGE_SECONDS: Final = 60.0
"""How often expired entries are removed. Lookups never return them, so this only frees room."""

PROBE_SECONDS: Final = 1.0
GRACE_SECONDS: Final = 10.0


class SystemClock:
    """Implements `ports.Clock`."""

    def now(self) -> float:
        return time.time()


@dataclass(frozen=True, slots=True)
class Mind:
    """The encoder with its heads, loaded and tested. Loading blocks for a second or two."""

    encoder: SentenceEncoder
    heads: Mapping[str, LinearHead]

    @classmethod
    def load(cls, bundle: Bundle, settings: Settings) -> "Mind":
        """Raises ModelError."""
        # Half: the event loop and Envoy need the rest, and the second thread gains a tenth on short prompts.
        threads = settings.encoder.threads or max(1, available_threads() // 2)
        options = Options(threads=threads, max_tokens=settings.encoder.max_tokens)
        head = load_head(DOMAIN_WEIGHTS, bundle.base_revision, bundle.dimension)
        return cls(open_encoder(bundle, options), {DOMAIN: head})

    def plan(self, settings: Settings) -> Snapshot:
        heads = digest("heads", (head.as_bytes() for head in self.heads.values()))
        return compile_snapshot(settings, encoder=self.encoder.encoder, heads=heads)


@asynccontextmanager
async def running(configuration: Configuration, mind: Mind) -> AsyncIterator[Listener]:
    """The router, serving. Leaving the context drains and stops everything. Raises OperatorError."""
    settings = configuration.settings
    clock, metrics, plan = SystemClock(), Metrics(), mind.plan(settings)
    async with AsyncExitStack() as stack:
        analyst = BatchingAnalyst(mind.encoder, mind.heads)
        await analyst.start()
        stack.push_async_callback(analyst.close)
        store = await _open_store(configuration, mind.encoder, clock)
        stack.push_async_callback(store.close)
        writer = _writer(store, settings, clock, metrics)
        stack.push_async_callback(writer.close, WRITE_SECONDS)
        stack.push_async_callback(_end, asyncio.create_task(_purge(store, clock), name="cache-purge"))
        ports = Ports(analyst, store, writer.offer, metrics, clock)
        servicer = Servicer(lambda: Exchange(plan, secrets.token_hex(8)), ports, settings.limits.max_streams)
        metrics.streams.set_function(lambda: servicer.streams)
        listener = Listener(place(settings.listeners.ext_proc), servicer, settings.limits.max_body_bytes)
        await listener.start()
        stack.push_async_callback(listener.stop, GRACE_SECONDS)
        await _serve_http(stack, settings, servicer, metrics)
        await listener.serving(True)
        log.info("serving generation %s with encoder %s", plan.generation, plan.encoder)
        yield listener


async def _open_store(
    configuration: Configuration, encoder: SentenceEncoder, clock: SystemClock
) -> MemoryStore | TieredStore:
    cache = configuration.settings.semantic_cache
    front = MemoryStore(encoder.dimension, cache.max_entries, cache.max_bytes, cache.eviction_policy)
    options = milvus_options(configuration, encoder=encoder.encoder, dimension=encoder.dimension)
    if options is None:
        return front
    back = await MilvusStore.open(options)
    try:
        return await TieredStore.open(
            front,
            back,
            exclusive=isinstance(options.target, Embedded),
            similar_enough=cache.similarity_threshold,
            at=clock.now(),
        )
    except PortError as error:
        await back.close()
        raise OperatorError(
            f"{options.target}: its entries cannot be read ({error}); remove it to start with an empty cache"
        ) from error


def _writer(store: Store, settings: Settings, clock: SystemClock, metrics: Metrics) -> WriteQueue:
    def dropped(count: int) -> None:
        for _ in range(count):
            metrics.note(CacheSkipped(Uncached.QUEUE_FULL, storing=True))

    def failed(reason: Failure) -> None:
        metrics.note(PortFailed("writer", reason))

    return WriteQueue(
        store,
        settings.semantic_cache.max_pending_writes,
        clock,
        max_pending_bytes=settings.semantic_cache.max_pending_bytes,
        put_timeout=WRITE_SECONDS,
        on_dropped=dropped,
        on_failed=failed,
    )


async def _purge(store: MemoryStore | TieredStore, clock: SystemClock) -> None:
    """Free what has expired, until cancelled. A store that cannot do it now is asked again later."""
    while True:
        await asyncio.sleep(PURGE_SECONDS)
        try:
            if isinstance(store, TieredStore):
                await store.purge(clock.now())
            else:
                store.purge(clock.now())
        except Exception as error:
            # Whatever it was, the task must live: without it the store grows until the process ends.
            log.warning("expired cache entries could not be removed: %s", type(error).__name__)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):  # the cancellation of the line above
        await task


async def _serve_http(
    stack: AsyncExitStack, settings: Settings, servicer: Servicer, metrics: Metrics
) -> None:
    """Health, readiness and metrics."""
    api, exposed = settings.listeners.api, settings.listeners.metrics
    server = await serve_api(api.address, api.port, {"envoy": _through_envoy(settings, servicer)})
    stack.push_async_callback(server.stop)
    server = await serve_metrics(exposed.address, exposed.port, metrics.exposition, CONTENT_TYPE)
    stack.push_async_callback(server.stop)


def _through_envoy(settings: Settings, servicer: Servicer) -> Check:
    """A request through Envoy reaches a model, and this router saw it pass: Envoy would also serve it
    without us."""
    passes = probe(f"http://{reachable(settings.listeners.envoy)}/health", PROBE_SECONDS)

    async def check() -> bool:
        seen = servicer.seen
        return await passes() and servicer.seen > seen

    return check
