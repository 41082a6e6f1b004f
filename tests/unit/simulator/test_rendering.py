import json
from collections.abc import Iterable
from typing import Any

from router_extproc.simulator import rendering
from router_extproc.simulator.generation import Call, Choice, Generation
from router_extproc.simulator.rendering import DONE, Stamp

STAMP = Stamp("chatcmpl-1", 1_700_000_000, "m")
TEXT = Choice((("reasoning_content", "Hm."), ("content", "Ja ≈ "), ("content", "🙂")), "stop")
TOOL = Choice((("arguments", '{"a":'), ("arguments", " 1}")), "tool_calls", Call("call-1", "f"))


def events(chunks: Iterable[bytes]) -> list[dict[str, Any]]:
    read = []
    for chunk in chunks:
        assert chunk.startswith(b"data: ")
        assert chunk.endswith(b"\n\n")
        if chunk != DONE:
            read.append(json.loads(chunk[6:]))
    return read


def test_a_whole_answer_has_vllms_fields() -> None:
    body = json.loads(rendering.completion(STAMP, Generation((TEXT,), 7)))
    assert {name: body[name] for name in ("id", "object", "created", "model")} == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
    }
    (choice,) = body["choices"]
    assert choice["message"]["content"] == "Ja ≈ 🙂"
    assert choice["message"]["reasoning_content"] == "Hm."
    assert choice["finish_reason"] == "stop"
    assert body["usage"]["prompt_tokens"] == 7
    assert body["usage"]["completion_tokens"] == 3
    assert body["usage"]["total_tokens"] == 10


def test_a_called_tool_stands_in_the_message() -> None:
    (choice,) = json.loads(rendering.completion(STAMP, Generation((TOOL,), 7)))["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert call == {"id": "call-1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    assert choice["message"]["content"] is None


def test_text_is_sent_as_itself_not_escaped() -> None:
    assert "🙂".encode() in rendering.completion(STAMP, Generation((TEXT,), 7))


def test_a_stream_begins_with_the_role_of_each_choice() -> None:
    read = events(rendering.opening(STAMP, Generation((TEXT, TEXT), 7)))
    deltas = [(each["choices"][0]["index"], each["choices"][0]["delta"]) for each in read]
    assert deltas == [(0, {"role": "assistant", "content": ""}), (1, {"role": "assistant", "content": ""})]


def test_a_streamed_call_names_the_tool_before_its_arguments() -> None:
    made = Generation((TOOL,), 7)
    head = events(rendering.opening(STAMP, made))[1]["choices"][0]["delta"]["tool_calls"][0]
    assert (head["id"], head["function"]) == ("call-1", {"name": "f", "arguments": ""})
    pieces = [events(rendering.step(STAMP, made, index))[0] for index in range(2)]
    arguments = [each["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] for each in pieces]
    assert arguments == ['{"a":', " 1}"]


def test_each_step_sends_its_token_in_its_field() -> None:
    made = Generation((TEXT,), 7)
    deltas = [events(rendering.step(STAMP, made, index))[0]["choices"][0]["delta"] for index in range(3)]
    assert deltas == [{"reasoning_content": "Hm."}, {"content": "Ja ≈ "}, {"content": "🙂"}]


def test_a_stream_ends_with_reason_usage_on_demand_and_done() -> None:
    made = Generation((TEXT,), 7)
    plain, counted = (list(rendering.closing(STAMP, made, include)) for include in (False, True))
    assert plain[-1] == counted[-1] == DONE
    assert events(plain)[0]["choices"][0]["finish_reason"] == "stop"
    assert len(plain) == 2
    last = events(counted)[-1]
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 3)


def test_an_error_has_the_apis_form() -> None:
    assert json.loads(rendering.error(404, "NotFoundError", "No.", "model")) == {
        "error": {"message": "No.", "type": "NotFoundError", "param": "model", "code": 404}
    }
