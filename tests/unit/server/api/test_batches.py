"""Batches of texts are told to whoever counts them, those that failed too."""

import pytest

from router_extproc.base.refusals import Failure
from router_extproc.ports import PortError
from router_extproc.server.api.classify import classify_routes
from router_extproc.server.api.classify_shapes import BatchReply, BatchRequest
from router_extproc.server.api.reading import Reader
from router_extproc.server.pool import Pool
from router_extproc.server.replies import RefusedError
from router_extproc.telemetry.metrics import Metrics
from tests.support.play import PLAN, analysis
from tests.support.ports import FakeAnalyst, FakeClock


async def classified(analyst: FakeAnalyst, metrics: Metrics) -> object:
    """The answer to a batch of three texts."""
    reader = Reader(analyst, lambda: PLAN, Pool(), FakeClock())
    [route] = [each for each in classify_routes(reader, metrics) if each.path.endswith("/batch")]
    assert route.handle is not None
    return await route.handle(BatchRequest(texts=["one", "two", "three"]))


def counted(metrics: Metrics, name: str, **labels: str) -> float | None:
    given = {"processing_type": "sequential", **labels}
    return metrics.registry.get_sample_value(f"batch_classification_{name}", given)


async def test_a_batch_is_told_with_its_size() -> None:
    metrics = Metrics()
    reply = await classified(FakeAnalyst(lambda _: analysis()), metrics)
    assert isinstance(reply, BatchReply)
    assert counted(metrics, "requests_total") == 1
    assert counted(metrics, "texts_total") == 3
    assert counted(metrics, "duration_seconds_count", batch_size_range="2-5") == 1


async def test_a_batch_that_the_encoder_did_not_read_is_told_as_an_error() -> None:
    metrics = Metrics()
    with pytest.raises(RefusedError):
        await classified(FakeAnalyst(trouble=PortError(Failure.OVERLOADED)), metrics)
    assert counted(metrics, "requests_total") == 1
    assert counted(metrics, "errors_total", error_type="classification_failed") == 1
    assert counted(metrics, "texts_total") is None
