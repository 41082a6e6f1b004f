"""Metrics under names of vLLM Semantic Router, with its labels.

Every boundary of its histograms is one of ours. Some of ours go on beyond: its alert on completions of more
than 30 s cannot fire over its own buckets, which end at 10 s.
"""

from typing import Final

from router_extproc.telemetry import labels as by
from router_extproc.telemetry.table import Absent, Kind, Label, Metric, Whose

GO_DEFAULT: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""What the Go client has where no buckets are given."""

ROUTER_SECONDS: Final = (0.0005, 0.001, 0.0025, *GO_DEFAULT)
MODEL_SECONDS: Final = (*GO_DEFAULT, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
TOKEN_SECONDS: Final = (0.001, 0.0025, *GO_DEFAULT)
TOKENS: Final = (0.0, *(float(8 << step) for step in range(12)), 32768.0, 65536.0, 131072.0)
OPERATION_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ENTROPY_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
BITS: Final = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
SHARES: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
BATCH_SECONDS: Final = (0.001, 0.01, 0.1, 1.0, 10.0)
BATCH_TEXTS: Final = (1.0, 10.0, 100.0)
AGE_SECONDS: Final = (1.0, 10.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0, 604800.0)


def _counter(
    name: str, text: str, *labels: Label, unit: str = "", whose: Whose = Whose.PEER, kind: Kind = Kind.COUNTER
) -> Metric:
    return Metric(name, kind, text, labels, unit, whose=whose)


def _histogram(
    name: str,
    text: str,
    buckets: tuple[float, ...],
    *labels: Label,
    unit: str = "seconds",
    whose: Whose = Whose.PEER,
) -> Metric:
    return Metric(name, Kind.HISTOGRAM, text, labels, unit, buckets, whose)


def _later(name: str, text: str, *labels: Label, kind: Kind = Kind.COUNTER) -> Metric:
    return _counter(name, text, *labels, whose=Whose.PEER_LATER, kind=kind)


_MODELS = (
    _counter("llm_model_requests_total", "Requests sent to a model.", by.MODEL),
    _counter(
        "llm_request_errors_total",
        "Requests that failed or were refused. `incomplete` is ours: an answer that lacks its end.",
        by.MODEL,
        by.ERROR,
    ),
    _counter("llm_model_cost_total", "What answers cost, by the models' prices.", by.MODEL, by.CURRENCY),
    _counter("llm_model_tokens_total", "Tokens of prompts and answers.", by.MODEL, unit="tokens"),
    _counter("llm_model_prompt_tokens_total", "Tokens of prompts.", by.MODEL, unit="tokens"),
    _counter("llm_model_completion_tokens_total", "Tokens of answers.", by.MODEL, unit="tokens"),
    _histogram(
        "llm_prompt_tokens_per_request", "Tokens of a request's prompt.", TOKENS, by.MODEL, unit="tokens"
    ),
    _histogram(
        "llm_completion_tokens_per_request", "Tokens of a request's answer.", TOKENS, by.MODEL, unit="tokens"
    ),
    _histogram(
        "llm_model_completion_latency_seconds",
        "From a request's first message to the end of its answer.",
        MODEL_SECONDS,
        by.MODEL,
    ),
    _histogram(
        "llm_model_ttft_seconds",
        "From a request's first message to the first piece of a stream, or to the headers of another answer.",
        MODEL_SECONDS,
        by.MODEL,
    ),
    _histogram(
        "llm_model_tpot_seconds",
        "Per token: of a stream between its first piece and its end, of another answer its whole time.",
        TOKEN_SECONDS,
        by.MODEL,
    ),
)

_ROUTING = (
    _counter(
        "llm_model_routing_modifications_total",
        "Requests whose model the router chose.",
        by.SOURCE_MODEL,
        by.TARGET_MODEL,
    ),
    _counter(
        "llm_routing_reason_codes_total", "Routing decisions by what decided.", by.REASON_CODE, by.MODEL
    ),
    _histogram(
        "llm_model_routing_latency_seconds", "From the first message to the decision.", ROUTER_SECONDS
    ),
    _histogram(
        "llm_classifier_latency_seconds",
        "One pass of a model, queueing included.",
        ROUTER_SECONDS,
        by.CLASSIFIER,
    ),
    _counter(
        "llm_category_classifications_count",
        "Requests by category. Exposed as a gauge, for the peer's name of this counter lacks _total.",
        by.CATEGORY,
        kind=Kind.GAUGE,
    ),
    _counter(
        "llm_pii_violations_total",
        "Requests kept from a model, by the types of personal data that counted in them.",
        by.MODEL,
        by.PII_TYPE,
    ),
    _counter(
        "llm_reasoning_decisions_total",
        "Requests whose model the router chose, by whether it thinks.",
        by.CATEGORY_OR_NONE,
        by.MODEL,
        by.ENABLED,
        by.EFFORT,
    ),
    _counter(
        "llm_reasoning_template_usage_total",
        "Requests in which the router set a family's switch of thinking.",
        by.FAMILY,
        by.PARAMETER,
    ),
    _counter(
        "llm_reasoning_effort_usage_total", "Efforts that the router set, by family.", by.FAMILY, by.EFFORT
    ),
    _later("llm_decision_match_total", "Requests by the decision that matched.", by.DECISION_NAME),
    _later(
        "llm_model_inflight_requests", "Requests under way to a model; read at the scrape.",
        by.MODEL, kind=Kind.GAUGE,
    ),
)  # fmt: skip

_THINKING = (
    _counter(
        "llm_entropy_classification_decisions_total",
        "Requests whose thinking may go by the uncertainty about the category.",
        by.LEVEL,
        by.REASONING_ENABLED,
        by.DECISION_REASON,
        by.TOP_CATEGORY,
    ),
    _histogram(
        "llm_entropy_values",
        "Entropy of the categories' probabilities.",
        BITS,
        by.CATEGORY,
        by.CLASSIFICATION_TYPE,
        unit="bits",
    ),
    _histogram(
        "llm_classification_confidence",
        "How sure the decision about thinking is.",
        SHARES,
        by.CATEGORY,
        by.CLASSIFICATION_METHOD,
        unit="share",
    ),
    _histogram(
        "llm_entropy_classification_latency_seconds",
        "The pass that gave the probabilities which thinking goes by.",
        ENTROPY_SECONDS,
    ),
    _counter(
        "llm_entropy_fallback_usage_total",
        "Requests whose thinking should go by the uncertainty, and nothing was known of the category.",
        by.FALLBACK_REASON,
        by.FALLBACK_STRATEGY,
    ),
)

_CACHE = (
    _counter("llm_cache_hits_total", "Answers from the cache."),
    _counter("llm_cache_misses_total", "Lookups without an answer."),
    _histogram(
        "llm_cache_operation_duration_seconds",
        "Calls of the store.",
        OPERATION_SECONDS,
        by.BACKEND,
        by.OPERATION,
    ),
    _counter("llm_cache_operations_total", "Calls of the store.", by.BACKEND, by.OPERATION, by.STATUS),
    _counter(
        "llm_cache_entries_total",
        "Entries held in memory; read at the scrape. A gauge, whatever its name.",
        by.BACKEND,
        kind=Kind.GAUGE,
    ),
    _later("llm_cache_write_skipped_total", "Answers not stored, and why.", by.UNCACHED),
    _later(
        "llm_response_cache_singleflight_waiters_total",
        "Requests that waited for an identical one.",
        by.BACKEND,
        by.WAITED,
    ),
    _histogram(
        "llm_response_cache_entry_age_seconds",
        "Age of entries that answered.",
        AGE_SECONDS,
        by.BACKEND,
        by.HIT_KIND,
        by.SOURCE,
        whose=Whose.PEER_LATER,
    ),
    _later(
        "llm_response_cache_invalidations_total",
        "Invalidations by operators and feedback.",
        by.BACKEND,
        by.MARK,
        by.DRY_RUN,
    ),
)

_BATCHES = (
    _counter(
        "batch_classification_requests_total", "Batches that the HTTP API was asked for.", by.PROCESSING
    ),
    _histogram(
        "batch_classification_duration_seconds",
        "Batches of the HTTP API.",
        BATCH_SECONDS,
        by.PROCESSING,
        by.BATCH_SIZE,
    ),
    _counter("batch_classification_texts_total", "Texts in batches of the HTTP API.", by.PROCESSING),
    _counter(
        "batch_classification_errors_total",
        "Batches that were not classified.",
        by.PROCESSING,
        by.BATCH_ERROR,
    ),
    _histogram(
        "batch_classification_size_distribution",
        "Texts in a batch of the HTTP API.",
        BATCH_TEXTS,
        by.PROCESSING,
        unit="texts",
    ),
)

PEER: Final = (*_MODELS, *_ROUTING, *_THINKING, *_CACHE, *_BATCHES)

ABSENT: Final = (
    Absent(
        "llm_probability_distribution_quality_total",
        "A model whose answers are no probabilities is refused when it is loaded, and one that gives such "
        "later is counted as a failed head in `router_head_failures_total`.",
    ),
    Absent(
        "batch_classification_concurrent_goroutines",
        "There are no goroutines, and its label `batch_id` has a new value for each batch.",
    ),
)
"""Of the late-2025 names. What came later there is not promised, but where it is above."""
