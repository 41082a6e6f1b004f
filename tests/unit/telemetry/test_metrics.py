"""Notes become metrics; labels come from enums and the pool only."""

import json
import logging
import sys

import pytest

from router_extproc.base.refusals import (
    Bypass,
    Failure,
    Guarded,
    Missed,
    Rejection,
    Uncached,
    Verified,
    Waited,
)
from router_extproc.caching.guard import Difference
from router_extproc.caching.marks import Kind
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
    HitKind,
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
from router_extproc.exchange.notes import Analysed, AnswerEnded, FirstPiece, NearestFound
from router_extproc.routing.analysis import Timings
from router_extproc.routing.uncertainty import NO_DATA, Level, Uncertainty
from router_extproc.routing.world import Condition
from router_extproc.telemetry.labels import Sending
from router_extproc.telemetry.log import JsonLines
from router_extproc.telemetry.metrics import Metrics

NOTES: list[Note] = [
    Routed(
        "auto",
        "large",
        "math",
        "sums",
        0.9,
        True,
        "auto_routing",
        0.004,
        Timings(1.0, 1.0, 2.0),
        effort="high",
        family="qwen3",
        parameter="enable_thinking",
    ),
    Analysed("math", Timings(1.0, 1.0, 2.0, 5.0)),
    Analysed("", Timings()),
    Routed("small", "small", "", "", 0.2, False, "model_specified", 0.004, None),
    Answered("large", 503, 0.2),
    Answered("large", 404, 0.2),
    Answered("large", 504, 0.2),
    Answered("large", 200, 0.2),
    Answered("large", 200, 0.3, streams=True),
    FirstPiece("large", 0.5),
    AnswerEnded("large", 2.0, None, 0.05),
    NearestFound(0.9),
    NearestFound(None),
    CacheHit(HitKind.SEMANTIC, "e1", 0.93, "large", 5.0, 0.003, probability=0.75),
    CacheMiss({Difference.NUMBER: 2, Difference.VERIFIER: 1}),
    CacheMiss(reason=Missed.WORD_FOR_WORD),
    ModelAdjusted("large", "opened"),
    TextsCompared(0.008),
    CacheSkipped(Uncached.STATUS, storing=True),
    AnswerScreened(Uncached.PERSONAL_DATA, "math", "large", "e1", "t1"),
    AnswerScreened(None, "math", "large", "e2", "t1"),
    CacheVerified(Verified.SAME, "math", "e1"),
    Coalesced(Waited.TIMEOUT),
    StoreAsked("find_similar", "miss", 0.004),
    Bypassed(Bypass.OTHER_PATH),
    Rejected(Rejection.INVALID_JSON),
    RequestGuarded("guard", Guarded.BLOCKED, "math", "large", "r1", score=0.9),
    RequestGuarded(
        "pii",
        Guarded.REROUTED,
        "",
        "small",
        "r1",
        types=frozenset({"PERSON", "made up"}),
        kept_from=("large", "medium"),
    ),
    RequestGuarded("pii", Guarded.BLOCKED, "", "large", "r1", types=frozenset({"US_SSN"})),
    PortFailed("store", Failure.TIMEOUT),
    PortFailed("analyst", Failure.TIMEOUT),
    Cancelled("Recording", "large"),
    Cancelled("AwaitBody"),
    Violation("Start", "RequestBody"),
]


