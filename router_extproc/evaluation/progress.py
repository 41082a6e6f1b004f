"""How far a long evaluation has come: for a person who watches, and for a log that is read later."""

import time
from collections.abc import Callable
from typing import TextIO

REDRAW_SECONDS = 0.2
"""On a terminal the same line is written again, as often as an eye can follow."""

LINE_SECONDS = 5.0
"""Elsewhere every report is a line of its own that somebody keeps."""


class Progress:
    """Reports `done of total` with the rate and the time left, as often as its stream can bear."""

    def __init__(
        self, total: int, noun: str, stream: TextIO, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`noun` names what is counted; `clock` gives seconds. The time starts now."""
        self._total, self._noun, self._stream, self._clock = total, noun, stream, clock
        self._redraws = stream.isatty()
        self._interval = REDRAW_SECONDS if self._redraws else LINE_SECONDS
        self._started = self._written = clock()

    def __call__(self, done: int) -> None:
        """`done` of the total are finished."""
        now = self._clock()
        if now - self._written < self._interval or not done:
            return
        self._written = now
        rate = done / max(now - self._started, 1e-9)
        left = (self._total - done) / rate
        self._write(f"  {done} of {self._total} {self._noun}, {rate:.0f}/s, {_duration(left)} left")

    def end(self) -> None:
        """All are finished."""
        took = self._clock() - self._started
        rate = self._total / max(took, 1e-9)
        self._write(f"  {self._total} {self._noun} in {_duration(took)}, {rate:.0f}/s")
        if self._redraws:
            self._stream.write("\n")

    def _write(self, line: str) -> None:
        # ECMA-48's erase-in-line: a shorter line leaves nothing of the one before.
        self._stream.write(f"\r{line}\x1b[K" if self._redraws else f"{line}\n")
        self._stream.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
