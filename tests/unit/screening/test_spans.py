"""One answer from overlapping finds, and masking."""

import pytest

from router_extproc.screening.spans import (
    PII_GROUPS,
    PII_TYPES,
    QUASI_IDENTIFIERS,
    PiiSpan,
    Source,
    identifies,
    mask,
    merge,
    types_named,
)

TEXT = "Write to jo.doe@example.com or call +1 202 555 0143."


def span(start: int, end: int, kind: str = "PERSON", score: float = 0.9) -> PiiSpan:
    return PiiSpan(start, end, kind, score, Source.HEAD)


def test_there_are_seventeen_types() -> None:
    assert len(PII_TYPES) == 17


def test_every_type_is_known_to_identify_a_person_or_not() -> None:
    assert QUASI_IDENTIFIERS < PII_TYPES
    assert len(PII_TYPES - QUASI_IDENTIFIERS) == 11
    assert all(types < PII_TYPES for types in PII_GROUPS.values())
    assert PII_GROUPS.keys().isdisjoint(PII_TYPES)


def test_a_group_stands_for_its_types_and_any_other_name_for_itself() -> None:
    assert types_named(["QUASI_IDENTIFIERS"]) == QUASI_IDENTIFIERS
    assert types_named(["PERSON", "QUASI_IDENTIFIERS", "AGE"]) == QUASI_IDENTIFIERS | {"PERSON"}
    assert types_named(["PERSN"]) == {"PERSN"}
    assert types_named([]) == frozenset()


def test_a_text_identifies_somebody_by_one_type_that_does() -> None:
    assert not identifies([])
    assert not identifies(QUASI_IDENTIFIERS)
    assert all(identifies([kind, "AGE"]) for kind in PII_TYPES - QUASI_IDENTIFIERS)


@pytest.mark.parametrize(
    ("start", "end", "kind", "score"),
    [
        (3, 3, "PERSON", 0.5),
        (-1, 2, "PERSON", 0.5),
        (0, 2, "NAME", 0.5),
        (0, 2, "PERSON", 0.0),
        (0, 2, "PERSON", 1.1),
    ],
)
def test_a_span_that_cannot_be_is_refused(start: int, end: int, kind: str, score: float) -> None:
    with pytest.raises(ValueError, match=r"span|type|score"):
        PiiSpan(start, end, kind, score, Source.PATTERN)


def test_disjoint_spans_come_back_in_the_order_of_the_text() -> None:
    assert merge(TEXT, [span(36, 51, "PHONE_NUMBER"), span(9, 27, "EMAIL_ADDRESS")]) == (
        span(9, 27, "EMAIL_ADDRESS"),
        span(36, 51, "PHONE_NUMBER"),
    )


def test_a_better_span_swallows_a_worse_one_inside_it() -> None:
    email = span(9, 27, "EMAIL_ADDRESS", 1.0)
    assert merge(TEXT, [span(9, 15, "PERSON"), email, span(16, 27, "DOMAIN_NAME")]) == (email,)


def test_at_one_score_the_longer_span_wins() -> None:
    email = span(9, 27, "EMAIL_ADDRESS")
    assert merge(TEXT, [span(16, 27, "DOMAIN_NAME"), email]) == (email,)


def test_what_is_left_of_a_worse_span_stays_without_the_signs_at_its_ends() -> None:
    text = "Ana Sol <ana@sol.es>, Madrid"
    email = span(9, 19, "EMAIL_ADDRESS", 1.0)
    assert merge(text, [span(0, 28, "STREET_ADDRESS"), email]) == (
        span(0, 7, "STREET_ADDRESS"),
        email,
        span(22, 28, "STREET_ADDRESS"),
    )


def test_overlapping_spans_of_one_type_are_one_with_the_best_score_and_its_source() -> None:
    found = PiiSpan(4, 9, "PHONE_NUMBER", 1.0, Source.PATTERN)
    assert merge("0" * 12, [span(0, 6, "PHONE_NUMBER", 0.7), found]) == (
        PiiSpan(0, 9, "PHONE_NUMBER", 1.0, Source.PATTERN),
    )


def test_neighbours_of_one_type_stay_two() -> None:
    both = (span(0, 3, "STREET_ADDRESS"), span(3, 6, "STREET_ADDRESS"))
    assert merge("12 Elm", both) == both


def test_a_span_after_the_end_of_the_text_is_refused() -> None:
    with pytest.raises(ValueError, match="ends at 9"):
        merge("short", [span(0, 9)])


def test_masking_puts_the_type_in_the_place_of_the_words() -> None:
    spans = (span(9, 27, "EMAIL_ADDRESS"), span(36, 51, "PHONE_NUMBER"))
    assert mask(TEXT, spans) == "Write to [EMAIL_ADDRESS] or call [PHONE_NUMBER]."


def test_masking_nothing_changes_nothing() -> None:
    assert mask(TEXT, ()) == TEXT


@pytest.mark.parametrize("spans", [(span(0, 5), span(4, 8)), (span(6, 8), span(0, 2)), (span(0, 99),)])
def test_spans_that_are_not_merged_cannot_be_masked(spans: tuple[PiiSpan, ...]) -> None:
    with pytest.raises(ValueError, match="in order"):
        mask(TEXT, spans)
