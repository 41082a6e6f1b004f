"""Which words become one, and which must not."""

import pytest

from router_extproc.caching.stem import root, stem


@pytest.mark.parametrize(
    "words",
    [
        "file files filed filing",
        "study studies studied studying",
        "run runs running ran",
        "stop stops stopped stopping",
        "organise organised organizing organize",
        "quick quickly",
        "easy easily",
        "box boxes",
        "child children",
        "buy bought buying",
        "colour color colours",
        "cancel cancelled canceled",
    ],
)
def test_forms_of_a_word_have_one_stem(words: str) -> None:
    assert len({stem(word) for word in words.split()}) == 1


@pytest.mark.parametrize(
    "words",
    [
        "new news",
        "plan plane",
        "car care",
        "quit quite",
        "bus buses busy",
        "us use",
        "java jav",
        "string str",
        "bed bing",
        "sing sin",
        "ethanol ethane",
    ],
)
def test_words_of_their_own_keep_apart(words: str) -> None:
    first, second = words.split()[0], words.split()[-1]
    assert stem(first) != stem(second)


@pytest.mark.parametrize("word", ["", "a", "is", "niños", "делать", "ss"])
def test_short_and_foreign_words_stay(word: str) -> None:
    assert stem(word) == word


def test_a_root_joins_parts_of_speech_when_enough_is_left() -> None:
    assert root(stem("education")) == root(stem("educate"))
    assert root(stem("activation")) == root(stem("activate"))
    assert root(stem("motion")) != root(stem("mot"))
