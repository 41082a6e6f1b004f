"""What is nearly a measured text is found, and what only shares a phrase with one is not."""

from training.leakage import Held, runs, without_near

MEASURED = [
    "Which of the following is the capital city of the largest country in South America by area?",
    "hi there",
]


def test_the_same_words_are_near_whatever_their_case_and_punctuation() -> None:
    assert Held(MEASURED).is_near(MEASURED[0].upper().replace("?", " ..."))
    assert Held(MEASURED).is_near("Hi, there!")


def test_a_changed_word_at_the_end_is_still_near() -> None:
    assert Held(MEASURED).is_near(MEASURED[0].replace("area", "population"))


def test_a_shared_phrase_is_no_leak() -> None:
    assert not Held(MEASURED).is_near("Which of the following is the best description of an enzyme?")
    assert not Held(MEASURED).is_near("hi you there")


def test_a_phrase_of_many_measured_texts_counts_for_nothing() -> None:
    """But each of them is still found by its own words."""
    many = [f"which of the following is item number {place}" for place in range(100)]
    held = Held(many)
    assert held.resemblance("which of the following is") == 0
    assert held.is_near(many[7])


def test_nothing_is_near_nothing() -> None:
    assert runs("...") == frozenset()
    assert not Held(["", "..."]).is_near("?")


def test_only_the_places_of_unseen_texts_are_left() -> None:
    assert without_near(["Hi there.", "good morning to all of you"], Held(MEASURED)) == [1]
