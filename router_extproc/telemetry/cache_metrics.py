"""What the cache does, into the metrics of the table.

Label values come from enums and the configuration: a client cannot mint one.
"""

from collections.abc import Callable

from router_extproc.base.refusals import Missed
from router_extproc.exchange.effects import (
    AnswerScreened,
    CacheHit,
    CacheMiss,
    CacheSkipped,
    CacheVerified,
    Coalesced,
    HitKind,
    StoreAsked,
    TextsCompared,
)
from router_extproc.exchange.notes import NearestFound
from router_extproc.telemetry.collectors import Collectors
from router_extproc.telemetry.labels import Classifier, Step

_STEPS = {"get_by_id": Step.EXACT, "find_similar": Step.SEMANTIC}


class CacheMetrics:
    """`backend` is `semantic_cache.backend_type`."""

    def __init__(self, collectors: Collectors, backend: str) -> None:
        self._collectors = collectors
        self._backend = backend

    def hit(self, note: CacheHit) -> None:
        count, observe = self._collectors.count, self._collectors.observe
        count("llm_cache_hits_total")
        count("router_cache_hits_total", note.kind)
        observe("router_cache_hit_seconds", note.seconds, note.kind)
        age = "llm_response_cache_entry_age_seconds"
        observe(age, note.age, self._backend, note.kind, "cache")
        if note.kind is HitKind.SEMANTIC:
            observe("router_cache_hit_similarity", note.similarity)
        if note.probability is not None:
            observe("router_cache_hit_probability", note.probability)

    def miss(self, note: CacheMiss) -> None:
        count = self._collectors.count
        count("llm_cache_misses_total")
        count("router_cache_misses_total", Missed.HELD_BACK if note.refused else note.reason)
        for difference, times in note.refused.items():
            count("router_cache_guard_refusals_total", difference, by=times)

    def nearest(self, note: NearestFound) -> None:
        if note.similarity is not None:
            self._collectors.observe("router_cache_nearest_similarity", note.similarity)

    def skipped(self, note: CacheSkipped) -> None:
        phase = "store" if note.storing else "lookup"
        self._collectors.count("router_uncached_total", phase, note.reason)
        if note.storing:
            self._collectors.count("llm_cache_write_skipped_total", note.reason)

    def screened(self, note: AnswerScreened) -> None:
        outcome = "kept" if note.refused is None else note.refused
        self._collectors.count("router_answers_screened_total", outcome)

    def verified(self, note: CacheVerified) -> None:
        self._collectors.count("cache_verified_total", note.outcome)

    def coalesced(self, note: Coalesced) -> None:
        name = "llm_response_cache_singleflight_waiters_total"
        self._collectors.count(name, self._backend, note.outcome)

    def asked(self, note: StoreAsked) -> None:
        count, observe, backend = self._collectors.count, self._collectors.observe, self._backend
        count("llm_cache_operations_total", backend, note.operation, note.status)
        observe("llm_cache_operation_duration_seconds", note.seconds, backend, note.operation)
        observe("router_stage_seconds", note.seconds, _STEPS[note.operation])

    def compared(self, note: TextsCompared) -> None:
        self._collectors.observe("llm_classifier_latency_seconds", note.seconds, Classifier.VERIFIER)
        self._collectors.observe("router_stage_seconds", note.seconds, Step.VERIFIER)

    def invalidated(self, kind: str) -> None:
        """`kind` is a `marks.Kind`."""
        self._collectors.count("llm_response_cache_invalidations_total", self._backend, kind, "false")

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
        read = self._collectors.read
        read("llm_cache_entries_total", entries, "memory")
        read("router_cache_bytes", held)
        read("router_store_up", is_up)
        read("router_cache_pending_writes", pending)
        read("router_cache_marks", marks)

    def counts(self) -> dict[str, float]:
        """The totals that `cache stats` shows."""
        total = self._collectors.total
        return {
            "hits": total("llm_cache_hits_total"),
            "misses": total("llm_cache_misses_total"),
            **{f"hits_{kind.value}": total("router_cache_hits_total", kind) for kind in HitKind},
        }
