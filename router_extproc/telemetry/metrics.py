"""Notes as Prometheus metrics, under the names of vLLM Semantic Router where it has one for the same thing.

Label values come from enums and from the configured pool, never from a client, so cardinality is bounded.
"""

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from router_extproc.exchange.effects import (
    Answered,
    Bypassed,
    CacheHit,
    CacheMiss,
    CacheSkipped,
    CacheVerified,
    Cancelled,
    Coalesced,
    ModelAdjusted,
    Note,
    PortFailed,
    Rejected,
    RequestGuarded,
    Routed,
    StoreAsked,
    TextsCompared,
    Violation,
)
from router_extproc.screening.spans import PII_TYPES
from router_extproc.telemetry.cache_metrics import CacheMetrics

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Implements `ports.Telemetry`. One registry per instance, so tests and workers never share state.
    `backend` is the configured `semantic_cache.backend_type`."""

    def __init__(self, backend: str = "memory") -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("llm_model_requests", "Requests sent to a model.", "model")
        self._modified = self._counter(
            "llm_model_routing_modifications",
            "Requests whose model the router chose.",
            "source_model",
            "target_model",
        )
        self._reasons = self._counter(
            "llm_routing_reason_codes", "Routing decisions by what decided.", "reason_code", "model"
        )
        self._errors = self._counter(
            "llm_request_errors", "Upstream answers with an error status.", "model", "reason"
        )
        self._routing = self._histogram(
            "llm_model_routing_latency_seconds", "From the first message to the decision."
        )
        self._classifier = self._histogram(
            "llm_classifier_latency_seconds", "One pass of a model, queueing included.", "classifier"
        )
        self._first_byte = self._histogram(
            "llm_model_ttft_seconds", "From the first message to the upstream's response headers.", "model"
        )
        self._adjusted = self._counter(
            "router_model_adjustments",
            "Changes of how a model is preferred, learned from answers.",
            "model",
            "kind",
        )
        self._decided = self._counter(
            "llm_decision_matches", "Requests by the decision that matched.", "decision", "model"
        )
        self._generation = Gauge(
            "router_configuration_generation", "Configurations served with so far.", registry=self.registry
        )
        self._reloads = self._counter(
            "router_configuration_reloads", "Changed configurations, and what became of them.", "outcome"
        )
        self._bypassed = self._counter("router_bypassed", "Exchanges that pass untouched, and why.", "reason")
        self._rejected = self._counter("router_rejected", "Errors the router answered with.", "reason")
        self._guarded = self._counter(
            "router_guard", "Requests by what a guard did about them.", "guard", "outcome"
        )
        self._personal = self._counter(
            "router_guard_pii_types", "Requests in which a type of personal data counted.", "type"
        )
        self._failed = self._counter("router_port_failures", "Failures of ports.", "port", "reason")
        self._heads = self._counter("router_head_failures", "Heads that said nothing.", "head")
        self._cancelled = self._counter("router_cancelled", "Exchanges the peer left early.", "stage")
        self._violations = self._counter(
            "router_protocol_violations", "Messages no stage allows.", "stage", "event"
        )
        self.streams = Gauge("router_streams", "ext_proc streams in flight.", registry=self.registry)
        self.cache = CacheMetrics(self.registry, backend)
        self._record: Mapping[type[Note], Callable[[Any], None]] = {
            Routed: self._routed,
            Answered: self._answered,
            CacheHit: self.cache.hit,
            CacheMiss: self.cache.miss,
            CacheSkipped: self.cache.skipped,
            CacheVerified: self.cache.verified,
            Coalesced: self.cache.coalesced,
            StoreAsked: self.cache.asked,
            TextsCompared: lambda n: self._classifier.labels("verifier").observe(n.seconds),
            ModelAdjusted: lambda n: self._adjusted.labels(n.model, n.kind).inc(),
            Bypassed: lambda n: self._bypassed.labels(n.reason).inc(),
            Rejected: lambda n: self._rejected.labels(n.reason).inc(),
            RequestGuarded: self._judged,
            PortFailed: lambda n: self._failed.labels(n.port, n.reason).inc(),
            Cancelled: lambda n: self._cancelled.labels(n.stage).inc(),
            Violation: lambda n: self._violations.labels(n.stage, n.event).inc(),
        }

    def note(self, note: Note) -> None:
        self._record[type(note)](note)

    def generation(self, number: int) -> None:
        """The configuration now served with is the process's `number`th."""
        self._generation.set(number)

    def head_failed(self, head: str) -> None:
        """`head` is the configuration's name of it. May be called from any thread."""
        self._heads.labels(head).inc()

    def reloaded(self, outcome: str) -> None:
        self._reloads.labels(outcome).inc()

    def exposition(self) -> bytes:
        """The registry in Prometheus's text format, of content type `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=SECONDS)

    def _routed(self, note: Routed) -> None:
        self._requests.labels(note.model).inc()
        self._reasons.labels(note.rule, note.model).inc()
        if note.decision:
            self._decided.labels(note.decision, note.model).inc()
        if note.requested == "auto":
            self._modified.labels("auto", note.model).inc()
        self._routing.observe(max(0.0, note.seconds))
        if note.timings is not None:
            spent = note.timings.queue + note.timings.tokenise + note.timings.run
            self._classifier.labels("category").observe(spent / 1000)

    def _judged(self, note: RequestGuarded) -> None:
        self._guarded.labels(note.guard, note.outcome).inc()
        for kind in note.types & PII_TYPES:
            self._personal.labels(kind).inc()

    def _answered(self, note: Answered) -> None:
        self._first_byte.labels(note.model).observe(max(0.0, note.seconds))
        if note.status >= 400:
            self._errors.labels(note.model, "upstream_5xx" if note.status >= 500 else "upstream_4xx").inc()
