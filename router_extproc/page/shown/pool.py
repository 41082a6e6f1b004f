"""The models of the pool: health, latency, price."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from router_extproc.page.shown.words import millis, number, percent, price


@dataclass(frozen=True, slots=True)
class Model:
    """`tone` is of `health`."""

    name: str
    health: str
    tone: str
    facts: tuple[tuple[str, str], ...]


def models(overview: Mapping[str, Any], pool: Mapping[str, Any]) -> tuple[Model, ...]:
    """In the configuration's order. `pool` is `/api/v1/pool`, empty where nothing is learned."""
    return tuple(_model(each, pool.get("models", {}).get(each["name"])) for each in overview["models"])


def _model(model: Mapping[str, Any], condition: Mapping[str, Any] | None) -> Model:
    health, tone = health_of(model)
    first = None if condition is None else condition["time_to_first_token"]
    per_token = None if condition is None else condition["time_per_token"]
    speed = f"{1 / per_token:,.0f} tokens/s" if per_token else "–"  # noqa: RUF001 - as words.NONE
    latency = model["latency_ms"]
    return Model(
        name=model["name"],
        health=health,
        tone=tone,
        facts=(
            ("In flight", number(model["in_flight"])),
            ("Requests", f"{number(model['requests'])}, {number(model['failed'])} failed"),
            ("Latency, median", millis(latency["p50"])),
            ("Latency, 95 %", millis(latency["p95"])),
            ("First token", millis(None if first is None else 1000 * first)),
            ("Speed", speed),
            ("Errors", percent(model["error_rate"])),
            ("Price in / out, per 1M", price(model["price"])),
        ),
    )


def health_of(model: Mapping[str, Any]) -> tuple[str, str]:
    """In words, and its tone."""
    if model["healthy"] is None:
        return "not watched", ""
    if not model["healthy"]:
        return "left alone after failures", "bad"
    return ("failing at times", "warn") if (model["error_rate"] or 0) >= 0.1 else ("healthy", "good")


def latencies(overview: Mapping[str, Any]) -> dict[str, Any]:
    """Median and 95th percentile of each model, as bars of ECharts."""
    told = overview["models"]
    median = [each["latency_ms"]["p50"] for each in told]
    most = [each["latency_ms"]["p95"] for each in told]
    return {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 8, "right": 24, "top": 32, "bottom": 4, "containLabel": True},
        "legend": {"top": 0, "left": 0, "icon": "roundRect", "textStyle": {"color": "var(--muted)"}},
        "tooltip": {"trigger": "axis", "confine": True},
        "xAxis": {
            "type": "value",
            "axisLabel": {"color": "var(--muted)", "formatter": "{value} ms", "hideOverlap": True},
            "splitLine": {"lineStyle": {"color": "var(--line)"}},
        },
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": [each["name"] for each in told],
            "axisLabel": {"color": "var(--text)"},
            "axisLine": {"lineStyle": {"color": "var(--line)"}},
            "axisTick": {"show": False},
        },
        "series": [
            _bars("median", median, "var(--flow-2)"),
            _bars("95th percentile", most, "var(--accent)"),
        ],
    }


def _bars(name: str, values: list[float | None], colour: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "bar",
        "data": values,
        "barMaxWidth": 14,
        "itemStyle": {"color": colour, "borderRadius": 3},
    }
