"""Rendered completions, against OpenAI's own types and by example."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from router_extproc.base.completion import Completion, Usage
from router_extproc.llm.render import PIECE_CHARACTERS, render_json, render_sse

TEXT = " Zeile 1\r\n\n\tZeile 2 😀 " * 20
PLAIN = Completion("m", TEXT, "stop", (), Usage(3, 2))
REASONED = Completion("m", "c", "stop", (("reasoning_content", "r" * 100),))


def chunks(stream: bytes) -> list[dict[str, Any]]:
    """The events of a stream this module may render: one line each, `[DONE]` at the end."""
    events = stream.split(b"\n\n")
    assert events[-2:] == [b"data: [DONE]", b""]
    assert all(event.startswith(b"data: {") and event.count(b"\n") == 0 for event in events[:-2])
    return [json.loads(event.removeprefix(b"data: ")) for event in events[:-2]]


def test_json_is_a_chat_completion_of_the_openai_client() -> None:
    got = ChatCompletion.model_validate(json.loads(render_json(PLAIN, "chatcmpl-1", 7)), strict=True)
    assert (got.id, got.created, got.model, got.object) == ("chatcmpl-1", 7, "m", "chat.completion")
    assert len(got.choices) == 1
    assert (got.choices[0].index, got.choices[0].finish_reason) == (0, "stop")
    assert (got.choices[0].message.role, got.choices[0].message.content) == ("assistant", TEXT)
    assert got.usage is not None
    assert (got.usage.prompt_tokens, got.usage.completion_tokens, got.usage.total_tokens) == (3, 2, 5)


@pytest.mark.parametrize("include_usage", [False, True])
@pytest.mark.parametrize("completion", [PLAIN, REASONED])
def test_every_event_is_a_chunk_of_the_openai_client(completion: Completion, include_usage: bool) -> None:
    for body in chunks(render_sse(completion, "chatcmpl-1", 7, include_usage)):
        got = ChatCompletionChunk.model_validate(body, strict=True)
        assert (got.id, got.created, got.model) == ("chatcmpl-1", 7, "m")
        assert got.object == "chat.completion.chunk"


def test_json_without_known_usage_has_none() -> None:
    assert "usage" not in json.loads(render_json(REASONED, "x", 0))


def test_extras_are_fields_of_the_message() -> None:
    message = json.loads(render_json(REASONED, "x", 0))["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "c", "refusal": None, "reasoning_content": "r" * 100}


def test_a_stream_tells_role_extras_content_and_end_in_this_order() -> None:
    deltas = [body["choices"][0]["delta"] for body in chunks(render_sse(REASONED, "x", 0, False))]
    assert deltas == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "r" * 64},
        {"reasoning_content": "r" * 36},
        {"content": "c"},
        {},
    ]


def test_only_the_last_choice_has_the_finish_reason() -> None:
    reasons = [body["choices"][0]["finish_reason"] for body in chunks(render_sse(PLAIN, "x", 0, False))]
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]


def test_pieces_are_modest_and_lose_nothing() -> None:
    pieces = [
        body["choices"][0]["delta"].get("content", "") for body in chunks(render_sse(PLAIN, "x", 0, False))
    ]
    assert "".join(pieces) == TEXT
    assert max(map(len, pieces)) <= PIECE_CHARACTERS


def test_usage_comes_last_without_choices_when_asked_for() -> None:
    *others, last = chunks(render_sse(PLAIN, "x", 0, True))
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert all(body["usage"] is None and len(body["choices"]) == 1 for body in others)


def test_usage_is_not_told_unasked_and_not_made_up() -> None:
    assert all("usage" not in body for body in chunks(render_sse(PLAIN, "x", 0, False)))
    assert all(body["usage"] is None for body in chunks(render_sse(REASONED, "x", 0, True)))
