"""The running router: every object built once, started in order, stopped in the reverse order."""

import logging
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from router_extproc.app.caching import Cache, open_cache
from router_extproc.app.configuration import Configuration, place, reachable, tenant_key
from router_extproc.app.token import admin_token
from router_extproc.base.digest import digest
from router_extproc.encoder.batcher import BatchingAnalyst
from router_extproc.encoder.bundle import Bundle
from router_extproc.encoder.cpu import available_threads
from router_extproc.encoder.heads import DOMAIN_WEIGHTS, LinearHead, load_head
from router_extproc.encoder.session import Options, SentenceEncoder, open_encoder
from router_extproc.exchange.exchange import Exchange
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.routing.decide import DOMAIN
from router_extproc.server.admin import CacheAdmin, Facts, cache_routes
from router_extproc.server.driver import Ports
from router_extproc.server.flights import Flights
from router_extproc.server.http import Check, probe, serve_api, serve_metrics
from router_extproc.server.listener import Listener
from router_extproc.server.servicer import Servicer
from router_extproc.server.verifier import Verifier
from router_extproc.settings.compile import compile_snapshot
from router_extproc.settings.schema import Settings
from router_extproc.telemetry.metrics import CONTENT_TYPE, Metrics

log = logging.getLogger(__name__)

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

    def plan(self, settings: Settings, tenant_key: bytes = b"") -> Snapshot:
        heads = digest("heads", (head.as_bytes() for head in self.heads.values()))
        return compile_snapshot(settings, encoder=self.encoder.encoder, heads=heads, tenant_key=tenant_key)


@asynccontextmanager
async def running(configuration: Configuration, mind: Mind) -> AsyncIterator[Listener]:
    """The router, serving. Leaving the context drains and stops everything. Raises OperatorError."""
    settings = configuration.settings
    clock, metrics = SystemClock(), Metrics(settings.semantic_cache.backend_type)
    plan = mind.plan(settings, tenant_key(configuration))
    async with AsyncExitStack() as stack:
        analyst = BatchingAnalyst(mind.encoder, mind.heads)
        await analyst.start()
        stack.push_async_callback(analyst.close)
        cache = await stack.enter_async_context(
            open_cache(configuration, plan.cache, mind.encoder, clock, metrics)
        )
        verifier = Verifier(analyst, metrics)
        stack.push_async_callback(verifier.close)
        ports = Ports(
            analyst=analyst,
            store=cache.store,
            fill=cache.fill,
            verify=verifier.offer,
            marks=lambda: cache.marks.current,
            flights=Flights(),
            telemetry=metrics,
            clock=clock,
        )
        servicer = Servicer(lambda: Exchange(plan, secrets.token_hex(8)), ports, settings.limits.max_streams)
        metrics.streams.set_function(lambda: servicer.streams)
        listener = Listener(place(settings.listeners.ext_proc), servicer, settings.limits.max_body_bytes)
        await listener.start()
        stack.push_async_callback(listener.stop, GRACE_SECONDS)
        routes = _cache_routes(configuration, plan, mind.encoder, cache, metrics, clock)
        await _serve_http(stack, settings, servicer, metrics, routes)
        await listener.serving(True)
        log.info("serving generation %s with encoder %s", plan.generation, plan.encoder)
        yield listener


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
) -> None:
    """Health, readiness, metrics, and `routes` beside them."""
    api, exposed = settings.listeners.api, settings.listeners.metrics
    checks = {"envoy": _through_envoy(settings, servicer)}
    server = await serve_api(api.address, api.port, checks, routes)
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
