"""Operators read these words, so each is explained."""

from enum import StrEnum
from pathlib import Path

import pytest

from router_extproc.routing.facts import IMAGE_TOKENS, LEAST_COMPLETION, MESSAGE_TOKENS
from router_extproc.routing.reasons import Adjusted, Dropped
from router_extproc.routing.signals import EDGE
from router_extproc.routing.structure import FEATURES

ROUTING = Path(__file__).parents[3] / "docs" / "ROUTING.md"


@pytest.mark.parametrize("reasons", [Dropped, Adjusted])
def test_every_reason_has_a_line_in_the_documentation(reasons: type[StrEnum]) -> None:
    section = ROUTING.read_text().partition(f"### {reasons.__name__}\n")[2].partition("\n#")[0]
    documented = {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")}
    assert documented == {reason.value for reason in reasons}


def test_the_documentation_has_the_features_and_the_numbers_of_the_code() -> None:
    text = ROUTING.read_text()
    assert all(f"`{feature}`" in text for feature in FEATURES)
    assert f"else {LEAST_COMPLETION} tokens" in text
    assert f"each message {MESSAGE_TOKENS} and each image {IMAGE_TOKENS:,}" in text
    assert f"the last {EDGE:,}" in text
