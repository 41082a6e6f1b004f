"""A collector of traces: OTLP over gRPC on a free port, which keeps what it gets."""

import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent

EXPORT = "opentelemetry.proto.collector.trace.v1.TraceService"


@dataclass(frozen=True, slots=True)
class Collected:
    """A span as it arrived: ids in hex, times in nanoseconds."""

    name: str
    trace_id: str
    span_id: str
    parent: str
    start: int
    end: int
    kind: int
    error: str
    attributes: Mapping[str, Any]
    events: tuple[str, ...]
    resource: Mapping[str, Any]


class Collector:
    """`port` takes exports. Thread-safe: gRPC answers on threads of its own."""

    def __init__(self) -> None:
        self.port = 0
        self._lock = threading.Lock()
        self._spans: list[Collected] = []
        self._bytes: list[bytes] = []

    @property
    def spans(self) -> list[Collected]:
        with self._lock:
            return list(self._spans)

    @property
    def raw(self) -> bytes:
        """Everything that arrived, as it was on the wire."""
        with self._lock:
            return b"\n".join(self._bytes)

    def of(self, trace_id: str) -> dict[str, list[Collected]]:
        """The spans of one trace by name, in order of their starts."""
        found: dict[str, list[Collected]] = {}
        for span in sorted(self.spans, key=lambda each: each.start):
            if span.trace_id == trace_id:
                found.setdefault(span.name, []).append(span)
        return found

    def export(self, request: bytes, _: object) -> bytes:
        """The service's one method."""
        message = ExportTraceServiceRequest.FromString(request)
        found = [
            _collected(span, _values(resource.resource.attributes))
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            self._bytes.append(request)
            self._spans.extend(found)
        return ExportTraceServiceResponse().SerializeToString()


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """Taking exports until the context is left."""
    collected = Collector()
    method = grpc.unary_unary_rpc_method_handler(collected.export)
    server = grpc.server(ThreadPoolExecutor(2, thread_name_prefix="collector"))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(EXPORT, {"Export": method}),))
    collected.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collected
    finally:
        server.stop(None).wait()


def _collected(span: Sent, resource: Mapping[str, Any]) -> Collected:
    return Collected(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        kind=span.kind,
        error=span.status.message,
        attributes=_values(span.attributes),
        events=tuple(event.name for event in span.events),
        resource=resource,
    )


def _values(pairs: Sequence[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return None if kind is None else getattr(value, kind)
