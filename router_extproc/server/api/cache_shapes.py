"""The bodies of `/api/v1/response-cache/*`. Times are Unix seconds."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from router_extproc.caching.entry import Entry
from router_extproc.caching.marks import Kind, Selector
from router_extproc.ports import Tally
from router_extproc.server.api.route import Shape
from router_extproc.server.transfer import Report

TEXT_SHOWN = 1000
"""Characters of a question in a list; one entry is shown whole."""

Count = Annotated[int, Meta(ge=0)]


class Tier(Shape, frozen=True):
    """`bytes` and `capacity` are null where the tier does not know or has no bound."""

    backend: str
    entries: Count
    bytes: Count | None
    capacity: Count | None
    is_up: bool


class CacheStats(Shape, frozen=True):
    """`counters` are since the router started."""

    backend: str
    scope: str
    similarity_threshold: float
    generation: str
    encoder: str
    tiers: list[Tier]
    counters: dict[str, float]


class CacheHealth(Shape, frozen=True):
    status: Literal["healthy", "degraded", "unavailable"]
    tiers: list[Tier]


class CacheLimits(Shape, frozen=True):
    entries: Count
    entries_default: Count
    dry_run_count: Count
    import_lines: Count
    import_line_bytes: Count


class CacheCapabilities(Shape, frozen=True):
    selectors: list[str]
    operations: list[str]
    backend: str
    encoder: str
    export_version: int
    limits: CacheLimits


class ListedEntry(Shape, frozen=True):
    """`text` is at most the first 1000 characters of the question, where the list was asked for it."""

    id: str
    partition: str
    tenant: str
    model: str
    category: str
    reasoning: bool
    exact_only: bool
    created_at: float
    expires_at: float
    text: str | UnsetType = UNSET
    text_is_cut: bool | UnsetType = UNSET


class ListedEntries(Shape, frozen=True):
    entries: list[ListedEntry]
    more: bool


class TokenUsage(Shape, frozen=True):
    prompt_tokens: Count
    completion_tokens: Count


class KeptAnswer(Shape, frozen=True):
    """`extras` are other texts of the answer, such as its reasoning."""

    model: str
    content: str
    finish_reason: str
    extras: dict[str, str]
    usage: TokenUsage | None


class ShownEntry(Shape, frozen=True):
    """One entry, its question and its answer."""

    id: str
    partition: str
    tenant: str
    model: str
    category: str
    reasoning: bool
    exact_only: bool
    created_at: float
    expires_at: float
    text: str
    answer: KeptAnswer


class Selected(Shape, frozen=True):
    kind: Kind
    value: str


class Invalidated(Shape, frozen=True):
    """What was created until `at` may not answer any more. `shared`: the other replicas know too; false: they
    learn when the store is back."""

    selector: Selected
    at: float
    shared: bool


class InvalidationReply(Shape, frozen=True):
    """As Invalidated; of a dry run, how many are `covered`, and whether there are `more`."""

    selector: Selected
    at: float | UnsetType = UNSET
    shared: bool | UnsetType = UNSET
    dry_run: Literal[True] | UnsetType = UNSET
    covered: Count | UnsetType = UNSET
    more: bool | UnsetType = UNSET


class FeedbackReply(Shape, frozen=True):
    """`pair_blocked`: the entry never answers this question again. False where the question is the entry's
    own: the model answered it wrongly, and its next answer is new."""

    entry: str
    question: str
    pair_blocked: bool
    at: float
    shared: bool


class RefusedLine(Shape, frozen=True):
    line: Count
    reason: str


class ImportReport(Shape, frozen=True):
    """`refused` names the first 20 of `refused_count` lines; `skipped` is the sum of the next three."""

    imported: Count
    skipped: Count
    present: Count
    expired: Count
    invalidated: Count
    refused_count: Count
    refused: list[RefusedLine]


def tier_of(tally: Tally) -> Tier:
    return Tier(
        backend=tally.backend,
        entries=tally.entries,
        bytes=tally.bytes,
        capacity=tally.capacity,
        is_up=tally.is_up,
    )


def selected(selector: Selector) -> Selected:
    return Selected(kind=selector.kind, value=selector.value)


def listed(entry: Entry, *, text: bool) -> ListedEntry:
    return ListedEntry(
        id=entry.id,
        partition=entry.partition,
        tenant=entry.tenant,
        model=entry.model,
        category=entry.category,
        reasoning=entry.reasoning,
        exact_only=entry.exact_only,
        created_at=entry.created_at,
        expires_at=entry.expires_at,
        text=entry.text[:TEXT_SHOWN] if text else UNSET,
        text_is_cut=len(entry.text) > TEXT_SHOWN if text else UNSET,
    )


def shown(entry: Entry) -> ShownEntry:
    answer, usage = entry.completion, entry.completion.usage
    return ShownEntry(
        id=entry.id,
        partition=entry.partition,
        tenant=entry.tenant,
        model=entry.model,
        category=entry.category,
        reasoning=entry.reasoning,
        exact_only=entry.exact_only,
        created_at=entry.created_at,
        expires_at=entry.expires_at,
        text=entry.text,
        answer=KeptAnswer(
            model=answer.model,
            content=answer.content,
            finish_reason=answer.finish_reason,
            extras=dict(answer.extras),
            usage=None
            if usage is None
            else TokenUsage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens),
        ),
    )


def report_of(report: Report) -> ImportReport:
    return msgspec.convert(report.as_json(), ImportReport)
