"""Words that mean the same, and phrases for them."""

from router_extproc.caching.synonyms import MEANINGS, PARTED, PHRASE_HEADS, PHRASES


def test_a_meaning_is_its_own_meaning() -> None:
    assert all(MEANINGS[each] == each for each in MEANINGS.values())


def test_a_phrase_stands_for_a_single_word() -> None:
    assert all(len(pair) == 2 and " " not in whole for pair, whole in PHRASES.items())


def test_every_phrase_is_looked_for() -> None:
    assert {first for first, _ in PHRASES} == PHRASE_HEADS


def test_a_verb_with_a_parted_particle_is_one_word() -> None:
    assert all(verb.isalpha() and verb.islower() for verb in PARTED)
