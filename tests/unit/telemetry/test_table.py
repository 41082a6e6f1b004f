"""The table of metrics: the peer's names as it has them, and every name recorded somewhere."""

import re
from collections import Counter
from pathlib import Path

import pytest

from router_extproc.telemetry import page
from router_extproc.telemetry.collectors import METRICS, Collectors
from router_extproc.telemetry.metrics import Metrics
from router_extproc.telemetry.table import Kind, Metric, Whose
from router_extproc.telemetry.table_peer import ABSENT
from tests.support.series import BY_SERIES, samples

ROOT = Path(__file__).parents[3]
DEFAULT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TOKENS = (0, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
OPERATION = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
BITS = (0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4)
SHARES = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
BATCH_SECONDS, BATCH_TEXTS = (0.001, 0.01, 0.1, 1, 10), (1, 10, 100)

PEER: dict[str, tuple[str, tuple[float, ...]]] = {
    "llm_model_requests_total": ("model", ()),
    "llm_request_errors_total": ("model reason", ()),
    "llm_model_cost_total": ("model currency", ()),
    "llm_model_tokens_total": ("model", ()),
    "llm_model_prompt_tokens_total": ("model", ()),
    "llm_model_completion_tokens_total": ("model", ()),
    "llm_prompt_tokens_per_request": ("model", TOKENS),
    "llm_completion_tokens_per_request": ("model", TOKENS),
    "llm_model_routing_modifications_total": ("source_model target_model", ()),
    "llm_routing_reason_codes_total": ("reason_code model", ()),
    "llm_model_completion_latency_seconds": ("model", DEFAULT),
    "llm_model_ttft_seconds": ("model", DEFAULT),
    "llm_model_tpot_seconds": ("model", DEFAULT),
    "llm_model_routing_latency_seconds": ("", DEFAULT),
    "llm_classifier_latency_seconds": ("classifier", DEFAULT),
    "llm_cache_hits_total": ("", ()),
    "llm_cache_misses_total": ("", ()),
    "llm_cache_operation_duration_seconds": ("backend operation", OPERATION),
    "llm_cache_operations_total": ("backend operation status", ()),
    "llm_cache_entries_total": ("backend", ()),
    "llm_category_classifications_count": ("category", ()),
    "llm_pii_violations_total": ("model pii_type", ()),
    "llm_reasoning_decisions_total": ("category model enabled effort", ()),
    "llm_reasoning_template_usage_total": ("family param", ()),
    "llm_reasoning_effort_usage_total": ("family effort", ()),
    "llm_entropy_classification_decisions_total": (
        "uncertainty_level reasoning_enabled decision_reason top_category",
        (),
    ),
    "llm_entropy_values": ("category classification_type", BITS),
    "llm_classification_confidence": ("category classification_method", SHARES),
    "llm_entropy_classification_latency_seconds": (
        "",
        (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
    ),
    "llm_probability_distribution_quality_total": ("quality_check status", ()),
    "llm_entropy_fallback_usage_total": ("fallback_reason fallback_strategy", ()),
    "batch_classification_requests_total": ("processing_type", ()),
    "batch_classification_duration_seconds": ("processing_type batch_size_range", BATCH_SECONDS),
    "batch_classification_texts_total": ("processing_type", ()),
    "batch_classification_errors_total": ("processing_type error_type", ()),
    "batch_classification_concurrent_goroutines": ("batch_id", ()),
    "batch_classification_size_distribution": ("processing_type", BATCH_TEXTS),
}
"""All 37 of vLLM Semantic Router's late-2025 release: labels, and the bounds of histograms."""

BY_NAME = {metric.name: metric for metric in METRICS}


def test_every_name_of_the_peer_s_is_here_or_said_to_be_absent() -> None:
    ours = {metric.name for metric in METRICS if metric.whose is Whose.PEER}
    absent = {each.name for each in ABSENT}
    assert len(PEER) == 37
    assert ours | absent == set(PEER)
    assert not ours & absent


@pytest.mark.parametrize("name", [name for name in PEER if name in BY_NAME])
def test_a_name_of_the_peer_s_has_its_labels_and_buckets(name: str) -> None:
    labels, buckets = PEER[name]
    metric = BY_NAME[name]
    assert sorted(label.name for label in metric.labels) == sorted(labels.split())
    assert (metric.kind is Kind.HISTOGRAM) == bool(buckets)
    assert set(buckets) <= set(metric.buckets)
    assert sorted(metric.buckets) == list(metric.buckets)


def test_no_name_is_there_twice() -> None:
    names = Counter(series for metric in METRICS for series in metric.series)
    assert [name for name, times in names.items() if times > 1] == []


def test_what_is_exposed_is_what_the_table_says() -> None:
    """Without labels, at once; with some, once there is a value."""
    seen = {name for name, _ in samples(Metrics().registry)}
    assert seen <= set(BY_SERIES)
    assert {name for metric in METRICS if not metric.labels for name in metric.series} <= seen


def test_every_metric_is_recorded_under_its_name_somewhere() -> None:
    """And nothing under a name that the table lacks, which would be found at the first such note only."""
    folder = ROOT / "router_extproc" / "telemetry"
    recording = ("metrics.py", "cache_metrics.py", "certificates.py", "spending.py")
    said = set()
    for name in recording:
        code = re.sub(r'"""(?s:.*?)"""', "", (folder / name).read_text())
        said |= set(re.findall(r'"((?:llm|router|batch|cache)_[a-z_]+)"', code))
    assert said == set(BY_NAME)


def test_a_counter_has_the_name_it_is_exposed_under_and_only_histograms_have_buckets() -> None:
    with pytest.raises(ValueError, match="_total"):
        Metric("router_things", Kind.COUNTER, "Things.")
    with pytest.raises(ValueError, match="buckets"):
        Metric("router_things", Kind.HISTOGRAM, "Things.")


def test_a_name_or_a_number_of_labels_that_is_not_in_the_table_is_a_bug() -> None:
    collectors = Collectors(Metrics().registry, ())
    with pytest.raises(KeyError):
        collectors.count("router_things_total")


def test_the_page_has_the_table() -> None:
    text = (ROOT / "docs" / "METRICS.md").read_text()
    assert page.put(text) == text, "python -m router_extproc.telemetry.page docs/METRICS.md"
    assert text.count(page.BEGIN) == text.count(page.END) == 1
    for metric in METRICS:
        assert f"`{metric.name}" in text
