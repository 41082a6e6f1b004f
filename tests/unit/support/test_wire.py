import pytest

from router_extproc._pb.envoy.config.core.v3.base_pb2 import HeaderMap
from router_extproc._pb.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest
from tests.support import wire
from tests.support.wire import Recording, recordings

SCENARIOS = {
    "json_post",
    "sse_response",
    "chunked",
    "request_trailers",
    "trailers_not_shown",
    "get",
    "empty_body_post",
    "response_trailers",
    "upgrade",
    "client_abort",
}


def test_every_scenario_is_recorded() -> None:
    assert set(recordings()) == SCENARIOS


@pytest.mark.parametrize("recording", recordings().values(), ids=lambda recording: recording.scenario)
def test_a_recording_names_what_it_holds(recording: Recording) -> None:
    found = [ProcessingRequest.FromString(raw).WhichOneof("request") for raw in recording.messages]
    assert found == list(recording.kinds)
    assert Recording.loads(recording.dumps()) == recording


@pytest.mark.parametrize("recording", recordings().values(), ids=lambda recording: recording.scenario)
def test_builders_write_what_a_real_envoy_writes(recording: Recording) -> None:
    """Built from the values alone, each message equals the recorded one."""
    for raw in recording.messages:
        message = ProcessingRequest.FromString(raw)
        message.DiscardUnknownFields()  # metadata_context, which the router does not read
        assert rebuilt(message) == message


def rebuilt(message: ProcessingRequest) -> ProcessingRequest:
    match str(message.WhichOneof("request")):
        case "request_headers":
            headers = message.request_headers
            return wire.request_headers(fields(headers.headers), end_of_stream=headers.end_of_stream)
        case "request_body":
            body = message.request_body
            return wire.request_body(body.body, end_of_stream=body.end_of_stream)
        case "request_trailers":
            return wire.request_trailers(fields(message.request_trailers.trailers))
        case "response_headers":
            headers = message.response_headers
            return wire.response_headers(fields(headers.headers), end_of_stream=headers.end_of_stream)
        case "response_body":
            body = message.response_body
            return wire.response_body(body.body, end_of_stream=body.end_of_stream)
        case _:
            return wire.response_trailers(fields(message.response_trailers.trailers))


def fields(block: HeaderMap) -> list[tuple[str, str]]:
    return [(field.key, field.raw_value.decode("latin-1")) for field in block.headers]
