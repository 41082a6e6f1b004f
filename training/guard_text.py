"""Texts the guard is fitted on: attacks on an assistant's instructions, and innocent texts much like them.

Owns how hand-written pieces become rows. The pieces are in `guard_text_parts/`, one file per family. Knows no
model and no evaluation set. No piece says how to do harm: an attack's aim stays "the forbidden topic".

A piece may hold `{{slot}}` (a piece of that slot), `{{one|two}}` (one of these words), `{{base64!slot}}` (a
piece of the slot, disguised) and `{{doc@slot}}` (a document whose `[[hole]]` is a piece of the slot).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from re import Match, compile

import msgspec

from training.guard_text_style import DISGUISES, restyle

PARTS = Path(__file__).parent / "guard_text_parts"
SYNONYMS = "synonyms.json"

ATTACKS = 0.45
"""Share of the rows that are attacks."""

FILLED = 0.10
"""Share of the rows, of either label, that stand beside an innocent text. Length then says nothing."""

STEADY = frozenset({"aux", "d_mode"})
"""Slots that keep their piece within a text: a persona has one name."""

HOLE = "[[hole]]"

NEW_WORDING_TRIES = 20
TRIES = 200

_PLACE = compile(r"\{\{([^{}]+)\}\}")


@dataclass(frozen=True, slots=True)
class GuardRow:
    """`label` is 1 for an attack and 0 for an innocent text."""

    text: str
    label: int
    family: str


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of pieces. `share` weighs the family in its label. Without a `family` it only lends slots."""

    family: str
    label: int
    share: float
    templates: tuple[str, ...]
    slots: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Wording:
    """Everything rows are made of. Each slot's name is unique over all files."""

    families: tuple[Part, ...]
    slots: Mapping[str, Sequence[str]]
    synonyms: Mapping[str, Sequence[str]]


def generate(seed: int, count: int) -> list[GuardRow]:
    """`count` rows, no two texts the same, in mixed order; the same `seed` gives the same rows.

    Raises ValueError when `count` is smaller than the number of families, or more than a family can word.
    """
    wording = read_wording(PARTS)
    if count < len(wording.families):
        raise ValueError(f"{count} rows cannot hold all {len(wording.families)} families; ask for more")
    random = Random(seed)  # noqa: S311 - a seeded draw, no secret
    rows: list[GuardRow] = []
    seen: set[str] = set()
    for part, wanted in zip(wording.families, _quotas(wording.families, count), strict=True):
        rows += (_new_row(part, wording, random, seen) for _ in range(wanted))
    random.shuffle(rows)
    return rows


def read_wording(folder: Path) -> Wording:
    """Read all pieces in `folder`. Raises ValueError when two files name a slot alike."""
    parts = [
        msgspec.json.decode(path.read_bytes(), type=Part)
        for path in sorted(folder.glob("*.json"))
        if path.name != SYNONYMS
    ]
    slots: dict[str, Sequence[str]] = {}
    for part in parts:
        if twice := slots.keys() & part.slots.keys():
            raise ValueError(f"{folder}: slots {sorted(twice)} are in two files; rename them in one")
        slots |= part.slots
    synonyms = msgspec.json.decode((folder / SYNONYMS).read_bytes(), type=dict[str, tuple[str, ...]])
    return Wording(tuple(part for part in parts if part.family), slots, synonyms)


def _quotas(families: Sequence[Part], count: int) -> list[int]:
    """Rows per family: at least one, and by share (largest remainder) within its label."""
    attacks = min(max(round(count * ATTACKS), _named(families, 1)), count - _named(families, 0))
    quotas = [0] * len(families)
    for label, total in ((1, attacks), (0, count - attacks)):
        places = [place for place, part in enumerate(families) if part.label == label]
        shares = sum(families[place].share for place in places)
        spare = total - len(places)
        exact = {place: families[place].share / shares * spare for place in places}
        for place in places:
            quotas[place] = 1 + int(exact[place])
        left = total - sum(quotas[place] for place in places)
        for place in sorted(places, key=lambda place: int(exact[place]) - exact[place])[:left]:
            quotas[place] += 1
    return quotas


def _named(families: Sequence[Part], label: int) -> int:
    return sum(part.label == label for part in families)


def _new_row(part: Part, wording: Wording, random: Random, seen: set[str]) -> GuardRow:
    """A row whose wording is new; after some tries one whose text is new, if only by its style."""
    for attempt in range(TRIES):
        plain = _Writer(wording, random).write(random.choice(part.templates)).strip()
        text = restyle(_beside_filler(plain, wording, random), wording.synonyms, random)
        keys = {text} if attempt >= NEW_WORDING_TRIES else {text, plain.casefold()}
        if text and not keys & seen:
            seen |= {text, plain.casefold()}
            return GuardRow(text, part.label, part.family)
    raise ValueError(
        f"the family {part.family} has no new text left; ask for fewer rows or write more pieces"
    )


def _beside_filler(text: str, wording: Wording, random: Random) -> str:
    if random.random() >= FILLED:
        return text
    pair = [text, _Writer(wording, random).write("{{filler}}")]
    random.shuffle(pair)
    return random.choice((" ", "\n", "\n\n")).join(pair)


class _Writer:
    """Fills in the places of one text."""

    def __init__(self, wording: Wording, random: Random) -> None:
        self._slots = wording.slots
        self._random = random
        self._steady: dict[str, str] = {}

    def write(self, piece: str) -> str:
        return _PLACE.sub(self._place, piece)

    def _place(self, match: Match[str]) -> str:
        inside = str(match[1])
        if "|" in inside:
            return self._random.choice(inside.split("|"))
        if "!" in inside:
            name, slot = inside.split("!")
            return DISGUISES[name](self._piece(slot), self._random)
        if "@" in inside:
            document, slot = inside.split("@")
            page = self._random.choice(self._slots[document])
            return self.write(page.replace(HOLE, "{{" + slot + "}}"))
        return self._piece(inside)

    def _piece(self, slot: str) -> str:
        if slot in self._steady:
            return self._steady[slot]
        text = self.write(self._random.choice(self._slots[slot]))
        if slot in STEADY:
            self._steady[slot] = text
        return text
