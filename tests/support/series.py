"""What the samples of a registry may be called, and what their labels may say."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry

from router_extproc.telemetry.collectors import METRICS
from router_extproc.telemetry.table import Configured, Label, Metric

BY_SERIES: Mapping[str, Metric] = {name: metric for metric in METRICS for name in metric.series}
SCRAPED = {"up": frozenset({"job", "instance"}), "ALERTS": frozenset({"alertname", "alertstate"})}
"""What Prometheus adds by itself."""

TARGET = frozenset({"job", "instance"})
"""Labels that every scraped sample gets."""


def labels_of(series: str) -> frozenset[str]:
    """KeyError for a series that nobody exposes."""
    known = BY_SERIES.get(series)
    return SCRAPED[series] if known is None else known.labels_of(series) | TARGET


def samples(registry: CollectorRegistry) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Name and labels of each, without the times of creation that the client library adds."""
    for family in registry.collect():
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                yield sample.name, sample.labels


def strangers(
    registry: CollectorRegistry, configured: Mapping[Configured, Sequence[str]]
) -> list[tuple[str, str, str]]:
    """Samples with a label that says what neither the table nor the configuration has: name, label, value."""
    return [
        (name, label.name, given[label.name])
        for name, given in samples(registry)
        for label in BY_SERIES[name].labels
        if given[label.name] not in _allowed(label, configured)
    ]


def _allowed(label: Label, configured: Mapping[Configured, Sequence[str]]) -> tuple[str, ...]:
    if isinstance(label.values, Configured):
        return (*configured[label.values], *label.words)
    return label.words
