"""What every view is given: the router, Envoy, and who is looking."""

from dataclasses import dataclass

from nicegui import app

from router_extproc.page.envoy import Envoy
from router_extproc.page.router import Latest, Router
from router_extproc.page.sessions import Person, Sessions


@dataclass(frozen=True, slots=True)
class Parts:
    """`guarded`: the router has a token, and people must give it."""

    router: Router
    envoy: Envoy
    overview: Latest
    sessions: Sessions
    guarded: bool

    def person(self) -> Person:
        """Who looks at the page that is being built."""
        return self.sessions.of(str(app.storage.browser["id"]))