def test_every_note_is_counted_under_its_name() -> None:
    metrics = Metrics()
    for note in NOTES:
        metrics.note(note)
    metrics.head_failed("language")
    metrics.traced(Sending.QUEUE_FULL, 3)
    text = metrics.exposition().decode()
    for line in (
        'llm_model_requests_total{model="large"} 1.0',
        'router_traces_total{outcome="queue_full"} 3.0',
        'llm_model_routing_modifications_total{source_model="auto",target_model="large"} 1.0',
        'llm_routing_reason_codes_total{model="small",reason_code="model_specified"} 1.0',
        'llm_request_errors_total{model="large",reason="upstream_5xx"} 1.0',
        'llm_request_errors_total{model="large",reason="upstream_4xx"} 1.0',
        'llm_request_errors_total{model="large",reason="timeout"} 1.0',
        'llm_request_errors_total{model="large",reason="jailbreak_block"} 1.0',
        'llm_request_errors_total{model="large",reason="pii_policy_denied"} 1.0',
        'llm_request_errors_total{model="large",reason="cancellation"} 1.0',
        'llm_request_errors_total{model="unknown",reason="cancellation"} 1.0',
        'llm_request_errors_total{model="unknown",reason="parse_error"} 1.0',
        'llm_request_errors_total{model="unknown",reason="classification_failed"} 1.0',
        'llm_classifier_latency_seconds_sum{classifier="category"} 0.004',
        'llm_classifier_latency_seconds_sum{classifier="guards"} 0.005',
        'router_stage_seconds_sum{stage="encode"} 0.002',
        'router_stage_seconds_count{stage="queue"} 1.0',
        'router_stage_seconds_sum{stage="guards"} 0.005',
        'router_stage_seconds_sum{stage="semantic_lookup"} 0.004',
        'router_stage_seconds_sum{stage="verifier"} 0.008',
        'llm_category_classifications_count{category="math"} 1.0',
        'llm_decision_matches_total{decision="sums",model="large"} 1.0',
        'llm_decision_match_total{decision_name="sums"} 1.0',
        'llm_reasoning_decisions_total{category="math",effort="high",enabled="true",model="large"} 1.0',
        'llm_reasoning_template_usage_total{family="qwen3",param="enable_thinking"} 1.0',
        'llm_reasoning_effort_usage_total{effort="high",family="qwen3"} 1.0',
        'llm_pii_violations_total{model="large",pii_type="PERSON"} 1.0',
        'llm_pii_violations_total{model="medium",pii_type="PERSON"} 1.0',
        'llm_model_ttft_seconds_sum{model="large"} 0.7',
        'llm_model_completion_latency_seconds_sum{model="large"} 2.0',
        'llm_model_tpot_seconds_sum{model="large"} 0.05',
        'router_model_adjustments_total{kind="opened",model="large"} 1.0',
        "llm_cache_hits_total 1.0",
        "llm_cache_misses_total 2.0",
        'router_cache_misses_total{reason="held_back"} 1.0',
        'router_cache_misses_total{reason="word_for_word"} 1.0',
        "router_cache_nearest_similarity_sum 0.9",
        'router_cache_hits_total{kind="semantic"} 1.0',
        'router_cache_guard_refusals_total{difference="number"} 2.0',
        'router_cache_guard_refusals_total{difference="verifier"} 1.0',
        "router_cache_hit_probability_sum 0.75",
        'llm_classifier_latency_seconds_sum{classifier="verifier"} 0.008',
        'llm_cache_operations_total{backend="memory",operation="find_similar",status="miss"} 1.0',
        'llm_cache_operation_duration_seconds_sum{backend="memory",operation="find_similar"} 0.004',
        'llm_cache_write_skipped_total{reason="status"} 1.0',
        'llm_response_cache_singleflight_waiters_total{backend="memory",outcome="timeout"} 1.0',
        'llm_response_cache_entry_age_seconds_sum{backend="memory",hit_kind="semantic",source="cache"} 5.0',
        'router_answers_screened_total{outcome="personal_data"} 1.0',
        'router_answers_screened_total{outcome="kept"} 1.0',
        'cache_verified_total{outcome="same"} 1.0',
        'router_uncached_total{phase="store",reason="status"} 1.0',
        'router_bypassed_total{reason="other_path"} 1.0',
        'router_rejected_total{reason="invalid_json"} 1.0',
        'router_guard_total{guard="guard",outcome="blocked"} 1.0',
        'router_guard_total{guard="pii",outcome="rerouted"} 1.0',
        'router_guard_pii_types_total{type="PERSON"} 1.0',
        'router_port_failures_total{port="store",reason="timeout"} 1.0',
        'router_head_failures_total{head="language"} 1.0',
        'router_cancelled_total{stage="Recording"} 1.0',
        'router_protocol_violations_total{event="RequestBody",stage="Start"} 1.0',
    ):
        assert line in text.splitlines()
    assert "made up" not in text


def test_gauges_of_the_cache_are_read_at_each_scrape() -> None:
    metrics, entries = Metrics("hybrid"), [1]
    metrics.cache.watch(
        entries=lambda: entries[0], held=lambda: 2048, is_up=lambda: False, pending=lambda: 3, marks=lambda: 4
    )
    entries[0] = 7
    metrics.cache.invalidated(Kind.TENANT)
    lines = metrics.exposition().decode().splitlines()
    for line in (
        'llm_cache_entries_total{backend="memory"} 7.0',
        "router_cache_bytes 2048.0",
        "router_store_up 0.0",
        "router_cache_pending_writes 3.0",
        "router_cache_marks 4.0",
        'llm_response_cache_invalidations_total{backend="hybrid",dry_run="false",operation="tenant"} 1.0',
    ):
        assert line in lines


def test_counts_for_operators_are_those_of_the_counters() -> None:
    metrics = Metrics()
    metrics.note(CacheHit(HitKind.STALE, "e1", 1.0, "large", 5.0, 0.003))
    metrics.note(CacheMiss())
    metrics.note(CacheMiss())
    counts = metrics.cache.counts()
    assert (counts["hits"], counts["misses"], counts["hits_stale"], counts["hits_exact"]) == (1, 2, 1, 0)


