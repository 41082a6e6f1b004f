"""Notes that carry numbers: how long things took, how many tokens, how near a neighbour was. For telemetry.

Like every note they hold no prompt, answer or credential, and no text that a client chose.
"""

from dataclasses import dataclass

from router_extproc.base.completion import Usage
from router_extproc.base.trace import TraceContext
from router_extproc.routing.analysis import Timings
from router_extproc.routing.trace import Trace


@dataclass(frozen=True, slots=True)
class Opened:
    """A chat completion's first message arrived `at` (Unix seconds). `reference` is the id that refusals and
    the guards' records have too. `root` is the request's span, `upstream` that of its way to a model;
    `parent` is the caller's span, "" where there is none (a client chose it, and the trace's id: hex digits).
    `debug`: its client has the word that lets it be shown. `generation` is the configuration's digest."""

    reference: str
    root: TraceContext
    upstream: TraceContext
    parent: str
    debug: bool
    generation: str
    at: float


@dataclass(frozen=True, slots=True)
class Understood:
    """A well-formed chat completion asks for `requested`, a model of the pool or `names.AUTO`. `tenant` is a
    digest, None where nothing tells whose request it is."""

    requested: str
    tenant: str | None


@dataclass(frozen=True, slots=True)
class AnsweredBefore:
    """Envoy, or a filter before the router, answered with `status` before the request was read."""

    status: int


@dataclass(frozen=True, slots=True)
class Judged:
    """How a request was judged, whatever the guards or the cache made of it. `key` names the rule that held,
    as `Decision.cache_key`; `tokens` is how many of the text were read, 0 without an analysis."""

    trace: Trace
    key: str
    confidence: float
    tokens: int = 0
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Analysed:
    """A request was analysed, whatever became of it. `category` is empty when no domain was sure enough."""

    category: str
    timings: Timings


@dataclass(frozen=True, slots=True)
class NearestFound:
    """The cache was asked by meaning: the cosine, in [-1, 1], of the most similar entry, None where there was
    none. Whether it was similar enough, and the same, is another matter."""

    similarity: float | None


@dataclass(frozen=True, slots=True)
class FirstPiece:
    """The first piece of an answer that is an event stream passed. `seconds` since the request's first
    message."""

    model: str
    seconds: float


@dataclass(frozen=True, slots=True)
class AnswerEnded:
    """A good answer came to its end, `seconds` after the request's first message; not `complete`: it lacks
    what is at the end of every answer. `usage` is what the upstream said it was, None where it said nothing
    that could be read. `per_token` in seconds: of a stream between its first piece and its end, of another
    answer its whole time; None where nobody knows how many tokens there were."""

    model: str
    seconds: float
    usage: Usage | None
    per_token: float | None
    complete: bool = True


Measurement = (
    Opened | Understood | AnsweredBefore | Judged | Analysed | NearestFound | FirstPiece | AnswerEnded
)
