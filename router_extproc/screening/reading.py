"""What the guards found in a request's texts. Knows neither how it was found nor what follows from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from router_extproc.screening.spans import PiiSpan

CHARACTERS_PER_TOKEN = 5
"""Of English, about: a budget of tokens is kept as one of characters first, so that a text of a megabyte is
not tokenised for the few thousand tokens of it that are read."""

HEAD, TAIL = 0.5, 0.25
"""The shares of the budget that a longer text's beginning and end get. The rest goes to places between, at
equal distances: instructions stand at an end, and what is smuggled in stands anywhere."""


@dataclass(frozen=True, slots=True)
class Screened:
    """One text. `attack` is the greatest probability, in [0, 1], that a window of it attacks the assistant's
    instructions; None where nothing was read. `spans` are personal data, in order and disjoint. `read` and
    `skipped` count characters: what lies beyond the budget is not read, nor, where `late`, some of what lies
    within it, because the time was up."""

    attack: float | None = None
    spans: tuple[PiiSpan, ...] = field(default=(), repr=False)
    read: int = 0
    skipped: int = 0
    late: bool = False


@dataclass(frozen=True, slots=True)
class Screening:
    """All screened texts of a request together.

    `attack` is the greatest of theirs, `attack_in` the text that has it (0 is the question); `types` gives
    each type of personal data found the best score of its spans, and `spans` are those of the question.
    `failed` names the guards ("guard", "pii") that should have looked and could not, or not at everything.
    `late` is of any text.
    """

    attack: float | None = None
    attack_in: int = 0
    types: Mapping[str, float] = field(default_factory=dict)
    read: int = 0
    skipped: int = 0
    failed: tuple[str, ...] = ()
    spans: tuple[PiiSpan, ...] = field(default=(), repr=False)
    late: bool = False

    @classmethod
    def of(cls, texts: Sequence[Screened], failed: tuple[str, ...] = ()) -> "Screening":
        """`texts` in the order in which they were given, the question first."""
        asked = [(text.attack, -place) for place, text in enumerate(texts) if text.attack is not None]
        attack, place = max(asked, default=(None, 0))
        types: dict[str, float] = {}
        for text in texts:
            for span in text.spans:
                types[span.type] = max(types.get(span.type, 0.0), span.score)
        read, skipped = sum(text.read for text in texts), sum(text.skipped for text in texts)
        spans, late = texts[0].spans if texts else (), any(text.late for text in texts)
        return cls(attack, -place, types, read, skipped, failed, spans, late)
