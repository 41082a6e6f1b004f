import json
from typing import Any

import pytest

from router_extproc.simulator.requests import (
    TOKENS_PER_MESSAGE,
    TOKENS_PER_PART,
    ChatRequest,
    InvalidRequestError,
    parse_request,
)

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {}}}


def request(*messages: dict[str, Any], **fields: Any) -> ChatRequest:
    return parse_request(json.dumps({"model": "m", "messages": list(messages), **fields}).encode())


def user(content: object) -> dict[str, Any]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not valid JSON"),
        (b'{"model": "\xff"}', "not valid JSON"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field `messages`"),
        (b'{"messages": []}', r"length >= 1 - at `\$.messages`"),
        (b'{"messages": [{"content": "a"}]}', "missing required field `role`"),
        (b'{"messages": [{"role": "user"}], "n": 0}', r">= 1 - at `\$.n`"),
        (b'{"messages": [{"role": "user"}], "max_tokens": "9"}', r"at `\$.max_tokens`"),
        (b'{"messages": [{"role": "user"}], "tool_choice": "required"}', "`tools` is empty"),
    ],
)
def test_an_invalid_body_is_refused_by_the_name_of_the_field(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        parse_request(body)


def test_a_named_tool_must_be_one_of_the_tools() -> None:
    choice = {"type": "function", "function": {"name": "absent"}}
    with pytest.raises(InvalidRequestError, match="names a tool that is not in `tools`"):
        request(user("a"), tools=[TOOL], tool_choice=choice)


def test_unknown_fields_and_nulls_are_accepted() -> None:
    parsed = request(user("a"), n=None, max_tokens=None, stop=None, tools=None, future={"a": [1]})
    assert (parsed.n, parsed.limit, parsed.stops, parsed.forced_tool()) == (None, None, (), None)


def test_the_question_is_the_last_user_turn_with_its_text_parts() -> None:
    parts = [
        {"type": "text", "text": "one"},
        {"type": "image_url", "image_url": {}},
        {"type": "text", "text": "two"},
    ]
    parsed = request(user("first"), user(parts), {"role": "assistant", "content": None})
    assert parsed.question() == "one\ntwo"


def test_prompt_tokens_count_texts_messages_and_other_parts() -> None:
    parts = [{"type": "text", "text": "Hello, world"}, {"type": "image_url"}]
    expected = TOKENS_PER_MESSAGE + 3 + TOKENS_PER_PART
    assert request(user(parts)).prompt_tokens() == expected


def test_the_newer_name_of_the_token_limit_wins() -> None:
    assert request(user("a"), max_tokens=5, max_completion_tokens=7).limit == 7


@pytest.mark.parametrize(("stop", "stops"), [("a", ("a",)), (["a", "", "b"], ("a", "b")), ("", ())])
def test_stops_may_be_a_text_or_a_list(stop: object, stops: tuple[str, ...]) -> None:
    assert request(user("a"), stop=stop).stops == stops


def test_thinking_is_switched_by_the_chat_template() -> None:
    assert request(user("a"), chat_template_kwargs={"enable_thinking": True}).thinks
    assert not request(user("a"), chat_template_kwargs={"enable_thinking": False}).thinks
    assert not request(user("a")).thinks


def test_the_seed_depends_on_model_and_messages_only() -> None:
    seed = request(user("a")).seed("m")
    assert request(user("a"), temperature=1.0, stream=True, max_tokens=3).seed("m") == seed
    assert request(user("b")).seed("m") != seed
    assert request(user("a"), user("a")).seed("m") != seed
    assert request(user("a")).seed("other") != seed
