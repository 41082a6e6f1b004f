"""What a call costs, and which thresholds are measured: from the configuration."""

from typing import Any

import pytest

from router_extproc.app.evaluate_routing import prices_of, thresholds_of
from router_extproc.base.errors import OperatorError
from router_extproc.evaluation.routing import Prices, Threshold
from router_extproc.settings.schema import Settings


def _settings(prices: dict[str, tuple[float, float] | None], **more: Any) -> Settings:
    models = {
        name: {"preferred_endpoints": ["e"]}
        | ({} if price is None else {"pricing": {"prompt_per_1m": price[0], "completion_per_1m": price[1]}})
        for name, price in prices.items()
    }
    endpoint = {"name": "e", "address": "127.0.0.1", "port": 8000}
    return Settings.model_validate(
        {"default_model": "a", "vllm_endpoints": [endpoint], "model_config": models, **more}
    )


POOL = _settings({"a": (1, 2), "b": (4, 8), "c": (2, 2), "d": None})


def test_the_cheapest_and_the_dearest_by_default() -> None:
    assert prices_of(POOL, None, None, None) == Prices(3, 12)


def test_models_by_name() -> None:
    assert prices_of(POOL, "c", None, None) == Prices(4, 12)
    assert prices_of(POOL, "a", "c", None) == Prices(3, 4)


def test_a_ratio_stands_in_for_prices() -> None:
    assert prices_of(_settings({"a": None}), None, None, 20.0) == Prices(1, 20)


@pytest.mark.parametrize(
    "pool", [{"a": None}, {"a": (1.0, 2.0), "b": None}, {"a": (0.0, 0.0), "b": (0.0, 0.0)}]
)
def test_without_two_prices_nothing_is_known(pool: dict[str, tuple[float, float] | None]) -> None:
    assert prices_of(_settings(pool), None, None, None) is None


@pytest.mark.parametrize(
    ("weak", "strong", "ratio", "message"),
    [
        ("d", None, None, r"--weak: there is no model_config\.d\.pricing"),
        (None, "x", None, r"--strong: there is no model_config\.x; add it"),
        ("a", None, 2.0, "--price-ratio: it stands in"),
        (None, None, 0.0, "--price-ratio: not a number above 0"),
        (None, None, float("nan"), "--price-ratio: not a number above 0"),
    ],
)
def test_what_has_no_price_is_refused_by_its_option(
    weak: str | None, strong: str | None, ratio: float | None, message: str
) -> None:
    with pytest.raises(OperatorError, match=message):
        prices_of(POOL, weak, strong, ratio)


def test_thresholds_are_those_of_signals_that_ask_the_head() -> None:
    signals = [
        {"name": "mine", "hard_above": 0.7, "easy_below": 0.2},
        {"name": "examples", "hard_candidates": ["prove it"], "easy_candidates": ["hi"]},
    ]
    configured = _settings({"a": None}, signals={"complexity": signals})
    assert thresholds_of(configured) == (Threshold("mine", 0.7, 0.2),)


def test_without_such_a_signal_its_defaults_are_measured() -> None:
    assert thresholds_of(POOL) == (Threshold("default", 0.6, 0.4),)
