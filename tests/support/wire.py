"""Messages as Envoy writes them: builders for made-up ones, and those recorded from a real Envoy.

Builders write headers as Envoy does: lower-case names, values in `raw_value` only.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from router_extproc._pb.envoy.config.core.v3.base_pb2 import HeaderMap, HeaderValue
from router_extproc._pb.envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from router_extproc._pb.envoy.service.ext_proc.v3.external_processor_pb2 import (
    HttpBody,
    HttpHeaders,
    HttpTrailers,
    ProcessingRequest,
    ProtocolConfiguration,
)

RECORDED = Path(__file__).parent / "recorded"

Fields = Iterable[tuple[str, str]]

BodyMode = ProcessingMode.BodySendMode

CHAT_HEADERS = (
    (":authority", "router.test"),
    (":path", "/v1/chat/completions"),
    (":method", "POST"),
    (":scheme", "http"),
    ("content-type", "application/json"),
    ("authorization", "Bearer sk-test"),
)
"""The header block of an ordinary chat request."""

SSE_HEADERS = ((":status", "200"), ("content-type", "text/event-stream"))


def header_map(fields: Fields) -> HeaderMap:
    return HeaderMap(
        headers=[HeaderValue(key=name, raw_value=value.encode("latin-1")) for name, value in fields]
    )


def request_headers(
    fields: Fields = CHAT_HEADERS,
    *,
    end_of_stream: bool = False,
    body_mode: BodyMode | None = BodyMode.BUFFERED,
) -> ProcessingRequest:
    """`body_mode` is what the filter is configured for; None leaves it out, as old releases do."""
    message = ProcessingRequest(
        request_headers=HttpHeaders(headers=header_map(fields), end_of_stream=end_of_stream)
    )
    if body_mode is not None:
        message.protocol_config.CopyFrom(ProtocolConfiguration(request_body_mode=body_mode))
    return message


def request_body(body: bytes, *, end_of_stream: bool = True) -> ProcessingRequest:
    return ProcessingRequest(request_body=HttpBody(body=body, end_of_stream=end_of_stream))


def request_trailers(fields: Fields = ()) -> ProcessingRequest:
    return ProcessingRequest(request_trailers=HttpTrailers(trailers=header_map(fields)))


def response_headers(fields: Fields = SSE_HEADERS, *, end_of_stream: bool = False) -> ProcessingRequest:
    return ProcessingRequest(
        response_headers=HttpHeaders(headers=header_map(fields), end_of_stream=end_of_stream)
    )


def response_body(body: bytes, *, end_of_stream: bool = False) -> ProcessingRequest:
    return ProcessingRequest(response_body=HttpBody(body=body, end_of_stream=end_of_stream))


def response_trailers(fields: Fields = ()) -> ProcessingRequest:
    return ProcessingRequest(response_trailers=HttpTrailers(trailers=header_map(fields)))


@dataclass(frozen=True, slots=True)
class Recording:
    """One HTTP exchange as Envoy told it.

    `kinds[i]` names what `messages[i]`, the bytes of a ProcessingRequest, carries. How the stream ended is
    not kept: Envoy half-closes it and then resets it, after an abort as after a complete answer, and which
    of the two a processor sees first is a race.
    """

    scenario: str
    about: str
    envoy: str
    kinds: tuple[str, ...]
    messages: tuple[bytes, ...]

    def dumps(self) -> str:
        messages = [
            {"kind": kind, "base64": base64.b64encode(raw).decode()}
            for kind, raw in zip(self.kinds, self.messages, strict=True)
        ]
        content = {
            "scenario": self.scenario,
            "about": self.about,
            "envoy": self.envoy,
            "messages": messages,
        }
        return json.dumps(content, indent=2) + "\n"

    @classmethod
    def loads(cls, text: str) -> "Recording":
        content = json.loads(text)
        return cls(
            scenario=content["scenario"],
            about=content["about"],
            envoy=content["envoy"],
            kinds=tuple(message["kind"] for message in content["messages"]),
            messages=tuple(base64.b64decode(message["base64"]) for message in content["messages"]),
        )


def recordings() -> dict[str, Recording]:
    """Every recorded exchange by scenario. Made by `tests/component/record_wire.py`."""
    loaded = [Recording.loads(path.read_text(encoding="utf-8")) for path in sorted(RECORDED.glob("*.json"))]
    if not loaded:
        raise FileNotFoundError(f"no recordings in {RECORDED}")
    return {recording.scenario: recording for recording in loaded}
