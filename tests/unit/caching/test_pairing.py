"""What each of two texts has that the other has not."""

from router_extproc.caching.pairing import Pair, negated, side_by_side
from router_extproc.caching.reading import read


def pair(a: str, b: str) -> Pair:
    return side_by_side(read(a), read(b))


def test_another_part_of_speech_is_shared() -> None:
    assert not pair("activation", "activate").only_a


def test_a_word_written_as_two_is_shared() -> None:
    both = pair("life in saltwater", "life in salt water")
    assert both.only_a == both.only_b == frozenset()
    assert pair("saltwater", "water salt").only_a


def test_a_verb_may_say_what_a_negation_says() -> None:
    assert pair("it does not load", "it fails to load").implied
    assert pair("it fails to load", "it does not load").implied
    assert pair("it is not warm", "it is cold").implied
    assert not pair("it does not load", "it loads").implied


def test_two_opposites_and_a_negation_say_nothing() -> None:
    assert not pair("open the old door", "do not close the new door").implied


def test_a_prefix_negates_only_a_word() -> None:
    assert negated(frozenset(("stable",)), frozenset(("unstable",)))
    assert not negated(frozenset(("sleep",)), frozenset(("asleep",)))
