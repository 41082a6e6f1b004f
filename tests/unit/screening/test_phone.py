"""Telephone numbers by country code, form and context."""

import pytest

from router_extproc.screening.phone import find_phones


def phones(text: str) -> list[str]:
    return [text[span.start : span.end] for span in find_phones(text)]


@pytest.mark.parametrize(
    "number",
    [
        "+46 (0)8 928 571 38",
        "+447700 921 916",
        "+1-984-182-0190",
        "001-518-640-0854",
        "(602)272-9781",
        "905-674-3793",
        "930.167.3943",
        "+1-604-696-5272x565",
        "0688 843 79 56",
        "03.93.92.16.85",
        "(898)666-3621x0135",
        "(+49) 30 901820",
    ],
)
def test_forms_that_stand_for_themselves(number: str) -> None:
    assert phones(f"It was {number}, I think") == [number]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Can someone call me on 9472 7916?", "9472 7916"),
        ("Phone:\n60-56-85-91", "60-56-85-91"),
        ("416 60 039 office", "416 60 039"),
        ("reach me at (37) 788-063", "(37) 788-063"),
        ("Fax: 9498777106", "9498777106"),
        ('"phone": "450 0840"', "450 0840"),
        ("tel (020 7496 5157)", "020 7496 5157"),
        ("Phone: 03475/86047489", "03475/86047489"),
        ("Ring Ana at 2862553405 tonight", "2862553405"),
    ],
)
def test_numbers_that_are_telephones_where_one_is_spoken_of(text: str, number: str) -> None:
    assert phones(text) == [number]


@pytest.mark.parametrize(
    "text",
    [
        "9472 7916",
        "order number 9498777106",
        "2024-01-15",
        "call me on 2024-01-15",
        "1900-1920",
        "06/07/1960",
        "call me on 06/07/1960",
        "$9,498,777",
        "3.14159265",
        "123456789",
        "call 12 people",
        "x905-674-3793",
        "+999 123 456 789",
        "call order 9498777106",
        "phone 1234567890123456",
    ],
)
def test_other_numbers_are_no_telephones(text: str) -> None:
    assert phones(text) == []
