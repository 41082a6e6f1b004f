"""The metrics of several workers in one exposition: each sample with its `worker`, and the parent's own.

Prometheus's own library reads and writes; here is only what is put together. Sums are for who asks: a counter
of a worker that is started again begins at 0, which `rate` understands of a series and not of a sum.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from router_extproc.telemetry.certificates import CertificateMetrics
from router_extproc.telemetry.collectors import Collectors
from router_extproc.telemetry.table_own import CERTIFICATES, WORKERS

LABEL: Final = "worker"


class WorkerMetrics:
    """What the parent of the workers counts."""

    def __init__(self, workers: int) -> None:
        self._registry = CollectorRegistry()
        self._collectors = Collectors(self._registry, (*WORKERS, *CERTIFICATES))
        self.certificates = CertificateMetrics(self._collectors)
        for number in range(workers):
            self._collectors.count("router_worker_restarts_total", str(number), by=0.0)
            self._collectors.set("router_worker_up", 0.0, str(number))

    def up(self, worker: int, ready: bool) -> None:
        self._collectors.set("router_worker_up", float(ready), str(worker))

    def restarted(self, worker: int) -> None:
        self._collectors.count("router_worker_restarts_total", str(worker))

    def exposition(self, workers: Mapping[int, bytes]) -> bytes:
        """With the expositions of those `workers` that gave one."""
        return generate_latest(_Families([*self._registry.collect(), *_labelled(workers)]))


class _Families:
    """Families by name, as a registry gives them."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._by_name: dict[str, Metric] = {}
        for each in families:
            known = self._by_name.setdefault(each.name, each)
            if known is not each:
                known.samples += each.samples

    def collect(self) -> Iterable[Metric]:
        return self._by_name.values()


def _labelled(workers: Mapping[int, bytes]) -> Iterable[Metric]:
    for number, text in workers.items():
        for family in text_string_to_metric_families(text.decode()):
            family.samples = [
                sample._replace(labels={LABEL: str(number), **sample.labels}) for sample in family.samples
            ]
            yield family
