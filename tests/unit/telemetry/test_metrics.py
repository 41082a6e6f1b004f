"""Notes become metrics; labels come from enums and the pool only."""

import json
import logging
import sys

from router_extproc.base.refusals import Bypass, Failure, Guarded, Rejection, Uncached, Verified, Waited
from router_extproc.caching.guard import Difference
from router_extproc.caching.marks import Kind
from router_extproc.exchange.effects import (
    Answered,
    Bypassed,
    CacheHit,
    CacheMiss,
    CacheSkipped,
    CacheVerified,
    Cancelled,
    Coalesced,
    HitKind,
    Note,
    PortFailed,
    Rejected,
    RequestGuarded,
    Routed,
    StoreAsked,
    TextsCompared,
    Violation,
)
from router_extproc.routing.analysis import Timings
from router_extproc.telemetry.log import JsonLines
from router_extproc.telemetry.metrics import Metrics

NOTES: list[Note] = [
    Routed("auto", "large", "math", "", 0.9, True, "auto_routing", 0.004, Timings(1.0, 1.0, 2.0)),
    Routed("small", "small", "", "", 0.2, False, "model_specified", 0.004, None),
    Answered("large", 503, 0.2),
    Answered("large", 404, 0.2),
    CacheHit(HitKind.SEMANTIC, "e1", 0.93, "large", 5.0, 0.003, probability=0.75),
    CacheMiss({Difference.NUMBER: 2, Difference.VERIFIER: 1}),
    TextsCompared(0.008),
    CacheSkipped(Uncached.STATUS, storing=True),
    CacheVerified(Verified.SAME, "math", "e1"),
    Coalesced(Waited.TIMEOUT),
    StoreAsked("find_similar", "miss", 0.004),
    Bypassed(Bypass.OTHER_PATH),
    Rejected(Rejection.INVALID_JSON),
    RequestGuarded("guard", Guarded.BLOCKED, "math", "large", "r1", score=0.9),
    RequestGuarded("pii", Guarded.REROUTED, "", "small", "r1", types=frozenset({"PERSON", "made up"})),
    PortFailed("store", Failure.TIMEOUT),
    Cancelled("Recording"),
    Violation("Start", "RequestBody"),
]


def test_every_note_is_counted_under_its_name() -> None:
    metrics = Metrics()
    for note in NOTES:
        metrics.note(note)
    metrics.head_failed("language")
    text = metrics.exposition().decode()
    for line in (
        'llm_model_requests_total{model="large"} 1.0',
        'llm_model_routing_modifications_total{source_model="auto",target_model="large"} 1.0',
        'llm_routing_reason_codes_total{model="small",reason_code="model_specified"} 1.0',
        'llm_request_errors_total{model="large",reason="upstream_5xx"} 1.0',
        'llm_request_errors_total{model="large",reason="upstream_4xx"} 1.0',
        'llm_classifier_latency_seconds_sum{classifier="category"} 0.004',
        "llm_cache_hits_total 1.0",
        "llm_cache_misses_total 1.0",
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
