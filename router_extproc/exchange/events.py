"""What can happen to an exchange: messages from Envoy, results of ports, the end of the stream."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from router_extproc.base.headers import Headers
from router_extproc.base.refusals import Failure, Waited
from router_extproc.caching.entry import Candidate
from router_extproc.caching.marks import Marks
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.world import World

NO_MARKS = Marks()
NO_NEWS = World()


@dataclass(frozen=True, slots=True)
class RequestHeaders:
    """`buffered` tells whether Envoy will send the request body whole (ProcessingRequest.protocol_config,
    request_body_mode BUFFERED). It is true when Envoy does not say: older releases do not."""

    headers: Headers
    end_of_stream: bool
    buffered: bool = True


@dataclass(frozen=True, slots=True)
class RequestBody:
    """In BUFFERED mode one message holds the whole body. `end_of_stream` is false when trailers follow."""

    body: bytes = field(repr=False)
    end_of_stream: bool


@dataclass(frozen=True, slots=True)
class RequestTrailers:
    pass


@dataclass(frozen=True, slots=True)
class ResponseHeaders:
    headers: Headers
    end_of_stream: bool

    @property
    def status(self) -> int:
        """0 where there is none that is a number."""
        status = self.headers.get(":status")
        return int(status) if status.isascii() and status.isdigit() else 0


@dataclass(frozen=True, slots=True)
class ResponseBody:
    """One piece of the response in STREAMED mode; pieces end anywhere, the last one may be empty."""

    body: bytes = field(repr=False)
    end_of_stream: bool


@dataclass(frozen=True, slots=True)
class ResponseTrailers:
    pass


@dataclass(frozen=True, slots=True)
class AnalysisReady:
    """`world` is what is known of the pool by then, and of the session that was asked about."""

    analysis: Analysis
    world: World = NO_NEWS


@dataclass(frozen=True, slots=True)
class AnalysisFailed:
    """`world` as for AnalysisReady."""

    reason: Failure
    world: World = NO_NEWS


@dataclass(frozen=True, slots=True)
class LookupDone:
    """What the store proposes, most similar first; empty on a miss. `marks` are those in force by then."""

    candidates: Sequence[Candidate]
    marks: Marks = NO_MARKS


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """`marks` as for LookupDone."""

    reason: Failure
    marks: Marks = NO_MARKS


@dataclass(frozen=True, slots=True)
class Compared:
    """`probability` as `ports.Analyst.same` gives it; `marks` are those in force by then."""

    probability: float | None
    marks: Marks = NO_MARKS


@dataclass(frozen=True, slots=True)
class CompareFailed:
    """`marks` as for Compared."""

    reason: Failure
    marks: Marks = NO_MARKS


@dataclass(frozen=True, slots=True)
class Leads:
    """No identical request is under way: those that come now wait for this one."""


@dataclass(frozen=True, slots=True)
class Landed:
    """The identical request that this one waited for has its answer."""

    candidate: Candidate
    marks: Marks = NO_MARKS


@dataclass(frozen=True, slots=True)
class Alone:
    """Waiting brought nothing. `reason` is not ANSWERED."""

    reason: Waited


@dataclass(frozen=True, slots=True)
class PeerClosed:
    """Envoy ended or cancelled the stream."""


Message = RequestHeaders | RequestBody | RequestTrailers | ResponseHeaders | ResponseBody | ResponseTrailers
"""What Envoy sends; each is owed exactly one reply of its kind, unless the stream ends."""

Result = (
    AnalysisReady
    | AnalysisFailed
    | Compared
    | CompareFailed
    | LookupDone
    | LookupFailed
    | Leads
    | Landed
    | Alone
)
"""What a port brings back."""

Event = Message | Result | PeerClosed
