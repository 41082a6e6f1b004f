"""Whether one model fails too many of its answers: a sequential test. It knows no clock, no pool, no choice.

The cumulative sum of E. S. Page, "Continuous inspection schemes", Biometrika 41 (1954), of the logarithm of
how much likelier each answer is from a model that fails SUSPECT of them than from one that fails SOUND.
Nothing that sees only outcomes tells the two apart with fewer answers, for the same rate of false alarms.
"""

from math import exp, log

SOUND, SUSPECT = 0.02, 0.2
"""Shares of failed answers between which it decides; about 8 % is as likely from either."""
FAILURE = log(SUSPECT / SOUND)
"""What one failure adds."""
SUCCESS = log((1.0 - SOUND) / (1.0 - SUSPECT))
"""What one good answer takes away."""
LEAVE = 5.0
"""The sum at which a model with an answer per slot is failing: three failures among twelve answers."""
RETURN = LEAVE - FAILURE
"""The sum at which it no longer is."""
RELAPSE = 3.0
"""The sum at which it is failing again, until a sum of 0 has cleared it: one failure among the next ten."""
GOOD = 10
"""Good answers in a row that lead from the highest sum to RETURN: at 20 % failures one attempt in ten."""


class Failing:
    """Fed with each outcome. The sum to be reached grows with the logarithm of the answers per slot, so that
    a busy model is suspected falsely as seldom, in time, as a quiet one."""

    __slots__ = ("_at", "_count", "_slots", "_sum", "_suspected", "_time", "now")

    def __init__(self, half_life: float, slots: float) -> None:
        """`half_life` in seconds, of which there are `slots`."""
        self._time = half_life / log(2.0)
        self._slots = slots / log(2.0)
        self._sum = 0.0
        self._count = 0.0
        self._at = 0.0
        self._suspected = False
        self.now = False

    def add(self, at: float, *, failed: bool) -> None:
        """`at` in seconds; a time before the last one counts as the last one."""
        self._count = 1.0 + self._count * exp(min(self._at - at, 0.0) / self._time)
        self._at = max(at, self._at)
        self._sum = max(self._sum + (FAILURE if failed else -SUCCESS), 0.0)
        if self.now:
            self._sum = min(self._sum, RETURN + GOOD * SUCCESS)
            self.now = self._sum > RETURN + SUCCESS / 2.0
            return
        self._suspected = self._suspected and self._sum > 0.0
        busy = log(max(self._count / self._slots, 1.0))
        self.now = self._sum >= (RELAPSE if self._suspected else LEAVE + busy)
        self._suspected = self._suspected or self.now
