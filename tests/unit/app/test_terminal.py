"""What a terminal is shown."""

import io

import pytest

from router_extproc.app.terminal import Count, moment, printable, size, table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain 你好 🙂", "plain 你好 🙂"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\r\n\tb", r"a\r\n\tb"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202eright to left", r"\u202eright to left"),
        ("\ud800", r"\ud800"),
    ],
)
def test_no_text_commands_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_stay_lines_where_they_may() -> None:
    assert printable("a\n\tb\r\x1b", lines=True) == "a\n\tb\\r\\x1b"


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 2**50, "5120.0 TiB")],
)
def test_sizes(count: int | None, text: str) -> None:
    assert size(count) == text


def test_moments() -> None:
    assert moment(1_700_000_000.25) == "2023-11-14T22:13:20Z"
    assert moment(1e300) == "1e+300"


def test_a_table_has_aligned_columns() -> None:
    assert table(("A", "LONG"), [("wide", "x"), ("y", "")]) == "A     LONG\nwide  x\ny"
    assert table(("A", "B"), []) == "A  B"


def test_a_count_speaks_now_and_then() -> None:
    stream, at = io.StringIO(), 0.0
    count = Count("rows", stream, lambda: at)
    count(1)
    at = 5.0
    count(2)
    count(3)
    count.end()
    assert stream.getvalue() == "  2 rows\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_count_on_a_terminal_goes_away_at_the_end() -> None:
    stream, at = Terminal(), 0.0
    count = Count("rows", stream, lambda: at)
    at = 1.0
    count(7)
    count.end()
    count.end()
    assert stream.getvalue() == "\r  7 rows\x1b[K\r\x1b[K"
