import pytest

from router_extproc.page.shown import words as shown


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.4213, "0.42 ms"), (3.14, "3.1 ms"), (47.3, "47 ms"), (3100.0, "3.1 s")],  # noqa: RUF001
)
def test_milliseconds_are_as_long_as_they_say_something(value: float | None, text: str) -> None:
    assert shown.millis(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "–"), (0.0, "0 %"), (1.0, "100 %"), (0.5, "50 %"), (0.031, "3.1 %"), (0.9987, "99.9 %")],  # noqa: RUF001
)
def test_shares_near_the_ends_have_a_digit_more(share: float | None, text: str) -> None:
    assert shown.percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1.0, "0 s"), (40.0, "40 s"), (720.0, "12 min"), (7200.0, "2 h"), (200_000.0, "2 d")],
)
def test_a_time_that_has_passed(seconds: float, text: str) -> None:
    assert shown.since(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "–"), (12, "12 B"), (2048, "2.0 KiB"), (3 * 1024**3, "3.0 GiB")],  # noqa: RUF001
)
def test_bytes(count: float | None, text: str) -> None:
    assert shown.size(count) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.25, "0.25"), (1234.5, "1,234")])
def test_rates(value: float, text: str) -> None:
    assert shown.rate(value) == text


def test_prices_and_labels() -> None:
    given = {"currency": "USD", "prompt_per_1m": 0.1, "completion_per_1m": 0.3}
    assert shown.price(given) == "0.1 / 0.3 USD"
    assert shown.price(None) == "no price"
    assert shown.words("nothing_similar") == "nothing similar"
    assert shown.words("upstream_5xx") == "upstream 5xx"
    assert shown.clock(0) == "00:00:00"
    assert shown.day(0) == "1970-01-01 00:00:00"
