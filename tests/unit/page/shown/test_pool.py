import json
from typing import Any

import pytest

from router_extproc.page.shown import pool as shown


def model(**changes: Any) -> dict[str, Any]:
    return {
        "name": "large",
        "healthy": True,
        "in_flight": 2,
        "requests": 10,
        "failed": 1,
        "error_rate": 0.0,
        "latency_ms": {"p50": 420.0, "p95": 2100.0},
        "price": {"currency": "USD", "prompt_per_1m": 0.4, "completion_per_1m": 1.2},
    } | changes


CONDITION = {"time_to_first_token": 0.15, "time_per_token": 0.02}


def test_a_model_has_its_latency_speed_and_price() -> None:
    [told] = shown.models({"models": [model()]}, {"models": {"large": CONDITION}})
    facts = dict(told.facts)
    assert (told.health, told.tone) == ("healthy", "good")
    assert facts["Latency, 95 %"] == "2.1 s"
    assert facts["First token"] == "150 ms"
    assert facts["Speed"] == "50 tokens/s"
    assert facts["Price in / out, per 1M"] == "0.4 / 1.2 USD"
    assert facts["Requests"] == "10, 1 failed"


@pytest.mark.parametrize(
    ("changes", "health", "tone"),
    [
        ({"healthy": None}, "not watched", ""),
        ({"healthy": False}, "left alone after failures", "bad"),
        ({"error_rate": 0.25}, "failing at times", "warn"),
    ],
)
def test_health_in_words(changes: dict[str, Any], health: str, tone: str) -> None:
    assert shown.health_of(model(**changes)) == (health, tone)


def test_a_model_of_which_nothing_is_known_has_no_figures() -> None:
    unknown = model(
        healthy=None, in_flight=None, error_rate=None, price=None, latency_ms={"p50": None, "p95": None}
    )
    [told] = shown.models({"models": [unknown]}, {"models": {}})
    facts = dict(told.facts)
    assert {facts["In flight"], facts["Speed"], facts["Errors"]} == {"–"}  # noqa: RUF001
    assert facts["Price in / out, per 1M"] == "no price"
    json.dumps(shown.latencies({"models": [unknown]}))
