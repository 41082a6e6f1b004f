"""When the cache may be used, and whether a candidate may answer.

Each gate returns what it allows or a member of `Uncached`: one reason, counted under that name.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import exp, inf
from types import MappingProxyType

import msgspec

from router_extproc.base.completion import Completion, Folded, Unfoldable
from router_extproc.base.headers import Headers
from router_extproc.base.refusals import Uncached
from router_extproc.caching.context import too_little
from router_extproc.caching.control import CacheControl
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.caching.guard import Difference, agree
from router_extproc.caching.identity import Identity
from router_extproc.caching.marks import Marks
from router_extproc.caching.scope import Tenancy


class Mode(StrEnum):
    """How a category uses the cache."""

    OFF = "off"
    EXACT = "exact"
    SEMANTIC = "semantic"


@dataclass(frozen=True, slots=True)
class CategoryPolicy:
    """`threshold` is the least cosine of a semantic hit; `ttl` is in seconds. `frame` stands for what the
    router itself says in a request beside the client's words, a system prompt for example: an answer given
    under one frame is never found by meaning under another."""

    mode: Mode
    threshold: float
    ttl: float
    frame: str = ""


REFERENCE = 0.8
"""The cosine at which probabilities of `Consent` are given."""


@dataclass(frozen=True, slots=True)
class Consent:
    """How probably a candidate must ask the same, by the verifier, to answer: `sign` where the guard saw a
    sign of a difference, `plain` where it saw none. Both hold at a cosine of REFERENCE; the nearer the
    vectors, the less it takes: each 0.01 of cosine lowers the log-odds by a hundredth of `sign_ease` or
    `plain_ease`.

    `questions_only`: where the guard saw no sign and the two are not both questions, nobody is asked. A
    verifier that was fitted on questions knows little of orders.
    """

    sign: float
    plain: float
    sign_ease: float = 0.0
    plain_ease: float = 0.0
    questions_only: bool = False

    def least(self, similarity: float, *, signed: bool) -> float:
        """In [0, 1]."""
        probability = self.sign if signed else self.plain
        if probability in (0.0, 1.0):
            return probability
        ease = self.sign_ease if signed else self.plain_ease
        odds = probability / (1 - probability) * exp(-ease * (similarity - REFERENCE))
        return odds / (1 + odds)


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """`default` holds for categories without a policy of their own, and where no category was confident.

    `max_temperature`: requests above it bypass the cache. `lookup_timeout` bounds, in seconds, all lookups
    of one request before it goes upstream, and the one when its model failed; `coalesce_timeout` how long it
    waits for an identical one under way, 0 for not at all. `candidates` is how many neighbours are asked for,
    so that one the guard refuses hides no good one. `stale_grace`: seconds after its expiry in which an entry
    may stand in for failing models. `verify_share` in [0, 1]: semantic hits that are sent upstream all the
    same, to compare. `verifier` says what it takes for a second opinion; None where there is no verifier, and
    the guard alone decides.
    """

    enabled: bool
    tenancy: Tenancy
    default: CategoryPolicy
    max_answer_bytes: int
    lookup_timeout: float
    categories: Mapping[str, CategoryPolicy] = field(default_factory=lambda: MappingProxyType({}))
    max_temperature: float = inf
    coalesce_timeout: float = 0.0
    candidates: int = 5
    stale_grace: float = 0.0
    verify_share: float = 0.0
    verifier: "Consent | None" = None

    def of(self, category: str) -> CategoryPolicy:
        return self.categories.get(category, self.default)

    @property
    def all(self) -> tuple[CategoryPolicy, ...]:
        """The default first."""
        return (self.default, *self.categories.values())

    @property
    def longest_ttl(self) -> float:
        """Seconds after which an entry written now has expired, whatever its category."""
        return max(each.ttl for each in self.all)


@dataclass(frozen=True, slots=True)
class CacheUse:
    """What one request may do with the cache. `exact_only`: why it is compared word for word only, if so."""

    identity: Identity
    control: CacheControl
    exact_only: Uncached | None = None


def may_use(
    policy: CachePolicy, tenant: str | Uncached, text: str | None, params: Mapping[str, bytes]
) -> Uncached | None:
    """Why a request may not use the cache at all, or None when it may.

    `text` is the last turn's text, None when that turn is not a user's plain text.
    """
    if not policy.enabled:
        return Uncached.DISABLED
    if isinstance(tenant, Uncached):
        return tenant
    if text is None or not text.strip():
        return Uncached.LAST_TURN_NOT_TEXT
    if params.get("n", b"1") not in (b"1", b"null"):
        return Uncached.MULTIPLE_CHOICES
    if params.get("logprobs", b"false") not in (b"false", b"null"):
        return Uncached.LOGPROBS
    if not _cool_enough(params.get("temperature", b"null"), policy.max_temperature):
        return Uncached.TEMPERATURE
    return None


def _cool_enough(raw: bytes, most: float) -> bool:
    """A client that sets no temperature takes the server's default, which the operator knows."""
    value = msgspec.json.decode(raw)
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and value <= most


def exact_only(text: str, params: Mapping[str, bytes], *, later: bool) -> Uncached | None:
    """Why a request is compared word for word only, by what is known before it is analysed."""
    for name in ("tools", "functions"):
        if params.get(name, b"null") not in (b"null", b"[]"):
            return Uncached.TOOLS
    return too_little(text, later=later)


