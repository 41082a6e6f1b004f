"""From the tags of tokens to spans of characters. Knows nothing of models or windows' places in a text.

Tags are rows of logits: 0 is "none", 2t+1 begins type t and 2t+2 goes on with it (Ramshaw and Marcus 1995).
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from router_extproc.encoder.session import Tokens
from router_extproc.screening.spans import PiiSpan, Source

LEAST = 0.05
"""Spans less likely than this are not worth a word."""


def spans_of(
    text: str, start: int, window: Tokens, tags: NDArray[np.float32], types: Sequence[str]
) -> Iterator[PiiSpan]:
    """The spans that `tags`, (tokens, 2 x types + 1), say are in `window` of `text`; offsets are moved by
    `start`. A span's score is the mean probability that its tokens are of its type."""
    shares = _softmax(tags)
    none, kinds = shares[:, 0], shares[:, 1::2] + shares[:, 2::2]
    best = kinds.argmax(axis=1)
    begins = shares[np.arange(len(best)), 2 * best + 1] > shares[np.arange(len(best)), 2 * best + 2]
    inside = kinds[np.arange(len(best)), best] > none
    run: list[int] = []
    for place in range(len(best)):
        begin, end = window.offsets[place]
        real = end > begin and bool(inside[place])
        word_goes_on = bool(run) and window.offsets[run[-1]][1] == begin and text[begin - 1 : begin].isalnum()
        new = bool(run) and (best[place] != best[run[-1]] or (begins[place] and not word_goes_on))
        if run and (not real or new):
            yield _span(text, start, run, window, kinds, types)
            run = []
        if real:
            run.append(place)
    if run:
        yield _span(text, start, run, window, kinds, types)


def _span(
    text: str,
    start: int,
    run: Sequence[int],
    window: Tokens,
    kinds: NDArray[np.float64],
    types: Sequence[str],
) -> PiiSpan:
    kind = int(kinds[run[0]].argmax())
    score = float(kinds[list(run), kind].mean())
    first, last = window.offsets[run[0]][0], window.offsets[run[-1]][1]
    return PiiSpan(start + first, start + last, types[kind], min(1.0, max(LEAST, score)), Source.HEAD)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares
