"""Messages of the stream from Envoy: each is an event or is refused by name, and whatever comes in whatever
order the exchange answers, in a form that can be sent."""

import struct

from google.protobuf.message import DecodeError

from router_extproc._pb.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest
from router_extproc.base.refusals import Failure
from router_extproc.exchange.effects import Analyse, Close, Effect, ImmediateReply, Question, Reply
from router_extproc.exchange.events import AnalysisFailed, Event, LookupFailed, PeerClosed
from router_extproc.exchange.exchange import Exchange
from router_extproc.server.codec import WireError, decode, encode
from tests.fuzz import chat
from tests.support.play import AT, PLAN
from tests.support.wire import request_body, request_headers, response_body, response_headers

_MODELS = ((":method", "GET"), (":path", "/v1/models/%ff"))
_JSON = ((":status", "200"), ("content-type", "application/json"))


def _framed(*messages: ProcessingRequest) -> bytes:
    written = [message.SerializeToString() for message in messages]
    return b"".join(struct.pack(">H", len(message)) + message for message in written)


SEEDS = (
    *(_framed(request_headers(), request_body(body), response_headers()) for body in chat.SEEDS),
    _framed(request_headers(_MODELS)),
    _framed(request_headers(), request_body(b"{}"), response_headers(_JSON), response_body(b"{}")),
    _framed(response_headers(), response_body(b"{}")),
)


def target(data: bytes) -> None:
    exchange, over = Exchange(PLAN, "1"), False
    while len(data) >= 2 and not over:
        size = struct.unpack(">H", data[:2])[0]
        message, data = data[2 : 2 + size], data[2 + size :]
        try:
            event = decode(ProcessingRequest.FromString(message))
        except (DecodeError, WireError):
            continue
        over = _received(exchange, event)
    assert all(not isinstance(effect, Reply) for effect in exchange.receive(PeerClosed(), AT))


def _received(exchange: Exchange, event: Event) -> bool:
    """Runs what follows, every port failing; whether the exchange ended the stream."""
    waiting, replies, over = [event], 0, False
    while waiting:
        for effect in exchange.receive(waiting.pop(), AT):
            waiting += _failed(effect)
            over |= isinstance(effect, Close | ImmediateReply)
            if isinstance(effect, Reply | ImmediateReply):
                replies += 1
                assert encode(effect).SerializeToString()
    assert replies == 1 or (over and not replies)
    return over


def _failed(effect: Effect) -> list[Event]:
    if isinstance(effect, Analyse):
        return [AnalysisFailed(Failure.TIMEOUT)]
    return [LookupFailed(Failure.TIMEOUT)] if isinstance(effect, Question) else []
