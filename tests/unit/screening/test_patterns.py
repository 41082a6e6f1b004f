"""All rules together: whose find it is, and offsets in odd texts."""

from router_extproc.screening.patterns import PATTERN_TYPES, find_patterns


def found(text: str, types: frozenset[str] = PATTERN_TYPES) -> list[tuple[str, str]]:
    return [(span.type, text[span.start : span.end]) for span in find_patterns(text, types)]


def test_every_type_is_found_in_one_text() -> None:
    text = (
        "card 4111 1111 1111 1111, iban DE89 3704 0044 0532 0130 00, ssn 536-90-4399, tel +44 20 7946 0958, "
        "mail jo@example.org, host 10.1.2.3, "
        "site https://example.com/a, zip code 90210, driver's license D1234567"
    )
    assert found(text) == [
        ("CREDIT_CARD", "4111 1111 1111 1111"),
        ("IBAN_CODE", "DE89 3704 0044 0532 0130 00"),
        ("US_SSN", "536-90-4399"),
        ("PHONE_NUMBER", "+44 20 7946 0958"),
        ("EMAIL_ADDRESS", "jo@example.org"),
        ("IP_ADDRESS", "10.1.2.3"),
        ("DOMAIN_NAME", "https://example.com/a"),
        ("ZIP_CODE", "90210"),
        ("US_DRIVER_LICENSE", "D1234567"),
    ]


def test_only_the_types_asked_for_are_returned() -> None:
    text = "jo@example.org from 10.1.2.3"
    assert found(text, frozenset({"IP_ADDRESS"})) == [("IP_ADDRESS", "10.1.2.3")]
    assert found(text, frozenset({"PERSON"})) == []


def test_a_card_is_no_telephone_number_because_nobody_asked_for_cards() -> None:
    assert found("Call me on 378282246310005", frozenset({"PHONE_NUMBER"})) == []


def test_offsets_are_those_of_the_original_text() -> None:
    text = "\U0001f600 \u00e9crire \u00e0 jos\u00e9@example.org"
    assert found(text) == [("EMAIL_ADDRESS", "jos\u00e9@example.org")]
    assert found("\U0001f600 card \uff14111\u00a01111\u00a01111\u00a01111!")[0] == (
        "CREDIT_CARD",
        "\uff14111\u00a01111\u00a01111\u00a01111",
    )
