"""Tokens, money and time: what answers cost, and what the cache spares."""

import pytest

from router_extproc.base.completion import Usage
from router_extproc.exchange.effects import CacheHit, HitKind
from router_extproc.exchange.notes import AnswerEnded
from router_extproc.telemetry.metrics import Metrics
from router_extproc.telemetry.spending import MEMORY, Price

USAGE = Usage(1000, 500)
PRICES = {"large": Price("USD", 2.0, 8.0), "small": None}


def priced() -> Metrics:
    metrics = Metrics()
    metrics.configure(1, "g1", PRICES)
    return metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def ended(model: str = "large", seconds: float = 2.0, usage: Usage | None = USAGE) -> AnswerEnded:
    return AnswerEnded(model, seconds, usage, 0.01)


def hit(model: str = "large", kind: HitKind = HitKind.EXACT, usage: Usage | None = USAGE) -> CacheHit:
    return CacheHit(kind, "e1", 1.0, model, 5.0, 0.5, usage=usage)


def test_an_answer_costs_its_tokens_at_the_price_of_its_model() -> None:
    metrics = priced()
    metrics.note(ended())
    assert value(metrics, "llm_model_tokens_total", model="large") == 1500
    assert value(metrics, "llm_model_prompt_tokens_total", model="large") == 1000
    assert value(metrics, "llm_model_completion_tokens_total", model="large") == 500
    assert value(metrics, "llm_prompt_tokens_per_request_bucket", model="large", le="1024.0") == 1
    assert value(metrics, "llm_completion_tokens_per_request_sum", model="large") == 500
    cost = value(metrics, "llm_model_cost_total", model="large", currency="USD")
    assert cost == pytest.approx(0.002 + 0.004)
    assert value(metrics, "llm_model_completion_latency_seconds_sum", model="large") == 2.0
    assert value(metrics, "llm_model_tpot_seconds_sum", model="large") == 0.01


def test_without_a_price_there_are_tokens_and_no_cost() -> None:
    metrics = priced()
    metrics.note(ended("small"))
    assert value(metrics, "llm_model_tokens_total", model="small") == 1500
    assert "llm_model_cost_total{" not in metrics.exposition().decode()


def test_an_answer_whose_tokens_nobody_counted_is_counted_as_such() -> None:
    metrics = priced()
    metrics.note(ended(usage=None))
    assert value(metrics, "router_usage_unknown_total", model="large") == 1
    assert "llm_model_tokens_total{" not in metrics.exposition().decode()


def test_an_answer_that_lacks_its_end_is_an_error_and_no_measurement() -> None:
    metrics = priced()
    metrics.note(AnswerEnded("large", 2.0, None, None, complete=False))
    assert value(metrics, "llm_request_errors_total", model="large", reason="incomplete") == 1
    assert "llm_model_completion_latency_seconds_count{" not in metrics.exposition().decode()


@pytest.mark.parametrize("kind", [HitKind.EXACT, HitKind.SEMANTIC, HitKind.COALESCED])
def test_a_hit_spares_what_the_answer_had_cost_and_what_the_model_takes(kind: HitKind) -> None:
    metrics = priced()
    metrics.note(ended(seconds=2.0))
    metrics.note(ended(seconds=4.0))
    metrics.note(hit(kind=kind))
    assert value(metrics, "router_cache_saved_tokens_total", model="large", kind="prompt") == 1000
    assert value(metrics, "router_cache_saved_tokens_total", model="large", kind="completion") == 500
    saved = value(metrics, "router_cache_saved_cost_total", model="large", currency="USD")
    assert saved == pytest.approx(0.006)
    assert value(metrics, "router_cache_saved_seconds_total", model="large") == pytest.approx(3.0 - 0.5)


def test_a_stale_answer_spares_nothing() -> None:
    metrics = priced()
    metrics.note(ended())
    metrics.note(hit(kind=HitKind.STALE))
    assert "router_cache_saved_tokens_total{" not in metrics.exposition().decode()
    assert "router_cache_saved_seconds_total{" not in metrics.exposition().decode()


def test_time_is_not_spared_where_nobody_knows_what_the_model_takes() -> None:
    metrics = priced()
    metrics.note(hit(usage=None))
    text = metrics.exposition().decode()
    assert "router_cache_saved_seconds_total{" not in text
    assert "router_cache_saved_tokens_total{" not in text


def test_a_hit_that_is_slower_than_the_model_spares_no_time() -> None:
    metrics = priced()
    metrics.note(ended(seconds=0.1))
    metrics.note(hit())
    assert value(metrics, "router_cache_saved_seconds_total", model="large") == 0.0


def test_an_entry_of_another_configuration_s_model_mints_no_label() -> None:
    metrics = priced()
    metrics.note(hit("gone-7b"))
    assert value(metrics, "router_cache_saved_tokens_total", model="unknown", kind="prompt") == 1000
    assert "gone-7b" not in metrics.exposition().decode()


def test_the_average_follows_a_model_that_becomes_slower() -> None:
    metrics = priced()
    for _ in range(10 * MEMORY):
        metrics.note(ended(seconds=1.0))
    for _ in range(5 * MEMORY):
        metrics.note(ended(seconds=3.0))
    metrics.note(hit())
    saved = value(metrics, "router_cache_saved_seconds_total", model="large")
    assert saved == pytest.approx(2.5, abs=0.1)


def test_prices_of_a_changed_configuration_count_from_then_on() -> None:
    metrics = priced()
    metrics.note(ended())
    metrics.configure(2, "g2", {"large": Price("USD", 0.0, 0.0)})
    metrics.note(ended())
    cost = value(metrics, "llm_model_cost_total", model="large", currency="USD")
    assert cost == pytest.approx(0.006)
    assert value(metrics, "router_configuration_info", generation="g2") == 1
    assert value(metrics, "router_configuration_info", generation="g1") is None
    assert value(metrics, "router_configuration_generation") == 2
