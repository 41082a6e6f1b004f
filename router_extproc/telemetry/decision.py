"""The record of one decision: what the log has on a line, `GET /api/v1/decisions` shows and a page can draw.

Its shape alone. Names of the configuration, words of the router's own, scores, digests and times; nothing of
what a client or a model wrote has a place here.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]


class _Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class RecordSignal(_Shape, frozen=True):
    """`score` is the signal's confidence."""

    type: str
    name: str
    matched: bool
    score: float


class RecordNeeds(_Shape, frozen=True):
    """What the request asks of a model; `context_window` in tokens."""

    context_window: Count
    vision: bool
    tools: bool


class RecordFacts(_Shape, frozen=True):
    """What the decision went by. `domain` has the likeliest three, `failed` the heads that said nothing."""

    domain: dict[str, float]
    signals: list[RecordSignal]
    failed: list[str]
    needs: RecordNeeds
    tokens_read: Count
    truncated: bool


class RecordUncertainty(_Shape, frozen=True):
    """What the uncertainty about the category says of thinking. `entropy` is a share of the most it could be,
    `thinking_share` the probability of a category that thinks; `applied`: the model had no setting of its
    own, and got this one."""

    level: str
    entropy: float
    thinking_share: float
    category: str
    reasoning: bool
    reason: str
    applied: bool


class RecordCandidate(_Shape, frozen=True):
    """A model that was considered, or its adapter. `dropped`: why it was left out."""

    model: str
    score: float | None
    dropped: list[str]


class RecordCache(_Shape, frozen=True):
    """`action` is `hit`; or `queued`, the answer was handed to the queue of writes; or `screening`, it was
    handed to the guards, who say whether it is kept; or `miss`; or `none`, neither asked nor filled. `entry`
    is the id of the entry that answered, or of the one to be kept. `similarity` is the nearest entry's where
    none answered."""

    action: Annotated[str, Meta(description="`hit`, `queued`, `screening`, `miss` or `none`.")]
    kind: Annotated[str | None, Meta(description="Of a hit: `exact`, `semantic`, `coalesced` or `stale`.")]
    entry: str | None
    similarity: float | None
    probability: Annotated[float | None, Meta(description="The verifier's, where it was asked.")]
    missed: str | None
    held_back: dict[str, int]
    skipped: list[str]
    waited: str | None


class RecordGuard(_Shape, frozen=True):
    """What a guard said. `types` of personal data that count; `kept_from`: models that must not see them."""

    guard: str
    outcome: str
    score: float | None
    types: list[str]
    kept_from: list[str]
    skipped_tokens: Count


class RecordUsage(_Shape, frozen=True):
    """As the model counted."""

    prompt_tokens: int
    completion_tokens: int


class RecordFailure(_Shape, frozen=True):
    port: str
    reason: str


class RecordDurations(_Shape, frozen=True):
    """Milliseconds, null for what did not come to pass. `..._after` count from the request's first message;
    `queue`, `tokenise`, `run` and `guards` are parts of `analysis`."""

    exact_lookup: float | None
    analysis: float | None
    queue: float | None
    tokenise: float | None
    run: float | None
    guards: float | None
    semantic_lookup: float | None
    verifier: float | None
    decided_after: float | None
    answered_after: float | None
    first_piece_after: float | None
    total: float


class DecisionRecord(_Shape, frozen=True):
    """One chat completion, once its stream is over; null stands for what did not come to pass. An answer that
    was found word for word has no analysis, so neither facts nor category."""

    time: Annotated[str, Meta(description="When the stream was over: RFC 3339, UTC.")]
    request_id: Annotated[str, Meta(description="32 hexadecimal digits.")]
    trace_id: str
    tenant: Annotated[str | None, Meta(description="A digest.")]
    generation: Annotated[str, Meta(description="The digest of the configuration that decided.")]
    requested: Annotated[str | None, Meta(description="A model of the pool, or `auto`.")]
    decision: str | None
    rule: str | None
    policy: Annotated[
        str | None,
        Meta(description="The category, or `decision:NAME`, whose rules for the cache and guards held."),
    ]
    category: str | None
    confidence: Share | None
    model: Annotated[str | None, Meta(description="Who answered, or whose answer the cache repeated.")]
    reasoning: bool | None
    effort: str | None
    uncertainty: RecordUncertainty | None
    answered_by: Annotated[
        str | None, Meta(description="`cache`, `model`, `router` (a refusal or an error), null: nobody did.")
    ]
    status: Annotated[int | None, Meta(description="The HTTP status that the client got.")]
    rejected: str | None
    cancelled: bool
    facts: RecordFacts | None
    candidates: list[RecordCandidate]
    cache: RecordCache
    guards: list[RecordGuard]
    usage: RecordUsage | None
    failures: list[RecordFailure]
    milliseconds: RecordDurations
