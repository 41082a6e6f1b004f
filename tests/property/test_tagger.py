"""The tagger's search finds the most likely of all rows of tags that make sense."""

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.encoder.session import Tokens
from router_extproc.encoder.tagger import SURELY_NONE, spans_of

TYPES = ("AGE", "PERSON")
LOGIT = st.integers(-12, 12).map(lambda step: step / 4)
TOKENS = st.lists(st.tuples(st.booleans(), st.lists(LOGIT, min_size=5, max_size=5)), min_size=1, max_size=5)

Spans = list[tuple[int, int, str]]


def text_and_window(joined: list[bool]) -> tuple[str, Tokens]:
    """Tokens of two letters; one that is not joined has a space before it."""
    text, offsets = "", []
    for together in joined:
        text += "" if together or not text else " "
        offsets.append((len(text), len(text) + 2))
        text += "ab"
    return text, Tokens(ids=tuple(range(len(joined))), truncated=False, offsets=tuple(offsets))


def likelihood(path: tuple[int, ...], joined: list[bool], shares: np.ndarray) -> float:
    """-inf where the row makes no sense."""
    total = 0.0
    for place, tag in enumerate(path):
        before = path[place - 1] if place else 0
        goes_on = tag and tag % 2 == 0
        if goes_on and before not in (tag - 1, tag):
            return -math.inf
        if joined[place] and place and (tag == 0) != (before == 0):
            return -math.inf
        if joined[place] and place and tag % 2:
            return -math.inf
        both = goes_on and joined[place]
        total += math.log(shares[place, tag - 1 : tag + 1].sum() if both else shares[place, tag])
    return total


def spans(path: tuple[int, ...], window: Tokens) -> Spans:
    found: Spans = []
    for place, tag in enumerate(path):
        begin, end = window.offsets[place]
        if tag % 2:
            found.append((begin, end, TYPES[tag // 2]))
        elif tag:
            found[-1] = (found[-1][0], end, found[-1][2])
    return found


@given(TOKENS)
def test_the_spans_are_those_of_the_likeliest_sensible_tags(tokens: list[tuple[bool, list[float]]]) -> None:
    joined = [together and place > 0 for place, (together, _) in enumerate(tokens)]
    logits = np.array([row for _, row in tokens], np.float32)
    text, window = text_and_window(joined)
    shares = np.exp(logits.astype(np.float64))
    shares /= shares.sum(axis=1, keepdims=True)
    assert (shares[:, 0] < SURELY_NONE).all()
    rows = list(itertools.product(range(5), repeat=len(tokens)))
    scores = [likelihood(row, joined, shares) for row in rows]
    best = max(scores)
    likeliest = [spans(row, window) for row, score in zip(rows, scores, strict=True) if score > best - 1e-9]
    got = [(span.start, span.end, span.type) for span in spans_of(text, 0, window, logits, TYPES)]
    assert got in likeliest
