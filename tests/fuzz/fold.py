"""Upstreams' answers: whatever they send is folded or refused, the same in any pieces, and what is folded is
what a replay says again."""

from router_extproc.base.completion import Completion, Folded, Unfoldable
from router_extproc.exchange.recorder import Recorder
from router_extproc.llm.meter import Meter
from router_extproc.llm.render import render_json, render_sse

BOUND = 1 << 16
_COMPLETION = Completion("m", "Four.\n```\n4\n```", "stop", (("reasoning", "2+2"),))
_CHUNK = b'data: {"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"a"}}]}\n\n'
SEEDS = (
    b"\x00" + render_json(_COMPLETION, "chatcmpl-1", 1),
    b"\x01" + render_sse(_COMPLETION, "chatcmpl-1", 1, include_usage=False),
    b"\x05" + _CHUNK + b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"new":[1]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]\n\n',
    b'\x00{"model":"m","choices":[{"index":0,"message":{"content":null,"tool_calls":[{}]}}],"error":null}',
    b'\x01data: {"choices":[{"index":1,"delta":{"refusal":"no"},"logprobs":{}}]}\r\rdata: [[[[\n\n',
)


def target(data: bytes) -> None:
    """The first byte says whether it is a stream, and the size of the pieces."""
    event_stream, step, body = bool(data[:1] and data[0] & 1), 1 + (data[0] >> 1 if data else 0), data[1:]
    whole, split = (Recorder(event_stream=event_stream, max_bytes=BOUND) for _ in range(2))
    meter = Meter(event_stream=event_stream)
    whole.feed(body)
    for start in range(0, len(body), step):
        split.feed(body[start : start + step])
        meter.feed(body[start : start + step])
        assert split.held <= 2 * BOUND
    folded = whole.finish()
    assert folded == split.finish()
    assert (meter.completion_tokens or 0) >= 0
    assert isinstance(meter.complete, bool)
    if not isinstance(folded, Unfoldable):
        _replayed(folded)


def _replayed(completion: Completion) -> None:
    for event_stream, written in (
        (False, render_json(completion, "chatcmpl-2", 1)),
        (True, render_sse(completion, "chatcmpl-2", 1, include_usage=completion.usage is not None)),
    ):
        assert _read(written, event_stream) == completion


def _read(written: bytes, event_stream: bool) -> Folded:
    recorder = Recorder(event_stream=event_stream, max_bytes=1 << 24)
    recorder.feed(written)
    return recorder.finish()
