"""What the cache does, as Prometheus metrics. Names with `llm_` are those of vLLM Semantic Router.

Label values come from enums and the configuration: a client cannot mint one.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from router_extproc.exchange.effects import (
    CacheHit,
    CacheMiss,
    CacheSkipped,
    CacheVerified,
    Coalesced,
    HitKind,
    StoreAsked,
)

OPERATION_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""VSR's buckets of cache operations."""

HIT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
AGE_SECONDS = (1.0, 10.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0, 604800.0)
SIMILARITY = tuple(step / 20 for step in range(21))


class CacheMetrics:
    """Made with the registry of the process. `backend` is `semantic_cache.backend_type`."""

    def __init__(self, registry: CollectorRegistry, backend: str) -> None:
        self._backend = backend

        self._registry = registry
        self._count_as_vsr_does()
        self._count_more()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, registry=self._registry, buckets=buckets)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self._registry)

    def _count_as_vsr_does(self) -> None:
        self._hits = self._counter("llm_cache_hits", "Answers from the cache.")
        self._misses = self._counter("llm_cache_misses", "Lookups without an answer.")
        self._operations = self._counter(
            "llm_cache_operations", "Calls of the store.", "backend", "operation", "status"
        )
        self._operation_seconds = self._histogram(
            "llm_cache_operation_duration_seconds", "Calls of the store.", OPERATION_SECONDS,
            "backend", "operation",
        )  # fmt: skip
        self._entries = self._gauge("llm_cache_entries_total", "Entries held, by tier.", "backend")
        self._unwritten = self._counter("llm_cache_write_skipped", "Answers not stored, and why.", "reason")
        self._waiters = self._counter(
            "llm_response_cache_singleflight_waiters", "Requests that waited for an identical one.",
            "backend", "outcome",
        )  # fmt: skip
        self._age = self._histogram(
            "llm_response_cache_entry_age_seconds", "Age of entries that answered.", AGE_SECONDS,
            "backend", "hit_kind", "source",
        )  # fmt: skip
        self._invalidations = self._counter(
            "llm_response_cache_invalidations", "Invalidations by operators and feedback.",
            "backend", "operation", "dry_run",
        )  # fmt: skip

    def _count_more(self) -> None:
        self._hit_kinds = self._counter(
            "router_cache_hits", "Answers from the cache by how they were found.", "kind"
        )
        self._hit_seconds = self._histogram(
            "router_cache_hit_seconds",
            "From the first message to an answer from the cache.",
            HIT_SECONDS,
            "kind",
        )
        self._similarity = self._histogram(
            "router_cache_hit_similarity", "Cosine of semantic hits.", SIMILARITY
        )
        self._probability = self._histogram(
            "router_cache_hit_probability",
            "The verifier's probability of the hits it accepted.",
            SIMILARITY,
        )
        self._guarded = self._counter(
            "router_cache_guard_refusals",
            "Similar entries that the guard or the verifier held back, and why.",
            "difference",
        )
        self._verified = self._counter(
            "cache_verified", "Semantic hits compared with a fresh answer, by what it said.", "outcome"
        )
        self._uncached = self._counter("router_uncached", "The cache was not used.", "phase", "reason")
        self._bytes = self._gauge(
            "router_cache_bytes", "Bytes of the entries in memory, as they are charged."
        )
        self._breaker = self._gauge(
            "router_store_up", "1 while the store is asked, 0 while it is left alone."
        )
        self._pending = self._gauge("router_cache_pending_writes", "Entries that wait to be written.")
        self._marks = self._gauge("router_cache_marks", "Invalidations in force.")

    def hit(self, note: CacheHit) -> None:
        self._hits.inc()
        self._hit_kinds.labels(note.kind).inc()
        self._hit_seconds.labels(note.kind).observe(max(0.0, note.seconds))
        self._age.labels(self._backend, note.kind, "cache").observe(note.age)
        if note.kind is HitKind.SEMANTIC:
            self._similarity.observe(note.similarity)
        if note.probability is not None:
            self._probability.observe(note.probability)

    def miss(self, note: CacheMiss) -> None:
        self._misses.inc()
        for difference, count in note.refused.items():
            self._guarded.labels(difference).inc(count)

    def skipped(self, note: CacheSkipped) -> None:
        self._uncached.labels("store" if note.storing else "lookup", note.reason).inc()
        if note.storing:
            self._unwritten.labels(note.reason).inc()

    def verified(self, note: CacheVerified) -> None:
        self._verified.labels(note.outcome).inc()

    def coalesced(self, note: Coalesced) -> None:
        self._waiters.labels(self._backend, note.outcome).inc()

    def asked(self, note: StoreAsked) -> None:
        self._operations.labels(self._backend, note.operation, note.status).inc()
        self._operation_seconds.labels(self._backend, note.operation).observe(note.seconds)

    def invalidated(self, kind: str) -> None:
        """`kind` is a `marks.Kind`."""
        self._invalidations.labels(self._backend, kind, "false").inc()

    def watch(
        self,
        *,
        entries: Callable[[], int],
        held: Callable[[], int],
        is_up: Callable[[], bool],
        pending: Callable[[], int],
        marks: Callable[[], int],
    ) -> None:
        """Gauges read at each scrape. `entries` and `held`, their bytes, are of the tier in memory."""
        self._entries.labels("memory").set_function(entries)
        self._bytes.set_function(held)
        self._breaker.set_function(is_up)
        self._pending.set_function(pending)
        self._marks.set_function(marks)

    def counts(self) -> dict[str, float]:
        """The totals that `cache stats` shows."""
        return {
            "hits": _total(self._hits),
            "misses": _total(self._misses),
            **{f"hits_{kind.value}": _total(self._hit_kinds.labels(kind)) for kind in HitKind},
        }


def _total(counter: Counter) -> float:
    return next(sample.value for metric in counter.collect() for sample in metric.samples)
