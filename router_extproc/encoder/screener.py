"""What the guards find in a text of any length: windows of it, each read in one pass.

Owns the budget, what is read of a text beyond it, and what is read first when the time is short. Who looks is
given: the heads on the encoder's pass, or models of the user's own. Which findings count is the policy's
business. Every text's findings are remembered by the text's digest, because the turns of a conversation come
again with every request. May be called from any thread.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Protocol, TypeVar

from router_extproc.base.digest import digest
from router_extproc.encoder.passage import Passage
from router_extproc.encoder.session import Reading, Tokens
from router_extproc.screening.disguise import unveiled
from router_extproc.screening.patterns import find_patterns
from router_extproc.screening.reading import CHARACTERS_PER_TOKEN, HEAD, TAIL, Screened, Screening
from router_extproc.screening.spans import PII_TYPES, PiiSpan, merge

MIDDLES = 4
LEAST = 200
"""Characters: with less of the budget left, a longer text is not read at all rather than in shreds."""

LEAST_CHARGE = 100
"""Characters of the budget that a text takes at the least: a pass over one word costs what one over some
twenty tokens does, and a request may have thousands of words as messages of their own."""

REMEMBERED = 4096
"""Texts whose findings are kept: some 400 bytes each."""

T = TypeVar("T")


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Piece:
    """`text` begins at the character `start` of the whole."""

    start: int
    text: str


class Encoder(Protocol):
    """What is needed of `session.SentenceEncoder`."""

    def windows(self, text: str) -> list[Tokens]: ...

    def run(self, tokens: Tokens) -> Reading: ...


class AttackHead(Protocol):
    """Looks for attacks on the assistant's instructions."""

    def attack(self, passage: Passage) -> float:
        """The highest probability over the whole text."""
        ...

    def as_bytes(self) -> bytes: ...


class Tagger(Protocol):
    """Looks for personal data."""

    def spans(self, passage: Passage) -> Iterable[PiiSpan]:
        """Offsets count from the beginning of the larger text."""
        ...

    def as_bytes(self) -> bytes: ...


class Screener:
    def __init__(self, encoder: Encoder, attacks: AttackHead, tagger: Tagger, max_tokens: int = 4096) -> None:
        """At most about `max_tokens` tokens of a request are read."""
        self._encoder = encoder
        self._attacks = attacks
        self._tagger = tagger
        self._budget = max_tokens * CHARACTERS_PER_TOKEN
        self._seen: OrderedDict[str, Screened] = OrderedDict()
        self._lock = Lock()

    def as_bytes(self) -> bytes:
        """What decides the findings, beside the encoder: equal screeners have equal bytes."""
        return b"\0".join((self._attacks.as_bytes(), self._tagger.as_bytes(), str(self._budget).encode()))

    def screen_all(
        self,
        texts: Sequence[str],
        first: tuple[Tokens, Reading] | None = None,
        goes_on: Callable[[], bool] = _always,
    ) -> Screening:
        """All texts of a request within one budget, in their order: what comes when it is used up is not
        read. So no request costs more passes of the encoder than one long text, whatever its texts.
        `goes_on` is asked before each pass: from the first no on, nothing more is read."""
        left, found = self._budget, []
        for place, text in enumerate(texts):
            found.append(self.screen(text, first if place == 0 else None, left, goes_on))
            left -= max(found[-1].read, LEAST_CHARGE) if found[-1].read else 0
        return Screening.of(found)

    def screen(
        self,
        text: str,
        first: tuple[Tokens, Reading] | None = None,
        budget: int | None = None,
        goes_on: Callable[[], bool] = _always,
    ) -> Screened:
        """`first` is what was read of the text's beginning, where that was done already; `budget` counts
        characters, None for what one request has. The time is linear in the length of `text` up to the
        budget, and constant beyond. What was ended by `goes_on` is not remembered."""
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
        if first is None and not goes_on():
            return Screened(None, (), 0, len(text), late=True)
        found = self._screen(text, first, budget, goes_on)
        if found.late:
            return found
        with self._lock:
            self._seen[key] = found
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
        return found

    def _screen(
        self, text: str, first: tuple[Tokens, Reading] | None, budget: int, goes_on: Callable[[], bool]
    ) -> Screened:
        spans: list[PiiSpan] = []
        attack, read, late = 0.0, 0, False
        for place, piece in enumerate(ends_first(pieces_of(text, budget))):
            if place and not goes_on():
                late = True
                break
            reading = _Reading(self._encoder, first if piece.start == 0 else None, goes_on)
            passage = Passage(piece.text, piece.start, reading)
            attack = max(attack, self._attacks.attack(passage))
            spans += self._tagger.spans(passage)
            patterns = find_patterns(piece.text, PII_TYPES)
            spans += [_moved(span, piece.start) for span in patterns]
            read += round(len(piece.text) * reading.share)
            late |= reading.share < 1
        for plain in unveiled(text[:budget]):
            if not goes_on():
                late = True
                break
            reading = _Reading(self._encoder, None, goes_on)
            attack = max(attack, self._attacks.attack(Passage(plain[:budget], 0, reading)))
            late |= reading.share < 1
        return Screened(attack, merge(text, spans), read, len(text) - read, late)


class _Reading:
    """Runs the encoder over the windows of a passage, the ends first, while `goes_on`. The first window is
    always read; what is known of it as `first` is not run again. `share` of the windows were read."""

    def __init__(
        self, encoder: Encoder, first: tuple[Tokens, Reading] | None, goes_on: Callable[[], bool]
    ) -> None:
        self._encoder = encoder
        self._first = first
        self._goes_on = goes_on
        self.share = 1.0

    def __call__(self, text: str) -> list[tuple[Tokens, Reading]]:
        windows, first = self._encoder.windows(text), self._first
        found: dict[int, tuple[Tokens, Reading]] = {}
        for place in ends_first(range(len(windows))):
            if found and not self._goes_on():
                break
            tokens = windows[place]
            known = first is not None and first[0].ids == tokens.ids
            found[place] = (tokens, first[1] if first is not None and known else self._encoder.run(tokens))
        self.share = len(found) / len(windows) if windows else 1.0
        return [found[place] for place in sorted(found)]


def ends_first(items: Sequence[T]) -> Iterator[T]:
    """The first, the last, the second, the second to last, and so on: instructions stand at an end."""
    for place in range((len(items) + 1) // 2):
        yield items[place]
        if place != len(items) - 1 - place:
            yield items[len(items) - 1 - place]


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
