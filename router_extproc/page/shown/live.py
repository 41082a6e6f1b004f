"""The view of the last minutes: tiles, curves, the flow diagram, and where the cache stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from router_extproc.page.shown.words import NONE, millis, number, percent, rate, since, words

QUIET: Final = "var(--muted)"
LINE: Final = "var(--line)"
NARROW: Final = 480
"""Pixels: the width of a diagram on a phone."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure. `tone` is "", "good", "warn" or "bad"."""

    label: str
    value: str
    note: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A named count and its share of the largest, in [0, 1]."""

    name: str
    value: str
    share: float


def tiles(overview: Mapping[str, Any]) -> tuple[Tile, ...]:
    requests, cache = overview["requests"], overview["cache"]
    added = overview["added_latency_ms"]
    refused = sum(overview["refusals"].values())
    looked = sum(cache["hits"].values()) - cache["hits"].get("stale", 0) + sum(cache["misses"].values())
    return (
        Tile(
            "Requests per second",
            rate(requests["per_second"]),
            f"{number(requests['in_window'])} in {since(overview['window_s'])}, "
            f"{number(requests['total'])} in all",
        ),
        Tile(
            "Added latency, median",
            millis(added["p50"]),
            f"95 % within {millis(added['p95'])}, 99 % within {millis(added['p99'])}",
        ),
        Tile("Cache hit rate", percent(cache["hit_rate"]), f"of {number(looked)} lookups"),
        Tile(
            "Refused",
            number(refused),
            ", ".join(words(name) for name in overview["refusals"]) or "nothing in this window",
            "warn" if refused else "",
        ),
    )


def bars(counts: Mapping[str, int]) -> tuple[Bar, ...]:
    """The most frequent first, as the API has them."""
    most = max(counts.values(), default=0)
    return tuple(Bar(words(name), number(count), count / most) for name, count in counts.items())


def traffic(overview: Mapping[str, Any]) -> dict[str, Any]:
    """The curve of requests per second, as options of ECharts."""
    history = overview["requests"]["history"]
    return _curve(
        overview, [_series("Requests per second", history, "var(--accent)", filled=True)], "{value}"
    )


def latency(overview: Mapping[str, Any]) -> dict[str, Any]:
    """The curve of what the router adds, in milliseconds."""
    history = overview["added_latency_ms"]["history"]
    return _curve(overview, [_series("Added, 95th percentile", history, "var(--warn)")], "{value} ms")


def hit_rate(overview: Mapping[str, Any]) -> dict[str, Any]:
    """The curve of the hit rate, in percent."""
    shares = [None if each is None else round(100 * each, 1) for each in overview["cache"]["history"]]
    options = _curve(overview, [_series("Hit rate", shares, "var(--good)")], "{value} %")
    options["yAxis"] |= {"max": 100, "interval": 25}
    return options


def flow(overview: Mapping[str, Any]) -> dict[str, Any]:
    """Where requests go, as a Sankey diagram: category, decision, who answers."""
    links: dict[tuple[str, str], int] = {}
    names: dict[str, str] = {}
    for each in overview["flows"]:
        way = way_of(each)
        steps = [f"{place}:{name}" for place, name in enumerate(way)]
        names |= dict(zip(steps, way, strict=True))
        for pair in pairwise(steps):
            links[pair] = links.get(pair, 0) + each["count"]
    nodes = [
        {"name": key, "value": name, "itemStyle": {"color": _colour(key, name)},
         "label": {"formatter": _short(name), "position": "left" if key.startswith("2:") else "right"}}
        for key, name in names.items()
    ]  # fmt: skip
    return _sankey(nodes, [{"source": a, "target": b, "value": count} for (a, b), count in links.items()])


def _sankey(nodes: list[dict[str, Any]], links: list[dict[str, Any]]) -> dict[str, Any]:
    short = {"fontSize": 11, "width": 84, "overflow": "truncate"}
    return {
        "aria": {"enabled": True},
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "series": [
            {
                "type": "sankey",
                "left": 4,
                "right": 4,
                "top": 8,
                "bottom": 8,
                "nodeWidth": 12,
                "nodeGap": 14,
                "draggable": False,
                "emphasis": {"focus": "adjacency"},
                "lineStyle": {"color": "source", "opacity": 0.22, "curveness": 0.5},
                "label": {"color": "var(--text)", "fontSize": 13},
                "data": nodes,
                "links": links,
            }
        ],
        "media": [{"query": {"maxWidth": NARROW}, "option": {"series": [{"label": short}]}}],
    }


def way_of(flow: Mapping[str, Any]) -> tuple[str, str, str]:
    """Category, decision and who answers, each a name even where there is none."""
    by = flow["answered_by"]
    category = flow["category"] or ("not read" if by == "cache" else "no category")
    decision = flow["decision"] or ("none needed" if by == "cache" else "default rules")
    answers = {"cache": "the cache", "router": "refused"}.get(by) or flow["model"] or NONE
    return category, decision, answers


def ways(overview: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the diagram's table, for who cannot see it."""
    return [
        {"id": place, "category": way[0], "decision": way[1], "model": way[2], "count": each["count"]}
        for place, each in enumerate(overview["flows"])
        for way in (way_of(each),)
    ]


