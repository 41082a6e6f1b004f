"""What one encoder pass says about a text."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from router_extproc.base.vector import Vector


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds spent per step of an analysis."""

    queue: float = 0.0
    tokenise: float = 0.0
    run: float = 0.0


@dataclass(frozen=True, slots=True)
class Analysis:
    """`vector` is the sentence embedding; `heads` maps a head's name to label probabilities.

    Probabilities of a head are in [0, 1] and sum to 1. `tokens` counts what the encoder saw, special
    tokens included; `truncated` says that the text was longer than the encoder's window.
    """

    vector: Vector = field(repr=False)
    heads: Mapping[str, Mapping[str, float]]
    encoder: str
    tokens: int
    truncated: bool = False
    timings: Timings = Timings()