def by_meaning(use: CacheUse, mode: Mode, *, truncated: bool) -> Uncached | None:
    """Why this request is compared word for word only, once it is analysed; None when by meaning too.

    `truncated`: the encoder did not see all of the text, and texts that begin alike may end differently.
    """
    if mode is Mode.EXACT:
        return Uncached.CATEGORY_EXACT
    return Uncached.TRUNCATED if truncated else use.exact_only


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
class Allowed:
    """The answer may be kept until `ttl` seconds after it was asked for."""

    completion: Completion
    ttl: float


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Uncached


def may_store(use: CacheUse, policy: CategoryPolicy, folded: Folded) -> Allowed | Refused:
    """The one gate before the cache, for JSON answers and streams alike."""
    if not use.control.keeps:
        return Refused(Uncached.CACHE_CONTROL)
    if policy.mode is Mode.OFF:
        return Refused(Uncached.CATEGORY_OFF)
    if isinstance(folded, Unfoldable):
        return Refused(folded.reason)
    return Allowed(folded, min(policy.ttl, use.control.ttl))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is asked of an entry at `at` beside being the right one. `grace`: seconds of it after expiry."""

    marks: Marks
    at: float
    grace: float = 0.0


MAX_SKEW = 60.0
"""Seconds by which the clocks of replicas may differ. An entry from further in the future was made before a
clock was set back, and would live for as much longer."""


def admits(policy: CachePolicy, use: CacheUse, entry: Entry, bounds: Bounds) -> bool:
    """Whether `entry` may answer at all, however near it is.

    Partition and expiry were the store's filter; they are checked again here because a leak between
    tenants must need two bugs, not one.
    """
    return (
        entry.partition == use.identity.partition
        and bounds.at < entry.expires_at + bounds.grace
        and entry.created_at <= bounds.at + MAX_SKEW
        and bounds.at - entry.created_at <= use.control.max_age
        and not bounds.marks.revokes(entry, use.identity.entry_id)
        and policy.of(entry.category).mode is not Mode.OFF
    )


MAX_DOUBTFUL = 3
"""How many candidates the verifier is asked about for one request: each may cost a pass."""


@dataclass(frozen=True, slots=True)
class Choice:
    """`hit` answers. Without one, the first of `doubtful` does that the verifier accepts; they come most
    similar first. `refused` are the differences for which the guard held back candidates above the threshold,
    and how often.
    """

    hit: Candidate | None
    refused: Mapping[Difference, int]
    doubtful: tuple["Doubtful", ...] = ()


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A candidate that answers if the verifier finds at least `least` likely that the two ask the same."""

    candidate: Candidate
    least: float


def choose(
    policy: CachePolicy, use: CacheUse, category: str, candidates: Sequence[Candidate], bounds: Bounds
) -> Choice:
    """The first candidate that may answer, most similar first, by itself or, with a verifier, if it agrees.
    `category` is the request's. The same text needs no similarity and nobody's consent.

    Where the request and the entry belong to different categories, the stricter threshold counts.
    """
    refused: Counter[Difference] = Counter()
    doubtful: list[Doubtful] = []
    text = use.identity.text
    for candidate in sorted(candidates, key=lambda c: -c.similarity):
        if not admits(policy, use, candidate.entry, bounds):
            continue
        if candidate.entry.text == text:
            return Choice(candidate, refused)
        if len(doubtful) == MAX_DOUBTFUL or not _near(policy, category, candidate):
            continue
        other, consent = candidate.entry.text, policy.verifier
        difference = agree(text, other, firmly=consent is not None)
        if difference is not None:
            refused[difference] += 1
        elif consent is None:
            return Choice(candidate, refused)
        else:
            signed = agree(text, other) is not None
            if not signed and consent.questions_only and not (_is_question(text) and _is_question(other)):
                return Choice(candidate, refused)
            doubtful.append(Doubtful(candidate, consent.least(candidate.similarity, signed=signed)))
    return Choice(None, refused, tuple(doubtful))


_ASKING = frozenset(
    "what what's whats how how's who who's whom whose why when where where's which is are am was were does "
    "did can could should would will shall may might has have had isn't aren't can't doesn't don't".split()
)
"""A sentence that begins with one of these asks something, with a question mark or without."""


def _is_question(text: str) -> bool:
    if not {"?", "\uff1f", "\u061f"}.isdisjoint(text):
        return True
    return any(word in _ASKING for word in text.casefold().split()[:3])


def _near(policy: CachePolicy, category: str, candidate: Candidate) -> bool:
    """Whether the entry may be found by meaning, and is similar enough."""
    entry, own = candidate.entry, policy.of(candidate.entry.category)
    if entry.exact_only or own.mode is not Mode.SEMANTIC or own.frame != policy.of(category).frame:
        return False
    return candidate.similarity >= max(policy.of(category).threshold, own.threshold)


def judged(doubtful: Doubtful, probability: float | None) -> Difference | None:
    """What the verifier's word on a candidate makes of it: a difference, or None when it may answer. None for
    a probability means that the two texts were too long to be judged."""
    if probability is None:
        return Difference.TOO_LONG
    return None if probability >= doubtful.least else Difference.VERIFIER
