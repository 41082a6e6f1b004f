"""What a board is made of."""

from dataclasses import dataclass
from typing import Literal

Query = tuple[str, str]
"""PromQL, and the legend of its series."""


@dataclass(frozen=True, slots=True)
class Panel:
    """`width` of 24. `unit` is Grafana's word."""

    title: str
    unit: str
    queries: tuple[Query, ...]
    text: str = ""
    form: Literal["timeseries", "bargauge", "stat", "heatmap"] = "timeseries"
    width: int = 12


@dataclass(frozen=True, slots=True)
class Board:
    """`uid` is the file's name too."""

    uid: str
    title: str
    text: str
    panels: tuple[Panel, ...]


def graph(title: str, unit: str, *queries: Query, text: str = "") -> Panel:
    return Panel(title, unit, queries, text)


def bars(title: str, unit: str, *queries: Query, text: str = "") -> Panel:
    return Panel(title, unit, queries, text, "bargauge")


def number(title: str, unit: str, query: str, text: str = "") -> Panel:
    return Panel(title, unit, ((query, ""),), text, "stat", 6)


def heat(title: str, query: str, text: str = "") -> Panel:
    return Panel(title, "short", ((query, "{{le}}"),), text, "heatmap")


def rate(metric: str, *by: str, where: str = "") -> str:
    """Per second, summed but for the labels `by`."""
    selected = f"{metric}{{{where}}}" if where else metric
    summed = f"sum by ({', '.join(by)})" if by else "sum"
    return f"{summed} (rate({selected}[$__rate_interval]))"


def quantile(share: float, histogram: str, *by: str, where: str = "") -> str:
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', 'le', *by, where=where)})"


def quantiles(histogram: str, *by: str, shares: tuple[float, ...] = (0.5, 0.95)) -> tuple[Query, ...]:
    named = " ".join(f"{{{{{label}}}}}" for label in by)
    return tuple((quantile(share, histogram, *by), f"p{share * 100:g} {named}".rstrip()) for share in shares)
