"""Render a completion as the JSON body or the event stream that an OpenAI client asked for.

The inverse of `fold`. Ids and times are given by the caller. Text must hold no lone surrogates; `fold`
never produces any.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from router_extproc.base.completion import Completion, Usage

PIECE_CHARACTERS = 64
"""Characters of text per chunk: the envelope (some 200 bytes) then weighs a few times the text, and an
answer of 4,000 characters is 63 events. Cutting between code points loses nothing on concatenation."""

_ENCODER = msgspec.json.Encoder()
_DONE = b"data: [DONE]\n\n"


def render_json(completion: Completion, id: str, created: int) -> bytes:
    """A `chat.completion`. `created` is in Unix seconds. Without known usage there is no `usage` field."""
    message: dict[str, Any] = {"role": "assistant", "content": completion.content, "refusal": None}
    choice = {
        "index": 0,
        "message": message | dict(completion.extras),
        "logprobs": None,
        "finish_reason": completion.finish_reason,
    }
    body = _envelope(completion, "chat.completion", id, created) | {"choices": [choice]}
    if completion.usage is not None:
        body["usage"] = _usage(completion.usage)
    return _ENCODER.encode(body)


def render_sse(completion: Completion, id: str, created: int, include_usage: bool) -> bytes:
    """`chat.completion.chunk` events and `[DONE]`: the role, extras, content, the finish reason, usage.

    With `include_usage` every chunk has `"usage": null` but the last, which has the counts and no
    choices; that one is left out when the counts are not known, for they cannot be made up.
    """
    envelope = _envelope(completion, "chat.completion.chunk", id, created)
    absent = {"usage": None} if include_usage else {}

    def chunk(delta: dict[str, str], finish_reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _event(envelope | {"choices": [choice]} | absent)

    events = [chunk({"role": "assistant", "content": ""}, None)]
    for name, text in (*completion.extras, ("content", completion.content)):
        events += [chunk({name: piece}, None) for piece in _pieces(text)]
    events.append(chunk({}, completion.finish_reason))
    if include_usage and completion.usage is not None:
        events.append(_event(envelope | {"choices": [], "usage": _usage(completion.usage)}))
    events.append(_DONE)
    return b"".join(events)


def _envelope(completion: Completion, kind: str, id: str, created: int) -> dict[str, Any]:
    return {
        "id": id,
        "object": kind,
        "created": created,
        "model": completion.model,
        "system_fingerprint": None,
    }


def _event(body: dict[str, Any]) -> bytes:
    """JSON escapes CR and LF, so that one data line holds it."""
    return b"data: " + _ENCODER.encode(body) + b"\n\n"


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), PIECE_CHARACTERS):
        yield text[start : start + PIECE_CHARACTERS]


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