def test_a_clock_that_jumps_back_breaks_nothing() -> None:
    metrics = Metrics()
    metrics.note(Answered("large", 200, -5.0))
    assert 'llm_model_ttft_seconds_sum{model="large"} 0.0' in metrics.exposition().decode()


def test_two_instances_share_nothing() -> None:
    one, other = Metrics(), Metrics()
    one.note(CacheMiss())
    assert "llm_cache_misses_total 0.0" in other.exposition().decode()


def test_a_log_record_is_one_line_of_json() -> None:
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        record = logging.LogRecord("router_extproc.x", logging.ERROR, "f", 1, "a %s", ("b",), sys.exc_info())
    line = JsonLines().format(record)
    assert "\n" not in line
    document = json.loads(line)
    assert (document["level"], document["logger"], document["message"]) == (
        "error",
        "router_extproc.x",
        "a b",
    )
    assert "ValueError" in document["traceback"]


def routed(doubt: Uncertainty) -> str:
    """The exposition after one request with this uncertainty."""
    metrics = Metrics()
    metrics.note(Routed("auto", "m", "", "", 0.2, True, "below_threshold", 0.004, None, doubt))
    return metrics.exposition().decode()


def test_the_uncertainty_that_thinking_goes_by_is_counted_as_elsewhere() -> None:
    reason = "high_uncertainty_weighted_decision"
    text = routed(Uncertainty(2.9, 0.77, Level.HIGH, "physics", 0.83, True, 0.83, reason, True))
    labels = (
        f'decision_reason="{reason}",reasoning_enabled="true",top_category="physics",uncertainty_level="high"'
    )
    assert f"llm_entropy_classification_decisions_total{{{labels}}} 1.0" in text
    assert 'llm_entropy_values_sum{category="physics",classification_type="entropy_based"} 2.9' in text
    confidence = 'llm_classification_confidence_sum{category="physics",classification_method="entropy_based"}'
    assert f"{confidence} 0.83" in text


def test_without_probabilities_only_the_decision_is_counted() -> None:
    none = Uncertainty(0.0, 0.0, Level.VERY_LOW, "", 0.0, False, 0.0, "no_classification_data")
    text = routed(none)
    assert 'top_category="none"' in text
    assert "llm_entropy_values_count" not in text
    labels = f'fallback_reason="{NO_DATA}",fallback_strategy="configuration"'
    assert f"llm_entropy_fallback_usage_total{{{labels}}} 1.0" in text


def test_a_model_that_the_client_named_is_no_decision_about_thinking() -> None:
    metrics = Metrics()
    metrics.note(Routed("small", "small", "", "", 0.2, False, "model_specified", 0.004, None))
    assert "llm_reasoning_decisions_total{" not in metrics.exposition().decode()


def test_how_models_do_is_read_at_each_scrape_and_forgotten_with_the_model() -> None:
    metrics = Metrics()
    conditions = {"large": Condition(in_flight=3), "small": Condition(available=False)}
    metrics.watch(streams=lambda: 4, waiting=lambda: 2, conditions=lambda: conditions)
    lines = metrics.exposition().decode().splitlines()
    for line in (
        'llm_model_inflight_requests{model="large"} 3.0',
        'router_model_up{model="large"} 1.0',
        'router_model_up{model="small"} 0.0',
        "router_streams 4.0",
        "router_encoder_waiting 2.0",
    ):
        assert line in lines
    del conditions["small"]
    assert 'model="small"' not in metrics.exposition().decode()


def test_what_the_process_does_is_measured() -> None:
    metrics = Metrics()
    metrics.batch(3)
    metrics.lagged(0.02)
    metrics.reloaded("taken")
    lines = metrics.exposition().decode().splitlines()
    for line in (
        'router_encoder_batch_size_bucket{le="4.0"} 1.0',
        'router_event_loop_lag_seconds_bucket{le="0.025"} 1.0',
        'router_configuration_reloads_total{outcome="taken"} 1.0',
    ):
        assert line in lines


@pytest.mark.parametrize(("texts", "named"), [(1, "1"), (5, "2-5"), (6, "6-10"), (50, "21-50"), (100, "50+")])
def test_a_batch_of_the_api_is_counted_by_its_size(texts: int, named: str) -> None:
    metrics = Metrics()
    metrics.classified(texts, 0.5)
    metrics.not_classified()
    lines = metrics.exposition().decode().splitlines()
    duration, errors = "batch_classification_duration_seconds_sum", "batch_classification_errors_total"
    for line in (
        'batch_classification_requests_total{processing_type="sequential"} 2.0',
        f'batch_classification_texts_total{{processing_type="sequential"}} {float(texts)}',
        f'{duration}{{batch_size_range="{named}",processing_type="sequential"}} 0.5',
        f'{errors}{{error_type="classification_failed",processing_type="sequential"}} 1.0',
    ):
        assert line in lines
