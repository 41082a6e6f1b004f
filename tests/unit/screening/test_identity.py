"""Social security numbers, driver licences and postal codes, by rule and by the words around them."""

import pytest

from router_extproc.screening.identity import find_licences, find_postal_codes, find_social_security


def ssns(text: str) -> list[str]:
    return [text[span.start : span.end] for span in find_social_security(text)]


def licences(text: str) -> list[str]:
    return [text[span.start : span.end] for span in find_licences(text)]


def codes(text: str) -> list[str]:
    return [text[span.start : span.end] for span in find_postal_codes(text)]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("it is 536-90-4399.", "536-90-4399"),
        ("SSN 536904399", "536904399"),
        ("my social security number is 536 90 4399", "536 90 4399"),
        ("My social is 536 90 4399", "536 90 4399"),
        ("SSN:\n536904399", "536904399"),
    ],
)
def test_social_security_numbers_are_found(text: str, number: str) -> None:
    assert ssns(text) == [number]


@pytest.mark.parametrize(
    "text",
    [
        "000-12-3456",
        "666-12-3456",
        "900-12-3456",
        "536-00-4399",
        "536-90-0000",
        "078-05-1120",
        "order 536904399",
        "1536-90-4399",
        "536-90-4399-1",
        "SSN 536-90-439",
        "SSN 078-05-1120\nLicence 536904399",
    ],
)
def test_numbers_that_are_never_issued_or_not_spoken_of_are_left(text: str) -> None:
    assert ssns(text) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("my driver's license number is 2270-66-1551", "2270-66-1551"),
        ("Drivers license: D123-4567-8901", "D123-4567-8901"),
        ("driving licence U62928788557186", "U62928788557186"),
        ("driver\u2019s license is 6940579", "6940579"),
        ("DL# 12 345 678", "12 345 678"),
        ("driver license 99ABC12345", "99ABC12345"),
    ],
)
def test_driver_licences_are_found_after_their_name(text: str, number: str) -> None:
    assert licences(text) == [number]


@pytest.mark.parametrize(
    "text",
    [
        "how do I renew my driver's license",
        "driver's license at 16",
        "driver's license in 2019",
        "number D1234567",
        "driver's license\nD1234567",
    ],
)
def test_talk_of_licences_is_no_licence(text: str) -> None:
    assert licences(text) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("zip code 90210", "90210"),
        ("My zip code is 880", "880"),
        ("ZIP: 90210-1234", "90210-1234"),
        ("postcode SW1A 1AA", "SW1A 1AA"),
        ("postal code is 53-320", "53-320"),
        ('"zip": "340 12"', "340 12"),
        ("postal_code=K1A 0B1", "K1A 0B1"),
        ("Austin TX 78701", "78701"),
        ("AUSTIN TX 78701.", "78701"),
        ("Halifax\n  NS\n  B0J 2H0", "B0J 2H0"),
    ],
)
def test_postal_codes_are_found_by_their_name_or_state(text: str, code: str) -> None:
    assert codes(text) == [code]


@pytest.mark.parametrize(
    "text",
    [
        "90210",
        "Austin, TX 78701",
        "zip files of 1024 bytes",
        "zip code",
        "the QQ 78701",
        "code 90210",
        "zip 3.1415",
        "APO AP 12345",
    ],
)
def test_other_numbers_are_no_postal_codes(text: str) -> None:
    assert codes(text) == []
