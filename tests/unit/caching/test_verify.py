"""When two answers say the same."""

import pytest

from router_extproc.base.refusals import Verified
from router_extproc.caching.verify import DIFFERENT, SAME, SHORT, compare_answers


@pytest.mark.parametrize(
    ("similarity", "outcome"),
    [
        (1.0, Verified.SAME),
        (SAME, Verified.SAME),
        (SAME - 0.01, Verified.UNDECIDED),
        (DIFFERENT, Verified.UNDECIDED),
        (DIFFERENT - 0.01, Verified.DIFFERENT),
        (-1.0, Verified.DIFFERENT),
    ],
)
def test_the_cosine_decides_between_texts(similarity: float, outcome: Verified) -> None:
    assert compare_answers("It is a fruit.", "That would be a fruit.", similarity) is outcome


@pytest.mark.parametrize(
    ("cached", "fresh"),
    [
        ("The answer is 4.", "The answer is 5."),
        ("Yes, it is safe.", "Yes, it is not safe."),
        ("You should enable it.", "You should disable it."),
    ],
)
def test_a_number_or_a_not_decides_between_short_answers(cached: str, fresh: str) -> None:
    assert compare_answers(cached, fresh, 0.99) is Verified.DIFFERENT
    assert compare_answers(fresh, cached, 0.99) is Verified.DIFFERENT
    longer = "x" * SHORT
    assert compare_answers(cached + longer, fresh + longer, 0.99) is Verified.SAME


def test_a_name_does_not_decide() -> None:
    assert compare_answers("Paris it is.", "It is Paris, in France.", 0.9) is Verified.SAME


def test_white_space_says_nothing() -> None:
    assert compare_answers("a  b\n", " a\tb", -1.0) is Verified.SAME
