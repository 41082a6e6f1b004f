"""The guard on texts that nobody thought of."""

from hypothesis import given
from hypothesis import strategies as st

from router_extproc.caching.guard import Difference, agree

WORDS = st.sampled_from(
    "how do I what is the best way to not fix 5 five km miles Rome Paris file.txt -r and".split()
    + 'with without enable disable will was red blue ants "x" `y` which before after é 1,000'.split()
)
TEXTS = st.lists(WORDS, max_size=14).map(" ".join)


@given(st.text(max_size=200))
def test_every_text_agrees_with_itself(text: str) -> None:
    assert agree(text, text) is None
    assert agree(text, text) is None


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_two_texts_get_an_answer_and_the_same_one_from_both_sides(a: str, b: str) -> None:
    assert agree(a, b) == agree(b, a)


@given(TEXTS, TEXTS)
def test_likely_words_in_any_order_are_compared_alike_from_both_sides(a: str, b: str) -> None:
    assert agree(a, b) == agree(b, a)


@given(TEXTS, TEXTS)
def test_what_is_decisive_is_a_difference_in_any_case(a: str, b: str) -> None:
    """A verifier may let more through, never less."""
    assert agree(a, b, firmly=True) is None or agree(a, b) is not None
    assert agree(a, b, firmly=True) == agree(b, a, firmly=True)


@given(st.permutations("who was born in Oslo in the year 1950 and not in Rome to and from".split()))
def test_the_order_of_words_is_compared_alike_from_both_sides(words: list[str]) -> None:
    text = "who was born in Oslo in the year 1950 and not in Rome to and from"
    assert agree(text, " ".join(words)) == agree(" ".join(words), text)


@given(TEXTS, st.integers(0, 10_000))
def test_another_number_is_always_a_difference(text: str, number: int) -> None:
    assert agree(f"{text} {number}", f"{text} {number + 1}") is Difference.NUMBER


@given(TEXTS)
def test_a_negation_more_is_always_a_difference(text: str) -> None:
    assert agree(text, f"{text} never") is Difference.NEGATION


@given(TEXTS, st.text("abcdefgh", min_size=1, max_size=9))
def test_another_name_is_never_the_same_question(text: str, name: str) -> None:
    assert agree(f"{text} and Q{name}xa", f"{text} and Q{name}xb") is not None


@given(TEXTS)
def test_white_space_and_the_end_of_the_sentence_do_not_matter(text: str) -> None:
    assert agree(text, "  " + text.replace(" ", "  ")) is None
