import json
from typing import Any

import pytest

from router_extproc.simulator.generation import Generation, generate
from router_extproc.simulator.requests import parse_request

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def generation(**fields: Any) -> Generation:
    body = {"model": "m", "messages": [{"role": "user", "content": "What is entropy?"}], **fields}
    return generate(parse_request(json.dumps(body).encode()), "m")


def test_the_same_conversation_gets_the_same_tokens() -> None:
    assert generation() == generation(temperature=1.5)


def test_choices_differ_from_each_other() -> None:
    choices = generation(n=3).choices
    assert len({choice.text("content") for choice in choices}) == 3
    assert choices[0] == generation().choices[0]


def test_a_limit_cuts_tokens_and_is_the_reason() -> None:
    (whole,), (cut,) = generation().choices, generation(max_tokens=5).choices
    assert cut.tokens == whole.tokens[:5]
    assert (whole.finish_reason, cut.finish_reason) == ("stop", "length")


def test_a_limit_that_is_just_enough_is_no_reason() -> None:
    (whole,) = generation().choices
    assert generation(max_tokens=len(whole.tokens)).choices == (whole,)


def test_the_earliest_stop_ends_the_answer_before_it() -> None:
    (whole,), (stopped,) = generation().choices, generation(stop=["absent!", "entropy", "u"]).choices
    text = whole.text("content")
    assert stopped.text("content") == text[: min(text.index("entropy"), text.index("u"))]
    assert stopped.finish_reason == "stop"


def test_an_answer_may_be_empty() -> None:
    first = generation().choices[0].text("content")[0]
    stopped = generation(stop=first)
    assert (stopped.steps, stopped.completion_tokens) == (0, 0)


def test_thoughts_come_first_and_count() -> None:
    (plain,), (thinks,) = (
        generation().choices,
        generation(chat_template_kwargs={"enable_thinking": True}).choices,
    )
    channels = [channel for channel, _ in thinks.tokens]
    assert channels == sorted(channels, reverse=True)  # "reasoning_content" before "content"
    assert thinks.text("reasoning_content")
    assert thinks.text("content") == plain.text("content")
    assert len(thinks.tokens) > len(plain.tokens)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_a_forced_tool_is_called_with_valid_arguments(choice: object) -> None:
    (made,) = generation(tools=[TOOL], tool_choice=choice).choices
    assert made.call is not None
    assert (made.call.name, made.finish_reason, made.text("content")) == ("weather", "tool_calls", "")
    assert set(json.loads(made.text("arguments"))) == {"city"}


@pytest.mark.parametrize("choice", ["auto", "none", None])
def test_a_tool_that_is_not_forced_is_not_called(choice: object) -> None:
    assert generation(tools=[TOOL], tool_choice=choice).choices == generation().choices


def test_steps_carry_one_token_of_each_choice_that_still_runs() -> None:
    made = generation(n=2)
    replayed: list[list[tuple[str, str]]] = [[] for _ in made.choices]
    for index in range(made.steps):
        for number, channel, token in made.step(index):
            replayed[number].append((channel, token))
    assert [tuple(tokens) for tokens in replayed] == [choice.tokens for choice in made.choices]
    assert made.completion_tokens == sum(len(tokens) for tokens in replayed)
