"""I10: what the codec writes means to envoy-data-plane what the reply says, and the other way round."""

import pytest
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.filters.http.ext_proc import v3 as filter_v3
from envoy_data_plane.envoy.service.ext_proc import v3 as ext_proc
from envoy_data_plane.envoy.type import v3 as type_v3
from hypothesis import given
from hypothesis import strategies as st

from router_extproc._pb.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest
from router_extproc.base.headers import HeaderEdits, Headers
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
from router_extproc.server.codec import decode, encode

OVERWRITE = core.HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD

names = st.from_regex(r":?[a-z][a-z0-9-]{0,20}", fullmatch=True)
values = st.text(st.characters(max_codepoint=0xFF), max_size=30)
pairs = st.lists(st.tuples(names, values), max_size=6).map(tuple)
bodies = st.binary(max_size=200)
edits = st.builds(HeaderEdits, set=pairs, remove=st.lists(names, max_size=3).map(tuple))

header_replies = st.builds(
    Reply,
    phase=st.sampled_from([Phase.REQUEST_HEADERS, Phase.RESPONSE_HEADERS]),
    edits=edits,
    clear_route_cache=st.booleans(),
    watch=st.sampled_from([Watch.AS_CONFIGURED, Watch.NOTHING]),
)
watched_replies = st.builds(
    Reply, phase=st.just(Phase.RESPONSE_HEADERS), edits=edits, watch=st.just(Watch.STREAMED_RESPONSE)
)
body_replies = st.builds(
    Reply,
    phase=st.just(Phase.REQUEST_BODY),
    edits=edits,
    body=st.none() | bodies,
    clear_route_cache=st.booleans(),
)
bare_replies = st.sampled_from(Phase).map(Reply)
replies = bare_replies | header_replies | watched_replies | body_replies
immediate_replies = st.builds(
    ImmediateReply,
    status=st.sampled_from([200, 400, 403, 404, 413, 429, 503]),
    headers=pairs,
    body=bodies,
    details=st.from_regex(r"[a-z_]{0,20}", fullmatch=True),
)


def options(fields: tuple[tuple[str, str], ...]) -> list[core.HeaderValueOption]:
    return [
        core.HeaderValueOption(
            header=core.HeaderValue(key=name, raw_value=value.encode("latin-1")), append_action=OVERWRITE
        )
        for name, value in fields
    ]


def expected_common(reply: Reply) -> ext_proc.CommonResponse:
    fields = reply.edits.set
    body = None
    if reply.body is not None:
        fields = (*fields, ("content-length", f"{len(reply.body)}"))
        body = ext_proc.BodyMutation(body=reply.body)
    touched = bool(fields or reply.edits.remove)
    mutation = ext_proc.HeaderMutation(set_headers=options(fields), remove_headers=list(reply.edits.remove))
    return ext_proc.CommonResponse(
        header_mutation=mutation if touched else None,
        body_mutation=body,
        clear_route_cache=reply.clear_route_cache,
    )


def expected_mode(reply: Reply) -> filter_v3.ProcessingMode | None:
    headers, bodies = filter_v3.ProcessingModeHeaderSendMode, filter_v3.ProcessingModeBodySendMode
    match reply.watch:
        case Watch.AS_CONFIGURED:
            return None
        case Watch.NOTHING:
            return filter_v3.ProcessingMode(
                response_header_mode=headers.SKIP,
                request_body_mode=bodies.NONE,
                response_body_mode=bodies.NONE,
                request_trailer_mode=headers.SKIP,
                response_trailer_mode=headers.SKIP,
            )
        case Watch.STREAMED_RESPONSE:
            return filter_v3.ProcessingMode(
                response_body_mode=bodies.STREAMED, response_trailer_mode=headers.SEND
            )


def expected(reply: Reply) -> ext_proc.ProcessingResponse:
    mode = expected_mode(reply)
    match reply.phase:
        case Phase.REQUEST_HEADERS:
            part = ext_proc.HeadersResponse(response=expected_common(reply))
            return ext_proc.ProcessingResponse(request_headers=part, mode_override=mode)
        case Phase.RESPONSE_HEADERS:
            part = ext_proc.HeadersResponse(response=expected_common(reply))
            return ext_proc.ProcessingResponse(response_headers=part, mode_override=mode)
        case Phase.REQUEST_BODY:
            body = ext_proc.BodyResponse(response=expected_common(reply))
            return ext_proc.ProcessingResponse(request_body=body)
        case Phase.RESPONSE_BODY:
            body = ext_proc.BodyResponse(response=expected_common(reply))
            return ext_proc.ProcessingResponse(response_body=body)
        case Phase.REQUEST_TRAILERS:
            return ext_proc.ProcessingResponse(request_trailers=ext_proc.TrailersResponse())
        case Phase.RESPONSE_TRAILERS:
            return ext_proc.ProcessingResponse(response_trailers=ext_proc.TrailersResponse())


