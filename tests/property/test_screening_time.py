"""No text makes the patterns slow: 100 kB of what a backtracking expression would stumble over."""

from time import process_time

import pytest

from router_extproc.screening.patterns import PATTERN_TYPES, find_patterns

SIZE = 100_000
WAKING = "@ :: zip code driver's license"
"""Without these some patterns do not look at a text at all."""
ADVERSARIAL = [
    "1",
    "1 ",
    "4111 ",
    "4111-",
    "a",
    "@",
    "a@",
    "a.",
    "a.com@",
    "a-",
    "a:",
    "1:",
    ":",
    "fd::1 ",
    "GB11 ",
    "GB11",
    "(",
    "+",
    "+1 (2) ",
    "http://",
    "www.",
    "www.a.b ",
    "1.",
    "1.1.1.1 ",
    "zip code ",
    "zip:",
    "driver's license ",
    "123-45-6789 ",
    "123 45 6789 ",
    "phone 555 0199 ",
    "0044 20 ",
    "05 12 34 56 78 ",
    "https://example.com/a?b ",
    "4111111111111111 ",
    "\n",
    " ",
    "com.",
    "\uff11",
    "AB\n",
    "TX 7",
    "x@com.",
    "1)(",
    "%",
    "\u00e9.",
]


@pytest.mark.parametrize("piece", ADVERSARIAL)
def test_time_is_linear_in_a_long_text(piece: str) -> None:
    """Quadratic time would take 100 times as long for ten times the text; the slowest of three short runs and
    the fastest of three long ones, times 30, leave room for noise."""
    find_patterns("warm up 1 a@b.com", PATTERN_TYPES)
    long = (piece * SIZE)[:SIZE] + WAKING
    short = long[: SIZE // 10] + WAKING
    limit = max(0.5, 30 * max(_seconds(short) for _ in range(3)))
    assert any(_seconds(long) < limit for _ in range(3))


def _seconds(text: str) -> float:
    began = process_time()
    find_patterns(text, PATTERN_TYPES)
    return process_time() - began