def _colour(key: str, name: str) -> str:
    if name == "the cache":
        return "var(--good)"
    if name == "refused":
        return "var(--bad)"
    return ("var(--flow-1)", "var(--flow-2)", "var(--flow-3)")[int(key[0])]


def _short(name: str) -> str:
    """Braces would be read as a template."""
    name = name.replace("{", "(").replace("}", ")")
    return name if len(name) <= 24 else name[:23] + "…"


def _series(
    name: str, values: Sequence[float | None], colour: str, *, filled: bool = False
) -> dict[str, Any]:
    return {
        "name": name,
        "type": "line",
        "data": [_point(values, place) for place in range(len(values))],
        "symbol": "none",
        "connectNulls": False,
        "smooth": 0.2,
        "smoothMonotone": "x",
        "lineStyle": {"width": 2, "color": colour},
        "itemStyle": {"color": colour},
        **({"areaStyle": {"color": colour, "opacity": 0.12}} if filled else {}),
    }


def _point(values: Sequence[float | None], place: int) -> Any:
    """A value; with a dot where there is none beside it, because a line needs two."""
    beside = (*values[max(0, place - 1) : place], *values[place + 1 : place + 2])
    if values[place] is None or any(each is not None for each in beside):
        return values[place]
    return {"value": values[place], "symbol": "circle", "symbolSize": 6}


def _curve(overview: Mapping[str, Any], series: list[dict[str, Any]], unit: str) -> dict[str, Any]:
    step, count = overview["sample_s"], len(overview["requests"]["history"])
    return {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 8, "right": 24, "top": 12, "bottom": 4, "containLabel": True},
        "tooltip": {"trigger": "axis", "confine": True},
        "xAxis": {
            "type": "category",
            "boundaryGap": False,
            "data": [_ago((count - place) * step) for place in range(count)],
            "axisLabel": {
                "color": QUIET,
                "interval": max(0, count // 4 - 1),
                "hideOverlap": True,
                "margin": 12,
            },
            "axisLine": {"lineStyle": {"color": LINE}},
            "axisTick": {"show": False},
        },
        "yAxis": {
            "type": "value",
            "min": 0,
            "splitNumber": 3,
            "axisLabel": {"color": QUIET, "formatter": unit},
            "splitLine": {"lineStyle": {"color": LINE}},
        },
        "series": series,
    }


def _ago(seconds: float) -> str:
    return f"{seconds / 60:.0f} min ago" if seconds >= 60 else f"{seconds:.0f} s ago"
