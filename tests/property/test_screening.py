"""Merging and masking over any finds, and patterns over any text."""

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from router_extproc.screening.patterns import PATTERN_TYPES, find_patterns
from router_extproc.screening.spans import PII_TYPES, PiiSpan, Source, mask, merge

TEXTS = st.text(st.sampled_from("ab1 2,.\n<\u00e9\U0001f600"), min_size=1, max_size=40)
PIECES = st.sampled_from(
    "my card 4111111111111111 jo@example.org +44 20 7946 0958 10.1.2.3 https://example.com/ zip code".split(
        " "
    )
    + "90210 536-90-4399 , . \n ( ) \u00e9 \uff11 driver's license D1234567".split(" ")
    + "GB29NWBK60161331926819 call me on 9472 7916".split(" ")
)


@st.composite
def found(draw: st.DrawFn) -> tuple[str, list[PiiSpan]]:
    text = draw(TEXTS)
    spans = []
    for _ in range(draw(st.integers(0, 8))):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        score = draw(st.sampled_from([0.3, 0.9, 1.0]))
        kind = draw(st.sampled_from(sorted(PII_TYPES)[:4]))
        spans.append(PiiSpan(start, end, kind, score, draw(st.sampled_from(list(Source)))))
    return text, spans


@given(found())
def test_merged_spans_are_in_order_and_disjoint(given_: tuple[str, list[PiiSpan]]) -> None:
    merged = merge(*given_)
    assert all(left.end <= right.start for left, right in pairwise(merged))


@given(found())
def test_every_letter_and_digit_that_was_found_stays_found_and_no_other(
    given_: tuple[str, list[PiiSpan]],
) -> None:
    text, spans = given_
    before = {at for span in spans for at in range(span.start, span.end)}
    after = {at for span in merge(text, spans) for at in range(span.start, span.end)}
    assert after <= before
    assert {at for at in before if text[at].isalnum()} <= after


@given(found(), st.randoms(use_true_random=False))
def test_the_order_of_finds_does_not_matter(given_: tuple[str, list[PiiSpan]], chance: Random) -> None:
    text, spans = given_
    shuffled = list(spans)
    chance.shuffle(shuffled)
    assert merge(text, shuffled) == merge(text, spans)


@given(found())
def test_merging_again_changes_nothing(given_: tuple[str, list[PiiSpan]]) -> None:
    once = merge(*given_)
    assert merge(given_[0], once) == once


@given(found())
def test_a_masked_text_keeps_everything_else_in_place(given_: tuple[str, list[PiiSpan]]) -> None:
    text, spans = given_
    merged = merge(text, spans)
    masked, at = mask(text, merged), 0
    for span in merged:
        kept = text[at : span.start]
        assert masked.startswith(f"{kept}[{span.type}]")
        masked, at = masked[len(kept) + len(span.type) + 2 :], span.end
    assert masked == text[at:]


@given(st.lists(PIECES, max_size=14).map(" ".join) | st.text(max_size=120))
def test_patterns_answer_any_text_with_spans_that_can_be_masked(text: str) -> None:
    spans = find_patterns(text, PATTERN_TYPES)
    assert {span.type for span in spans} <= PATTERN_TYPES
    mask(text, spans)


@given(st.lists(PIECES, max_size=14).map(" ".join), st.sets(st.sampled_from(sorted(PATTERN_TYPES))))
def test_asking_for_fewer_types_leaves_the_other_spans_as_they_were(text: str, types: set[str]) -> None:
    every = find_patterns(text, PATTERN_TYPES)
    assert find_patterns(text, frozenset(types)) == tuple(span for span in every if span.type in types)
