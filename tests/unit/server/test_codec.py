import pytest

from router_extproc._pb.envoy.config.core.v3.base_pb2 import HeaderMap, HeaderValue, HeaderValueOption
from router_extproc._pb.envoy.service.ext_proc.v3.external_processor_pb2 import (
    HttpHeaders,
    ProcessingRequest,
    ProcessingResponse,
)
from router_extproc.base.headers import HeaderEdits
from router_extproc.exchange.effects import ImmediateReply, Phase, Reply, Watch
from router_extproc.exchange.events import (
    RequestBody,
    RequestHeaders,
    RequestTrailers,
    ResponseBody,
    ResponseHeaders,
    ResponseTrailers,
)
from router_extproc.server.codec import WireError, decode, encode
from tests.support.wire import BodyMode, Recording, recordings, request_headers, response_headers

RECORDINGS = recordings()

EVENTS = {
    "request_headers": RequestHeaders,
    "request_body": RequestBody,
    "request_trailers": RequestTrailers,
    "response_headers": ResponseHeaders,
    "response_body": ResponseBody,
    "response_trailers": ResponseTrailers,
}


def events(scenario: str) -> list[object]:
    return [decode(ProcessingRequest.FromString(raw)) for raw in RECORDINGS[scenario].messages]


def set_fields(message: ProcessingResponse) -> list[tuple[str, bytes]]:
    mutation = message.request_body.response.header_mutation
    return [(option.header.key, option.header.raw_value) for option in mutation.set_headers]


@pytest.mark.parametrize("recording", RECORDINGS.values(), ids=lambda recording: recording.scenario)
def test_every_recorded_message_becomes_the_event_of_its_kind(recording: Recording) -> None:
    kinds = [type(event) for event in events(recording.scenario)]
    assert kinds == [EVENTS[kind] for kind in recording.kinds]


def test_recorded_chat_request_is_read_field_by_field() -> None:
    headers, body, answer = events("json_post")
    assert isinstance(headers, RequestHeaders)
    assert headers.headers.get(":path") == "/v1/chat/completions"
    assert headers.headers.get("x-request-id") == "recorded-1"
    assert (headers.end_of_stream, headers.buffered) == (False, True)
    assert isinstance(body, RequestBody)
    assert body.body.startswith(b'{"model":"auto"')
    assert int(headers.headers.get("content-length")) == len(body.body)
    assert body.end_of_stream
    assert isinstance(answer, ResponseHeaders)
    assert answer.headers.get(":status") == "200"


def test_recorded_requests_without_a_body_end_with_their_headers() -> None:
    for scenario in ("get", "empty_body_post"):
        first = events(scenario)[0]
        assert isinstance(first, RequestHeaders)
        assert first.end_of_stream


def test_recorded_body_before_trailers_does_not_end_the_stream_even_if_trailers_are_not_shown() -> None:
    for scenario in ("request_trailers", "trailers_not_shown"):
        body = events(scenario)[1]
        assert isinstance(body, RequestBody)
        assert not body.end_of_stream


def test_recorded_event_stream_ends_with_an_empty_piece() -> None:
    last = events("sse_response")[-1]
    assert last == ResponseBody(b"", end_of_stream=True)


@pytest.mark.parametrize("mode", BodyMode.values())
def test_only_a_buffered_request_body_counts_as_whole(mode: BodyMode) -> None:
    event = decode(request_headers(body_mode=mode))
    assert isinstance(event, RequestHeaders)
    assert event.buffered == (mode == BodyMode.BUFFERED)


def test_a_release_that_does_not_tell_its_body_mode_is_believed_to_buffer() -> None:
    event = decode(request_headers(body_mode=None))
    assert isinstance(event, RequestHeaders)
    assert event.buffered


def test_repeated_fields_keep_their_order_and_any_byte() -> None:
    event = decode(response_headers([("set-cookie", "a=\xe9"), ("set-cookie", "b=\xff"), ("X-Upper", "1")]))
    assert isinstance(event, ResponseHeaders)
    assert event.headers.all("set-cookie") == ("a=\xe9", "b=\xff")
    assert event.headers.get("x-upper") == "1"


def test_raw_value_wins_over_value() -> None:
    field = HeaderValue(key="x", value="text", raw_value=b"raw")
    event = decode(ProcessingRequest(response_headers=HttpHeaders(headers=HeaderMap(headers=[field]))))
    assert isinstance(event, ResponseHeaders)
    assert event.headers.all("x") == ("raw",)


