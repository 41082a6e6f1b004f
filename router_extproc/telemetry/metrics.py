"""Notes as Prometheus metrics. The table says which there are; here is what each note is counted as.

Label values come from enums and from the configuration, never from a client, so cardinality is bounded.
"""

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from router_extproc.base.names import AUTO
from router_extproc.base.refusals import Guarded, Rejection
from router_extproc.exchange.effects import (
    Answered,
    AnswerScreened,
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
from router_extproc.exchange.notes import (
    Analysed,
    AnsweredBefore,
    AnswerEnded,
    FirstPiece,
    Judged,
    NearestFound,
    Opened,
    Understood,
)
from router_extproc.routing.uncertainty import NO_DATA, Uncertainty
from router_extproc.routing.world import Condition
from router_extproc.screening.policy import GUARD, PII
from router_extproc.screening.spans import PII_TYPES
from router_extproc.telemetry.cache_metrics import CacheMetrics
from router_extproc.telemetry.certificates import CertificateMetrics
from router_extproc.telemetry.collectors import Collectors
from router_extproc.telemetry.labels import (
    BATCH_SIZES,
    BEYOND,
    NO_CATEGORY,
    UNKNOWN,
    BatchProblem,
    Classifier,
    RequestError,
    Sending,
    Step,
)
from router_extproc.telemetry.spending import Price, Spending

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Implements `ports.Telemetry`. One registry per instance, so tests and workers never share state.
    `backend` is the configured `semantic_cache.backend_type`."""

    def __init__(self, backend: str = "memory") -> None:
        self.registry = CollectorRegistry()
        self._collectors = Collectors(self.registry)
        self.certificates = CertificateMetrics(self._collectors)
        self._conditions: Callable[[], Mapping[str, Condition]] = dict
        self.cache = CacheMetrics(self._collectors, backend)
        self._spending = Spending(self._collectors)
        cache, count = self.cache, self._collectors.count
        self._record: Mapping[type[Note], Callable[[Any], None]] = {
            Opened: _not_counted,
            Understood: _not_counted,
            AnsweredBefore: _not_counted,
            Judged: _not_counted,
            Analysed: self._analysed,
            Routed: self._routed,
            Answered: self._answered,
            FirstPiece: lambda n: self._first(n.model, n.seconds),
            AnswerEnded: self._ended,
            CacheHit: self._hit,
            CacheMiss: cache.miss,
            NearestFound: cache.nearest,
            CacheSkipped: cache.skipped,
            AnswerScreened: cache.screened,
            CacheVerified: cache.verified,
            Coalesced: cache.coalesced,
            StoreAsked: cache.asked,
            TextsCompared: cache.compared,
            ModelAdjusted: lambda n: count("router_model_adjustments_total", n.model, n.kind),
            Bypassed: lambda n: count("router_bypassed_total", n.reason),
            Rejected: self._rejected,
            RequestGuarded: self._judged,
            PortFailed: self._failed,
            Cancelled: self._cancelled,
            Violation: lambda n: count("router_protocol_violations_total", n.stage, n.event),
        }

    def note(self, note: Note) -> None:
        self._record[type(note)](note)

    def configure(self, number: int, generation: str, prices: Mapping[str, Price | None]) -> None:
        """The configuration now served with is the process's `number`th, with this digest; `prices` has every
        model of the pool."""
        self._collectors.set("router_configuration_generation", number)
        self._collectors.forget("router_configuration_info")
        self._collectors.set("router_configuration_info", 1, generation)
        self._spending.configure(prices)

    def watch(
        self,
        *,
        streams: Callable[[], int],
        waiting: Callable[[], int],
        conditions: Callable[[], Mapping[str, Condition]],
    ) -> None:
        """Read at each scrape: streams in flight, jobs with the encoder, and how each model does."""
        self._collectors.read("router_streams", streams)
        self._collectors.read("router_encoder_waiting", waiting)
        self._conditions = conditions

    def head_failed(self, head: str) -> None:
        """`head` is the configuration's name of it. May be called from any thread."""
        self._collectors.count("router_head_failures_total", head)

    def traced(self, outcome: Sending, traces: int) -> None:
        """So many traces came to this. May be called from any thread."""
        self._collectors.count("router_traces_total", outcome, by=traces)

    def reloaded(self, outcome: str) -> None:
        self._collectors.count("router_configuration_reloads_total", outcome)

    def batch(self, jobs: int) -> None:
        """So many jobs went to the encoder together."""
        self._collectors.observe("router_encoder_batch_size", jobs)

    def lagged(self, seconds: float) -> None:
        """The event loop was this late."""
        self._collectors.observe("router_event_loop_lag_seconds", seconds)

    def classified(self, texts: int, seconds: float) -> None:
        """The HTTP API classified a batch."""
        count, observe = self._collectors.count, self._collectors.observe
        size = next((name for last, name in BATCH_SIZES if texts <= last), BEYOND)
        count("batch_classification_requests_total", "sequential")
        count("batch_classification_texts_total", "sequential", by=texts)
        observe("batch_classification_size_distribution", texts, "sequential")
        observe("batch_classification_duration_seconds", seconds, "sequential", size)

    def not_classified(self) -> None:
        """The HTTP API was asked for a batch, and could not classify it."""
        self._collectors.count("batch_classification_requests_total", "sequential")
        self._collectors.count("batch_classification_errors_total", "sequential", BatchProblem.CLASSIFICATION)

    def exposition(self) -> bytes:
        """The registry in Prometheus's text format, of content type `CONTENT_TYPE`."""
        for name in ("llm_model_inflight_requests", "router_model_up"):
            self._collectors.forget(name)
        for model, condition in self._conditions().items():
            self._collectors.set("llm_model_inflight_requests", condition.in_flight, model)
            self._collectors.set("router_model_up", condition.available, model)
        return generate_latest(self.registry)

    def _error(self, model: str, reason: RequestError) -> None:
        self._collectors.count("llm_request_errors_total", model or UNKNOWN, reason)

    def _analysed(self, note: Analysed) -> None:
        observe, timings = self._collectors.observe, note.timings
        if note.category:
            self._collectors.count("llm_category_classifications_count", note.category)
        steps = {
            Step.QUEUE: timings.queue,
            Step.TOKENISE: timings.tokenise,
            Step.ENCODE: timings.run,
            Step.GUARDS: timings.screen,
        }
        if not any(steps.values()):  # nobody was asked
            return
        for step, milliseconds in steps.items():
            if milliseconds or step is not Step.GUARDS:
                observe("router_stage_seconds", milliseconds / 1000, step)
        spent = timings.queue + timings.tokenise + timings.run
        observe("llm_classifier_latency_seconds", spent / 1000, Classifier.CATEGORY)
        if timings.screen:
            observe("llm_classifier_latency_seconds", timings.screen / 1000, Classifier.GUARDS)

    def _routed(self, note: Routed) -> None:
        count = self._collectors.count
        count("llm_model_requests_total", note.model)
        count("llm_routing_reason_codes_total", note.rule, note.model)
        if note.decision:
            count("llm_decision_matches_total", note.decision, note.model)
            count("llm_decision_match_total", note.decision)
        if note.requested == AUTO:
            count("llm_model_routing_modifications_total", "auto", note.model)
            self._thinking(note)
        self._collectors.observe("llm_model_routing_latency_seconds", note.seconds)
        if note.uncertainty is not None:
            self._doubted(note.uncertainty)
            if note.timings is not None:
                spent = note.timings.queue + note.timings.tokenise + note.timings.run
                self._collectors.observe("llm_entropy_classification_latency_seconds", spent / 1000)

    def _thinking(self, note: Routed) -> None:
        count, effort = self._collectors.count, note.effort or "none"
        enabled = "true" if note.reasoning else "false"
        category = note.category or NO_CATEGORY
        count("llm_reasoning_decisions_total", category, note.model, enabled, effort)
        if note.family:
            count("llm_reasoning_template_usage_total", note.family, note.parameter)
            count("llm_reasoning_effort_usage_total", note.family, effort)

    def _doubted(self, doubt: Uncertainty) -> None:
        """`category` is a label of the domain head, so of the configuration."""
        count, observe = self._collectors.count, self._collectors.observe
        top, enabled = doubt.category or NO_CATEGORY, "true" if doubt.reasoning else "false"
        count("llm_entropy_classification_decisions_total", doubt.level, enabled, doubt.reason, top)
        if doubt.reason == NO_DATA:
            count("llm_entropy_fallback_usage_total", NO_DATA, "configuration")
        if doubt.category:
            observe("llm_entropy_values", doubt.entropy, top, "entropy_based")
            observe("llm_classification_confidence", doubt.confidence, top, "entropy_based")

    def _judged(self, note: RequestGuarded) -> None:
        count, types = self._collectors.count, note.types & PII_TYPES
        count("router_guard_total", note.guard, note.outcome)
        for kind in types:
            count("router_guard_pii_types_total", kind)
            for model in note.kept_from:
                count("llm_pii_violations_total", model, kind)
        if note.outcome is Guarded.BLOCKED and note.guard == GUARD:
            self._error(note.model, RequestError.ATTACK)
        if note.outcome is Guarded.BLOCKED and note.guard == PII:
            self._error(note.model, RequestError.PERSONAL_DATA)

    def _rejected(self, note: Rejected) -> None:
        self._collectors.count("router_rejected_total", note.reason)
        if note.reason in (Rejection.INVALID_JSON, Rejection.INVALID_REQUEST):
            self._error(UNKNOWN, RequestError.PARSE)

    def _failed(self, note: PortFailed) -> None:
        self._collectors.count("router_port_failures_total", note.port, note.reason)
        if note.port == "analyst":
            self._error(UNKNOWN, RequestError.CLASSIFICATION)

    def _cancelled(self, note: Cancelled) -> None:
        self._collectors.count("router_cancelled_total", note.stage)
        self._error(note.model, RequestError.CANCELLED)

    def _answered(self, note: Answered) -> None:
        if note.status in (408, 504):
            self._error(note.model, RequestError.TIMEOUT)
        elif note.status >= 400:
            at_fault = RequestError.SERVER_ERROR if note.status >= 500 else RequestError.CLIENT_ERROR
            self._error(note.model, at_fault)
        elif not note.streams:
            self._first(note.model, note.seconds)

    def _first(self, model: str, seconds: float) -> None:
        self._collectors.observe("llm_model_ttft_seconds", seconds, model)

    def _ended(self, note: AnswerEnded) -> None:
        if not note.complete:
            self._error(note.model, RequestError.INCOMPLETE)
            return
        self._collectors.observe("llm_model_completion_latency_seconds", note.seconds, note.model)
        if note.per_token is not None:
            self._collectors.observe("llm_model_tpot_seconds", note.per_token, note.model)
        self._spending.ended(note)

    def _hit(self, note: CacheHit) -> None:
        self.cache.hit(note)
        self._spending.spared(note)


def _not_counted(note: Note) -> None:
    """For traces and the record of decisions: what metrics need of it is in other notes."""
