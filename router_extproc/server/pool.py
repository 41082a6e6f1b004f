"""What this process learns of its pool while requests go to it: how the models do, and who was with which.

One for all streams of an event loop; a reload of the configuration changes it in place, so that nothing
learned is lost. Other replicas learn for themselves.
"""

from collections.abc import Callable

from router_extproc.exchange.effects import (
    Began,
    Finished,
    FirstToken,
    Flowing,
    ModelAdjusted,
    Progress,
    Sent,
)
from router_extproc.ports import Telemetry
from router_extproc.routing.performance import FeedbackOptions, Performance, Ticket
from router_extproc.routing.world import Condition, World
from router_extproc.server.sessions import Sessions

NOTHING_LEARNED = FeedbackOptions(models=(), enabled=False)


def _as_told(at: float) -> float:
    return at


class Pool:
    """The models' performance, and the sessions.

    `steady` gives the time on a clock that nobody sets, for a caller's time that is now: how long a model is
    left alone and how long an answer took must not depend on the wall's clock, which jumps.
    """

    def __init__(
        self,
        feedback: FeedbackOptions = NOTHING_LEARNED,
        max_sessions: int = 10_000,
        session_ttl: float = 3600,
        steady: Callable[[float], float] = _as_told,
    ) -> None:
        self._steady = steady
        self._performance = Performance(feedback)
        self._sessions = Sessions(max_sessions, session_ttl)

    def configure(self, feedback: FeedbackOptions, max_sessions: int, session_ttl: float) -> None:
        """Go on under another configuration."""
        self._performance.configure(feedback)
        self._sessions.configure(max_sessions, session_ttl)

    def world(self, session: str | None, at: float) -> World:
        """What a decision at `at` goes by."""
        at = self._steady(at)
        model = None if session is None else self._sessions.model_of(session, at)
        return World(self._performance.conditions(at), model)

    def conditions(self, at: float) -> dict[str, Condition]:
        """How each model of the pool does; empty where nothing is learned."""
        return dict(self._performance.conditions(self._steady(at)))

    def remember(self, session: str, model: str, at: float) -> None:
        self._sessions.remember(session, model, self._steady(at))

    def progress(self, ticket: Ticket | None, effect: Progress, telemetry: Telemetry) -> Ticket | None:
        """Take note of how a request goes; the ticket of the one under way afterwards, if one is."""
        if isinstance(effect, Sent):
            at = self._steady(effect.at)
            if ticket is not None:
                self._performance.cancelled(ticket, at)
            ticket = self._performance.sent(effect.model, at)
        elif ticket is not None and isinstance(effect, FirstToken):
            self._performance.first_token(ticket, self._steady(effect.at))
        elif ticket is not None and isinstance(effect, Began):
            self._performance.began(ticket)
        elif ticket is not None and isinstance(effect, Flowing):
            self._performance.flows(ticket, self._steady(effect.at))
        elif ticket is not None and isinstance(effect, Finished):
            self._performance.finished(
                ticket, self._steady(effect.at), effect.status, effect.tokens, complete=effect.complete
            )
            ticket = None
        self._tell(telemetry)
        return ticket

    def left(self, ticket: Ticket, at: float, telemetry: Telemetry) -> None:
        """The stream ended before the answer did: nobody knows whose fault it was."""
        self._performance.cancelled(ticket, self._steady(at))
        self._tell(telemetry)

    def _tell(self, telemetry: Telemetry) -> None:
        for adjustment in self._performance.adjustments():
            telemetry.note(ModelAdjusted(adjustment.model, adjustment.kind.value))
