"""No text makes the patterns slow that read questions for the cache and for the decision: 50 kB of what a
backtracking expression would stumble over. Those of the guards: test_screening_time.py."""

from collections.abc import Callable
from time import process_time

import pytest

from router_extproc.caching.context import too_little
from router_extproc.caching.reading import read
from router_extproc.llm.meter import Meter
from router_extproc.routing.structure import FEATURES
from router_extproc.routing.words import count_words, words_of

SIZE = 50_000
ADVERSARIAL = (
    "a", "a ", "a'", "'", "1.", "1,1", "1:", "a.b.", "A.", "`", "`a", "\"", "\"a", "- ", "1 - ", "/",
    "/a", "/a/", "\\", "_", "a_", "(", "()", "~", ".", "..", "@", "a@", "#", "+", "a+", "\n", " \t",
    "- a\n", "1. ", "    ", "```\n", "$", "\\(", "\\[", "$$", "$a", "http://", "www.", "|a|\n", "{",
    "[", "?", "\u2018", "\u4f60", "e\u0301", "\u0301", "v1.", "data:", "data:  ",
    "\"completion_tokens\"", "\"completion_tokens\" ", "\"finish_reason\" :", "data: [DONE",
)  # fmt: skip


def structure(text: str) -> None:
    for feature in FEATURES.values():
        feature(text)


def metered(text: str) -> None:
    meter = Meter(event_stream=True)
    body = text.encode()
    for start in range(0, len(body), 4096):
        meter.feed(body[start : start + 4096])
    assert meter.completion_tokens is not None


READERS: dict[str, Callable[[str], object]] = {
    "the cache's reading": read,
    "the cache's context": lambda text: too_little(text, later=True),
    "words": lambda text: (words_of(text), count_words(text)),
    "structure": structure,
    "tokens of an answer": metered,
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_time_is_linear_in_a_long_question(reader: Callable[[str], object]) -> None:
    """Quadratic time would take 100 times as long for ten times the text. The limit, 40 times, and half a
    second where both take next to nothing, leave room for noise; what is over it may be so once."""
    reader("warm up 1 a.b.")
    for piece in ADVERSARIAL:
        long = (piece * SIZE)[:SIZE]
        limit = max(0.5, 40 * _seconds(reader, long[: SIZE // 10]))
        assert any(_seconds(reader, long) < limit for _ in range(3)), piece


def _seconds(reader: Callable[[str], object], text: str) -> float:
    began = process_time()
    reader(text)
    return process_time() - began
