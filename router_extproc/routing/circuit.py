"""Whether a model is left alone after failures, and when it is tried again. It knows no clock and no pool."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

REMEMBERED = 50
"""Outcomes that count. At 20 % failures a share of a half among 50 comes about once in a million times."""
ENOUGH = 20
"""Outcomes below which a share says nothing."""
EXTRA = 2
"""Each failure among the remembered outcomes asks for this many more in a row. Three in a row mean that a
sound model is down, but are common for one that fails one answer in five: at 50 requests a second, every few
seconds. With this, 20 % failures come to enough in a row about once in five million answers."""


class State(StrEnum):
    CLOSED = "closed"
    """It gets requests."""
    OPEN = "open"
    """It is left alone."""
    HALF_OPEN = "half_open"
    """One request at a time may find out."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`failures` in a row, or a share of `error_rate` in [0, 1], open it. Seconds: the first pause, the
    longest one, and how long an outcome is remembered."""

    failures: int
    error_rate: float
    retry_seconds: float
    max_retry_seconds: float
    memory_seconds: float


LATE = 16
"""Tries that were given up and may still come back."""


class Circuit:
    """closed → open after failures → half-open after a pause → closed or open by the outcome of one request.

    The pause doubles with each failed try, also when the circuit opens again soon after it closed. `note` is
    told each new state and its time.
    """

    __slots__ = (
        "_closed_at",
        "_late",
        "_note",
        "_outcomes",
        "_pause",
        "_probe",
        "_retry_at",
        "_run",
        "limits",
        "state",
    )

    def __init__(self, limits: Limits, note: Callable[[State, float], None]) -> None:
        self.limits = limits
        self.state = State.CLOSED
        self._note = note
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=REMEMBERED)
        self._run = 0
        self._pause = 0.0
        self._retry_at = 0.0
        self._closed_at: float | None = None
        self._late: deque[int] = deque(maxlen=LATE)
        self._probe: tuple[int, float] | None = None

    def available(self, at: float) -> bool:
        self._advance(at)
        return self.state is State.CLOSED or (self.state is State.HALF_OPEN and self._probe is None)

    def sent(self, number: int, at: float) -> None:
        """A request goes out. In half-open state the first one is the probe."""
        self._advance(at)
        if self.state is State.HALF_OPEN and self._probe is None:
            self._probe = (number, at)

    def succeeded(self, number: int, sent_at: float, at: float) -> None:
        self._advance(at)
        # A try that took so long that nobody waited for it any more is good news all the same.
        if self._is_probe(number) or (self.state is not State.CLOSED and number in self._late):
            self._close(at)
        elif self._counts(sent_at):
            self._run = 0
            self._outcomes.append((at, False))

    def failed(self, number: int, sent_at: float, at: float) -> None:
        self._advance(at)
        if self._is_probe(number):
            self._open(at)
        elif self._counts(sent_at):
            self._run += 1
            self._outcomes.append((at, True))
            if self._too_many(at):
                self._open(at)

    def silent(self, at: float) -> None:
        """Nobody gets anything from the model, or no whole answer; whoever was finding out knows now."""
        self._advance(at)
        if self.state is not State.OPEN:
            self._open(at)

    def undecided(self, number: int) -> None:
        """The request ended without saying anything about the model: another one may find out."""
        if self._is_probe(number):
            self._probe = None

    def _is_probe(self, number: int) -> bool:
        return self._probe is not None and self._probe[0] == number

    def _counts(self, sent_at: float) -> bool:
        """What was sent before the model came back tells of the time before."""
        return self.state is State.CLOSED and (self._closed_at is None or sent_at >= self._closed_at)

    def _too_many(self, at: float) -> bool:
        while self._outcomes and self._outcomes[0][0] < at - self.limits.memory_seconds:
            self._outcomes.popleft()
        failures = sum(failed for _, failed in self._outcomes)
        earlier = max(failures - self._run, 0)
        if self._run >= self.limits.failures + EXTRA * earlier:
            return True
        known = len(self._outcomes)
        return known >= ENOUGH and failures >= self.limits.error_rate * known

    def _advance(self, at: float) -> None:
        if self.state is State.OPEN and at >= self._retry_at:
            self._become(State.HALF_OPEN, at)
        # A probe that never reports must not keep the model away for ever.
        if self._probe is not None and at - self._probe[1] >= self.limits.max_retry_seconds:
            self._late.append(self._probe[0])
            self._probe = None

    def _open(self, at: float) -> None:
        first, longest = self.limits.retry_seconds, self.limits.max_retry_seconds
        lasted = self.state is State.CLOSED and (self._closed_at is None or at - self._closed_at > longest)
        self._pause = min(first if lasted else max(2.0 * self._pause, first), longest)
        self._retry_at = at + self._pause
        self._become(State.OPEN, at)

    def _close(self, at: float) -> None:
        self._closed_at = at
        self._become(State.CLOSED, at)

    def _become(self, state: State, at: float) -> None:
        self.state = state
        self._probe = None
        self._run = 0
        self._outcomes.clear()
        self._note(state, at)
