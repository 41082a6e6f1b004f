"""When each token of one answer is due. Pure: time is an argument."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """An absolute schedule: a late token does not delay the next ones, so that the pace never drifts.

    `start` on any clock, in seconds.
    """

    start: float
    time_to_first_token: float
    tokens_per_second: float

    def due(self, step: int) -> float:
        """When decoding step `step` (from 0) is complete, on the clock of `start`."""
        return self.start + self.time_to_first_token + step / self.tokens_per_second
