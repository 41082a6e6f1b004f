"""Spans to an OpenTelemetry collector, over OTLP/gRPC: what goes out, when, and what is dropped.

gRPC because that is what configurations of vLLM Semantic Router name (`endpoint: HOST:4317`), and the process
has gRPC already. A bounded queue and a thread of the SDK stand between the event loop and the network:
what is handed over is the story, spans are made of it in that thread, and a full queue drops the oldest.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

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
        exporter: SpanExporter | None = None,
        close_seconds: float = CLOSE_SECONDS,
    ) -> None:
        """`version` is the router's; `exporter` stands in for the one of `collector`."""
        self._close_seconds = close_seconds
        inner = exporter or OTLPSpanExporter(
            endpoint=collector.endpoint, insecure=collector.insecure, timeout=EXPORT_SECONDS
        )
        self._exporter = _Exporter(inner, Resource.create(dict(collector.resource)), version)
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=MAX_WAITING,
            schedule_delay_millis=1000 * DELAY_SECONDS,
            max_export_batch_size=BATCH,
        )

    def tell(self, story: Story) -> None:
        """Hand over the trace of `story`, if it is one that is kept."""
        if story.opened.root.sampled:
            self._processor.on_end(_Waiting(story))

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


class _Waiting(ReadableSpan):
    """A story in the SDK's queue."""

    def __init__(self, story: Story) -> None:
        root = story.opened.root
        super().__init__("story", _context(root.trace_id, root.span_id, remote=False), resource=_NOTHING)
        self.story = story


class _Exporter(SpanExporter):
    """Makes spans of the stories that it is given, in the thread that exports them."""

    def __init__(self, inner: SpanExporter, resource: Resource, version: str) -> None:
        self._inner = inner
        self._resource = resource
        self._scope = InstrumentationScope("router_extproc", version)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        stories = (each.story for each in spans if isinstance(each, _Waiting))
        return self._inner.export([span for story in stories for span in self._spans(story)])

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
