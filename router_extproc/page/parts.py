"""What every view is given: the router, Envoy, and who is looking."""

from dataclasses import dataclass

from nicegui import app

from router_extproc.page.envoy import Asks
from router_extproc.page.router import Api, Latest
from router_extproc.page.sessions import Person, Sessions


@dataclass(frozen=True, slots=True)
class Parts:
    """`guarded`: the router has a token, and people must give it."""

    router: Api
    envoy: Asks
    overview: Latest
    sessions: Sessions
    guarded: bool

    def person(self) -> Person:
        """Who looks at the page that is being built."""
        return self.sessions.of(str(app.storage.browser["id"]))

    def admits(self, person: Person) -> bool:
        """Whether they may see what others have written, and ask models."""
        return not self.guarded or bool(person.token())
