"""Spans to an OpenTelemetry collector, over OTLP/gRPC: what goes out, when, and what is dropped.

gRPC because that is what configurations of vLLM Semantic Router name (`endpoint: HOST:4317`), and the process
has gRPC already. A bounded queue and a thread of the SDK stand between the event loop and the network:
what is handed over is the story, spans are made of it in that thread, and a full queue drops the oldest.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from router_extproc.telemetry.labels import Sending
from router_extproc.telemetry.spans import Kind, spans_of
from router_extproc.telemetry.story import Story

MAX_WAITING: Final = 512
"""Traces. One has about ten spans, of about 1 KiB each."""
BATCH: Final = 64
DELAY_SECONDS: Final = 1.0
"""At most between a trace's end and its export."""
EXPORT_SECONDS: Final = 5.0
"""For one export, retries included."""
CLOSE_SECONDS: Final = 5.0
NANOSECONDS: Final = 1_000_000_000

_KINDS: Final[Mapping[Kind, SpanKind]] = {
    Kind.INTERNAL: SpanKind.INTERNAL,
    Kind.SERVER: SpanKind.SERVER,
    Kind.CLIENT: SpanKind.CLIENT,
}

_NOTHING: Final = Resource.get_empty()

log = logging.getLogger(__name__)

Count = Callable[[Sending, int], None]
"""Is told what became of so many traces; from any thread."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Where spans go: `endpoint` is HOST:PORT, spoken to in plain text where `insecure`, else over TLS with
    the system's authorities. `resource` is OpenTelemetry's attributes of this service."""

    endpoint: str
    insecure: bool
    resource: Mapping[str, str] = field(default_factory=dict)


class Traces:
    """Sends traces until `close`."""

    def __init__(
        self,
        collector: Collector,
        version: str,
        count: Count,
        exporter: SpanExporter | None = None,
        close_seconds: float = CLOSE_SECONDS,
    ) -> None:
        """`version` is the router's; `exporter` stands in for the one of `collector`."""
        self._told = 0
        self._count = count
        self._close_seconds = close_seconds
        inner = exporter or OTLPSpanExporter(
            endpoint=collector.endpoint, insecure=collector.insecure, timeout=EXPORT_SECONDS
        )
        self._exporter = _Exporter(inner, Resource.create(dict(collector.resource)), version, count)
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=MAX_WAITING,
            schedule_delay_millis=1000 * DELAY_SECONDS,
            max_export_batch_size=BATCH,
        )

    def tell(self, story: Story) -> None:
        """Hand over the trace of `story`, if it is one that is kept."""
        if story.opened.root.sampled:
            self._processor.on_end(_Waiting(story, self._told))
            self._told += 1

    async def close(self) -> None:
        """Send what waits, for a few seconds; what a silent collector did not take by then is lost."""
        ending = asyncio.create_task(asyncio.to_thread(self._processor.shutdown))
        try:
            async with asyncio.timeout(self._close_seconds):
                await asyncio.shield(ending)
        except TimeoutError:
            log.warning("the collector of traces takes nothing; the last traces are lost")
            # Ends the call under way, for which the thread waits.
            await asyncio.to_thread(self._exporter.shutdown)
            await ending
        left = self._told - self._exporter.seen
        if left:
            self._count(Sending.CLOSING, left)


class _Waiting(ReadableSpan):
    """A story in the SDK's queue, the `number`th that was told, from 0."""

    def __init__(self, story: Story, number: int) -> None:
        root = story.opened.root
        super().__init__("story", _context(root.trace_id, root.span_id, remote=False), resource=_NOTHING)
        self.story = story
        self.number = number


class _Exporter(SpanExporter):
    """Makes spans of the stories that it is given, in the thread that exports them, one batch at a time.
    `seen`: how many stories have left the queue, with those that were dropped from it: they leave it in their
    order, so a gap in the numbers says how many."""

    def __init__(self, inner: SpanExporter, resource: Resource, version: str, count: Count) -> None:
        self.seen = 0
        self._count = count
        self._inner = inner
        self._resource = resource
        self._scope = InstrumentationScope("router_extproc", version)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        waited = [each for each in spans if isinstance(each, _Waiting)]
        if waited:
            dropped = waited[-1].number + 1 - self.seen - len(waited)
            self.seen = waited[-1].number + 1
            if dropped:
                self._count(Sending.QUEUE_FULL, dropped)
        outcome = Sending.NOT_TAKEN
        try:
            result = self._inner.export([span for each in waited for span in self._spans(each.story)])
            if result is SpanExportResult.SUCCESS:
                outcome = Sending.SENT
        finally:
            self._count(outcome, len(waited))
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def _spans(self, story: Story) -> Iterator[ReadableSpan]:
        """Each made as a whole: the SDK's own spans are of work that goes on while they are open, and this is
        over."""
        opened = story.opened
        for span in spans_of(story):
            yield ReadableSpan(
                name=str(span.name),
                context=_context(opened.root.trace_id, span.span_id, remote=False),
                parent=_context(opened.root.trace_id, span.parent, remote=span.parent == opened.parent),
                resource=self._resource,
                attributes=dict(span.attributes),
                events=[Event(name, timestamp=_ns(at)) for name, at in span.events],
                kind=_KINDS[span.kind],
                status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
                start_time=_ns(span.start),
                end_time=_ns(span.end),
                instrumentation_scope=self._scope,
            )


def _context(trace_id: str, span_id: str, *, remote: bool) -> SpanContext | None:
    if not span_id:
        return None
    return SpanContext(int(trace_id, 16), int(span_id, 16), remote, TraceFlags(TraceFlags.SAMPLED))


def _ns(seconds: float) -> int:
    return int(seconds * NANOSECONDS)
