"""Texts with personal data at known places, to fit the token head on: templates with slots, filled at random.

Templates and word lists are the project's own (`pii_text_parts/`); a slot `{{person2}}` is the second person
of its text, and `{{first2}}` is that person's first name. Slots that begin with an underscore are look-alikes
without a label. Which words belong to a span follows Presidio's synthetic data set: an address written by
street, number and flat is one STREET_ADDRESS for each of them, its town and country are GPE and a postal code
after the country is STREET_ADDRESS; an address given as a whole, with town and country, is one
STREET_ADDRESS; a URL is a DOMAIN_NAME as a whole; a form of address and a profession are a TITLE of their
own; relative times and hours of the day have no label, nor have languages, and neither have people and places
that a general question is about. The values come from `training.pii_values`.
"""

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PARTS = Path(__file__).with_name("pii_text_parts")
_SLOT = re.compile(r"\{\{(_?[a-z_]+?)([0-9]?)\}\}")

SLOT_TYPES: Mapping[str, str] = {
    "address": "STREET_ADDRESS",
    "address_line": "STREET_ADDRESS",
    "age": "AGE",
    "brand": "ORGANIZATION",
    "believers": "NRP",
    "building": "STREET_ADDRESS",
    "card": "CREDIT_CARD",
    "city": "GPE",
    "corner": "STREET_ADDRESS",
    "country": "GPE",
    "date": "DATE_TIME",
    "datetime": "DATE_TIME",
    "demonym": "NRP",
    "domain": "DOMAIN_NAME",
    "email": "EMAIL_ADDRESS",
    "firm": "ORGANIZATION",
    "first": "PERSON",
    "iban": "IBAN_CODE",
    "ip": "IP_ADDRESS",
    "job": "TITLE",
    "last": "PERSON",
    "licence": "US_DRIVER_LICENSE",
    "month_year": "DATE_TIME",
    "nationality": "NRP",
    "org": "ORGANIZATION",
    "people": "NRP",
    "party": "NRP",
    "parties": "NRP",
    "person": "PERSON",
    "phone": "PHONE_NUMBER",
    "postcode": "STREET_ADDRESS",
    "religion": "NRP",
    "secondary": "STREET_ADDRESS",
    "ssn": "US_SSN",
    "state": "GPE",
    "state_abbr": "GPE",
    "street": "STREET_ADDRESS",
    "title": "TITLE",
    "town": "GPE",
    "url": "DOMAIN_NAME",
    "weekday": "DATE_TIME",
    "year": "DATE_TIME",
    "zip": "ZIP_CODE",
}

Span = tuple[int, int, str]
Values = Callable[[str, int], str]
"""From a slot's name and number (1 where none is written) to its text; the same answer for the same slot."""


@dataclass(frozen=True, slots=True)
class Template:
    """`name` is its file and place there, `bank/3`."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class PiiRow:
    """`text[start:end]` is personal data of `type` for each (start, end, type) of `spans`, in order and
    disjoint. `templates` names what it was made of, so that whole templates can be held out."""

    text: str
    spans: tuple[Span, ...]
    templates: tuple[str, ...]


def generate(seed: int, count: int, *, negatives: float = 0.37) -> list[PiiRow]:
    """`count` rows, the same for the same seed and versions of Faker; about `negatives` of them, in [0, 1],
    say nothing personal. Needs the `train` extra."""
    from training.pii_values import Fillings  # Faker is a dependency of training only

    chance = random.Random(seed)  # noqa: S311
    fillings = Fillings(chance)
    return list(compose(chance, count, fillings.fresh, negatives=negatives))


def compose(
    chance: random.Random, count: int, fresh: Callable[[], Values], *, negatives: float
) -> Iterator[PiiRow]:
    """`count` rows from the templates; `fresh` gives the values for one text. ValueError for a share outside
    [0, 1]."""
    if not 0.0 <= negatives <= 1.0:
        raise ValueError(f"a share of {negatives} is outside [0, 1]")
    personal, plain = load("*.json"), load("negative/*.json")
    for _ in range(count):
        row = _fill(chance.choice(plain if chance.random() < negatives else personal), fresh())
        if chance.random() < 0.15:
            row = _joined(chance, row, _fill(chance.choice(personal if row.spans else plain), fresh()))
        elif row.spans and chance.random() < 0.12:
            row = _joined(chance, row, _fill(chance.choice(plain), fresh()))
        yield _worn(chance, row)


def load(pattern: str) -> Sequence[Template]:
    """The templates of the files that match, in a fixed order."""
    return [
        Template(f"{path.relative_to(PARTS).with_suffix('')}/{index}", text)
        for path in sorted(PARTS.glob(pattern))
        if path.name != "words.json"
        for index, text in enumerate(json.loads(path.read_text("utf-8")))
    ]


def words() -> Mapping[str, Sequence[str]]:
    """Lists of names by what they are names of."""
    lists: dict[str, list[str]] = {}
    for path in (PARTS / "words.json", *sorted(PARTS.glob("words/*.json"))):
        lists |= json.loads(path.read_text("utf-8"))
    return lists


def slots_of(text: str) -> list[tuple[str, int]]:
    """Names and numbers of a template's slots, in order."""
    return [(name, int(number or 1)) for name, number in _SLOT.findall(text)]


def _fill(template: Template, values: Values) -> PiiRow:
    parts: list[str] = []
    spans: list[Span] = []
    at = length = 0
    for match in _SLOT.finditer(template.text):
        value = values(match[1], int(match[2] or 1))
        parts += [template.text[at : match.start()], value]
        length += match.start() - at
        if not match[1].startswith("_"):
            spans.append((length, length + len(value), SLOT_TYPES[match[1]]))
        length, at = length + len(value), match.end()
    return PiiRow("".join([*parts, template.text[at:]]), tuple(spans), (template.name,))


def _joined(chance: random.Random, row: PiiRow, other: PiiRow) -> PiiRow:
    """One text after the other."""
    first, second = (row, other) if chance.random() < 0.5 else (other, row)
    gap = chance.choice([" ", "\n", "\n\n"])
    shift = len(first.text) + len(gap)
    moved = tuple((start + shift, end + shift, kind) for start, end, kind in second.spans)
    return PiiRow(first.text + gap + second.text, first.spans + moved, first.templates + second.templates)


def _worn(chance: random.Random, row: PiiRow) -> PiiRow:
    """As people type: now and then all in one case, or without the last full stop. Offsets stay."""
    text, draw = row.text, chance.random()
    if draw < 0.10:
        text = "".join(lower if len(lower := character.lower()) == 1 else character for character in text)
    elif draw < 0.115:
        text = "".join(upper if len(upper := character.upper()) == 1 else character for character in text)
    end = max((end for _, end, _ in row.spans), default=0)
    if text[-1] in ".!?" and len(text) > max(end, 1) and chance.random() < 0.12:
        text = text[:-1]
    return PiiRow(text, row.spans, row.templates)
