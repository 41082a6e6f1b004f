"""Texts made plain without moving a character, and words near a place."""

import re

from router_extproc.screening.context import near, plain

CARD = re.compile(r"\bcard\b")


def test_digits_signs_dashes_and_spaces_of_other_scripts_become_plain_and_the_length_stays() -> None:
    text = "\uff14\u0661\u06f2 x\uff20y\uff0ecom \u20111\u00a02\u2009\u2013"
    assert plain(text) == "412 x@y.com -1 2 -"
    assert len(plain(text)) == len(text)


def test_letters_and_line_ends_stay() -> None:
    assert plain("S\u00e3o\nPaulo\t\u4e2d") == "S\u00e3o\nPaulo\t\u4e2d"


def test_words_count_within_the_window_only() -> None:
    text = "my card is 4111 thanks"
    assert near(text, 11, 15, CARD, before=8)
    assert not near(text, 11, 15, CARD, before=4)


def test_words_after_count_only_where_asked_for() -> None:
    assert near("4111 is my card", 0, 4, CARD, before=9, after=20)
    assert not near("4111 is my card", 0, 4, CARD, before=9)
