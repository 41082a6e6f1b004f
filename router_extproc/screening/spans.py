"""Places of personal data in a text: its types and their groups, how overlapping finds become one answer,
masking.

Offsets count the characters of the original text as Python does (code points), `end` excluded. Knows nothing
of how the places were found.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

PII_TYPES = frozenset(
    "AGE CREDIT_CARD DATE_TIME DOMAIN_NAME EMAIL_ADDRESS GPE IBAN_CODE IP_ADDRESS NRP ORGANIZATION PERSON"
    " PHONE_NUMBER STREET_ADDRESS TITLE US_DRIVER_LICENSE US_SSN ZIP_CODE".split()
)
"""The 17 types that vLLM Semantic Router's token classifier has labels for, under its names."""

QUASI_IDENTIFIERS = frozenset("AGE DATE_TIME GPE NRP ORGANIZATION TITLE".split())
"""Types that by themselves identify nobody: they narrow down who is meant, and several of them together may
leave only one (Sweeney 2000). Ordinary prompts are full of them. `ZIP_CODE` and `DOMAIN_NAME` are not here:
they may well be one person's own, and ordinary prompts hold few."""

PII_GROUPS: Mapping[str, frozenset[str]] = MappingProxyType({"QUASI_IDENTIFIERS": QUASI_IDENTIFIERS})
"""Names that a policy may have in the place of several types. No name is a type's."""


class Source(StrEnum):
    """Who found a span: a written rule, or the token head."""

    PATTERN = "pattern"
    HEAD = "head"


@dataclass(frozen=True, slots=True)
class PiiSpan:
    """`text[start:end]` is personal data of `type`, one of `PII_TYPES`. `score` in (0, 1]; 1 only where a
    check digit, a registry or a rule confirms the form. ValueError for an empty span or other ranges."""

    start: int
    end: int
    type: str
    score: float
    source: Source

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"a span from {self.start} to {self.end} is empty or negative")
        if self.type not in PII_TYPES:
            raise ValueError(f"{self.type!r} is no type of personal data")
        if not 0.0 < self.score <= 1.0:
            raise ValueError(f"a score of {self.score} is outside (0, 1]")


def types_named(names: Iterable[str]) -> frozenset[str]:
    """The types that `names` stand for: a group's are its types, any other name stands for itself. Whether it
    is one of `PII_TYPES` is not looked at."""
    return frozenset(kind for name in names for kind in PII_GROUPS.get(name, (name,)))


def identifies(types: Iterable[str]) -> bool:
    """Whether one of `types` identifies a person by itself."""
    return not QUASI_IDENTIFIERS.issuperset(types)


def merge(text: str, spans: Iterable[PiiSpan]) -> tuple[PiiSpan, ...]:
    """Disjoint spans in the order of the text, whatever overlaps were given and in whatever order.

    One rule: the better span keeps its characters, and the worse one what is left of it. Better is the higher
    score, then the longer, then the earlier one. Overlapping spans of one type are one span first. What is
    left is cut to its letters and digits, and is nothing where it has none. So every letter and digit that
    somebody found is in the result, and masking the result hides it. Time is linear in the length of the
    text, plus sorting the spans. ValueError for a span that ends after the text.
    """
    taken = bytearray(len(text))
    kept: list[PiiSpan] = []
    for span in sorted(_joined(spans), key=_rank):
        if span.end > len(text):
            raise ValueError(f"a span ends at {span.end}, the text at {len(text)}")
        for start, end in _free(taken, span.start, span.end):
            piece = span if end - start == span.end - span.start else _trimmed(text, span, start, end)
            if piece is not None:
                kept.append(piece)
        taken[span.start : span.end] = b"\x01" * (span.end - span.start)
    return tuple(sorted(kept, key=lambda span: span.start))


def mask(text: str, spans: Sequence[PiiSpan]) -> str:
    """`text` with `[TYPE]` in place of each span. The spans are in order, disjoint and inside the text, as
    `merge` returns them; ValueError otherwise."""
    parts, at = [], 0
    for span in spans:
        if span.start < at or span.end > len(text):
            raise ValueError("spans to mask must be in order, disjoint and inside the text")
        parts += [text[at : span.start], f"[{span.type}]"]
        at = span.end
    return "".join([*parts, text[at:]])


def _free(taken: bytearray, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The runs of [start, end) that nothing has taken, in order."""
    while (first := taken.find(0, start, end)) >= 0:
        start = taken.find(1, first, end)
        start = end if start < 0 else start
        yield first, start


def _trimmed(text: str, span: PiiSpan, start: int, end: int) -> PiiSpan | None:
    """`span` cut to [start, end) without what is neither a letter nor a digit at its ends; None if empty."""
    inside = [at for at in range(start, end) if text[at].isalnum()]
    return replace(span, start=inside[0], end=inside[-1] + 1) if inside else None


def _rank(span: PiiSpan) -> tuple[float, int, int, str]:
    return -span.score, span.start - span.end, span.start, span.type


def _joined(spans: Iterable[PiiSpan]) -> Iterator[PiiSpan]:
    """Spans of one type that overlap as one, with the best score and its source. Neighbours stay apart."""
    by_type: defaultdict[str, list[PiiSpan]] = defaultdict(list)
    for span in sorted(spans, key=lambda span: (span.start, span.end, -span.score, span.source)):
        row = by_type[span.type]
        if row and span.start < row[-1].end:
            best = max(row[-1], span, key=lambda one: one.score)
            row[-1] = replace(best, start=row[-1].start, end=max(row[-1].end, span.end))
        else:
            row.append(span)
    return itertools.chain.from_iterable(by_type.values())
