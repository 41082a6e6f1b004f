"""The word lists do not contradict each other."""

from router_extproc.caching.lexicon import (
    CLASSES,
    DENYING,
    FIRM,
    FUNCTION_WORDS,
    LIGHT,
    MINOR,
    MULTIPLES,
    NEGATIONS,
    NUMERALS,
    OPPOSITES,
    TELLING,
    UNNEGATED,
    meaning,
)
from router_extproc.caching.synonyms import MEANINGS, PHRASES


def test_a_meaning_is_its_own_meaning() -> None:
    assert all(MEANINGS[each] == each for each in MEANINGS.values())


def test_inflected_synonyms_have_one_meaning() -> None:
    assert meaning("purchased") == meaning("buying") == meaning("buy")
    assert meaning("kilometres") == meaning("km")
    assert meaning("unheard-of") == "unheard-of"


def test_opposites_are_mutual_and_never_synonyms() -> None:
    for word, others in OPPOSITES.items():
        assert word not in others
        assert all(word in OPPOSITES[other] for other in others)


def test_numbers_and_negations_are_not_dropped_as_words_of_no_subject() -> None:
    assert not FUNCTION_WORDS & NEGATIONS
    assert not FUNCTION_WORDS & NUMERALS.keys()
    assert not NEGATIONS & NUMERALS.keys()


def test_what_must_be_in_both_texts_is_nowhere_allowed_to_go() -> None:
    assert not FIRM & LIGHT
    assert not FIRM & MINOR


def test_telling_words_are_light_or_weigh_anyway() -> None:
    assert all(word in LIGHT or word in MINOR or word not in FUNCTION_WORDS for word in TELLING)


def test_members_of_a_class_are_not_synonyms() -> None:
    """Two members with one meaning would let one pass for the other."""
    for pair in (("monday", "sunday"), ("mile", "kilometer"), ("dollar", "euro"), ("mysql", "postgres")):
        first, second = map(meaning, pair)
        assert first != second
        assert CLASSES[first] & CLASSES[second]


def test_a_phrase_stands_for_a_single_word() -> None:
    assert all(len(pair) == 2 and " " not in whole for pair, whole in PHRASES.items())


def test_a_multiple_of_a_unit_is_a_larger_unit() -> None:
    assert all(size == 0 or size > 1 for size, _ in MULTIPLES.values())
    assert all(larger in MULTIPLES or larger in CLASSES or not larger for _, larger in MULTIPLES.values())


def test_a_word_that_only_looks_negated_is_no_negation() -> None:
    assert not UNNEGATED & DENYING
