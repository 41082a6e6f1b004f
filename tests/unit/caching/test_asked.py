"""What is asked for, from the words alone."""

import pytest

from router_extproc.caching.asked import kinds


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("how do i swim", {"how"}),
        ("can you list fish", {"do"}),
        ("can you tell me a way to swim", {"how"}),
        ("in 1950 who swam", {"who"}),
        ("a friend who swam", {"do"}),
        ("what purpose does it serve", {"why"}),
        ("when fish swim do they sleep", {"do"}),
        ("when do fish swim", {"when"}),
        ("", {"do"}),
    ],
)
def test_the_first_question_word_counts(words: str, expected: set[str]) -> None:
    assert kinds(words.split()) == expected
