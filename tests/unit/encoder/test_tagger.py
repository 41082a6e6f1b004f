"""Tags of tokens become spans of characters."""

import numpy as np
import pytest
from numpy.typing import NDArray

from router_extproc.encoder.session import Tokens
from router_extproc.encoder.tagger import spans_of

TYPES = ("AGE", "PERSON")
TEXT = "Anna Lee and Bob met Bo."
OFFSETS = ((0, 0), (0, 4), (5, 8), (9, 12), (13, 16), (17, 20), (21, 22), (22, 23), (23, 24), (0, 0))


def tags(*kinds: int) -> NDArray[np.float32]:
    """Logits that say these tags with a probability of 0.98 each."""
    logits = np.zeros((len(kinds) + 2, 5), np.float32)
    for place, kind in enumerate((0, *kinds, 0)):
        logits[place, kind] = 5.2
    return logits


def found(*kinds: int, start: int = 0) -> list[tuple[int, int, str]]:
    window = Tokens(ids=tuple(range(len(OFFSETS))), truncated=False, offsets=OFFSETS)
    spans = spans_of(TEXT, start, window, tags(*kinds), TYPES)
    return [(span.start, span.end, span.type) for span in spans]


def test_a_span_goes_from_its_first_token_to_its_last() -> None:
    assert found(3, 4, 0, 3, 0, 3, 4, 0) == [(0, 8, "PERSON"), (13, 16, "PERSON"), (21, 23, "PERSON")]


def test_two_spans_of_one_type_stay_apart_where_the_second_begins() -> None:
    assert found(3, 3, 0, 0, 0, 0, 0, 0) == [(0, 4, "PERSON"), (5, 8, "PERSON")]


def test_a_word_is_never_cut_between_its_pieces() -> None:
    """The pieces "B" and "o" both say that a person begins."""
    assert found(0, 0, 0, 0, 0, 3, 3, 0) == [(21, 23, "PERSON")]


def test_another_type_ends_a_span() -> None:
    assert found(3, 1, 0, 0, 0, 0, 0, 0) == [(0, 4, "PERSON"), (5, 8, "AGE")]


def test_a_span_that_goes_on_without_having_begun_is_one() -> None:
    assert found(4, 4, 0, 0, 0, 0, 0, 0) == [(0, 8, "PERSON")]


def test_special_tokens_are_in_no_span() -> None:
    assert found(0, 0, 0, 0, 0, 0, 0, 0) == []
    window = Tokens(ids=(101, 102), truncated=False, offsets=((0, 0), (0, 0)))
    logits = np.tile(np.array([0, 0, 0, 9, 0], np.float32), (2, 1))
    assert list(spans_of("", 0, window, logits, TYPES)) == []


def test_offsets_are_moved_to_where_the_window_begins() -> None:
    assert found(3, 0, 0, 0, 0, 0, 0, 0, start=100) == [(100, 104, "PERSON")]


def test_the_score_is_the_mean_probability_of_the_type() -> None:
    window = Tokens(ids=tuple(range(len(OFFSETS))), truncated=False, offsets=OFFSETS)
    (span,) = spans_of(TEXT, 0, window, tags(3, 4, 0, 0, 0, 0, 0, 0), TYPES)
    power = np.exp(5.2)
    assert span.score == pytest.approx((power + 1) / (power + 4), rel=1e-3)
