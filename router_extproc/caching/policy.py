"""When the cache may be used, and whether a candidate may answer.

Each gate returns what it allows or a member of `Uncached`: one reason, counted under that name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from router_extproc.base.headers import Headers
from router_extproc.base.refusals import Uncached
from router_extproc.caching.entry import Candidate
from router_extproc.caching.guard import same_question
from router_extproc.caching.identity import Identity


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """`threshold` is the least cosine of a semantic hit; `ttl` and `lookup_timeout` are in seconds;
    `candidates` is how many neighbours are asked for, so that one the guard refuses hides no good one."""

    enabled: bool
    threshold: float
    ttl: float
    max_answer_bytes: int
    lookup_timeout: float
    candidates: int = 5


def may_ask(
    policy: CachePolicy, tenant: str | None, text: str | None, params: Mapping[str, bytes]
) -> Uncached | None:
    """Why a request may not use the cache at all, or None when it may.

    `text` is the last turn's text, None when that turn is not a user's plain text.
    """
    if not policy.enabled:
        return Uncached.DISABLED
    if tenant is None:
        return Uncached.NO_CREDENTIAL
    if text is None or not text.strip():
        return Uncached.LAST_TURN_NOT_TEXT
    if params.get("n", b"1") not in (b"1", b"null"):
        return Uncached.MULTIPLE_CHOICES
    if params.get("logprobs", b"false") not in (b"false", b"null"):
        return Uncached.LOGPROBS
    return None


def may_record(headers: Headers) -> Uncached | None:
    """Why an upstream's answer is not worth reading, by its response headers; None when it is."""
    if headers.get(":status") != "200":
        return Uncached.STATUS
    if headers.get("content-encoding", "identity") not in ("identity", ""):
        return Uncached.CONTENT_ENCODING
    if media_type(headers) not in ("application/json", "text/event-stream"):
        return Uncached.CONTENT_TYPE
    return None


def media_type(headers: Headers) -> str:
    """The content type without its parameters, lower case (RFC 9110, section 8.3.1)."""
    return headers.get("content-type").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Choice:
    """`hit` answers; `refused` counts candidates above the threshold that the guard held back."""

    hit: Candidate | None
    refused: int


def choose(policy: CachePolicy, identity: Identity, candidates: Sequence[Candidate], at: float) -> Choice:
    """The first candidate that may answer `identity`.

    Partition and expiry were the store's filter; they are checked again here because a leak between
    tenants must need two bugs, not one.
    """
    refused = 0
    for candidate in sorted(candidates, key=lambda c: -c.similarity):
        entry = candidate.entry
        if candidate.similarity < policy.threshold:
            break
        if entry.partition != identity.partition or at >= entry.expires_at or entry.partial:
            continue
        if same_question(identity.text, entry.text):
            return Choice(candidate, refused)
        refused += 1
    return Choice(None, refused)
