"""What the guard lets through and what it holds back."""

import pytest

from router_extproc.caching.guard import Difference, agree

SAME = [
    (
        "What are the main renewable energy sources?",
        "Which sources of renewable energy are the most important?",
    ),
    ("How do I install nginx on Linux?", "how to install nginx on linux"),
    ("What is the capital of France?", "Tell me the capital city of France."),
    ("Explain two ways to sort a list.", "Explain 2 ways of sorting a list."),
    ("Why is the sky blue?", "What makes the sky look blue?"),
]

DIFFERENT = [
    (
        "What are the main renewable energy sources?",
        "What are the main non-renewable energy sources?",
        Difference.NEGATION,
    ),
    ("How do I enable two-factor login?", "How do I disable two-factor login?", Difference.OPPOSITE),
    ("Is the port open?", "Is the port not open?", Difference.NEGATION),
    ("Is this material stable?", "Is this material unstable?", Difference.NEGATION),
    ("What is 5 plus 3?", "What is 50 plus 3?", Difference.NUMBER),
    ("Convert ten miles", "Convert eleven miles", Difference.NUMBER),
    ("What changed in v1.2?", "What changed in v1.3?", Difference.NUMBER),
    ("What is the weather in London?", "What is the weather in Paris?", Difference.NAME),
    ("Sort a list in python", "Sort a list in java", Difference.CLASS),
    ("Explain `grep -v`", "Explain `grep -i`", Difference.CODE),
    ("Read config_a please", "Read config_b please", Difference.CODE),
    ('Translate "good day"', 'Translate "good night"', Difference.QUOTE),
    ("Is a < b here?", "Is a > b here?", Difference.CODE),
    ("Can't we go?", "Can we go?", Difference.NEGATION),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_paraphrases_pass(a: str, b: str) -> None:
    assert agree(a, b) is None
    assert agree(b, a) is None


@pytest.mark.parametrize(("a", "b", "kind"), DIFFERENT)
def test_differences_are_found_from_both_sides(a: str, b: str, kind: Difference) -> None:
    assert agree(a, b) == kind
    assert agree(b, a) == kind


@pytest.mark.parametrize("text", ["", " ", "¿Qué?", "深い", "a" * 10_000, "💡 100%"])
def test_a_text_agrees_with_itself(text: str) -> None:
    assert agree(text, text) is None
