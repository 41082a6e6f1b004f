"""Which trace a request belongs to, and who may have it shown. No clock and no chance: ids are digests of the
exchange's ident, which is random."""

from dataclasses import dataclass, field
from typing import Final

from router_extproc.base.digest import digest
from router_extproc.base.headers import Headers
from router_extproc.base.names import DEBUG
from router_extproc.base.trace import TRACEPARENT, TraceContext, parse_traceparent
from router_extproc.exchange.notes import Opened

_WHOLE: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class Tracing:
    """`sends`: models are told which trace a request belongs to. `ratio` in [0, 1] of the traces that begin
    here are kept; a caller's own choice stands. `debug` is `debug_digest` of the word that has one request
    shown, None where nobody may ask."""

    sends: bool = False
    ratio: float = 1.0
    debug: str | None = field(default=None, repr=False)


NO_TRACING = Tracing()


@dataclass(frozen=True, slots=True)
class Traced:
    """`upstream` is the span of the request to a model."""

    root: TraceContext
    upstream: TraceContext
    parent: str
    debug: bool


def debug_digest(word: str) -> str:
    """Digests are compared, not words: how long that takes tells nothing of the word."""
    return digest("debug", (word.encode("latin-1", "replace"),))


def traced(ident: str, headers: Headers, tracing: Tracing) -> Traced:
    """The caller's trace with two spans of ours in it, or a new one."""
    caller = parse_traceparent(headers.all(TRACEPARENT))
    root = digest("span", (ident.encode(), b"root"))[:16]
    upstream = digest("span", (ident.encode(), b"upstream"))[:16]
    debug = _asks(headers, tracing)
    if caller is None:
        trace_id = digest("trace", (ident.encode(),))
        kept = int(trace_id[16:], 16) < tracing.ratio * _WHOLE
        caller = TraceContext(trace_id, root, 0).child(root, sampled=kept)
        parent = ""
    else:
        parent = caller.span_id
    sampled = True if debug and tracing.sends else None
    here = caller.child(root, sampled=sampled)
    return Traced(here, here.child(upstream), parent, debug)


def _asks(headers: Headers, tracing: Tracing) -> bool:
    given = headers.all(DEBUG)
    return tracing.debug is not None and len(given) == 1 and debug_digest(given[0]) == tracing.debug


def opened(ident: str, found: Traced, generation: str, at: float) -> Opened:
    """What is noted of a request that begins."""
    return Opened(
        reference=digest("request", (ident.encode(),)),
        root=found.root,
        upstream=found.upstream,
        parent=found.parent,
        debug=found.debug,
        generation=generation,
        at=at,
    )
