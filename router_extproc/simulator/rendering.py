"""The JSON and SSE forms of a generation, with the fields and the order that vLLM sends. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from router_extproc.simulator.generation import Channel, Choice, Generation

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What differs between two answers to the same request. `created` is in Unix seconds."""

    id: str
    created: int
    model: str


def completion(stamp: Stamp, generation: Generation) -> bytes:
    """The body of an answer that is not streamed."""
    choices = [
        {
            "index": index,
            "message": _message(choice),
            "logprobs": None,
            "finish_reason": choice.finish_reason,
            "stop_reason": None,
        }
        for index, choice in enumerate(generation.choices)
    ]
    return _dump(
        {
            "id": stamp.id,
            "object": "chat.completion",
            "created": stamp.created,
            "model": stamp.model,
            "choices": choices,
            "usage": usage(generation),
        }
    )


def opening(stamp: Stamp, generation: Generation) -> Iterator[bytes]:
    """Events before the first token: the role, and the head of a tool's call."""
    for index, choice in enumerate(generation.choices):
        yield _event(stamp, index, {"role": "assistant", "content": ""})
        if choice.call is not None:
            function = {"name": choice.call.name, "arguments": ""}
            head = {"index": 0, "id": choice.call.id, "type": "function", "function": function}
            yield _event(stamp, index, {"tool_calls": [head]})


def step(stamp: Stamp, generation: Generation, index: int) -> Iterator[bytes]:
    """Events of one decoding step."""
    for choice, channel, token in generation.step(index):
        yield _event(stamp, choice, _delta(channel, token))


def closing(stamp: Stamp, generation: Generation, include_usage: bool) -> Iterator[bytes]:
    """Events after the last token."""
    for index, choice in enumerate(generation.choices):
        yield _event(stamp, index, {"content": ""}, choice.finish_reason)
    if include_usage:
        yield _chunk(stamp, [], {"usage": usage(generation)})
    yield DONE


def usage(generation: Generation) -> dict[str, Any]:
    return {
        "prompt_tokens": generation.prompt_tokens,
        "total_tokens": generation.prompt_tokens + generation.completion_tokens,
        "completion_tokens": generation.completion_tokens,
        "prompt_tokens_details": None,
    }


def error(status: int, kind: str, message: str, param: str | None = None) -> bytes:
    """An error's body; `kind` is the name of vLLM's error class."""
    return _dump({"error": {"message": message, "type": kind, "param": param, "code": status}})


def _message(choice: Choice) -> dict[str, Any]:
    calls = []
    if choice.call is not None:
        function = {"name": choice.call.name, "arguments": choice.text("arguments")}
        calls = [{"id": choice.call.id, "type": "function", "function": function}]
    return {
        "role": "assistant",
        "content": choice.text("content") if choice.call is None else None,
        "refusal": None,
        "tool_calls": calls,
        "reasoning_content": choice.text("reasoning_content") or None,
    }


def _delta(channel: Channel, token: str) -> dict[str, Any]:
    if channel == "arguments":
        return {"tool_calls": [{"index": 0, "function": {"arguments": token}}]}
    return {channel: token}


def _event(stamp: Stamp, index: int, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    if finish_reason is not None:
        choice["stop_reason"] = None
    return _chunk(stamp, [choice], {})


def _chunk(stamp: Stamp, choices: list[dict[str, Any]], more: dict[str, Any]) -> bytes:
    chunk = {
        "id": stamp.id,
        "object": "chat.completion.chunk",
        "created": stamp.created,
        "model": stamp.model,
        "choices": choices,
        **more,
    }
    return b"data: " + _dump(chunk) + b"\n\n"


def _dump(content: dict[str, Any]) -> bytes:
    # As vLLM writes it: no spaces, and characters beyond ASCII as themselves.
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
