"""What operators ask of the cache over HTTP: see, take back, carry away, bring in.

Every call needs the token; no log line holds a question or an answer. Owns the routes and the deadlines.
Knows the cache as ports only.
"""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from aiohttp import web

from router_extproc.base.refusals import Failure
from router_extproc.caching.entry import Entry
from router_extproc.caching.marks import Kind, Selector, pair_of
from router_extproc.ports import Catalogue, Clock, PortError, Tally
from router_extproc.server.api.cache_shapes import (
    CacheCapabilities,
    CacheHealth,
    CacheLimits,
    CacheStats,
    FeedbackReply,
    ImportReport,
    Invalidated,
    InvalidationReply,
    ListedEntries,
    ShownEntry,
    listed,
    report_of,
    selected,
    shown,
    tier_of,
)
from router_extproc.server.api.route import ID_FORM, Access, Answer, Route, Shape
from router_extproc.server.exported import LINE_BYTES, VERSION, Terms
from router_extproc.server.replies import Code, RefusedError, json_reply
from router_extproc.server.selection import (
    DEFAULT_LIMIT,
    KINDS,
    MAX_LIMIT,
    FeedbackRequest,
    FlushRequest,
    InvalidationRequest,
    ListingQuery,
    Selection,
    invalidation_of,
    selector_of,
)
from router_extproc.server.transfer import (
    MAX_LINES,
    NDJSON,
    STORE_SECONDS,
    Importer,
    Shelf,
    paged,
    send_entries,
)

log = logging.getLogger(__name__)

PREFIX: Final = "/api/v1/response-cache"
TAG: Final = "response-cache"

MAX_COUNTED: Final = 10_000
"""Where a dry run stops counting."""

OPERATIONS: Final = (
    "stats",
    "entries",
    "search",
    "invalidate",
    "flush",
    "feedback",
    "export",
    "import",
    "health",
)

T = TypeVar("T")
Asked = TypeVar("Asked")


