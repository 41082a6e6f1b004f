"""Words are counted once, weighed by rarity and normalised; a table that does not fit is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.base.errors import ModelError
from router_extproc.encoder.heads import Reads
from router_extproc.encoder.words import WIDTH, Words, load_words, rows, save_words

CLS, SEP = 101, 102
COUNT = 1 << 10


def window(*tokens: int) -> tuple[int, ...]:
    return (CLS, *tokens, SEP)


def table(**weights: float) -> Words:
    """A table in which the token 7 and the pair (7, 8) speak for the classes 0 and 1."""
    weight, rarity = np.zeros((COUNT, WIDTH), np.float16), np.zeros(COUNT, np.float16)
    word, apart = rows(window(7), COUNT), [*rows(window(7), COUNT), *rows(window(8), COUNT)]
    pair = np.setdiff1d(rows(window(7, 8), COUNT), apart)
    weight[word, 0], rarity[word] = weights.get("word", 2.0), 3.0
    weight[pair, 1], rarity[pair] = weights.get("pair", 4.0), 4.0
    return Words(weight, rarity, "r1")


def test_a_word_alone_says_its_weight() -> None:
    expected = np.zeros(WIDTH, np.float32)
    expected[0] = 2.0
    assert table().evidence(window(7)) == pytest.approx(expected)


def test_more_words_share_the_length_by_rarity() -> None:
    said = table().evidence(window(7, 8))
    # The vector (3, 4) has length 5; the token 8 by itself has no rarity.
    assert said[:2] == pytest.approx([2.0 * 3 / 5, 4.0 * 4 / 5])


def test_the_order_of_a_pair_matters() -> None:
    assert table().evidence(window(8, 7))[1] == 0


def test_saying_a_word_twice_says_no_more() -> None:
    assert table().evidence(window(7, 9, 7)) == pytest.approx(table().evidence(window(7, 9)))


@pytest.mark.parametrize("tokens", [(), (5,), (5, 6)])
def test_words_that_nothing_is_known_of_say_nothing(tokens: tuple[int, ...]) -> None:
    assert not table().evidence(window(*tokens)).any()


@given(st.lists(st.integers(0, 30_521), max_size=300))
def test_every_row_is_in_the_table_and_counted_once(tokens: list[int]) -> None:
    found = rows(window(*tokens), COUNT)
    assert len(found) <= max(0, 2 * len(tokens) - 1)
    assert len(np.unique(found)) == len(found)
    assert not len(found) or (found.min() >= 0 and found.max() < COUNT)


@given(st.lists(st.integers(0, 30_521), min_size=1, max_size=50), st.integers(0, 10_000))
def test_special_tokens_are_not_counted(tokens: list[int], other: int) -> None:
    assert np.array_equal(rows(window(*tokens), COUNT), rows((other, *tokens, other), COUNT))


def test_a_table_survives_its_file(tmp_path: Path) -> None:
    save_words(table(), tmp_path / "w")
    assert load_words(tmp_path / "w", "r1").as_bytes() == table().as_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (replace(table(), base_revision="r2"), "fitted on encoder revision r2, but the bundle has r1"),
        (replace(table(), rarity=np.zeros(12, np.float16)), "no power of two"),
        (replace(table(), weight=np.zeros((COUNT, 3), np.float16)), "shape"),
        (table(word=float("nan")), "not finite"),
        (replace(table(), rarity=np.zeros(COUNT, np.float32)), "float16"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, words: Words, message: str) -> None:
    save_words(words, tmp_path / "w")
    with pytest.raises(ModelError, match=message):
        load_words(tmp_path / "w", "r1")


def test_what_is_no_table_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"no")
    with pytest.raises(ModelError, match="w: not a table of words"):
        load_words(tmp_path / "w", "r1")


def test_a_head_of_features_does_not_see_the_words() -> None:
    states = np.arange(2 + Reads.TOPIC.width(2), dtype=np.float32)
    features, topic = Reads.FEATURES.of(states, 2), Reads.TOPIC.of(states, 2)
    assert len(topic) == len(features) + WIDTH
    assert np.array_equal(topic[: len(features)], features)
    assert topic[-1] == states[-1]