@given(replies)
def test_a_reply_means_the_same_to_envoys_own_definitions(reply: Reply) -> None:
    wire = encode(reply).SerializeToString()
    assert ext_proc.ProcessingResponse.parse(wire) == expected(reply)


@given(immediate_replies)
def test_an_immediate_reply_means_the_same_to_envoys_own_definitions(reply: ImmediateReply) -> None:
    wire = encode(reply).SerializeToString()
    assert ext_proc.ProcessingResponse.parse(wire) == ext_proc.ProcessingResponse(
        immediate_response=ext_proc.ImmediateResponse(
            status=type_v3.HttpStatus(code=type_v3.StatusCode(reply.status)),
            headers=ext_proc.HeaderMutation(set_headers=options(reply.headers)),
            body=reply.body,
            details=reply.details,
        )
    )


def decoded(message: ext_proc.ProcessingRequest) -> Message:
    return decode(ProcessingRequest.FromString(bytes(message)))


def http_headers(fields: tuple[tuple[str, str], ...], end: bool) -> ext_proc.HttpHeaders:
    block = [core.HeaderValue(key=name, raw_value=value.encode("latin-1")) for name, value in fields]
    return ext_proc.HttpHeaders(headers=core.HeaderMap(headers=block), end_of_stream=end)


modes = st.none() | st.sampled_from(filter_v3.ProcessingModeBodySendMode)


@given(pairs, st.booleans(), modes)
def test_request_headers_are_read_as_envoys_own_definitions_write_them(
    fields: tuple[tuple[str, str], ...], end: bool, mode: filter_v3.ProcessingModeBodySendMode | None
) -> None:
    config = None if mode is None else ext_proc.ProtocolConfiguration(request_body_mode=mode)
    message = ext_proc.ProcessingRequest(request_headers=http_headers(fields, end), protocol_config=config)
    buffered = mode in (None, filter_v3.ProcessingModeBodySendMode.BUFFERED)
    assert decoded(message) == RequestHeaders(Headers.of(fields), end, buffered)


@given(pairs, st.booleans())
def test_response_headers_are_read_as_envoys_own_definitions_write_them(
    fields: tuple[tuple[str, str], ...], end: bool
) -> None:
    message = ext_proc.ProcessingRequest(response_headers=http_headers(fields, end))
    assert decoded(message) == ResponseHeaders(Headers.of(fields), end)


@given(bodies, st.booleans())
def test_bodies_are_read_as_envoys_own_definitions_write_them(body: bytes, end: bool) -> None:
    part = ext_proc.HttpBody(body=body, end_of_stream=end)
    assert decoded(ext_proc.ProcessingRequest(request_body=part)) == RequestBody(body, end)
    assert decoded(ext_proc.ProcessingRequest(response_body=part)) == ResponseBody(body, end)


@pytest.mark.parametrize("block", [None, core.HeaderMap(headers=[core.HeaderValue(key="a", raw_value=b"b")])])
def test_trailers_are_read_as_envoys_own_definitions_write_them(block: core.HeaderMap | None) -> None:
    part = ext_proc.HttpTrailers(trailers=block)
    assert decoded(ext_proc.ProcessingRequest(request_trailers=part)) == RequestTrailers()
    assert decoded(ext_proc.ProcessingRequest(response_trailers=part)) == ResponseTrailers()


@given(st.text(max_size=30))
def test_a_text_value_is_read_as_its_bytes_when_there_is_no_raw_value(text: str) -> None:
    field = core.HeaderValue(key="x-old", value=text)
    headers = ext_proc.HttpHeaders(headers=core.HeaderMap(headers=[field]))
    event = decoded(ext_proc.ProcessingRequest(response_headers=headers))
    assert isinstance(event, ResponseHeaders)
    assert event.headers.get("x-old").encode("latin-1") == text.encode()
