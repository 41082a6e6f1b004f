"""What is handed to the SDK's queue; that it arrives is a component test's affair."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import StatusCode

from router_extproc.telemetry import otlp
from router_extproc.telemetry.labels import Sending
from router_extproc.telemetry.otlp import Collector, Traces
from router_extproc.telemetry.story import Story
from tests.support.play import ANSWER, chat_body, chat_headers, pieces, response_headers
from tests.support.stories import Scene

WHERE = Collector("localhost:4317", insecure=True, resource={"service.name": "mine"})
DEADLINE = 10.0


class Counts(Counter[Sending]):
    """What became of the traces."""

    def __call__(self, outcome: Sending, traces: int) -> None:
        self[outcome] += traces


class Keeps(SpanExporter):
    """Keeps what is exported. Until `free` is set it takes nothing; a shutdown sets it too."""

    def __init__(self, *, free: bool = True, says: SpanExportResult = SpanExportResult.SUCCESS) -> None:
        self.says = says
        self.spans: list[ReadableSpan] = []
        self.free = threading.Event()
        self.asked = threading.Event()
        self.in_vain = False
        if free:
            self.free.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        self.in_vain = not self.free.wait(DEADLINE)
        self.spans.extend(spans)
        return self.says

    def shutdown(self) -> None:
        self.free.set()


async def a_story(**traceparent: str) -> Story:
    fields = tuple(traceparent.items())
    return await Scene().told(chat_headers(*fields), chat_body(), response_headers("503"), *pieces(ANSWER))


async def test_a_trace_is_sent_whole_when_it_is_over() -> None:
    exporter, count = Keeps(), Counts()
    traces = Traces(WHERE, "1.2.3", count, exporter)
    story = await a_story(traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    traces.tell(story)
    await traces.close()
    spans = {span.name: span for span in exporter.spans}
    request = spans["semantic_router.request.received"]
    assert request.context is not None
    assert f"{request.context.trace_id:032x}" == "a" * 32
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == "b" * 16
    assert request.parent.is_remote
    assert request.kind is SpanKind.SERVER
    assert (request.status.status_code, request.status.description) == (StatusCode.ERROR, "503")
    assert request.resource.attributes["service.name"] == "mine"
    assert request.instrumentation_scope is not None
    assert request.instrumentation_scope.version == "1.2.3"
    upstream = spans["semantic_router.upstream.request"]
    assert upstream.context is not None
    assert f"{upstream.context.span_id:016x}" == story.opened.upstream.span_id
    assert upstream.parent is not None
    assert not upstream.parent.is_remote
    assert count == {Sending.SENT: 1}
    assert request.start_time == int(story.opened.at * 1_000_000_000)


async def test_a_trace_that_is_not_kept_is_not_sent() -> None:
    exporter, count = Keeps(), Counts()
    traces = Traces(WHERE, "1.2.3", count, exporter)
    traces.tell(await a_story(traceparent=f"00-{'a' * 32}-{'b' * 16}-00"))
    await traces.close()
    assert exporter.spans == []
    assert count == {}


async def test_a_collector_that_takes_nothing_costs_traces_and_no_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    exporter, count = Keeps(free=False), Counts()
    traces = Traces(WHERE, "1.2.3", count, exporter)
    story = await a_story()
    for _ in range(2 * (otlp.MAX_WAITING + otlp.BATCH)):
        traces.tell(story)
    assert exporter.asked.wait(DEADLINE)
    exporter.free.set()
    await traces.close()
    requests = [span for span in exporter.spans if span.name == "semantic_router.request.received"]
    assert 0 < len(requests) <= otlp.MAX_WAITING + 2 * otlp.BATCH
    assert "dropping" in caplog.text
    assert count[Sending.SENT] == len(requests)
    assert count[Sending.QUEUE_FULL] == 2 * (otlp.MAX_WAITING + otlp.BATCH) - len(requests) > 0


async def test_what_the_collector_does_not_take_is_counted() -> None:
    exporter, count = Keeps(says=SpanExportResult.FAILURE), Counts()
    traces = Traces(WHERE, "1.2.3", count, exporter)
    for _ in range(3):
        traces.tell(await a_story())
    await traces.close()
    assert count == {Sending.NOT_TAKEN: 3}


async def test_closing_does_not_wait_for_a_collector_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    exporter, count = Keeps(free=False), Counts()
    traces = Traces(WHERE, "1.2.3", count, exporter, close_seconds=0.05)
    traces.tell(await a_story())
    await traces.close()
    assert not exporter.in_vain
    assert "the last traces are lost" in caplog.text


class TakesLate(Keeps):
    """While the queue is being shut down, one more trace ends."""

    late: Callable[[], None]

    def shutdown(self) -> None:
        if not self.free.is_set():
            self.late()
        super().shutdown()


async def test_a_trace_that_ends_while_the_queue_closes_is_counted_as_lost() -> None:
    exporter, count = TakesLate(free=False), Counts()
    traces = Traces(WHERE, "1.2.3", count, exporter, close_seconds=0.05)
    story = await a_story()
    exporter.late = lambda: traces.tell(story)
    traces.tell(story)
    assert exporter.asked.wait(DEADLINE)
    await traces.close()
    assert count == {Sending.SENT: 1, Sending.CLOSING: 1}
