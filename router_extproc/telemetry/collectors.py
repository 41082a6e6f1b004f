"""The metrics of the table as Prometheus collectors, recorded into by name."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from router_extproc.telemetry.table import Kind, Metric
from router_extproc.telemetry.table_own import OWN
from router_extproc.telemetry.table_peer import PEER

METRICS: Final = (*PEER, *OWN)


class Collectors:
    """One of each metric, in `registry`. A name that is not in the table, or a wrong number of labels, is a
    bug: KeyError or ValueError. Labels are given in the table's order."""

    def __init__(self, registry: CollectorRegistry, metrics: Iterable[Metric] = METRICS) -> None:
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for each in metrics:
            names = tuple(label.name for label in each.labels)
            if each.kind is Kind.COUNTER:
                self._counters[each.name] = Counter(each.name, each.help, names, registry=registry)
            elif each.kind is Kind.GAUGE:
                self._gauges[each.name] = Gauge(each.name, each.help, names, registry=registry)
            else:
                self._histograms[each.name] = Histogram(
                    each.name, each.help, names, registry=registry, buckets=each.buckets
                )

    def count(self, name: str, *values: str, by: float = 1.0) -> None:
        """More of a counter, or of a gauge that is one but for its name. Less than nothing counts as nothing:
        clocks go back."""
        found: Counter | Gauge = self._counters[name] if name in self._counters else self._gauges[name]
        (found.labels(*values) if values else found).inc(max(0.0, by))

    def observe(self, name: str, value: float, *values: str) -> None:
        """Into a histogram; of seconds below 0, nothing but that they were. Cosines may be."""
        found = self._histograms[name]
        value = max(0.0, value) if name.endswith("_seconds") else value
        (found.labels(*values) if values else found).observe(value)

    def set(self, name: str, value: float, *values: str) -> None:
        found = self._gauges[name]
        (found.labels(*values) if values else found).set(value)

    def read(self, name: str, read: Callable[[], float], *values: str) -> None:
        """The gauge is what `read` gives at each scrape."""
        found = self._gauges[name]
        (found.labels(*values) if values else found).set_function(read)

    def forget(self, name: str) -> None:
        """Drop every value of a gauge that has labels."""
        self._gauges[name].clear()

    def total(self, name: str, *values: str) -> float:
        """What a counter has come to."""
        found = self._counters[name]
        found = found.labels(*values) if values else found
        return next(sample.value for metric in found.collect() for sample in metric.samples)
