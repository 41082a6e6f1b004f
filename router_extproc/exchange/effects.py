"""What an exchange wants done. The driver does it and feeds results back as events."""

from dataclasses import dataclass, field
from enum import Enum, auto

from router_extproc.base.headers import NO_EDITS, HeaderEdits
from router_extproc.base.refusals import Bypass, Failure, Rejection, Uncached
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Entry
from router_extproc.routing.analysis import Timings


class Phase(Enum):
    """The kind of message a reply answers (the oneof of ProcessingResponse)."""

    REQUEST_HEADERS = auto()
    REQUEST_BODY = auto()
    REQUEST_TRAILERS = auto()
    RESPONSE_HEADERS = auto()
    RESPONSE_BODY = auto()
    RESPONSE_TRAILERS = auto()


class Watch(Enum):
    """What Envoy shall still send after a headers reply (ProcessingResponse.mode_override)."""

    AS_CONFIGURED = auto()
    NOTHING = auto()
    """No bodies, no trailers, no response headers: this exchange is not ours."""
    STREAMED_RESPONSE = auto()
    """Response body in pieces as they pass, and trailers."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the message of `phase`: let it continue, with these edits.

    `body` replaces the message's body; legal for REQUEST_BODY only, because a response is never changed.
    """

    phase: Phase
    edits: HeaderEdits = NO_EDITS
    body: bytes | None = field(default=None, repr=False)
    clear_route_cache: bool = False
    watch: Watch = Watch.AS_CONFIGURED


@dataclass(frozen=True, slots=True)
class ImmediateReply:
    """Answer the client now; nothing goes upstream and nothing follows on this stream."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    details: str
    """For Envoy's access log (`%RESPONSE_CODE_DETAILS%`): a word of ours, no user data."""


@dataclass(frozen=True, slots=True)
class Analyse:
    """Run the encoder on `text`; answered by AnalysisReady or AnalysisFailed."""

    text: str = field(repr=False)
    timeout: float


@dataclass(frozen=True, slots=True)
class LookupExact:
    """Ask for one entry by id; answered by LookupDone or LookupFailed."""

    partition: str
    entry_id: str
    timeout: float


@dataclass(frozen=True, slots=True)
class LookupSimilar:
    """Ask for neighbours of `vector`; answered by LookupDone or LookupFailed."""

    partition: str
    vector: Vector = field(repr=False)
    limit: int
    timeout: float


@dataclass(frozen=True, slots=True)
class Store:
    """Keep `entry`. Done after the last reply, off the client's path; no answer comes back."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Close:
    """End the stream cleanly; Envoy goes on without us."""


@dataclass(frozen=True, slots=True)
class Bypassed:
    reason: Bypass


@dataclass(frozen=True, slots=True)
class Rejected:
    reason: Rejection


@dataclass(frozen=True, slots=True)
class Routed:
    """A request goes upstream. `seconds` is the time from its first message to this decision."""

    requested: str
    model: str
    category: str
    confidence: float
    reasoning: bool
    rule: str
    seconds: float
    timings: Timings | None


@dataclass(frozen=True, slots=True)
class CacheHit:
    """`kind` is `exact` or `semantic`; `age` in seconds."""

    kind: str
    similarity: float
    model: str
    age: float
    seconds: float


@dataclass(frozen=True, slots=True)
class CacheMiss:
    """No candidate was good enough; `guard` counts those above the threshold that the guard refused."""

    guard: int


@dataclass(frozen=True, slots=True)
class CacheSkipped:
    """The cache was not asked, or the answer is not stored."""

    reason: Uncached
    storing: bool


@dataclass(frozen=True, slots=True)
class PortFailed:
    """`port` is `analyst` or `store`."""

    port: str
    reason: Failure


@dataclass(frozen=True, slots=True)
class Answered:
    """The upstream's response headers arrived."""

    model: str
    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Violation:
    """Envoy sent a message that the table does not allow in this stage: a bug, ours or Envoy's."""

    stage: str
    event: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The peer left before the exchange was over."""

    stage: str


Note = (
    Bypassed
    | Rejected
    | Routed
    | CacheHit
    | CacheMiss
    | CacheSkipped
    | PortFailed
    | Answered
    | Violation
    | Cancelled
)
"""What happened, for telemetry; carries no prompt, answer or credential."""

Effect = Reply | ImmediateReply | Analyse | LookupExact | LookupSimilar | Store | Close | Note
