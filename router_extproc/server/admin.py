"""What operators ask of the cache over HTTP: see, take back, carry away, bring in.

Every call needs the token; no log line holds a question or an answer. Owns the routes and the form of what
they answer. Knows the cache as ports only.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from router_extproc.base.refusals import Failure
from router_extproc.caching.entry import Entry
from router_extproc.caching.marks import Kind, Selector, pair_of
from router_extproc.ports import Catalogue, Clock, PortError, Tally
from router_extproc.server.bearer import guarded
from router_extproc.server.exported import LINE_BYTES, VERSION, Terms
from router_extproc.server.replies import RefusedError, error_reply, json_reply
from router_extproc.server.selection import (
    DEFAULT_LIMIT,
    KINDS,
    MAX_LIMIT,
    Listing,
    feedback_of,
    flush_of,
    invalidation_of,
    is_id,
    listing_of,
    selector_of,
)
from router_extproc.server.transfer import MAX_LINES, STORE_SECONDS, Importer, Shelf, paged, send_entries

log = logging.getLogger(__name__)

PREFIX = "/api/v1/response-cache"

BODY_SECONDS = 10.0
"""The longest a client may take to send a body that is read as a whole."""

MAX_COUNTED = 10_000
"""Where a dry run stops counting."""

TEXT_SHOWN = 1000
"""Characters of a question in a list; one entry is shown whole."""


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


def cache_routes(admin: CacheAdmin, token: str) -> Sequence[web.RouteDef]:
    """The routes under PREFIX, each for bearers of `token` only."""
    calls = _Calls(admin)
    gets: Mapping[str, Handler] = {
        "/stats": calls.stats,
        "/entries": calls.entries,
        "/entries/{id}": calls.entry,
        "/export": calls.export,
        "/capabilities": calls.capabilities,
        "/health": calls.health,
    }
    posts: Mapping[str, Handler] = {
        "/invalidate": calls.invalidate,
        "/flush": calls.flush,
        "/feedback": calls.feedback,
        "/import": calls.take,
    }
    return (
        *(
            web.get(PREFIX + path, guarded(_reporting(call), token), allow_head=False)
            for path, call in gets.items()
        ),
        *(web.post(PREFIX + path, guarded(_reporting(call), token)) for path, call in posts.items()),
    )


@dataclass(frozen=True, slots=True)
class _Calls:
    """One method for each route."""

    admin: CacheAdmin

    async def stats(self, request: web.Request) -> web.Response:
        facts, tallies = self.admin.facts, await self._tallies()
        return json_reply(
            {
                "backend": facts.backend,
                "scope": facts.scope,
                "similarity_threshold": facts.similarity_threshold,
                "generation": facts.generation,
                "encoder": facts.encoder,
                "tiers": [_tier(tally) for tally in tallies],
                "counters": dict(self.admin.counters()),
            }
        )

    async def health(self, request: web.Request) -> web.Response:
        tallies = await self._tallies()
        up = [tally.is_up for tally in tallies]
        status = "healthy" if all(up) else "degraded" if any(up) else "unavailable"
        document = {"status": status, "tiers": [_tier(tally) for tally in tallies]}
        return json_reply(document, 200 if any(up) else 503)

    async def capabilities(self, request: web.Request) -> web.Response:
        return json_reply(
            {
                "selectors": [*KINDS, Kind.ALL],
                "operations": [
                    "stats", "entries", "invalidate", "flush", "feedback", "export", "import", "health",
                ],
                "backend": self.admin.facts.backend,
                "encoder": self.admin.facts.encoder,
                "export_version": VERSION,
                "limits": {
                    "entries": MAX_LIMIT,
                    "entries_default": DEFAULT_LIMIT,
                    "dry_run_count": MAX_COUNTED,
                    "import_lines": MAX_LINES,
                    "import_line_bytes": LINE_BYTES,
                },
            }
        )  # fmt: skip

    async def entries(self, request: web.Request) -> web.Response:
        listing = listing_of(request.query)
        found, more = await self._some(listing)
        return json_reply({"entries": [_listed(entry, text=listing.text) for entry in found], "more": more})

    async def entry(self, request: web.Request) -> web.Response:
        entry_id = request.match_info["id"]
        found: Entry | None = None
        if is_id(entry_id):
            async with asyncio.timeout(STORE_SECONDS):
                found = await self.admin.catalogue.find(entry_id, self.admin.clock.now())
        if found is None or self.admin.revokes(found):
            raise RefusedError(404, "there is no live entry with this id", "id")
        return json_reply(_shown(found))

    async def invalidate(self, request: web.Request) -> web.Response:
        wanted = invalidation_of(await _body(request))
        if wanted.dry_run:
            count, more = await self._count(wanted.selector)
            return json_reply(
                {"selector": _named(wanted.selector), "dry_run": True, "covered": count, "more": more}
            )
        return json_reply(await self._take_back(wanted.selector))

    async def flush(self, request: web.Request) -> web.Response:
        flush_of(await _body(request))
        return json_reply(await self._take_back(Selector(Kind.ALL)))

    async def feedback(self, request: web.Request) -> web.Response:
        wrong = feedback_of(await _body(request))
        removed = await self._take_back(Selector(Kind.ENTRY, wrong.entry))
        # A question answered by its own entry was answered wrongly by the model; its next answer is new.
        is_pair = wrong.entry != wrong.question
        shared = removed["shared"]
        if is_pair:
            blocked = await self._take_back(Selector(Kind.PAIR, pair_of(wrong.question, wrong.entry)))
            shared = shared and blocked["shared"]
        return json_reply(
            {
                "entry": wrong.entry,
                "question": wrong.question,
                "pair_blocked": is_pair,
                "at": removed["at"],
                "shared": shared,
            }
        )

    async def export(self, request: web.Request) -> web.StreamResponse:
        selector = selector_of(request.query)
        log.info("an export of %s begins", selector.kind)
        return await send_entries(request, self._covered(selector), self.admin.facts.encoder)

    async def take(self, request: web.Request) -> web.Response:
        facts = self.admin.facts
        terms = Terms(facts.encoder, facts.dimension, facts.longest_ttl)
        importer = Importer(
            self.admin.catalogue, self.admin.store, self.admin.revokes, self.admin.clock, terms
        )
        _plain(request)
        report = await importer.take(request.content)
        log.info("imported %d entries, refused %d lines", report.imported, report.refused_count)
        return json_reply(report.as_json())

    async def _take_back(self, selector: Selector) -> dict[str, Any]:
        at = self.admin.clock.now()
        async with asyncio.timeout(STORE_SECONDS):
            shared = await self.admin.marker.add(selector, at)
        log.info(
            "invalidated %s %.100r, %s", selector.kind, selector.value, "shared" if shared else "here only"
        )
        return {"selector": _named(selector), "at": at, "shared": shared}

    async def _tallies(self) -> Sequence[Tally]:
        async with asyncio.timeout(STORE_SECONDS):
            return await self.admin.catalogue.tallies()

    async def _covered(self, selector: Selector) -> AsyncGenerator[Entry]:
        source = self.admin.catalogue.entries(selector, self.admin.clock.now())
        async with aclosing(paged(source)) as entries:
            async for entry in entries:
                if not self.admin.revokes(entry):
                    yield entry

    async def _some(self, listing: Listing) -> tuple[list[Entry], bool]:
        """Up to the limit, and whether there are more."""
        found: list[Entry] = []
        async with asyncio.timeout(STORE_SECONDS), aclosing(self._covered(listing.selector)) as entries:
            async for entry in entries:
                if len(found) == listing.limit:
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


def _reporting(call: Handler) -> Handler:
    """`call`, the store's failures told to the client, and its answer kept by nobody on the way."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            response = await call(request)
        except PortError as error:
            response = error_reply(400 if error.reason is Failure.INVALID else 503, _cause(error))
        except TimeoutError:
            response = error_reply(
                503, f"the store did not answer within {STORE_SECONDS:g} s; try again later"
            )
        if not response.prepared:
            response.headers["Cache-Control"] = "no-store"
        return response

    return answer


