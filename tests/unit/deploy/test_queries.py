"""Every query of a board or a rule asks for metrics and labels that the router exposes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.boards import BOARDS, FOLDER, written
from router_extproc.telemetry.collectors import METRICS
from router_extproc.telemetry.table import Configured, Kind
from tests.support.promql import read
from tests.support.series import BY_SERIES, SCRAPED, labels_of

DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
TRIED = sorted((DEPLOY / "prometheus" / "tests").glob("*.yml"))

PEER_PANELS = [
    "Prompt Category",
    "Token Usage Rate by Model",
    "Model Routing Rate",
    "Model Completion Latency (p95)",
    "TTFT (p95) by Model",
    "TPOT (p95) by Model (sec/token)",
    "Reasoning Rate by Model",
    "Model Cost Rate (USD/sec)",
    "Refusal Rates by Model",
    "Refusal Rate Percentage by Model",
    "Total Cost by Model (USD)",
    "Model Completion Latency (p50/p90/p99)",
]
PEER_ALERTS = {
    "HighRequestErrorRate",
    "HighCompletionLatencyP95",
    "HighTTFTP95",
    "HighTPOTP95",
    "HighRoutingLatencyP95",
    "HighInflightRequests",
    "LowCacheHitRate",
}


def rules() -> Iterator[dict[str, Any]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def queries() -> Iterator[tuple[str, str]]:
    """Where each is, and the query."""
    for path in sorted(FOLDER.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']} {target['refId']}", target["expr"]
    for rule in rules():
        yield rule["alert"], rule["expr"]


QUERIES = dict(queries())


def problems(query: str) -> Iterator[str]:
    """What a query asks for that there is not, or asks in a way that gives nothing."""
    found = read(query)
    available: set[str] = set()
    for asked in found.asked:
        if asked.series not in BY_SERIES and asked.series not in SCRAPED:
            yield f"no metric {asked.series}"
            continue
        known = labels_of(asked.series)
        available |= known
        yield from (f"{asked.series} has no label {name}" for name, _ in asked.matched if name not in known)
        yield from _values(asked.series, dict(asked.matched))
        metric = BY_SERIES.get(asked.series)
        if metric is not None and metric.kind is Kind.GAUGE and asked.function in ("increase", "delta"):
            yield f"{asked.series} is a gauge"
    yield from (f"nothing has the label {name}" for name in found.grouped - available)
    if found.quantiles and not (
        "le" in found.grouped and any(each.series.endswith("_bucket") for each in found.asked)
    ):
        yield "a quantile needs buckets, summed by le"


def _values(series: str, matched: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """Words that a label with a fixed list never says."""
    metric = BY_SERIES.get(series)
    for label in metric.labels if metric is not None else ():
        if not isinstance(label.values, Configured):
            for value in matched.get(label.name, ()):
                if value not in label.words:
                    yield f"{series}: {label.name} is never {value}"


@pytest.mark.parametrize("where", QUERIES)
def test_every_query_asks_for_what_there_is(where: str) -> None:
    assert list(problems(QUERIES[where])) == []


TTFT = "rate(llm_model_ttft_seconds_bucket[5m])"


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("sum(rate(llm_cache_hits[5m]))", "no metric llm_cache_hits"),
        ("sum by (tenant) (rate(llm_cache_hits_total[5m]))", "nothing has the label tenant"),
        ('rate(router_guard_total{what="blocked"}[5m])', "router_guard_total has no label what"),
        (
            'rate(router_guard_total{outcome=~"passed|stopped"}[5m])',
            "router_guard_total: outcome is never st",
        ),
        (f"histogram_quantile(0.5, sum by (model) ({TTFT}))", "a quantile needs buckets"),
        (f"histogram_quantile(0.5, sum by (le) ({TTFT.replace('_bucket', '')}))", "no metric llm_model_ttft"),
        ("increase(router_store_up[5m])", "router_store_up is a gauge"),
    ],
)
def test_a_query_for_something_else_is_told(query: str, problem: str) -> None:
    assert any(each.startswith(problem) for each in problems(query))


def test_the_boards_are_what_their_description_says() -> None:
    for file in written():
        assert file.path.read_text() == file.text, f"python -m deploy.grafana.boards writes {file.path.name}"
    assert sorted(FOLDER.glob("*.json")) == sorted(file.path for file in written())


def test_the_peer_s_board_has_its_panels() -> None:
    assert [panel.title for panel in BOARDS[0].panels] == PEER_PANELS


def test_panels_overlap_nowhere() -> None:
    for file in written():
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(file.text)["panels"]:
            at = panel["gridPos"]
            cells = {(x, at["y"]) for x in range(at["x"], at["x"] + at["w"])}
            assert at["x"] + at["w"] <= 24
            assert not cells & taken
            taken |= cells


def test_every_legend_names_a_label_that_is_left() -> None:
    for board in BOARDS:
        for panel in board.panels:
            for query, legend in panel.queries:
                named = set(re.findall(r"{{(\w+)}}", legend))
                assert named <= read(query).grouped, (panel.title, legend)


def test_the_peer_s_alerts_are_there_and_each_has_a_cure() -> None:
    alerts = list(rules())
    names = [rule["alert"] for rule in alerts]
    assert len(set(names)) == len(names)
    assert set(names) >= PEER_ALERTS
    for rule in alerts:
        assert set(rule["annotations"]) == {"summary", "cure"}
        assert rule["labels"]["severity"] in ("info", "warning", "critical")


def series_tried() -> Iterator[str]:
    for path in TRIED:
        for case in yaml.safe_load(path.read_text())["tests"]:
            yield from (each["series"] for each in case["input_series"])


def test_every_alert_is_tried_and_with_series_that_there_are() -> None:
    """The evaluation itself is promtool's: `make alerts`."""
    said = "".join(path.read_text() for path in TRIED)
    assert [rule["alert"] for rule in rules() if rule["alert"] not in said] == []
    for selector in set(series_tried()):
        assert [each for each in problems(selector) if "a quantile" not in each] == [], selector


