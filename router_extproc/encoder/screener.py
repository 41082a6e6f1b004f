"""What the guards find in a text of any length: windows of it, each read in one pass.

Owns the budget, the windows and how tags become spans. Which findings count is the policy's business. Every
text's findings are remembered by the text's digest, because the turns of a conversation come again with every
request. May be called from any thread.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

import numpy as np

from router_extproc.base.digest import digest
from router_extproc.encoder.heads import LinearHead
from router_extproc.encoder.session import Reading, Tokens
from router_extproc.encoder.tagger import spans_of
from router_extproc.screening.disguise import unveiled
from router_extproc.screening.patterns import find_patterns
from router_extproc.screening.reading import Screened, Screening
from router_extproc.screening.spans import PII_TYPES, PiiSpan, merge

ATTACK = "jailbreak"
"""The guard's label of a text that attacks the assistant's instructions."""

CHARACTERS_PER_TOKEN = 5
"""Of English, about: a budget of tokens is kept as one of characters first, so that a text of a megabyte is
not tokenised for the few thousand tokens of it that are read."""

HEAD, TAIL = 0.5, 0.25
"""The shares of the budget that a longer text's beginning and end get. The rest goes to places between, at
equal distances: instructions stand at an end, and what is smuggled in stands anywhere."""

MIDDLES = 4
LEAST = 200
"""Characters: with less of the budget left, a longer text is not read at all rather than in shreds."""

REMEMBERED = 4096
"""Texts whose findings are kept: some 400 bytes each."""


@dataclass(frozen=True, slots=True)
class Piece:
    """`text` begins at the character `start` of the whole."""

    start: int
    text: str


class Encoder(Protocol):
    """What is needed of `session.SentenceEncoder`."""

    def windows(self, text: str) -> list[Tokens]: ...

    def run(self, tokens: Tokens) -> Reading: ...


class Screener:
    def __init__(
        self, encoder: Encoder, guard: LinearHead, types: Sequence[str], max_tokens: int = 4096
    ) -> None:
        """`guard` has the label `ATTACK`; `types` are the tagger's, in the order of its rows. At most about
        `max_tokens` tokens of a request are read."""
        self._encoder = encoder
        self._guard = guard
        self._types = tuple(types)
        self._budget = max_tokens * CHARACTERS_PER_TOKEN
        self._attack = guard.labels.index(ATTACK)
        self._seen: OrderedDict[str, Screened] = OrderedDict()
        self._lock = Lock()

    def as_bytes(self) -> bytes:
        """What decides the findings, beside the encoder: equal screeners have equal bytes."""
        return b"\0".join((self._guard.as_bytes(), str((self._budget, self._types)).encode()))

    def screen_all(self, texts: Sequence[str], first: tuple[Tokens, Reading] | None = None) -> Screening:
        """All texts of a request within one budget, in their order: what comes when it is used up is not
        read."""
        left, found = self._budget, []
        for place, text in enumerate(texts):
            found.append(self.screen(text, first if place == 0 else None, left))
            left -= found[-1].read
        return Screening.of(found)

    def screen(
        self, text: str, first: tuple[Tokens, Reading] | None = None, budget: int | None = None
    ) -> Screened:
        """`first` is what was read of the text's beginning, where that was done already; `budget` counts
        characters, None for what one request has. The time is linear in the length of `text` up to the
        budget, and constant beyond."""
        budget = self._budget if budget is None else budget
        if budget < min(len(text), LEAST):
            return Screened(None, (), 0, len(text))
        key = digest(
            "screened", (str(min(len(text), budget)).encode(), text.encode("utf-8", "surrogatepass"))
        )
        with self._lock:
            if (known := self._seen.get(key)) is not None:
                self._seen.move_to_end(key)
                return known
        found = self._screen(text, first, budget)
        with self._lock:
            self._seen[key] = found
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        return found

    def _screen(self, text: str, first: tuple[Tokens, Reading] | None, budget: int) -> Screened:
        pieces = pieces_of(text, budget)
        spans: list[PiiSpan] = []
        attack = 0.0
        for piece in pieces:
            for window in self._encoder.windows(piece.text):
                known = first is not None and piece.start == 0 and first[0].ids == window.ids
                reading = first[1] if known and first is not None else self._encoder.run(window)
                attack = max(attack, self._attacks(reading))
                spans += spans_of(piece.text, piece.start, window, reading.tags, self._types)
            patterns = find_patterns(piece.text, PII_TYPES)
            spans += [_moved(span, piece.start) for span in patterns]
        for plain in unveiled(text[:budget]):
            for window in self._encoder.windows(plain[:budget]):
                attack = max(attack, self._attacks(self._encoder.run(window)))
        read = sum(len(piece.text) for piece in pieces)
        return Screened(attack, merge(text, spans), read, len(text) - read)

    def _attacks(self, reading: Reading) -> float:
        return float(self._guard.rows(reading.states[np.newaxis])[0, self._attack])


def pieces_of(text: str, budget: int) -> tuple[Piece, ...]:
    """All of `text`, or `budget` characters of a longer one: its beginning, its end, and `MIDDLES` places
    between, in order and disjoint."""
    if len(text) <= budget:
        return (Piece(0, text),)
    head, tail = int(budget * HEAD), int(budget * TAIL)
    each = (budget - head - tail) // MIDDLES
    between = len(text) - head - tail
    gap = (between - MIDDLES * each) / (MIDDLES + 1)
    starts = [head + round(gap * (place + 1) + each * place) for place in range(MIDDLES)]
    middles = [Piece(start, text[start : start + each]) for start in starts]
    return (Piece(0, text[:head]), *middles, Piece(len(text) - tail, text[len(text) - tail :]))


def _moved(span: PiiSpan, by: int) -> PiiSpan:
    return PiiSpan(span.start + by, span.end + by, span.type, span.score, span.source)
