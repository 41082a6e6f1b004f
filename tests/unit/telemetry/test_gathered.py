"""The metrics of several workers as one exposition."""

from prometheus_client.parser import text_string_to_metric_families

from router_extproc.base.refusals import Bypass
from router_extproc.exchange.effects import Bypassed
from router_extproc.telemetry.gathered import WorkerMetrics
from router_extproc.telemetry.metrics import Metrics


def test_each_sample_keeps_its_value_under_its_worker_and_families_stay_whole() -> None:
    workers = {0: Metrics(), 1: Metrics()}
    reason = next(iter(Bypass))
    workers[0].note(Bypassed(reason))
    for _ in range(2):
        workers[1].note(Bypassed(reason))
    for each in workers.values():
        each.batch(3)
    own = WorkerMetrics(2)
    own.up(1, True)
    own.restarted(0)
    text = own.exposition({number: each.exposition() for number, each in workers.items()}).decode()
    for number, count in ((0, 1.0), (1, 2.0)):
        assert f'router_bypassed_total{{reason="{reason}",worker="{number}"}} {count}' in text
    assert 'router_worker_up{worker="1"} 1.0' in text
    assert 'router_worker_restarts_total{worker="0"} 1.0' in text
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    (sizes,) = (family for family in families if family.name == "router_encoder_batch_size")
    assert sizes.type == "histogram"
    counts = {
        sample.labels["worker"]: sample.value for sample in sizes.samples if sample.name.endswith("_count")
    }
    assert counts == {"0": 1.0, "1": 1.0}


def test_a_worker_that_is_away_is_told_by_the_parent_alone() -> None:
    own = WorkerMetrics(2)
    own.up(0, True)
    text = own.exposition({0: Metrics().exposition()}).decode()
    assert 'router_worker_up{worker="1"} 0.0' in text
    assert 'router_streams{worker="0"}' in text
    assert 'router_streams{worker="1"}' not in text
