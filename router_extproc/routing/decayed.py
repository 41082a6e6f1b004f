"""A mean over the recent past that forgets exponentially, in constant memory. It knows no clock."""

from math import floor, inf

SHIFTED = 3
"""One slow answer is chance, and so may be two."""


class Decayed:
    """A decayed mean of values.

    Time is cut into slots of `slot` seconds. A slot counts once however many values it holds (less than once
    where their weights sum to less than 1), and loses half of its weight in `half_life` slots. So a model
    that gets fifty requests a second is followed as fast as one that gets one, and left no more hastily.

    Weight does not decay below `floor` slots: what is known keeps that much say against a new value. Where
    SHIFTED slots one after the other differ from the mean by more than `leap`, all on the same side, they are
    the new state of affairs, and what was before is forgotten at once.
    """

    __slots__ = (
        "_away", "_away_sum", "_count", "_factor", "_floor", "_leap", "_mass", "_place", "_slot", "_sum",
        "_total", "slots",
    )  # fmt: skip

    def __init__(self, slot: float, half_life: float, floor: float = 0.0, leap: float = inf) -> None:
        self._slot = slot
        self._factor = 0.5 ** (1.0 / half_life)
        self._floor = floor
        self._leap = leap
        self._away = 0
        self._away_sum = 0.0
        self._place = 0
        self._sum = self._count = 0.0
        self._total = self._mass = 0.0
        self.slots = 0
        """How many slots held a value, ever."""

    def add(self, at: float, value: float, weight: float = 1.0) -> None:
        """`weight` in (0, 1]. A time before the last one counts as the last one."""
        self.roll(at)
        if self._count == 0.0:
            self.slots += 1
        self._sum += value * weight
        self._count += weight

    def weight(self, at: float) -> float:
        """How many slots' worth is known."""
        self.roll(at)
        return self._mass + min(self._count, 1.0)

    def total(self, at: float) -> float:
        """The sum of the slots' means, each times its slot's weight."""
        self.roll(at)
        return self._total + self._current()

    def mean(self) -> float | None:
        """None before the first value, and without a floor when it is all but forgotten. Passing time alone
        does not change it."""
        mass = self._mass + min(self._count, 1.0)
        return (self._total + self._current()) / mass if mass > 0.0 else None

    def roll(self, at: float) -> None:
        """Time goes on."""
        place = floor(at / self._slot)
        passed = place - self._place
        if passed <= 0:
            return
        self._place = place
        self._fold()
        mass = self._mass
        self._mass = max(mass * self._factor**passed, min(mass, self._floor))
        if mass > 0.0:
            self._total *= self._mass / mass

    def _current(self) -> float:
        return self._sum * min(self._count, 1.0) / self._count if self._count > 0.0 else 0.0

    def _fold(self) -> None:
        """The slot is over."""
        if self._count == 0.0:
            return
        value = self._sum / self._count
        off = value - self._total / self._mass if self._mass > 0.0 else 0.0
        if abs(off) <= self._leap:
            self._away, self._away_sum = 0, 0.0
        elif self._away * off >= 0.0:
            self._away += 1 if off > 0.0 else -1
            self._away_sum += value
        else:
            self._away, self._away_sum = 1 if off > 0.0 else -1, value
        self._total += self._current()
        self._mass += min(self._count, 1.0)
        self._sum = self._count = 0.0
        if abs(self._away) == SHIFTED:
            self._total, self._mass = self._away_sum, float(SHIFTED)
            self._away, self._away_sum = 0, 0.0
