"""Cards and bank accounts by their check digits."""

import pytest

from router_extproc.screening.accounts import find_accounts, find_cards


def cards(text: str) -> list[str]:
    return [text[span.start : span.end] for span in find_cards(text)]


def accounts(text: str) -> list[str]:
    return [text[span.start : span.end] for span in find_accounts(text)]


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111111",
        "4111-1111-1111-1111",
        "5555 5555 5555 4444",
        "2223003122003222",
        "378282246310005",
        "3782 822463 10005",
        "6011111111111117",
        "3530111333300000",
        "30569309025904",
        "6200000000000005",
    ],
)
def test_cards_of_large_issuers_are_found_anywhere(number: str) -> None:
    assert cards(f"Note: {number}.") == [number]


@pytest.mark.parametrize(
    "number", ["4222222222222", "6759649826438453", "630495060000000000", "501800000009"]
)
def test_other_lengths_and_issuers_are_cards_where_a_card_is_spoken_of(number: str) -> None:
    assert cards(f"My card {number} is lost") == [number]


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "card 4111111111111112",
        "4222222222222",
        "14111111111111111",
        "4111111111111111.5",
        "x4111111111111111",
        "1234567890123456",
        "4111 1111-1111 1111",
        "4111111111111111a",
    ],
)
def test_what_fails_luhn_or_stands_in_something_longer_is_no_card(text: str) -> None:
    assert cards(text) == []


def test_a_security_code_after_the_groups_is_not_part_of_the_card() -> None:
    assert cards("4111 1111 1111 1111 123") == ["4111 1111 1111 1111"]


@pytest.mark.parametrize(
    "number",
    [
        "GB29NWBK60161331926819",
        "DE89 3704 0044 0532 0130 00",
        "gb29nwbk60161331926819",
        "NO93-8601-1117-947",
        "MT84MALT011000012345MTLCAST001S",
    ],
)
def test_account_numbers_are_found_in_any_grouping_and_case(number: str) -> None:
    assert accounts(f"to {number} please") == [number]


@pytest.mark.parametrize(
    "text",
    [
        "GB29NWBK60161331926818",
        "GB29NWBK6016133192681",
        "XX29NWBK60161331926819",
        "AGB29NWBK60161331926819",
        "GB29NWBK601613319268190",
    ],
)
def test_wrong_digits_lengths_and_countries_are_no_account(text: str) -> None:
    assert accounts(text) == []
