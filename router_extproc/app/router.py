"""The running router: every object built once, started in order, stopped in the reverse order."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router_extproc.app.caching import Cache, open_cache
from router_extproc.app.certificates import certificates_of
from router_extproc.app.changes import Changes, prices_of
from router_extproc.app.config_file import LiveConfig
from router_extproc.app.configuration import (
    Configuration,
    listened,
    processes_of,
    reachable,
    tenant_key,
    tools_file,
)
from router_extproc.app.mind import Mind
from router_extproc.app.public import serve_public
from router_extproc.app.reload import Generation, Generations, Proxy, watch
from router_extproc.app.telling import Telling, collecting
from router_extproc.app.token import admin_token, debug_token, debug_token_path
from router_extproc.encoder.batcher import BatchingAnalyst
from router_extproc.encoder.session import SentenceEncoder
from router_extproc.exchange.exchange import Exchange
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.ports import Clock
from router_extproc.server.answers import AnswerScreener
from router_extproc.server.api.cache import CacheAdmin, Facts, cache_routes
from router_extproc.server.api.classify import classify_routes
from router_extproc.server.api.config import config_routes
from router_extproc.server.api.decisions import decision_routes
from router_extproc.server.api.dispatch import served
from router_extproc.server.api.info import info_routes
from router_extproc.server.api.overview import Served, overview_routes
from router_extproc.server.api.reading import Reader
from router_extproc.server.api.recent import recent_routes
from router_extproc.server.api.route import Route
from router_extproc.server.api.search import search_routes
from router_extproc.server.api.status import Check, status_routes
from router_extproc.server.api.table import complete
from router_extproc.server.api.vectors import vector_routes
from router_extproc.server.driver import Ports, log_bug
from router_extproc.server.flights import Flights
from router_extproc.server.http import (
    metrics_route,
    probe,
    serve_socket,
)
from router_extproc.server.lag import watch_lag
from router_extproc.server.listener import Listener
from router_extproc.server.pool import Pool
from router_extproc.server.servicer import Servicer
from router_extproc.server.tls import Certificates
from router_extproc.server.verifier import Verifier
from router_extproc.settings.problem import grouped
from router_extproc.settings.schema import Settings
from router_extproc.telemetry.audit import Audited
from router_extproc.telemetry.labels import Listening
from router_extproc.telemetry.metrics import CONTENT_TYPE, Metrics
from router_extproc.telemetry.window import Window

log = logging.getLogger(__name__)

PROBE_SECONDS: Final = 1.0
PATIENCE_SHARE: Final = 0.7
"""Of `encoder.timeout_ms`, until the guards begin no further pass: the last one needs time, too."""
ASKED_SECONDS: Final = 5.0
"""An Envoy before several routers asks each of them how it is every second; one that did within this knows
the router."""


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


@dataclass(frozen=True, slots=True)
class Worker:
    """One of several processes that serve together, by its number, from 0. Its API and its metrics are on the
    Unix socket `socket`, for the parent alone."""

    number: int
    socket: Path


@asynccontextmanager
async def running(
    configuration: Configuration,
    mind: Mind,
    proxy: Proxy | None = None,
    worker: Worker | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Listener]:
    """The router, serving. Leaving the context stops everything: the listener first, so that health and
    metrics are told to the end. `proxy` follows changes of the configuration. Without `worker` it is all
    there is. `clock` tells the time of the wall, by default this machine's. Raises OperatorError."""
    settings = configuration.settings
    clock, metrics = clock or SystemClock(), Metrics(settings.semantic_cache.backend_type)
    key = tenant_key(configuration)
    plan = mind.plan(configuration, key, debug_token(configuration.path, settings))
    for line in grouped(configuration.warnings):
        log.warning("%s: %s", configuration.path, line)
    async with AsyncExitStack() as stack:
        # First, because the files may be wrong, and nothing else has been started then.
        certificates = await _certificates(stack, configuration, metrics, worker)
        analyst = await _analyst(stack, mind, metrics, plan.analysis_timeout)
        cache = await stack.enter_async_context(
            open_cache(configuration, plan.cache, mind.encoder, clock, metrics)
        )
        pool = Pool(steady=lambda _: time.monotonic())
        traces = await stack.enter_async_context(collecting(settings.observability.tracing, metrics.traced))
        window = Window(time.monotonic(), time.monotonic)
        telling = Telling(settings, traces, (window.tell,))
        ports = _ports(stack, analyst, cache, pool, metrics, clock, telling)
        changes = Changes(mind, analyst, pool, metrics, telling, key, longest_ttl=plan.cache.longest_ttl)
        generations = changes.since(Generation(1, configuration, plan), proxy)
        servicer = Servicer(
            lambda: Exchange(generations.current.plan, secrets.token_hex(16)),
            ports,
            settings.limits.max_streams,
        )
        metrics.watch(
            streams=lambda: servicer.streams,
            waiting=lambda: analyst.pending,
            conditions=lambda: pool.conditions(clock.now()),
        )
        listener = _listener(configuration, servicer, certificates, worker)
        reader = Reader(analyst, lambda: generations.current.plan, pool, clock)
        admin = _cache_admin(configuration, plan, mind.encoder, cache, metrics, clock)
        routes = complete(
            (
                *status_routes(_checks(settings, servicer, listener), generations.as_json),
                *overview_routes(window, pool, lambda: _served(generations), clock),
                *classify_routes(reader, metrics),
                *vector_routes(reader, mind.encoder.dimension),
                *decision_routes(reader, pool, clock),
                *recent_routes(telling.recent),
                *info_routes(reader, clock),
                *config_routes(LiveConfig(generations)),
                *cache_routes(admin),
                *search_routes(admin, reader),
            )
        )
        await _serve_http(stack, configuration, metrics, routes, certificates, worker)
        stack.push_async_callback(_stop_watching, _watching(generations))
        lag = asyncio.create_task(watch_lag(metrics.lagged), name="event-loop-lag")
        stack.push_async_callback(_stop_watching, lag)
        await listener.start()
        stack.push_async_callback(listener.stop, settings.shutdown.grace_seconds)
        await listener.serving(True)
        log.info("serving generation %s with encoder %s", plan.generation, plan.encoder)
        yield listener


