"""Where an exchange can be. Each stage carries what is known there and nothing that comes later.

`started` is the time of the stream's first message, in Unix seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from router_extproc.base.refusals import Uncached
from router_extproc.base.trace import TraceContext
from router_extproc.base.vector import Vector
from router_extproc.caching.control import CacheControl
from router_extproc.caching.entry import Candidate
from router_extproc.caching.guard import Difference
from router_extproc.caching.policy import CacheUse, Doubtful
from router_extproc.exchange.recorder import Recorder
from router_extproc.llm.chat import ChatRequest
from router_extproc.llm.meter import Meter
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.decide import Decision


@dataclass(frozen=True, slots=True)
class Start:
    """Nothing has arrived. `ident` is unique among exchanges; ids of replayed completions are made of it."""

    ident: str


@dataclass(frozen=True, slots=True)
class AwaitBody:
    """A chat completion's headers were let through; its body comes next. `tenant` may be the reason why
    there is none; `query` is the query of the request's path, `session` what its client calls the
    conversation, `trace` the span of its way to a model where that is told."""

    ident: str
    tenant: str | Uncached
    control: CacheControl
    query: str
    session: str | None
    started: float
    trace: TraceContext | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """What an answer needs to know of who asked: `ident` makes replayed completions unique, `stream` and
    `include_usage` are the form it wants; `trace` is told the model. Kept while an
    answer streams, when the request is let go."""

    ident: str
    stream: bool
    include_usage: bool
    started: float
    trace: TraceContext | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A well-formed question. `model` is None when the router shall choose; `use` is None when the cache
    may not be used for it; `session` is None where nobody asks which model a conversation is with, `tenant`
    (a digest) where nothing tells whose request it is."""

    client: Client
    chat: ChatRequest = field(repr=False)
    model: str | None
    use: CacheUse | None
    session: str | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class AwaitExact:
    """The exact tier was asked, at `since`."""

    asked: Asked
    use: CacheUse
    since: float


@dataclass(frozen=True, slots=True)
class AwaitFlight:
    """Is an identical request under way? `budget`: seconds left for lookups."""

    asked: Asked
    use: CacheUse
    budget: float


@dataclass(frozen=True, slots=True)
class AwaitAnalysis:
    """The encoder runs. `budget`: seconds left for lookups."""

    asked: Asked
    budget: float


@dataclass(frozen=True, slots=True)
class AwaitSimilar:
    """The semantic tier was asked; `use` is the request's."""

    asked: Asked
    use: CacheUse
    analysis: Analysis
    decision: Decision


@dataclass(frozen=True, slots=True)
class Doubt:
    """Candidates that may answer if the verifier agrees; it was asked about the first. `refused` is what was
    held back so far; `since` is when the first one was asked about."""

    candidates: tuple[Doubtful, ...]
    refused: Mapping[Difference, int]
    since: float


@dataclass(frozen=True, slots=True)
class AwaitSame:
    """The verifier was asked about what the semantic tier found."""

    found: AwaitSimilar
    doubt: Doubt


@dataclass(frozen=True, slots=True)
class Fill:
    """What an entry needs beside the answer. `verify` is the semantic hit that was not served, so that it can
    be compared with the answer."""

    use: CacheUse
    vector: Vector = field(repr=False)
    exact_only: bool
    verify: Candidate | None = None


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The request went to `decision`'s model. `reasoning` is None when the client's own setting stands;
    `prompted`: with the decision's system prompt; `fill` is None when the answer is not for the cache."""

    client: Client
    decision: Decision
    reasoning: bool | None
    prompted: bool
    fill: Fill | None


@dataclass(frozen=True, slots=True)
class AwaitStale:
    """The model failed; is there a cached answer that may stand in?"""

    forwarded: Forwarded
    fill: Fill


@dataclass(frozen=True, slots=True)
class AwaitStaleSame:
    """The model failed, and the verifier was asked about what may stand in."""

    found: AwaitStale
    doubt: Doubt


@dataclass(frozen=True, slots=True)
class Recording:
    """The answer passes and is read, to be stored."""

    forwarded: Forwarded
    fill: Fill
    recorder: Recorder = field(repr=False)
    meter: Meter = field(repr=False)


@dataclass(frozen=True, slots=True)
class Metering:
    """The answer, of this HTTP status, passes and is measured. It is not for the cache."""

    forwarded: Forwarded
    status: int
    meter: Meter = field(repr=False)


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more will be said on this stream."""


Stage = (
    Start
    | AwaitBody
    | AwaitExact
    | AwaitFlight
    | AwaitAnalysis
    | AwaitSimilar
    | AwaitSame
    | Forwarded
    | AwaitStale
    | AwaitStaleSame
    | Recording
    | Metering
    | Done
)
