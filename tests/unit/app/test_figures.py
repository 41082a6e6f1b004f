"""Numbers for people."""

import pytest

from router_extproc.app.figures import (
    ASCII_STEPS,
    STEPS,
    duration,
    meter,
    milliseconds,
    ranked,
    rate,
    share,
    sparkline,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (-3.0, "0 s"),
        (59.4, "59 s"),
        (60.0, "1 min"),
        (61.0, "1 min 1 s"),
        (3_599.9, "1 h"),
        (3_605.0, "1 h"),
        (7_512.2, "2 h 5 min"),
        (90_061.0, "1 d 1 h"),
        (86_400.0, "1 d"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0 ms"),
        (0.412, "0.412 ms"),
        (5.127, "5.13 ms"),
        (999.4, "999 ms"),
        (999.6, "1 s"),
        (1_300.2, "1.3 s"),
        (99_949.0, "99.9 s"),
        (100_000.0, "100 s"),
        (1_234_567.0, "1235 s"),
    ],
)
def test_milliseconds_become_seconds(value: float | None, text: str) -> None:
    assert milliseconds(value) == text


def test_shares_rates_and_counts() -> None:
    assert [share(each) for each in (None, 0.0, 0.00723, 0.4333, 1.0)] == [
        "-",
        "0.0 %",
        "0.7 %",
        "43.3 %",
        "100.0 %",
    ]
    assert [rate(each) for each in (0.0, 0.0333, 4.125, 999.0, 12_345.6)] == [
        "0",
        "0.0333",
        "4.12",
        "999",
        "12,346",
    ]
    assert ranked({"exact": 1200, "semantic": 3}) == "exact 1,200, semantic 3"
    assert ranked({"exact": 1, "stale": 2}, {"exact": 0.5}) == "exact 1 (50.0 %), stale 2"
    assert ranked({}) == ""


def test_a_curve_goes_from_zero_to_the_largest() -> None:
    assert sparkline([0.0, 1.0, 4.0, 7.0], 10) == "▁▂▅█"
    assert sparkline([0.0, 1.0, 4.0, 7.0], 10, ascii_only=True) == "_.=#"
    assert len(STEPS) == len(ASCII_STEPS)


def test_a_curve_shows_the_newest_values() -> None:
    assert sparkline([9.0, 0.0, 1.0], 2) == "▁█"
    assert sparkline([1.0], 0) == ""
    assert sparkline([], 5) == ""


def test_nothing_is_not_zero_and_little_is_not_zero() -> None:
    assert sparkline([None, 0.0, 0.001, 100.0], 4) == " ▁▂█"
    assert sparkline([None, 0.0], 4) == " ▁"


def test_a_curve_of_shares_ends_at_one() -> None:
    assert sparkline([0.5, 1.0, 1.5], 4, highest=1.0) == "▅██"


def test_whatever_there_is_has_a_bar() -> None:
    assert [meter(each, 4) for each in (0.0, 0.001, 0.5, 1.0)] == ["", "█", "██", "████"]
    assert meter(0.5, 4, ascii_only=True) == "##"