async def _certificates(
    stack: AsyncExitStack, configuration: Configuration, metrics: Metrics, worker: Worker | None
) -> Mapping[Listening, Certificates]:
    """Of the listeners that are opened here: a worker opens the first only, and its parent the others."""
    listeners = tuple(Listening) if worker is None else (Listening.EXT_PROC,)
    return await stack.enter_async_context(certificates_of(configuration, metrics.certificates, listeners))


def _listener(
    configuration: Configuration,
    servicer: Servicer,
    certificates: Mapping[Listening, Certificates],
    worker: Worker | None,
) -> Listener:
    """For Envoy's streams; not started yet."""
    at = processes_of(configuration)[0 if worker is None else worker.number]
    most = configuration.settings.limits.max_body_bytes
    return Listener(listened(at), servicer, most, certificates.get(Listening.EXT_PROC))


async def _analyst(stack: AsyncExitStack, mind: Mind, metrics: Metrics, waited: float) -> BatchingAnalyst:
    """Started, until `stack` is left. Its callers wait `waited` seconds."""
    heads = mind.heads
    analyst = BatchingAnalyst(
        mind.encoder,
        heads.on_vector,
        text_heads=heads.on_text,
        screener=mind.screener,
        verifier=mind.verifier,
        on_head_failure=HeadFailures(metrics),
        on_batch=metrics.batch,
        patience=PATIENCE_SHARE * waited,
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
    clock: Clock,
    telling: Telling,
) -> Ports:
    """What exchanges run on. Comparisons and screenings of answers end when `stack` is left."""
    telemetry = Audited(metrics)
    verifier = Verifier(analyst, metrics)
    stack.push_async_callback(verifier.close)
    screener = AnswerScreener(analyst, cache.fill, telemetry, clock)
    stack.push_async_callback(screener.close)
    return Ports(
        analyst=analyst,
        store=cache.store,
        fill=cache.fill,
        verify=verifier.offer,
        screen=screener.offer,
        marks=lambda: cache.marks.current,
        flights=Flights(),
        telemetry=telemetry,
        clock=clock,
        pool=pool,
        witness=telling.witness,
    )


def _served(generations: Generations) -> Served:
    now = generations.current
    return Served(now.number, now.plan.generation, generations.problem, prices_of(now.configuration.settings))


def _watching(generations: Generations) -> asyncio.Task[None]:
    """Looks at the files that decide routing while the router serves, and at that of the debug token."""

    def files() -> list[Path]:
        now = generations.current.configuration
        others = (tools_file(now.path, now.settings), debug_token_path(now.path, now.settings))
        return [now.path, *(each for each in others if each is not None)]

    return asyncio.create_task(watch(files, generations.reload), name="configuration-watch")


async def _stop_watching(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _cache_admin(
    configuration: Configuration,
    plan: Snapshot,
    encoder: SentenceEncoder,
    cache: Cache,
    metrics: Metrics,
    clock: Clock,
) -> CacheAdmin | None:
    """What the calls about the cache work on; None without a cache."""
    settings = configuration.settings
    if not plan.cache.enabled:
        return None
    return CacheAdmin(
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


async def _serve_http(
    stack: AsyncExitStack,
    configuration: Configuration,
    metrics: Metrics,
    routes: Sequence[Route],
    certificates: Mapping[Listening, Certificates],
    worker: Worker | None,
) -> None:
    """The API with the page, and the metrics; a worker's for its parent, without the page."""
    settings = configuration.settings
    token = admin_token(configuration.path, settings)
    if worker is not None:
        own = (*served(routes, token), metrics_route(metrics.exposition, CONTENT_TYPE))
        server = await serve_socket(worker.socket, own)
        stack.push_async_callback(server.stop)
        return
    await serve_public(stack, configuration, served(routes, token), token, metrics.exposition, certificates)


def _checks(settings: Settings, servicer: Servicer, listener: Listener) -> dict[str, Check]:
    async def accepting() -> bool:
        return listener.accepting

    through = _through_envoy(settings, servicer)

    async def known() -> bool:
        return listener.asked_within(ASKED_SECONDS) or await through()

    return {"envoy": known, "accepting": accepting}


def _through_envoy(settings: Settings, servicer: Servicer) -> Check:
    """A request through Envoy reaches a model, and this router saw it pass: Envoy would also serve it
    without us. Where Envoy has several routers, it may be another one that sees it: such an Envoy asks each
    of them how it is."""
    passes = probe(f"http://{reachable(settings.listeners.envoy)}/health", PROBE_SECONDS)

    async def check() -> bool:
        seen = servicer.seen
        return await passes() and servicer.seen > seen

    return check
