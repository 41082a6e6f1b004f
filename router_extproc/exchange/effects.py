"""What an exchange wants done. The driver does it and feeds results back as events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto

from router_extproc.base.completion import Completion, Usage
from router_extproc.base.headers import NO_EDITS, HeaderEdits
from router_extproc.base.refusals import (
    Bypass,
    Failure,
    Guarded,
    Missed,
    Rejection,
    Uncached,
    Verified,
    Waited,
)
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.caching.guard import Difference
from router_extproc.exchange.notes import Measurement
from router_extproc.routing.analysis import Timings
from router_extproc.routing.compiled import Needs
from router_extproc.routing.uncertainty import Uncertainty
from router_extproc.screening.policy import ScreeningPolicy


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
    """Run the encoder on `text`; answered by AnalysisReady or AnalysisFailed. `session`: whose last model is
    wanted too, None for nobody's. `needs`: what will be read of the analysis, None for all of it. `others`:
    texts of the request that the guards look at too."""

    text: str = field(repr=False)
    timeout: float
    session: str | None = None
    needs: Needs | None = None
    others: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """Ask the verifier whether an answer to `other` serves `text`; answered by Compared or CompareFailed."""

    text: str = field(repr=False)
    other: str = field(repr=False)
    timeout: float


@dataclass(frozen=True, slots=True)
class LookupExact:
    """Ask for one entry by id; answered by LookupDone or LookupFailed. `grace`: seconds since its expiry for
    which an entry is still wanted."""

    partition: str
    entry_id: str
    timeout: float
    grace: float = 0.0


@dataclass(frozen=True, slots=True)
class LookupSimilar:
    """Ask for neighbours of `vector`; answered by LookupDone or LookupFailed. `grace` as in LookupExact."""

    partition: str
    vector: Vector = field(repr=False)
    limit: int
    timeout: float
    grace: float = 0.0


@dataclass(frozen=True, slots=True)
class Join:
    """Wait for an identical request under way (equal `entry_id`) up to `timeout` seconds, or become the one
    that others wait for; answered by Leads, Landed or Alone."""

    entry_id: str
    timeout: float


@dataclass(frozen=True, slots=True)
class Land:
    """Give those who wait for this request its answer, or None: go on by yourselves. The driver does it too
    when the stream ends, however it ends, unless the answer is being screened."""

    candidate: Candidate | None


@dataclass(frozen=True, slots=True)
class Store:
    """Keep `entry`. Done after the last reply, off the client's path; no answer comes back."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class ScreenAnswer:
    """Let the guards read the answer of `entry`, each passage within `timeout` seconds, after the last reply
    and off the client's path; what follows from what they find is `keeping.settled`. Those who wait for this
    request wait for that too. No answer comes back."""

    entry: Entry
    policy: ScreeningPolicy
    timeout: float


@dataclass(frozen=True, slots=True)
class Verify:
    """Compare the answer that `hit` would have given with the `fresh` one, after the last reply; no answer
    comes back."""

    hit: Candidate
    fresh: Completion


@dataclass(frozen=True, slots=True)
class Remember:
    """The session is with `model` from now on."""

    session: str
    model: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The request is under way to `model` since `at`. Ended by Finished, or by the end of the stream."""

    model: str
    at: float


@dataclass(frozen=True, slots=True)
class Began:
    """The headers of a good answer arrived, and its body follows."""


@dataclass(frozen=True, slots=True)
class FirstToken:
    """The first piece of an event stream arrived at `at`."""

    at: float


@dataclass(frozen=True, slots=True)
class Flowing:
    """More of the answer arrived at `at`. Told now and then, not of each piece."""

    at: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer, of this HTTP status, came to its end at `at`. `tokens`: those of the answer, None where
    nobody counted. Not `complete`: it lacks what is at the end of every answer."""

    at: float
    status: int
    tokens: int | None = None
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Close:
    """End the stream cleanly; Envoy goes on without us."""


class HitKind(StrEnum):
    """How an answer was found."""

    EXACT = "exact"
    SEMANTIC = "semantic"
    COALESCED = "coalesced"
    """By waiting for an identical request."""
    STALE = "stale"
    """Expired, in place of a failing model's error."""


@dataclass(frozen=True, slots=True)
class Bypassed:
    reason: Bypass


@dataclass(frozen=True, slots=True)
class Rejected:
    reason: Rejection