def _cause(error: PortError) -> str:
    return (
        f"the store refuses this ({error})"
        if error.reason is Failure.INVALID
        else f"the store failed: {error}"
    )


def _plain(request: web.Request) -> None:
    """RefusedError for a compressed body."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusedError(415, "send the body without a content-encoding")


async def _body(request: web.Request) -> bytes:
    """The body as a whole; its size is bounded by the server. Raises RefusedError."""
    _plain(request)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise RefusedError(408, f"the body did not come within {BODY_SECONDS:g} s") from None


def _named(selector: Selector) -> dict[str, str]:
    return {"kind": selector.kind, "value": selector.value}


def _tier(tally: Tally) -> dict[str, Any]:
    return {
        "backend": tally.backend,
        "entries": tally.entries,
        "bytes": tally.bytes,
        "capacity": tally.capacity,
        "is_up": tally.is_up,
    }


def _metadata(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "partition": entry.partition,
        "tenant": entry.tenant,
        "model": entry.model,
        "category": entry.category,
        "reasoning": entry.reasoning,
        "exact_only": entry.exact_only,
        "created_at": entry.created_at,
        "expires_at": entry.expires_at,
    }


def _listed(entry: Entry, *, text: bool) -> dict[str, Any]:
    shown = {"text": entry.text[:TEXT_SHOWN], "text_is_cut": len(entry.text) > TEXT_SHOWN} if text else {}
    return _metadata(entry) | shown


def _shown(entry: Entry) -> dict[str, Any]:
    answer, usage = entry.completion, entry.completion.usage
    return _metadata(entry) | {
        "text": entry.text,
        "answer": {
            "model": answer.model,
            "content": answer.content,
            "finish_reason": answer.finish_reason,
            "extras": dict(answer.extras),
            "usage": usage
            and {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens},
        },
    }
