"""How fast and how reliable one model is, from its own answers. It knows no clock, no pool and no choice."""

from enum import StrEnum
from math import exp, log

from router_extproc.routing.decayed import Decayed
from router_extproc.routing.failing import SUSPECT, Failing

SLOTS = 10.0
"""Slots in a half-life: with the default of ten seconds, a slot is one second."""
SHORTEST = 1e-4
"""Seconds; a measured time of nothing has no logarithm."""
START_TOKENS = 20.0
"""A first token takes as long as this many further ones, until streamed answers show the true ratio."""
LONG_ENOUGH = 16.0
"""Output tokens from which on an answer's pace counts fully: that of a short one is mostly jitter."""
LEAP = log(2.0)
"""A time that is twice or half the mean, again and again, is a new state of the model."""
OUTLIER = log(10.0)
"""A single time further than tenfold from the mean counts as tenfold."""
KNOWN = 3
"""Slots with answers before a time is told: one lucky answer must not move the traffic."""
BAND = 1.15
"""A time is told anew when it has left the last one told by this factor: noise moves nothing."""
RELEASE = 1.0 / 3.0
"""A share of failures rises as it is measured, and falls when it is down to this part of what was told, or to
STEADY: otherwise every answer would move it."""
SUCCESSES = 4.0
"""Slots of success taken for granted: one failure of a model that is hardly known is no 100 %."""
NEGLIGIBLE = 0.005
SLOWER, FASTER = 2.0, 1.3
"""Times its best at which a model counts as slower, and at which no longer. The second is less than what
moves the traffic, so that a model is asked again until it has nothing to make good."""
FAILING, STEADY = SUSPECT, 0.05
"""The least share of failures that is told of a failing model, which moves the traffic, and the greatest of
another: that a few answers of a sound one fail must not."""
DRIFT_SECONDS = 3600.0
"""The best time is forgotten this slowly: after as long it counts for twice as much."""


class Shift(StrEnum):
    """What a model is found to have become."""

    SLOWER = "slower"
    FASTER = "faster"
    FAILING = "failing"
    STEADY = "steady"


class Measured:
    """Times are averaged as logarithms, which is near the median and robust. What is told changes in steps.

    `latency` is what an answer of `typical` tokens takes, in seconds, None until it is known. `error_rate` in
    [0, 1]. `slow` and `failing` compare the model with itself.
    """

    __slots__ = (
        "_best", "_best_at", "_errors", "_failing", "_first", "_pace", "_typical",
        "error_rate", "failing", "heard_at", "latency", "slow",
    )  # fmt: skip

    def __init__(self, half_life: float, typical: int) -> None:
        slot = half_life / SLOTS
        self._first, self._pace = (Decayed(slot, SLOTS, floor=1.0, leap=LEAP) for _ in range(2))
        self._errors = Decayed(slot, SLOTS)
        self._typical = typical
        self._best: float | None = None
        self._best_at = 0.0
        self._failing = Failing(half_life, SLOTS)
        self.latency: float | None = None
        self.error_rate = 0.0
        self.slow = False
        self.failing = False
        self.heard_at: float | None = None
        """When the last answer ended; None before the first."""

    @property
    def time_to_first_token(self) -> float | None:
        """Seconds."""
        return _seconds(self._first)

    @property
    def time_per_token(self) -> float | None:
        """Seconds per output token after the first."""
        return _seconds(self._pace)

    @property
    def known(self) -> bool:
        return self._errors.slots >= KNOWN

    def samples(self, at: float) -> float:
        """Slots' worth of answers, failed ones too; decays."""
        return self._errors.weight(at)

    def first_token(self, at: float, seconds: float) -> None:
        _learn(self._first, at, seconds)

    def answered(self, at: float, seconds: float, first: float | None, tokens: int | None) -> None:
        """A good answer took `seconds` in all, the first token `first` (None: not streamed).

        Without `tokens` it is taken for a typical one. What was not streamed is split in the ratio known by
        now, so that a long answer is not a slow one.
        """
        self._end(at, 0.0)
        count = float(tokens) if tokens else float(self._typical)
        if first is None:
            ratio = self._ratio()
            pace = seconds / (count + ratio)
            _learn(self._first, at, pace * ratio)
            _learn(self._pace, at, pace)
        elif count > 1.0:
            weight = min(1.0, (count - 1.0) / LONG_ENOUGH)
            _learn(self._pace, at, (seconds - first) / (count - 1.0), weight)

    def failed(self, at: float) -> None:
        self._end(at, 1.0)

    def refresh(self, at: float) -> tuple[Shift, ...]:
        """Bring what is told up to date; returns what the model has become by that."""
        self._first.roll(at)
        self._pace.roll(at)
        self._hold_latency(at)
        self._hold_errors(at)
        shifts: list[Shift] = []
        if self.latency is not None and self._best is not None:
            slow = self.latency > self._best * (FASTER if self.slow else SLOWER)
            if slow != self.slow:
                shifts.append(Shift.SLOWER if slow else Shift.FASTER)
            self.slow = slow
        if self._failing.now != self.failing:
            shifts.append(Shift.STEADY if self.failing else Shift.FAILING)
        self.failing = self._failing.now
        return tuple(shifts)

    def _end(self, at: float, failed: float) -> None:
        self._errors.add(at, failed)
        self._failing.add(at, failed=failed > 0.0)
        self.heard_at = at if self.heard_at is None else max(at, self.heard_at)

    def _ratio(self) -> float:
        first, pace = self.time_to_first_token, self.time_per_token
        if first is None or pace is None:
            return START_TOKENS
        return min(max(first / pace, 1.0), 1000.0)

    def _hold_latency(self, at: float) -> None:
        first, pace = self.time_to_first_token, self.time_per_token
        if first is None or not self.known:
            return
        now = first + self._typical * (first / START_TOKENS if pace is None else pace)
        if self.latency is None or not self.latency / BAND <= now <= self.latency * BAND:
            self.latency = now
        drifted = now if self._best is None else self._best * 2.0 ** ((at - self._best_at) / DRIFT_SECONDS)
        self._best, self._best_at = min(drifted, now), at

    def _hold_errors(self, at: float) -> None:
        share = self._errors.total(at) / (self._errors.weight(at) + SUCCESSES)
        now = max(share, FAILING) if self._failing.now else min(share, STEADY)
        if now > self.error_rate or now < max(self.error_rate * RELEASE, STEADY) or not self._failing.now:
            self.error_rate = now if now >= NEGLIGIBLE else 0.0


def _learn(times: Decayed, at: float, seconds: float, weight: float = 1.0) -> None:
    value = log(max(seconds, SHORTEST))
    mean = times.mean()
    if mean is not None:
        value = min(max(value, mean - OUTLIER), mean + OUTLIER)
    times.add(at, value, weight)


def _seconds(times: Decayed) -> float | None:
    mean = times.mean()
    return None if mean is None else exp(mean)