@dataclass(frozen=True, slots=True)
class RequestGuarded:
    """A guard judged a request. `guard` is one of the names in `screening.policy`; `key` names the rule that
    held, as `Decision.cache_key`; `model` is who answers, or was kept from it, "" for nobody. `reference`
    ends the id of a refusal; `tenant` is a digest, None where there is none. `score` in [0, 1] is that of an
    attack, `types` are those of personal data that count, `kept_from` the models of the pool that must not
    see them and would have been asked; `skipped` tokens were not read."""

    guard: str
    outcome: Guarded
    key: str
    model: str
    reference: str
    tenant: str | None = None
    score: float | None = None
    types: frozenset[str] = frozenset()
    skipped: int = 0
    kept_from: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Routed:
    """A request goes upstream. `seconds` is the time from its first message to this decision. `uncertainty`
    is None where thinking does not go by it. `effort` is how hard it thinks, "" where it does not. `family`
    and `parameter` name the configuration's switch of thinking that the request was given, "" for none."""

    requested: str
    model: str
    category: str
    decision: str
    confidence: float
    reasoning: bool
    rule: str
    seconds: float
    timings: Timings | None
    uncertainty: Uncertainty | None = None
    effort: str = ""
    family: str = ""
    parameter: str = ""


@dataclass(frozen=True, slots=True)
class CacheHit:
    """`age` and `seconds` (since the request's first message) in seconds; `entry` is the entry's id.
    `probability` is the verifier's, None where it was not asked; `usage` what the entry's model counted when
    it answered."""

    kind: HitKind
    entry: str
    similarity: float
    model: str
    age: float
    seconds: float
    probability: float | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class CacheMiss:
    """No candidate was good enough; `refused` are the differences for which the guard or the verifier refused
    some that were similar enough, and how often. With such, `reason` is HELD_BACK whatever is given."""

    refused: Mapping[Difference, int] = field(default_factory=dict)
    reason: Missed = Missed.NOTHING_SIMILAR


@dataclass(frozen=True, slots=True)
class CacheSkipped:
    """The cache was not asked, or the answer is not stored."""

    reason: Uncached
    storing: bool


@dataclass(frozen=True, slots=True)
class AnswerScreened:
    """The guards read an answer before it was to be kept. `refused` is why it is not, None where it is. `key`
    names the rule that held, as `Decision.cache_key`; `model` answered. `reference` is the entry's id,
    `tenant` a digest. `score` in [0, 1] is that of an attack, None where nobody looked; `types` are those of
    personal data that count; `skipped` characters were not read."""

    refused: Uncached | None
    key: str
    model: str
    reference: str
    tenant: str
    score: float | None = None
    types: frozenset[str] = frozenset()
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Coalesced:
    """A request waited for an identical one."""

    outcome: Waited


@dataclass(frozen=True, slots=True)
class CacheVerified:
    """A semantic hit was compared with a fresh answer."""

    outcome: Verified
    category: str
    entry: str


@dataclass(frozen=True, slots=True)
class StoreAsked:
    """A call of the store took `seconds`. `operation` and `status` are values of VSR's metrics."""

    operation: str
    status: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TextsCompared:
    """The verifier judged a pair; it took `seconds`, waiting for its turn included."""

    seconds: float


@dataclass(frozen=True, slots=True)
class PortFailed:
    """`port` is `analyst`, `verifier` or `store`."""

    port: str
    reason: Failure


@dataclass(frozen=True, slots=True)
class Answered:
    """The upstream's response headers arrived. `streams`: the first piece of the answer is yet to come, and
    will be noted."""

    model: str
    status: int
    seconds: float
    streams: bool = False


@dataclass(frozen=True, slots=True)
class ModelAdjusted:
    """What was learned of a model changed how it is preferred; `kind` is a value of `AdjustmentKind`."""

    model: str
    kind: str


@dataclass(frozen=True, slots=True)
class Violation:
    """Envoy sent a message that the table does not allow in this stage: a bug, ours or Envoy's."""

    stage: str
    event: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The peer left before the exchange was over. `model` is who was to answer, "" where nobody was yet."""

    stage: str
    model: str = ""


Note = (
    Bypassed
    | Rejected
    | RequestGuarded
    | Routed
    | CacheHit
    | CacheMiss
    | CacheSkipped
    | AnswerScreened
    | Coalesced
    | CacheVerified
    | StoreAsked
    | TextsCompared
    | PortFailed
    | Answered
    | ModelAdjusted
    | Violation
    | Cancelled
    | Measurement
)
"""What happened, for telemetry; carries no prompt, answer or credential."""

Question = Analyse | Compare | LookupExact | LookupSimilar | Join
"""What a port is to answer, with an event."""

Progress = Sent | Began | FirstToken | Flowing | Finished
"""How a request to a model goes: what the models' performance is measured by."""

Effect = (
    Reply
    | ImmediateReply
    | Question
    | Land
    | Store
    | ScreenAnswer
    | Verify
    | Remember
    | Progress
    | Close
    | Note
)
