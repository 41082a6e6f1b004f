"""Which turns say enough by themselves."""

import pytest

from router_extproc.base.refusals import Uncached
from router_extproc.caching.context import too_little


@pytest.mark.parametrize(
    "text",
    [
        "What is Python?",
        "Python",
        "Explain quick sort",
        "What is it about Python that people like?",
        "And then what is love?",
        "如何打开防火墙",
        "2+2",
    ],
)
def test_a_first_turn_needs_one_word_of_content(text: str) -> None:
    assert too_little(text, later=False) is None


@pytest.mark.parametrize("text", ["Yes", "continue", "What is it?", "Why?", "?", "...", "", "and then"])
def test_a_first_turn_without_content_is_short(text: str) -> None:
    assert too_little(text, later=False) is Uncached.SHORT_TURN


@pytest.mark.parametrize(
    "text",
    ["yes", "Yes, please.", "continue", "and in Python?", "Why?", "What about France?", "Make it shorter"],
)
def test_a_later_turn_that_is_short_is_word_for_word(text: str) -> None:
    assert too_little(text, later=True) is Uncached.SHORT_TURN


@pytest.mark.parametrize(
    "text",
    [
        "Which of those sorting algorithms uses linear memory?",
        "Rewrite the sorting function with linear memory usage",
        "And which sorting algorithm has stable linear memory?",
        "So which sorting algorithm has stable linear memory?",
        "Which sorting algorithm uses linear memory like the previous example?",
        "What sorting algorithm did he prefer for linear memory machines?",
        "WHICH OF THOSE SORTING ALGORITHMS USES LINEAR MEMORY?",
        "Sort\u2019s memory: does it's size matter for linear machines, and that one?",
    ],
)
def test_a_later_turn_that_refers_or_goes_on_is_word_for_word(text: str) -> None:
    assert too_little(text, later=True) is Uncached.ANAPHORA


@pytest.mark.parametrize(
    "text",
    [
        "Which sorting algorithm has stable linear memory?",
        "Name the main exports of Germany, France and Italy.",
    ],
)
def test_a_later_turn_that_stands_alone_may_be_compared(text: str) -> None:
    assert too_little(text, later=True) is None


def test_a_long_turn_is_read_in_bounded_time_and_is_not_short() -> None:
    assert too_little("sorting algorithm linear memory " * 100_000, later=True) is None
