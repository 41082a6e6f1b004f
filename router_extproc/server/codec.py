"""Translates between Envoy's messages and the exchange's events and replies.

Owns every rule of the ext_proc wire format: which header form is written, when content-length is set,
how a `Watch` becomes a mode override. Knows nothing of streams, of stages, or of why a reply is sent.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, cast

from router_extproc._pb.envoy.config.core.v3.base_pb2 import HeaderMap, HeaderValue, HeaderValueOption
from router_extproc._pb.envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from router_extproc._pb.envoy.service.ext_proc.v3.external_processor_pb2 import (
    CommonResponse,
    HeaderMutation,
    ProcessingRequest,
    ProcessingResponse,
    TrailersResponse,
)
from router_extproc._pb.envoy.type.v3.http_status_pb2 import StatusCode
from router_extproc.base.headers import NO_EDITS, Headers
from router_extproc.exchange.effects import ImmediateReply, Phase, Reply, Watch
from router_extproc.exchange.events import (
    Message,
    RequestBody,
    RequestHeaders,
    RequestTrailers,
    ResponseBody,
    ResponseHeaders,
    ResponseTrailers,
)

CONTENT_LENGTH = "content-length"


class WireError(Exception):
    """A message that has no event. `event` says what it was, in a word of ours."""

    def __init__(self, event: str) -> None:
        super().__init__(event)
        self.event = event


def decode(message: ProcessingRequest) -> Message:
    """The event that Envoy's message stands for.

    Raises WireError when no known part is set (a newer Envoy's kind of message), and when the filter runs
    in observability mode: there every reply is a protocol error, so the stream has to be given up.
    """
    if message.observability_mode:
        raise WireError("observability_mode")
    part = message.WhichOneof("request")
    if part is None:
        raise WireError("unknown_message")
    return _DECODERS[part](message)


def encode(reply: Reply | ImmediateReply) -> ProcessingResponse:
    """The message that carries `reply`. It may be shared with other streams: serialise it, never edit it.

    Raises ValueError for a reply that the protocol cannot express, which is a bug of the caller: a body
    outside REQUEST_BODY, a watch on anything but headers, edits of trailers, a status not in StatusCode.
    """
    if isinstance(reply, ImmediateReply):
        return _immediate(reply)
    if reply.edits == NO_EDITS and reply.body is None and not reply.clear_route_cache:
        prebuilt = _UNCHANGED.get((reply.phase, reply.watch))
        if prebuilt is not None:
            return prebuilt
    return _message(reply)


def _request_headers(message: ProcessingRequest) -> RequestHeaders:
    part = message.request_headers
    buffered = (
        not message.HasField("protocol_config")
        or message.protocol_config.request_body_mode == ProcessingMode.BUFFERED
    )
    return RequestHeaders(_headers(part.headers), part.end_of_stream, buffered)


def _response_headers(message: ProcessingRequest) -> ResponseHeaders:
    part = message.response_headers
    return ResponseHeaders(_headers(part.headers), part.end_of_stream)


def _request_body(message: ProcessingRequest) -> RequestBody:
    part = message.request_body
    return RequestBody(part.body, part.end_of_stream)


def _response_body(message: ProcessingRequest) -> ResponseBody:
    part = message.response_body
    return ResponseBody(part.body, part.end_of_stream)


_DECODERS: Final[Mapping[str, Callable[[ProcessingRequest], Message]]] = MappingProxyType(
    {
        "request_headers": _request_headers,
        "request_body": _request_body,
        "request_trailers": lambda _: RequestTrailers(),
        "response_headers": _response_headers,
        "response_body": _response_body,
        "response_trailers": lambda _: ResponseTrailers(),
    }
)


def _headers(block: HeaderMap) -> Headers:
    return Headers.of((field.key, _value(field)) for field in block.headers)


def _value(field: HeaderValue) -> str:
    # `value` is UTF-8 text; going through its bytes gives both forms the same meaning.
    return (field.raw_value or field.value.encode()).decode("latin-1")


def _message(reply: Reply) -> ProcessingResponse:
    phase = reply.phase
    if reply.body is not None and phase is not Phase.REQUEST_BODY:
        raise ValueError(f"a body can replace a request body only, not one in {phase.name}")
    message = ProcessingResponse()
    # Filled in place: a message passed to a constructor is copied, and so is the body, once per level.
    if phase in _TRAILERS:
        if reply.edits != NO_EDITS or reply.clear_route_cache:
            raise ValueError(f"trailers cannot be edited in {phase.name}")
        _TRAILERS[phase](message).SetInParent()
    else:
        _fill(_COMMON[phase](message), reply)
    if reply.watch is not Watch.AS_CONFIGURED:
        message.mode_override.CopyFrom(_override(phase, reply.watch))
    return message


_COMMON: Final[Mapping[Phase, Callable[[ProcessingResponse], CommonResponse]]] = MappingProxyType(
    {
        Phase.REQUEST_HEADERS: lambda message: message.request_headers.response,
        Phase.REQUEST_BODY: lambda message: message.request_body.response,
        Phase.RESPONSE_HEADERS: lambda message: message.response_headers.response,
        Phase.RESPONSE_BODY: lambda message: message.response_body.response,
    }
)

_TRAILERS: Final[Mapping[Phase, Callable[[ProcessingResponse], TrailersResponse]]] = MappingProxyType(
    {
        Phase.REQUEST_TRAILERS: lambda message: message.request_trailers,
        Phase.RESPONSE_TRAILERS: lambda message: message.response_trailers,
    }
)


def _fill(common: CommonResponse, reply: Reply) -> None:
    common.SetInParent()
    if reply.edits.set or reply.edits.remove:
        common.header_mutation.remove_headers.extend(reply.edits.remove)
        _set_headers(common.header_mutation, reply.edits.set)
    if reply.body is not None:
        # Envoy rejects a BUFFERED body whose length differs from content-length, and it removes fields
        # before it sets them: the exact length, set last, wins over whatever the edits say.
        _set_headers(common.header_mutation, ((CONTENT_LENGTH, str(len(reply.body))),))
        common.body_mutation.body = reply.body
    if reply.clear_route_cache:
        common.clear_route_cache = True


def _set_headers(mutation: HeaderMutation, fields: Iterable[tuple[str, str]]) -> None:
    for name, value in fields:
        option = mutation.set_headers.add()
        option.append_action = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
        option.header.key = name
        # Only `raw_value`: Envoy ignores `value`, and answers 500 when both are there.
        option.header.raw_value = value.encode("latin-1")


def _override(phase: Phase, watch: Watch) -> ProcessingMode:
    """`mode_override` replaces the whole mode, so every field that must not fall back is named."""
    if watch is Watch.NOTHING and phase in (Phase.REQUEST_HEADERS, Phase.RESPONSE_HEADERS):
        return ProcessingMode(
            response_header_mode=ProcessingMode.SKIP,
            request_body_mode=ProcessingMode.NONE,
            response_body_mode=ProcessingMode.NONE,
            request_trailer_mode=ProcessingMode.SKIP,
            response_trailer_mode=ProcessingMode.SKIP,
        )
    if watch is Watch.STREAMED_RESPONSE and phase is Phase.RESPONSE_HEADERS:
        return ProcessingMode(
            response_body_mode=ProcessingMode.STREAMED, response_trailer_mode=ProcessingMode.SEND
        )
    raise ValueError(f"{watch.name} cannot be asked for in a reply to {phase.name}")


_STATUSES: Final = frozenset(StatusCode.values())


def _immediate(reply: ImmediateReply) -> ProcessingResponse:
    message = ProcessingResponse()
    answer = message.immediate_response
    if reply.status not in _STATUSES:
        raise ValueError(f"Envoy's StatusCode has no {reply.status}")
    answer.status.code = cast("StatusCode", reply.status)
    answer.headers.SetInParent()
    _set_headers(answer.headers, reply.headers)
    answer.body = reply.body
    answer.details = reply.details
    return message


_UNCHANGED: Final[Mapping[tuple[Phase, Watch], ProcessingResponse]] = MappingProxyType(
    {
        (phase, watch): _message(Reply(phase, watch=watch))
        for phase, watch in (
            *((phase, Watch.AS_CONFIGURED) for phase in Phase),
            (Phase.REQUEST_HEADERS, Watch.NOTHING),
            (Phase.RESPONSE_HEADERS, Watch.NOTHING),
            (Phase.RESPONSE_HEADERS, Watch.STREAMED_RESPONSE),
        )
    }
)
"""Most replies change nothing: these are built once."""
