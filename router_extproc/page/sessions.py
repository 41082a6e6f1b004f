"""Who is signed in: tokens by browser, in memory only. A restart signs everybody out."""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

MOST: Final = 256
"""Browsers remembered. Who is not signed in makes room first, then who has done nothing for longest."""

HELD_SECONDS: Final = 12 * 3600.0
"""After the last use of a token."""

TICKET_SECONDS: Final = 60.0
MOST_TICKETS: Final = 64

Theme = Literal["auto", "light", "dark"]
THEMES: Final[tuple[Theme, ...]] = ("auto", "light", "dark")


@dataclass(slots=True)
class _Held:
    """What is remembered of a browser: a token, or a theme that was chosen, or both."""

    token: str = field(default="", repr=False)
    theme: Theme = "auto"
    used: float = 0.0


@dataclass(frozen=True, slots=True)
class _Ticket:
    browser: str = field(repr=False)
    token: str = field(repr=False)
    since: float


class Person:
    """Who looks at one view, at one browser. All views of a browser have the same token."""

    def __init__(self, sessions: "Sessions", browser: str, theme: Theme) -> None:
        self._sessions = sessions
        self._browser = browser
        self._theme = theme

    @property
    def theme(self) -> Theme:
        return self._theme

    def token(self) -> str:
        """Empty for who is not, or no longer, signed in. To ask for it is to use it."""
        return self._sessions.token_of(self._browser)

    def ticket(self, token: str) -> str:
        """What signs this browser in when it is given to `Sessions.enter`. `token` must be the router's."""
        return self._sessions.ticket(self._browser, token)

    def sign_out(self) -> None:
        self._sessions.sign_out(self._browser)

    def next_theme(self) -> Theme:
        """Go on to the next, and say which it is."""
        self._theme = THEMES[(THEMES.index(self._theme) + 1) % len(THEMES)]
        self._sessions.choose(self._browser, self._theme)
        return self._theme


class Sessions:
    """`now` in seconds, on any clock that goes forward. A visit alone leaves nothing behind."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._tickets: OrderedDict[str, _Ticket] = OrderedDict()

    def of(self, browser: str) -> Person:
        """The person at this browser, known or new."""
        self.sweep()
        held = self._held.get(browser)
        return Person(self, browser, held.theme if held else "auto")

    def token_of(self, browser: str) -> str:
        self.sweep()
        held = self._held.get(browser)
        if held is None or not held.token:
            return ""
        self._used(browser, held)
        return held.token

    def ticket(self, browser: str, token: str) -> str:
        """For one use, at this browser, within TICKET_SECONDS."""
        self.sweep()
        word = secrets.token_urlsafe(32)
        self._tickets[word] = _Ticket(browser, token, self._now())
        while len(self._tickets) > MOST_TICKETS:
            self._tickets.popitem(last=False)
        return word

    def enter(self, browser: str, ticket: str) -> str:
        """Sign in. The name the browser has from now on, "" where the ticket is not good. A name that
        somebody else put into this browser before is worth nothing afterwards."""
        self.sweep()
        found = self._tickets.get(ticket)
        if found is None or found.browser != browser:
            return ""
        del self._tickets[ticket]
        before = self._held.pop(browser, None)
        name = secrets.token_urlsafe(32)
        self._used(name, _Held(found.token, before.theme if before else "auto"))
        return name

    def sign_out(self, browser: str) -> None:
        held = self._held.get(browser)
        if held is not None:
            held.token = ""
            self._drop_if_empty(browser, held)

    def choose(self, browser: str, theme: Theme) -> None:
        """Remember the theme, where there is room for it."""
        self.sweep()
        held = self._held.get(browser) or _Held()
        held.theme = theme
        if held.token or theme != "auto":
            self._used(browser, held)
        else:
            self._held.pop(browser, None)

    def sweep(self) -> None:
        """Forget what nobody has used for long."""
        now = self._now()
        for browser, held in list(self._held.items()):
            if now - held.used > HELD_SECONDS:
                held.token = ""
                self._drop_if_empty(browser, held)
        for word, ticket in list(self._tickets.items()):
            if now - ticket.since > TICKET_SECONDS:
                del self._tickets[word]

    def _used(self, browser: str, held: _Held) -> None:
        """Keep it as the latest, and make room: who is signed in never leaves for who is not."""
        held.used = self._now()
        self._held[browser] = held
        self._held.move_to_end(browser)
        while len(self._held) > MOST:
            first = next((name for name, each in self._held.items() if not each.token), None)
            self._held.pop(first if first is not None else next(iter(self._held)))

    def _drop_if_empty(self, browser: str, held: _Held) -> None:
        if not held.token and held.theme == "auto":
            self._held.pop(browser, None)

    def __len__(self) -> int:
        return len(self._held)