def test_a_message_without_a_known_part_is_refused() -> None:
    # Field 15 of the wire, as a newer Envoy might add it: length-delimited, empty.
    with pytest.raises(WireError, match="unknown_message"):
        decode(ProcessingRequest.FromString(b"\x7a\x00"))


def test_observability_mode_is_refused_whatever_the_message_says() -> None:
    message = request_headers()
    message.observability_mode = True
    with pytest.raises(WireError, match="observability_mode"):
        decode(message)


@pytest.mark.parametrize("phase", Phase)
def test_an_unchanged_reply_is_of_its_messages_kind_and_otherwise_empty(phase: Phase) -> None:
    message = encode(Reply(phase))
    assert message.WhichOneof("response") == phase.name.lower()
    assert not message.HasField("mode_override")
    assert len(message.SerializeToString()) <= 4


@pytest.mark.parametrize("phase", Phase)
def test_unchanged_replies_share_one_message_that_stays_as_it_was(phase: Phase) -> None:
    first = encode(Reply(phase))
    before = first.SerializeToString()
    if phase is Phase.REQUEST_BODY:
        encode(Reply(phase, edits=HeaderEdits(set=(("x-a", "1"),)), body=b"other"))
    assert encode(Reply(phase)) is first
    assert first.SerializeToString() == before


@pytest.mark.parametrize("body", [b"", b"x", "gr\u00fc\u00df \U0001f600".encode(), bytes(70_000)], ids=len)
def test_a_replaced_body_carries_its_exact_length(body: bytes) -> None:
    message = encode(Reply(Phase.REQUEST_BODY, body=body))
    mutation = message.request_body.response.body_mutation
    assert mutation.WhichOneof("mutation") == "body"
    assert mutation.body == body
    assert set_fields(message) == [("content-length", str(len(body)).encode())]


def test_the_exact_length_comes_after_a_length_that_the_edits_claim() -> None:
    wrong = HeaderEdits(set=(("content-length", "5"), ("x-a", "1")), remove=("content-length",))
    message = encode(Reply(Phase.REQUEST_BODY, edits=wrong, body=b"four"))
    assert set_fields(message)[-1] == ("content-length", b"4")


def test_an_unreplaced_body_does_not_touch_the_length() -> None:
    message = encode(Reply(Phase.REQUEST_BODY, edits=HeaderEdits(set=(("x-a", "1"),))))
    assert set_fields(message) == [("x-a", b"1")]
    assert not message.request_body.response.HasField("body_mutation")


def test_header_edits_overwrite_and_use_raw_values_only() -> None:
    edits = HeaderEdits(set=(("x-selected-model", "qwen\xe9"),), remove=("accept-encoding",))
    message = encode(Reply(Phase.REQUEST_HEADERS, edits=edits, clear_route_cache=True))
    common = message.request_headers.response
    (option,) = common.header_mutation.set_headers
    assert option.append_action == HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    assert (option.header.raw_value, option.header.value) == (b"qwen\xe9", "")
    assert list(common.header_mutation.remove_headers) == ["accept-encoding"]
    assert common.clear_route_cache


@pytest.mark.parametrize(
    "reply",
    [
        Reply(Phase.REQUEST_BODY, watch=Watch.NOTHING),
        Reply(Phase.RESPONSE_BODY, watch=Watch.STREAMED_RESPONSE),
        Reply(Phase.REQUEST_HEADERS, watch=Watch.STREAMED_RESPONSE),
        Reply(Phase.RESPONSE_BODY, body=b"changed"),
        Reply(Phase.REQUEST_HEADERS, body=b"early"),
        Reply(Phase.RESPONSE_TRAILERS, edits=HeaderEdits(remove=("x-a",))),
        ImmediateReply(299, (), b"", "odd_status"),
    ],
    ids=str,
)
def test_what_the_protocol_cannot_say_is_refused(reply: Reply | ImmediateReply) -> None:
    with pytest.raises(ValueError, match=r"."):
        encode(reply)


def test_an_immediate_reply_carries_status_headers_body_and_details() -> None:
    body = b"data: [DONE]\n\n"
    reply = ImmediateReply(200, (("content-type", "text/event-stream"),), body, "cache_hit")
    answer = encode(reply).immediate_response
    assert (answer.status.code, answer.body, answer.details) == (200, body, "cache_hit")
    (option,) = answer.headers.set_headers
    assert (option.header.key, option.header.raw_value) == ("content-type", b"text/event-stream")
    assert option.append_action == HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
