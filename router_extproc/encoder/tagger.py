"""From the tags of tokens to spans of characters. Knows nothing of models or windows' places in a text.

Tags are rows of logits: 0 is "none", 2t+1 begins type t and 2t+2 goes on with it (Ramshaw and Marcus 1995).
The most likely row of tags is sought among those that make sense (Viterbi 1967): only what has begun goes on,
and all pieces of a word are of one span.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from router_extproc.encoder.session import Tokens
from router_extproc.screening.spans import PiiSpan, Source

LEAST = 0.05
"""Spans less likely than this are not worth a word."""

SURELY_NONE = 0.995
"""A word's first piece that is "none" with this probability ends a run: most words of most texts do, and the
search reads only what is between."""

Logs = NDArray[np.float64]


def spans_of(
    text: str, start: int, window: Tokens, tags: NDArray[np.float32], types: Sequence[str]
) -> Iterator[PiiSpan]:
    """The spans that `tags`, (tokens, 2 x types + 1), say are in `window` of `text`; offsets are moved by
    `start`. A span's score is the mean probability that its tokens are of its type."""
    shares = _softmax(tags)
    kinds = shares[:, 1::2] + shares[:, 2::2]
    joined = [_goes_on(text, window, place) for place in range(len(shares))]
    for run in _runs(window, shares[:, 0], joined):
        path = _path(shares[run], [joined[place] for place in run])
        for first, last, kind in _groups(path):
            begin, end = window.offsets[run[first]][0], window.offsets[run[last]][1]
            score = float(kinds[run[first] : run[last] + 1, kind].mean())
            yield PiiSpan(start + begin, start + end, types[kind], min(1.0, max(LEAST, score)), Source.HEAD)


def _goes_on(text: str, window: Tokens, place: int) -> bool:
    """Whether the token is a further piece of the word before it."""
    begin, end = window.offsets[place]
    if place == 0 or end <= begin or window.offsets[place - 1][1] != begin:
        return False
    return text[begin - 1 : begin].isalnum() and text[begin : begin + 1].isalnum()


def _runs(window: Tokens, none: NDArray[np.float64], joined: Sequence[bool]) -> Iterator[range]:
    """The tokens between special ones and words that surely are nothing."""
    first = 0
    for place, (begin, end) in enumerate(window.offsets):
        if end > begin and (joined[place] or none[place] < SURELY_NONE):
            continue
        if first < place:
            yield range(first, place)
        # The pieces of a word that is nothing are read with what follows; they can begin nothing.
        first = place + 1
    if first < len(window.offsets):
        yield range(first, len(window.offsets))


def _path(shares: NDArray[np.float64], joined: Sequence[bool]) -> list[int]:
    """The most likely sensible tags of a run."""
    logs = np.log(np.maximum(shares, 1e-12))
    going = np.log(np.maximum(shares[:, 1::2] + shares[:, 2::2], 1e-12))
    score = _scores(logs[0, 0], -np.inf if joined[0] else logs[0, 1::2], np.full(going.shape[1], -np.inf))
    back: list[NDArray[np.int64]] = []
    for place in range(1, len(logs)):
        score, came = _step(score, logs[place], going[place], joined[place])
        back.append(came)
    tag = int(score.argmax())
    path = [tag]
    for came in reversed(back):
        tag = int(came[tag])
        path.append(tag)
    return path[::-1]


def _step(score: Logs, logs: Logs, going: Logs, joined: bool) -> tuple[Logs, NDArray[np.int64]]:
    """The best score of each tag of the next token, and the tag before it. A further piece of a word says of
    what type it is by both of the type's tags."""
    begun, gone = score[1::2], score[2::2]
    came = np.empty(len(score), np.int64)
    came[2::2] = np.where(begun >= gone, np.arange(1, len(score), 2), np.arange(2, len(score), 2))
    onward = np.maximum(begun, gone) + (going if joined else logs[2::2])
    best = 0 if joined else int(score.argmax())
    came[0] = came[1::2] = best
    return _scores(score[best] + logs[0], -np.inf if joined else score[best] + logs[1::2], onward), came


def _scores(none: float, begins: Logs | float, goes_on: Logs) -> Logs:
    score = np.empty(2 * len(goes_on) + 1)
    score[0], score[1::2], score[2::2] = none, begins, goes_on
    return score


def _groups(path: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """First and last place and type of each span."""
    for place, tag in enumerate(path):
        if tag % 2:
            last = place
            while last + 1 < len(path) and path[last + 1] == tag + 1:
                last += 1
            yield place, last, (tag - 1) // 2


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares
