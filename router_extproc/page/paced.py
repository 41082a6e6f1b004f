"""A text that grows, shown in steps: each step sends all of it, so there must not be one for every piece."""

from collections.abc import Callable
from typing import Final, Protocol

STEP_SECONDS: Final = 0.15


class Due(Protocol):
    def cancel(self) -> None: ...


Later = Callable[[float, Callable[[], None]], Due]


class Paced:
    """`show` is called with the whole text: with the first piece at once, then at most every STEP_SECONDS,
    and at the end. `later` calls after so many seconds, as an event loop's `call_later` does."""

    def __init__(self, show: Callable[[str], None], later: Later) -> None:
        self._show = show
        self._later = later
        self._pieces: list[str] = []
        self._fresh = False
        self._due: Due | None = None

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self._fresh = True
        if self._due is None:
            self._step()

    def end(self) -> str:
        """Show what is left; the whole text. Nothing is shown afterwards."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._tell()
        return "".join(self._pieces)

    def _step(self) -> None:
        self._due = None
        if self._fresh:
            self._tell()
            self._due = self._later(STEP_SECONDS, self._step)

    def _tell(self) -> None:
        if self._fresh:
            self._fresh = False
            self._show("".join(self._pieces))