def test_prometheus_scrapes_the_router_and_loads_the_rules() -> None:
    document = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    [job] = document["scrape_configs"]
    assert (job["job_name"], job["metrics_path"]) == ("router-extproc", "/metrics")
    assert job["static_configs"][0]["targets"] == ["localhost:9190"]
    named = [path for pattern in document["rule_files"] for path in (DEPLOY / "prometheus").glob(pattern)]
    assert sorted(named) == RULES


def test_grafana_is_told_where_the_boards_are() -> None:
    folder = DEPLOY / "grafana" / "provisioning"
    [provider] = yaml.safe_load((folder / "dashboards" / "router.yml").read_text())["providers"]
    assert provider["options"]["path"].endswith(f"/{FOLDER.name}")
    [source] = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["type"] == "prometheus"


def test_every_metric_is_shown_or_listed_as_one_for_whoever_asks() -> None:
    """A metric that nobody looks at is missing from a board, or here because it is for the peer's boards."""
    shown = {asked.series for query in QUERIES.values() for asked in read(query).asked}
    unseen = {metric.name for metric in METRICS if not shown & set(metric.series)}
    assert unseen <= {
        "llm_prompt_tokens_per_request",
        "llm_completion_tokens_per_request",
        "llm_model_prompt_tokens_total",
        "llm_decision_match_total",
        "llm_reasoning_template_usage_total",
        "llm_reasoning_effort_usage_total",
        "llm_entropy_values",
        "llm_entropy_classification_latency_seconds",
        "llm_entropy_fallback_usage_total",
        "batch_classification_requests_total",
        "batch_classification_duration_seconds",
        "batch_classification_texts_total",
        "batch_classification_errors_total",
        "batch_classification_size_distribution",
    }
