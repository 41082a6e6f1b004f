"""What a model lacks for a request."""

from typing import Any

import pytest

from router_extproc.routing.facts import Facts
from router_extproc.routing.policy import Model
from router_extproc.routing.reasons import Dropped
from router_extproc.routing.suitability import explain_lack, lacking


@pytest.mark.parametrize(
    ("model", "facts", "lacks"),
    [
        ({"context_window": 1000}, {"prompt_tokens": 900, "completion_tokens": 100}, ()),
        (
            {"context_window": 1000},
            {"prompt_tokens": 900, "completion_tokens": 101},
            (Dropped.CONTEXT_WINDOW,),
        ),
        ({"context_window": 1000}, {"prompt_tokens": 900}, (Dropped.CONTEXT_WINDOW,)),
        ({}, {"prompt_tokens": 10_000_000}, ()),
        ({}, {"images": 1}, (Dropped.VISION,)),
        ({"vision": True}, {"images": 1}, ()),
        ({"tools": False}, {"tools": 1}, (Dropped.TOOLS,)),
        ({"tools": True}, {"tools": 1}, ()),
        ({"tools": False}, {"images": 1, "tool_calls": 1}, (Dropped.VISION, Dropped.TOOLS)),
    ],
)
def test_a_model_lacks_what_it_cannot_do(
    model: dict[str, Any], facts: dict[str, Any], lacks: tuple[Dropped, ...]
) -> None:
    assert lacking(Model(**model), Facts(**facts)) == lacks


def test_the_client_is_told_what_is_missing() -> None:
    facts = Facts(text="secret", prompt_tokens=5000, completion_tokens=0, images=1)
    message = explain_lack(frozenset({Dropped.VISION, Dropped.CONTEXT_WINDOW}), facts)
    assert "5000 tokens and image input" in message
    assert "secret" not in message
