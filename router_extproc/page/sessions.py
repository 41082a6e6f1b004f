"""Who is signed in: tokens by browser, in memory only. A restart signs everybody out."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

MOST: Final = 256
"""Browsers remembered; who has not been here for longest is forgotten first."""

HELD_SECONDS: Final = 12 * 3600.0

Theme = Literal["auto", "light", "dark"]
THEMES: Final[tuple[Theme, ...]] = ("auto", "light", "dark")


@dataclass(slots=True)
class Person:
    """One browser. `token` is "" for who is not signed in."""

    token: str = field(default="", repr=False)
    theme: Theme = "auto"
    seen: float = 0.0

    def next_theme(self) -> Theme:
        """Go on to the next, and say which it is."""
        self.theme = THEMES[(THEMES.index(self.theme) + 1) % len(THEMES)]
        return self.theme


class Sessions:
    """`now` in seconds, on any clock that goes forward."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._people: OrderedDict[str, Person] = OrderedDict()

    def of(self, browser: str) -> Person:
        """The person at this browser, known or new."""
        now = self._now()
        person = self._people.pop(browser, None)
        if person is None:
            person = Person()
        elif now - person.seen > HELD_SECONDS:
            person.token = ""
        person.seen = now
        self._people[browser] = person
        while len(self._people) > MOST:
            self._people.popitem(last=False)
        return person

    def __len__(self) -> int:
        return len(self._people)
