"""What one encoder pass says about a text."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from router_extproc.base.vector import Vector
from router_extproc.screening.reading import Screening


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds spent per step of an analysis."""

    queue: float = 0.0
    tokenise: float = 0.0
    run: float = 0.0
    screen: float = 0.0
    """What the guards took, in all texts."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """`vector` is the sentence embedding; `heads` maps a head's name to label probabilities.

    Probabilities of a head are in [0, 1] and sum to 1. `tokens` counts what the encoder saw, special
    tokens included; `truncated` says that it did not see all of the text. Where nothing needed the vector it
    saw nothing: `vector` is then a unit vector that stands for no text. `failed` names the heads that should
    have said something and did not. `screening` is of this text and the others given with it, None where no
    guard was asked.
    """

    vector: Vector = field(repr=False)
    heads: Mapping[str, Mapping[str, float]]
    encoder: str
    tokens: int
    truncated: bool = False
    timings: Timings = Timings()
    failed: tuple[str, ...] = ()
    screening: Screening | None = None

    @property
    def encoded(self) -> bool:
        """Whether `vector` is the text's."""
        return self.tokens > 0
