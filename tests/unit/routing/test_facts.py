"""What a request needs of a model, and how many tokens a text is."""

import pytest

from router_extproc.routing.facts import LEAST_COMPLETION, Facts, estimated_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("abcd" * 10, 10),
        ("é" * 8, 2),
        ("Ж" * 8, 4),
        ("用户问题", 4),
        ("ひらがな", 4),
        ("한국어", 3),
        ("😀", 1),
        ("abcd用", 2),
    ],
)
def test_tokens_are_estimated_by_script(text: str, tokens: float) -> None:
    assert estimated_tokens(text) == estimated_tokens(text.encode()) == pytest.approx(tokens)


def test_a_long_text_is_the_sum_of_its_parts() -> None:
    """Characters that lie across the pieces in which a text is read count once."""
    text = "a" + "用" * 700_000
    assert estimated_tokens(text) == pytest.approx(700_000.25)


def test_the_window_holds_the_prompt_and_the_answer() -> None:
    assert Facts(prompt_tokens=100, completion_tokens=50).needed_window == 150
    assert Facts(prompt_tokens=100).needed_window == 100 + LEAST_COMPLETION


@pytest.mark.parametrize("facts", [Facts(tools=1), Facts(tool_calls=1), Facts(tool_messages=1)])
def test_tools_offered_or_used_are_needed(facts: Facts) -> None:
    assert facts.needs_tools
    assert not Facts(open_to_tools=True).needs_tools


def test_images_need_vision() -> None:
    assert Facts(images=1).needs_vision
    assert not Facts().needs_vision
