"""One HTTP exchange as a state machine. No I/O, no clock, no randomness: the driver passes them in.

`LEGAL` is the whole protocol: for each stage, the events it knows and the function that answers them.
An event that is not in the table ends the stream cleanly, and Envoy goes on without the router.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from router_extproc.exchange import answering, intake, judging
from router_extproc.exchange.effects import Cancelled, Close, Effect, Violation
from router_extproc.exchange.events import (
    Alone,
    AnalysisFailed,
    AnalysisReady,
    Compared,
    CompareFailed,
    Event,
    Landed,
    Leads,
    LookupDone,
    LookupFailed,
    PeerClosed,
    RequestBody,
    RequestHeaders,
    RequestTrailers,
    ResponseBody,
    ResponseHeaders,
    ResponseTrailers,
)
from router_extproc.exchange.intake import Step
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.exchange.stages import (
    AwaitAnalysis,
    AwaitBody,
    AwaitExact,
    AwaitFlight,
    AwaitSame,
    AwaitSimilar,
    AwaitStale,
    AwaitStaleSame,
    Done,
    Forwarded,
    Metering,
    Recording,
    Stage,
    Start,
)

Handler = Callable[[Any, Any, Snapshot, float], Step]
"""(stage, event, plan, at) → (next stage, effects). The table pairs each with its stage and event type."""

LEGAL: Mapping[type[Stage], Mapping[type[Event], Handler]] = MappingProxyType(
    {
        Start: {
            RequestHeaders: intake.on_request_headers,
            ResponseHeaders: intake.on_response_first,
        },
        AwaitBody: {
            RequestBody: intake.on_request_body,
            RequestTrailers: intake.on_no_body,
            ResponseHeaders: intake.on_response_first,
        },
        AwaitExact: {
            LookupDone: judging.on_exact,
            LookupFailed: judging.on_exact_failed,
        },
        AwaitFlight: {
            Leads: judging.on_leads,
            Landed: judging.on_landed,
            Alone: judging.on_alone,
        },
        AwaitAnalysis: {
            AnalysisReady: judging.on_analysis,
            AnalysisFailed: judging.on_analysis_failed,
        },
        AwaitSimilar: {
            LookupDone: judging.on_similar,
            LookupFailed: judging.on_similar_failed,
        },
        AwaitSame: {
            Compared: judging.on_compared,
            CompareFailed: judging.on_compared,
        },
        Forwarded: {
            RequestTrailers: answering.on_request_trailers,
            ResponseHeaders: answering.on_response_headers,
        },
        AwaitStale: {
            LookupDone: answering.on_stale,
            LookupFailed: answering.on_stale_failed,
        },
        AwaitStaleSame: {
            Compared: answering.on_stale_compared,
            CompareFailed: answering.on_stale_compared,
        },
        Recording: {
            ResponseBody: answering.on_response_body,
            ResponseTrailers: answering.on_response_trailers,
        },
        Metering: {
            ResponseBody: answering.on_metered_body,
            ResponseTrailers: answering.on_metered_trailers,
        },
        Done: {},
    }
)


class Exchange:
    """The state of one stream. `receive` is total: any event in any stage has an answer."""

    __slots__ = ("_plan", "_stage")

    def __init__(self, plan: Snapshot, ident: str) -> None:
        """`ident` is unique among exchanges."""
        self._plan = plan
        self._stage: Stage = Start(ident)

    @property
    def stage(self) -> Stage:
        return self._stage

    def receive(self, event: Event, at: float) -> tuple[Effect, ...]:
        """What to do about `event`, which arrived at `at` (Unix seconds)."""
        stage = self._stage
        if isinstance(stage, Done):
            # Nothing may follow an ImmediateReply or a Close, whatever still arrives.
            return ()
        if isinstance(event, PeerClosed):
            self._stage = Done()
            return () if isinstance(stage, Start) else (Cancelled(type(stage).__name__, _model_of(stage)),)
        handler = LEGAL[type(stage)].get(type(event))
        if handler is None:
            self._stage = Done()
            return (Violation(type(stage).__name__, type(event).__name__), Close())
        self._stage, effects = handler(stage, event, self._plan, at)
        return effects


def _model_of(stage: Stage) -> str:
    """Who is to answer a request in `stage`, "" where that is not decided, or not told."""
    if isinstance(stage, AwaitStaleSame):
        stage = stage.found
    if isinstance(stage, Recording | Metering | AwaitStale):
        stage = stage.forwarded
    return stage.decision.route.model if isinstance(stage, Forwarded) else ""
