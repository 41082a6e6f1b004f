"""Metrics of our own names."""

from typing import Final

from router_extproc.telemetry import labels as by
from router_extproc.telemetry.table import Kind, Label, Metric

STEP_SECONDS: Final = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
)  # fmt: skip
HIT_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
LAG_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
SIMILARITY: Final = tuple(step / 20 for step in range(21))
JOBS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


def _counter(name: str, text: str, *labels: Label, unit: str = "") -> Metric:
    return Metric(name, Kind.COUNTER, text, labels, unit)


def _gauge(name: str, text: str, *labels: Label, unit: str = "") -> Metric:
    return Metric(name, Kind.GAUGE, text, labels, unit)


def _histogram(
    name: str, text: str, buckets: tuple[float, ...], *labels: Label, unit: str = "seconds"
) -> Metric:
    return Metric(name, Kind.HISTOGRAM, text, labels, unit, buckets)


_ROUTING = (
    _histogram("router_stage_seconds", "What the router spends time on, by stage.", STEP_SECONDS, by.STEP),
    _counter("llm_decision_matches_total", "Requests by decision and model.", by.DECISION, by.MODEL),
    _counter(
        "router_model_adjustments_total",
        "Changes of how a model is preferred, learned from answers.",
        by.MODEL,
        by.ADJUSTMENT,
    ),
    _gauge(
        "router_model_up",
        "1 while a model is asked, 0 while it is left alone after failures; read at the scrape.",
        by.MODEL,
    ),
    _counter(
        "router_usage_unknown_total",
        "Answers whose upstream said nothing of tokens: they are in no count of tokens or cost.",
        by.MODEL,
    ),
    _counter("router_bypassed_total", "Exchanges that pass untouched, and why.", by.BYPASS),
    _counter("router_rejected_total", "Errors the router answered with.", by.REJECTION),
    _counter("router_cancelled_total", "Exchanges the peer left early.", by.STAGE),
    _counter("router_protocol_violations_total", "Messages no stage allows.", by.STAGE, by.EVENT),
)

_GUARDS = (
    _counter("router_guard_total", "Requests by what a guard did about them.", by.GUARD_NAME, by.GUARDED),
    _counter(
        "router_guard_pii_types_total", "Requests in which a type of personal data counted.", by.OUR_PII_TYPE
    ),
    _counter(
        "router_answers_screened_total",
        "Answers read before they are kept, by what came of it.",
        by.SCREENED,
    ),
)

_CACHE = (
    _counter("router_cache_hits_total", "Answers from the cache by how they were found.", by.KIND),
    _counter("router_cache_misses_total", "Lookups without an answer, and why.", by.MISSED),
    _histogram(
        "router_cache_hit_seconds",
        "From the first message to an answer from the cache.",
        HIT_SECONDS,
        by.KIND,
    ),
    _histogram("router_cache_hit_similarity", "Cosine of semantic hits.", SIMILARITY, unit="cosine"),
    _histogram(
        "router_cache_nearest_similarity",
        "Cosine of the most similar entry, hit or not, where the cache was asked by meaning.",
        SIMILARITY,
        unit="cosine",
    ),
    _histogram(
        "router_cache_hit_probability",
        "The verifier's probability of the hits it accepted.",
        SIMILARITY,
        unit="probability",
    ),
    _counter(
        "router_cache_guard_refusals_total",
        "Similar entries that the guard or the verifier held back, and why.",
        by.DIFFERENCE,
    ),
    _counter(
        "cache_verified_total",
        "Semantic hits compared with a fresh answer, by what it said.",
        by.VERIFIED,
    ),
    _counter("router_uncached_total", "The cache was not used.", by.PHASE, by.UNCACHED),
    _counter(
        "router_cache_saved_tokens_total",
        "Tokens that answers of the cache had cost when a model gave them.",
        by.MODEL,
        by.PART,
        unit="tokens",
    ),
    _counter(
        "router_cache_saved_cost_total",
        "What those tokens cost, by the models' prices now.",
        by.MODEL,
        by.CURRENCY,
    ),
    _counter(
        "router_cache_saved_seconds_total",
        "What the model's answers take on average, less what the hit took.",
        by.MODEL,
        unit="seconds",
    ),
    _gauge("router_cache_bytes", "Bytes of the entries in memory, as they are charged.", unit="bytes"),
    _gauge("router_store_up", "1 while the store is asked, 0 while its breaker leaves it alone."),
    _gauge("router_cache_pending_writes", "Entries that wait to be written."),
    _gauge("router_cache_marks", "Invalidations in force."),
)

_PROCESS = (
    _gauge("router_configuration_generation", "Configurations served with so far."),
    _gauge("router_configuration_info", "1, for the configuration in force, by its digest.", by.GENERATION),
    _counter(
        "router_configuration_reloads_total", "Changed configurations, and what became of them.", by.RELOAD
    ),
    _counter("router_port_failures_total", "Failures of ports.", by.PORT, by.FAILURE),
    _counter("router_head_failures_total", "Heads that said nothing.", by.HEAD),
    _counter("router_traces_total", "Traces for the collector, and what became of them.", by.SENDING),
    _gauge("router_streams", "ext_proc streams in flight."),
    _histogram(
        "router_encoder_batch_size",
        "Jobs that went to the encoder's thread together.",
        JOBS,
        unit="jobs",
    ),
    _gauge("router_encoder_waiting", "Jobs that wait for the encoder, or are in it."),
    _histogram("router_event_loop_lag_seconds", "How late the event loop does what is due.", LAG_SECONDS),
)

CERTIFICATES: Final = (
    _gauge(
        "router_certificate_expiry_timestamp_seconds",
        "When the first certificate of a listener's chain ends, in seconds since 1970.",
        by.LISTENER,
        unit="seconds",
    ),
    _counter(
        "router_certificate_reloads_total",
        "Changed certificate files of a listener, and what became of them.",
        by.LISTENER,
        by.RENEWAL,
    ),
)

WORKERS: Final = (
    _gauge("router_worker_up", "1 while the worker takes streams, with several workers.", by.WORKER),
    _counter("router_worker_restarts_total", "Workers that ended or hung and were started again.", by.WORKER),
)
"""Of the parent of several workers, whose own metrics have the label `worker` then."""

OWN: Final = (*_ROUTING, *_GUARDS, *_CACHE, *_PROCESS, *CERTIFICATES)
