"""How a model's thinking is switched, and what a request calls it."""

import pytest

from router_extproc.routing.policy import ReasoningFamily, Route, reasoning_fields


@pytest.mark.parametrize("on", [True, False])
def test_thinking_is_switched_explicitly_both_ways(on: bool) -> None:
    kwargs = ReasoningFamily("chat_template_kwargs", "enable_thinking")
    route = Route("m", reasoning=on, effort="high")
    assert reasoning_fields(kwargs, route) == ("chat_template_kwargs", "enable_thinking", on)
    effort = ReasoningFamily("reasoning_effort", "reasoning_effort")
    assert reasoning_fields(effort, route) == ("reasoning_effort", None, "high" if on else "low")


def test_a_model_without_a_family_is_left_alone() -> None:
    assert reasoning_fields(None, Route("m", reasoning=True)) is None


def test_an_adapter_takes_the_model_s_place_in_the_request() -> None:
    assert Route("m").name == "m"
    assert Route("m", "lawyer").name == "lawyer"
