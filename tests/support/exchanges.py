"""An exchange that does what a test scripts, for tests of what is around it."""

from collections.abc import Callable, Sequence

from router_extproc.exchange.effects import Effect, Phase, Reply
from router_extproc.exchange.events import (
    Event,
    RequestBody,
    RequestHeaders,
    RequestTrailers,
    ResponseBody,
    ResponseHeaders,
    ResponseTrailers,
)

PHASES = {
    RequestHeaders: Phase.REQUEST_HEADERS,
    RequestBody: Phase.REQUEST_BODY,
    RequestTrailers: Phase.REQUEST_TRAILERS,
    ResponseHeaders: Phase.RESPONSE_HEADERS,
    ResponseBody: Phase.RESPONSE_BODY,
    ResponseTrailers: Phase.RESPONSE_TRAILERS,
}


class ScriptedExchange:
    """Gives `script[type of event]`, called with the event where it is a function.

    Messages that the script leaves out get an unchanged reply, other events get nothing.
    """

    def __init__(
        self, script: dict[type, Sequence[Effect] | Callable[[Event], Sequence[Effect]]] | None = None
    ) -> None:
        self._script = script or {}
        self.events: list[Event] = []
        self.times: list[float] = []

    def receive(self, event: Event, at: float) -> Sequence[Effect]:
        self.events.append(event)
        self.times.append(at)
        effects = self._script.get(type(event))
        if callable(effects):
            return effects(event)
        if effects is None:
            phase = PHASES.get(type(event))
            return [] if phase is None else [Reply(phase)]
        return effects
