"""What is known of the pool at the moment of a decision: plain values, measured elsewhere and passed in."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Condition:
    """How one model does.

    `available` is false while it is left alone after failures. `latency` is what a typical answer takes, with
    `time_to_first_token` and `time_per_token` as its parts, in seconds; None where nothing was measured yet.
    `error_rate` in [0, 1] is the share of recent answers that failed, `in_flight` the requests under way,
    `samples` (0 and more, decaying) how many answers these numbers rest on.
    """

    available: bool = True
    latency: float | None = None
    time_to_first_token: float | None = None
    time_per_token: float | None = None
    error_rate: float = 0.0
    in_flight: int = 0
    samples: float = 0.0


UNMEASURED = Condition()
"""A model of which nothing is known: it may answer."""


@dataclass(frozen=True, slots=True)
class World:
    """`conditions` by model; a model that is missing is UNMEASURED. `session_model` is the model that
    answered this conversation before, None where none did or nobody asked to remember. `chance` in [0, 1)
    stands for a draw: whoever decides passes it in, so that a decision can be repeated."""

    conditions: Mapping[str, Condition] = field(default_factory=dict)
    session_model: str | None = None
    chance: float = 0.0

    def of(self, model: str) -> Condition:
        return self.conditions.get(model, UNMEASURED)
