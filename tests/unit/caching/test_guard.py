"""What the guard lets through and what it holds back."""

import signal

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
    ("What\u2019s the capital of France?", "What's the capital city of France?"),
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
    ('Translate "good luck"', 'Translate "good night"', Difference.QUOTE),
    ("Is a < b here?", "Is a > b here?", Difference.CODE),
    ("Can't we go?", "Can we go?", Difference.NEGATION),
    ("What is 17 minus 5?", "What is 5 minus 17?", Difference.NUMBER),
    ("What is 3 + 4?", "What is 3 - 4?", Difference.NUMBER),
    ("Is fifteen enough?", "Is fifty enough?", Difference.NUMBER),
    ("Take the second option", "Take the third option", Difference.NUMBER),
    ("Turn miles into kilometers", "How do I turn kilometers into miles", Difference.CLASS),
    ("Convert a list to a string", "Convert a string to a list", Difference.ORDER),
    ("Did Germany invade Poland?", "Did Poland invade Germany?", Difference.NAME),
    ("Germany invaded Poland when?", "Poland invaded Germany when?", Difference.NAME),
    ("Name the main causes of floods", "Name the main effects of floods", Difference.OPPOSITE),
    ("如何打开防火墙", "如何关闭防火墙", Difference.SCRIPT),
    ("Как включить режим?", "Как выключить режим?", Difference.SCRIPT),
    ("What does niño mean?", "What does niña mean?", Difference.SCRIPT),
    ("How do I answer to 😀?", "How do I answer to 😡?", Difference.SCRIPT),
    ("Keep it at 20 °C", "Keep it at 20 °F", Difference.NAME),
    ("Is it 5 € or more?", "Is it 5 £ or more?", Difference.SCRIPT),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_paraphrases_pass(a: str, b: str) -> None:
    assert agree(a, b) is None
    assert agree(b, a) is None


@pytest.mark.parametrize(("a", "b", "kind"), DIFFERENT)
def test_differences_are_found_from_both_sides(a: str, b: str, kind: Difference) -> None:
    assert agree(a, b) == kind
    assert agree(b, a) == kind


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a_",
        "a.",
        "-a",
        "/",
        "A ",
        "1",
        "1,",
        "'",
        '"',
        "`",
        "\u201c",
        "\u201ca",
        "\\",
        "\n",
        ": ",
        "not ",
    ],
)
def test_a_long_run_of_anything_does_not_hang_it(unit: str) -> None:
    """Linear work on this takes a moment; a pattern that looks back over the text, many minutes."""

    def hangs(*_: object) -> None:
        raise TimeoutError(f"comparing a long run of {unit!r} does not end")

    text = unit * (50_000 // len(unit))
    previous = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(5)
    try:
        assert agree(text, text) is None
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


@pytest.mark.parametrize("text", ["", " ", "¿Qué?", "深い", "a" * 10_000, "💡 100%"])
def test_a_text_agrees_with_itself(text: str) -> None:
    assert agree(text, text) is None
