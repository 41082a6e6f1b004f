"""The running router: every object built once, started in order, stopped in the reverse order."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from router_extproc.app.caching import Cache, open_cache
from router_extproc.app.changes import Changes
from router_extproc.app.configuration import (
    Configuration,
    place,
    reachable,
    tenant_key,
    tools_file,
)
from router_extproc.app.mind import Mind
from router_extproc.app.reload import Generation, Generations, Proxy, watch
from router_extproc.app.token import admin_token
from router_extproc.encoder.batcher import BatchingAnalyst
from router_extproc.encoder.session import SentenceEncoder
from router_extproc.exchange.exchange import Exchange
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.server.admin import CacheAdmin, Facts, cache_routes
from router_extproc.server.decisions import decision_routes
from router_extproc.server.driver import Ports, log_bug
from router_extproc.server.flights import Flights
from router_extproc.server.http import Check, probe, serve_api, serve_metrics
from router_extproc.server.listener import Listener
from router_extproc.server.pool import Pool
from router_extproc.server.servicer import Servicer
from router_extproc.server.verifier import Verifier
from router_extproc.settings.problem import grouped
from router_extproc.settings.schema import Settings
from router_extproc.telemetry.audit import Audited
from router_extproc.telemetry.metrics import CONTENT_TYPE, Metrics

log = logging.getLogger(__name__)

PROBE_SECONDS: Final = 1.0
GRACE_SECONDS: Final = 10.0


class SystemClock:
    """Implements `ports.Clock`."""

    def now(self) -> float:
        return time.time()


class HeadFailures:
    """Counts them, and logs the first of each head: a broken head fails at every request."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._logged: set[str] = set()

    def __call__(self, head: str, error: BaseException) -> None:
        self._metrics.head_failed(head)
        if head not in self._logged:
            self._logged.add(head)
            log_bug(f"the head {head}", error)


@asynccontextmanager
async def running(
    configuration: Configuration,
    mind: Mind,
    proxy: Proxy | None = None,
) -> AsyncIterator[Listener]:
    """The router, serving. Leaving the context drains and stops everything. `proxy` follows changes of the
    configuration. Raises OperatorError."""
    settings = configuration.settings
    clock, metrics = SystemClock(), Metrics(settings.semantic_cache.backend_type)
    key = tenant_key(configuration)
    plan = mind.plan(configuration, key)
    for line in grouped(configuration.warnings):
        log.warning("%s: %s", configuration.path, line)
    async with AsyncExitStack() as stack:
        analyst = await _analyst(stack, mind, metrics)
        cache = await stack.enter_async_context(
            open_cache(configuration, plan.cache, mind.encoder, clock, metrics)
        )
        pool = Pool()
        ports = _ports(stack, analyst, cache, pool, metrics, clock)
        changes = Changes(mind, analyst, pool, metrics, key, longest_ttl=plan.cache.longest_ttl)
        generations = changes.since(Generation(1, configuration, plan), proxy)
        servicer = Servicer(
            lambda: Exchange(generations.current.plan, secrets.token_hex(8)),
            ports,
            settings.limits.max_streams,
        )
        metrics.streams.set_function(lambda: servicer.streams)
        listener = Listener(place(settings.listeners.ext_proc), servicer, settings.limits.max_body_bytes)
        await listener.start()
        stack.push_async_callback(listener.stop, GRACE_SECONDS)
        routes = [
            *_cache_routes(configuration, plan, mind.encoder, cache, metrics, clock),
            *decision_routes(lambda: generations.current.plan, analyst, pool, clock),
        ]
        await _serve_http(stack, settings, servicer, metrics, routes, generations)
        stack.push_async_callback(_stop_watching, _watching(generations))
        await listener.serving(True)
        log.info("serving generation %s with encoder %s", plan.generation, plan.encoder)
        yield listener


async def _analyst(stack: AsyncExitStack, mind: Mind, metrics: Metrics) -> BatchingAnalyst:
    """Started, until `stack` is left."""
    heads = mind.heads
    analyst = BatchingAnalyst(
        mind.encoder,
        heads.on_vector,
        text_heads=heads.on_text,
        screener=mind.screener,
        verifier=mind.verifier,
        on_head_failure=HeadFailures(metrics),
    )
    await analyst.start()
    stack.push_async_callback(analyst.close)
    return analyst


def _ports(
    stack: AsyncExitStack,
    analyst: BatchingAnalyst,
    cache: Cache,
    pool: Pool,
    metrics: Metrics,
    clock: SystemClock,
) -> Ports:
    """What exchanges run on. The comparisons of answers end when `stack` is left."""
    verifier = Verifier(analyst, metrics)
    stack.push_async_callback(verifier.close)
    return Ports(
        analyst=analyst,
        store=cache.store,
        fill=cache.fill,
        verify=verifier.offer,
        marks=lambda: cache.marks.current,
        flights=Flights(),
        telemetry=Audited(metrics),
        clock=clock,
        pool=pool,
    )


def _watching(generations: Generations) -> asyncio.Task[None]:
    """Looks at the files that decide routing while the router serves."""

    def files() -> list[Path]:
        now = generations.current.configuration
        tools = tools_file(now.path, now.settings)
        return [now.path] if tools is None else [now.path, tools]

    return asyncio.create_task(watch(files, generations.reload), name="configuration-watch")


async def _stop_watching(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _cache_routes(
    configuration: Configuration,
    plan: Snapshot,
    encoder: SentenceEncoder,
    cache: Cache,
    metrics: Metrics,
    clock: SystemClock,
) -> Sequence[web.RouteDef]:
    """The calls that show or change the cache. None without a token."""
    settings = configuration.settings
    token = admin_token(configuration.path, settings)
    if token is None or not plan.cache.enabled:
        return ()
    admin = CacheAdmin(
        catalogue=cache.store,
        marker=cache.marker,
        store=cache.store,
        clock=clock,
        facts=Facts(
            backend=settings.semantic_cache.backend_type,
            scope=settings.semantic_cache.scope,
            similarity_threshold=plan.cache.default.threshold,
            generation=plan.generation,
            encoder=encoder.encoder,
            dimension=encoder.dimension,
            longest_ttl=plan.cache.longest_ttl,
        ),
        counters=metrics.cache.counts,
        revokes=lambda entry: cache.marks.current.revokes(entry),
    )
    return cache_routes(admin, token)


async def _serve_http(
    stack: AsyncExitStack,
    settings: Settings,
    servicer: Servicer,
    metrics: Metrics,
    routes: Sequence[web.RouteDef],
    generations: Generations,
) -> None:
    """Health, readiness, metrics, and `routes` beside them."""
    api, exposed = settings.listeners.api, settings.listeners.metrics
    checks = {"envoy": _through_envoy(settings, servicer)}
    server = await serve_api(api.address, api.port, checks, routes, generations.as_json)
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