class Marker(Protocol):
    """Takes entries back, by a mark that is in force here at once."""

    async def add(self, selector: Selector, at: float) -> bool:
        """What `selector` covers and was created at `at` or before may not answer any more. True: the other
        replicas know too. False: they learn when the store is back."""
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What stays as it is while the router runs. `dimension` and `encoder` are those of its vectors;
    `longest_ttl`, in seconds, is the longest that any category gives an entry."""

    backend: str
    scope: str
    similarity_threshold: float
    generation: str
    encoder: str
    dimension: int
    longest_ttl: float


@dataclass(frozen=True, slots=True)
class CacheAdmin:
    """The cache as the routes see it. `counters` are shown by `stats` as they are; `revokes` says whether a
    mark in force takes an entry back: such entries are neither shown nor taken in."""

    catalogue: Catalogue
    marker: Marker
    store: Shelf
    clock: Clock
    facts: Facts
    counters: Callable[[], Mapping[str, float]]
    revokes: Callable[[Entry], bool]


class EntryPath(Shape, frozen=True):
    id: str


def cache_routes(admin: CacheAdmin | None) -> tuple[Route, ...]:
    """The calls under PREFIX. Without `admin`, where there is no cache, each says so."""
    calls = _Calls(admin)
    codes = (Code.CACHE_DISABLED, Code.STORE_UNAVAILABLE, Code.INVALID_INPUT)

    def get(path: str, summary: str, **more: Any) -> Route:
        return Route("GET", PREFIX + path, TAG, summary, access=Access.TOKEN, **{"codes": codes, **more})

    def post(path: str, summary: str, **more: Any) -> Route:
        return Route("POST", PREFIX + path, TAG, summary, access=Access.TOKEN, **{"codes": codes, **more})

    return (
        get("/stats", "How full the cache is, and what it did", answers={200: CacheStats},
            handle=told(calls.stats)),
        get("/health", "Whether the store of each tier answers", answers={200: CacheHealth, 503: CacheHealth},
            handle=told(calls.health)),
        get("/capabilities", "What can be asked here", answers={200: CacheCapabilities},
            handle=told(calls.capabilities)),
        get("/entries", "Live entries", answers={200: ListedEntries}, handle=told(calls.entries),
            takes=ListingQuery),
        get("/entries/{id}", "One entry with question and answer", answers={200: ShownEntry},
            handle=told(calls.entry), takes=EntryPath, codes=(*codes, Code.ENTRY_NOT_FOUND)),
        post("/invalidate", "Take entries back", answers={200: InvalidationReply},
             handle=told(calls.invalidate), takes=InvalidationRequest),
        post("/flush", "Take everything back", answers={200: Invalidated}, handle=told(calls.flush),
             takes=FlushRequest, optional_body=True),
        post("/feedback", "Tell that an answer of the cache was wrong", answers={200: FeedbackReply},
             handle=told(calls.feedback), takes=FeedbackRequest),
        get("/export", "Entries as lines of JSON; cut off where the store fails", stream=calls.export,
            takes=Selection, produces=NDJSON),
        post("/import", f"Take in what was exported, up to {MAX_LINES:,} lines", answers={200: ImportReport},
             stream=calls.take, consumes=(NDJSON, "application/octet-stream")),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Calls:
    """One method for each route."""

    given: CacheAdmin | None

    @property
    def admin(self) -> CacheAdmin:
        if self.given is None:
            raise RefusedError(
                Code.CACHE_DISABLED, "the semantic cache is off; set semantic_cache.enabled and restart"
            )
        return self.given

    async def stats(self, _: None) -> CacheStats:
        facts, tallies = self.admin.facts, await self._tallies()
        return CacheStats(
            backend=facts.backend,
            scope=facts.scope,
            similarity_threshold=facts.similarity_threshold,
            generation=facts.generation,
            encoder=facts.encoder,
            tiers=[tier_of(tally) for tally in tallies],
            counters=dict(self.admin.counters()),
        )

    async def health(self, _: None) -> Answer:
        tallies = await self._tallies()
        up = [tally.is_up for tally in tallies]
        tiers = [tier_of(tally) for tally in tallies]
        if not any(up):
            return Answer(503, CacheHealth(status="unavailable", tiers=tiers))
        return Answer(200, CacheHealth(status="healthy" if all(up) else "degraded", tiers=tiers))

    async def capabilities(self, _: None) -> CacheCapabilities:
        return CacheCapabilities(
            selectors=[*KINDS, Kind.ALL],
            operations=list(OPERATIONS),
            backend=self.admin.facts.backend,
            encoder=self.admin.facts.encoder,
            export_version=VERSION,
            limits=CacheLimits(
                entries=MAX_LIMIT,
                entries_default=DEFAULT_LIMIT,
                dry_run_count=MAX_COUNTED,
                import_lines=MAX_LINES,
                import_line_bytes=LINE_BYTES,
            ),
        )

    async def entries(self, asked: ListingQuery) -> ListedEntries:
        found, more = await self._some(selector_of(asked), asked.limit)
        return ListedEntries(entries=[listed(entry, text=asked.text) for entry in found], more=more)

    async def entry(self, asked: EntryPath) -> ShownEntry:
        found: Entry | None = None
        if re.fullmatch(ID_FORM, asked.id) is not None:
            async with asyncio.timeout(STORE_SECONDS):
                found = await self.admin.catalogue.find(asked.id, self.admin.clock.now())
        if found is None or self.admin.revokes(found):
            raise RefusedError(Code.ENTRY_NOT_FOUND, "there is no live entry with this id")
        return shown(found)

    async def invalidate(self, asked: InvalidationRequest) -> InvalidationReply:
        wanted = invalidation_of(asked)
        if wanted.dry_run:
            count, more = await self._count(wanted.selector)
            return InvalidationReply(
                selector=selected(wanted.selector), dry_run=True, covered=count, more=more
            )
        done = await self._take_back(wanted.selector)
        return InvalidationReply(selector=done.selector, at=done.at, shared=done.shared)

    async def flush(self, _: FlushRequest) -> Invalidated:
        return await self._take_back(Selector(Kind.ALL))

    async def feedback(self, wrong: FeedbackRequest) -> FeedbackReply:
        removed = await self._take_back(Selector(Kind.ENTRY, wrong.entry))
        # A question answered by its own entry was answered wrongly by the model; its next answer is new.
        is_pair = wrong.entry != wrong.question
        shared = removed.shared
        if is_pair:
            blocked = await self._take_back(Selector(Kind.PAIR, pair_of(wrong.question, wrong.entry)))
            shared = shared and blocked.shared
        return FeedbackReply(
            entry=wrong.entry, question=wrong.question, pair_blocked=is_pair, at=removed.at, shared=shared
        )

    async def export(self, request: web.Request, asked: Selection) -> web.StreamResponse:
        selector = selector_of(asked)
        log.info("an export of %s begins", selector.kind)
        return await _reported(send_entries(request, self._covered(selector), self.admin.facts.encoder))

    async def take(self, request: web.Request, _: None) -> web.StreamResponse:
        facts = self.admin.facts
        terms = Terms(facts.encoder, facts.dimension, facts.longest_ttl)
        importer = Importer(
            self.admin.catalogue, self.admin.store, self.admin.revokes, self.admin.clock, terms
        )
        report = await _reported(importer.take(request.content))
        log.info("imported %d entries, refused %d lines", report.imported, report.refused_count)
        return json_reply(report_of(report))

    async def _take_back(self, selector: Selector) -> Invalidated:
        at = self.admin.clock.now()
        async with asyncio.timeout(STORE_SECONDS):
            shared = await self.admin.marker.add(selector, at)
        log.info(
            "invalidated %s %.100r, %s", selector.kind, selector.value, "shared" if shared else "here only"
        )
        return Invalidated(selector=selected(selector), at=at, shared=shared)

    async def _tallies(self) -> Sequence[Tally]:
        async with asyncio.timeout(STORE_SECONDS):
            return await self.admin.catalogue.tallies()

    async def _covered(self, selector: Selector) -> AsyncGenerator[Entry]:
        source = self.admin.catalogue.entries(selector, self.admin.clock.now())
        async with aclosing(paged(source)) as entries:
            async for entry in entries:
                if not self.admin.revokes(entry):
                    yield entry

    async def _some(self, selector: Selector, limit: int) -> tuple[list[Entry], bool]:
        """Up to the limit, and whether there are more."""
        found: list[Entry] = []
        async with asyncio.timeout(STORE_SECONDS), aclosing(self._covered(selector)) as entries:
            async for entry in entries:
                if len(found) == limit:
                    return found, True
                found.append(entry)
        return found, False

    async def _count(self, selector: Selector) -> tuple[int, bool]:
        """How many `selector` covers, and whether there are more than were counted."""
        count = 0
        async with asyncio.timeout(STORE_SECONDS), aclosing(self._covered(selector)) as entries:
            async for _ in entries:
                if count == MAX_COUNTED:
                    return count, True
                count += 1
        return count, False


def told(call: Callable[[Asked], Awaitable[T]]) -> Callable[[Asked], Awaitable[T]]:
    """`call`, the store's failures told to the client."""

    async def answer(asked: Asked) -> T:
        return await _reported(call(asked))

    return answer


async def _reported(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except PortError as error:
        if error.reason is Failure.INVALID:
            raise RefusedError(Code.INVALID_INPUT, f"the store refuses this ({error})") from None
        raise RefusedError(Code.STORE_UNAVAILABLE, f"the store failed: {error}") from None
    except TimeoutError:
        raise RefusedError(
            Code.STORE_UNAVAILABLE, f"the store did not answer within {STORE_SECONDS:g} s; try again later"
        ) from None
