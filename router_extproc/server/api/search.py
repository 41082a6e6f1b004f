"""`POST /api/v1/response-cache/search`: the entries whose questions are nearest to a text in meaning, whoever
asked them. For operators: it goes by the cosine alone, so it also shows what guard and verifier hold back.
"""

import asyncio
import heapq
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from router_extproc.caching.entry import Entry
from router_extproc.caching.marks import Kind, Selector
from router_extproc.server.api.cache import PREFIX, TAG, CacheAdmin, told
from router_extproc.server.api.cache_shapes import Count, ListedEntry, listed
from router_extproc.server.api.reading import READING_CODES, Reader
from router_extproc.server.api.route import Access, Route, Shape
from router_extproc.server.api.vectors import ONLY_VECTOR, cosine
from router_extproc.server.replies import Code, RefusedError
from router_extproc.server.transfer import STORE_SECONDS, paged

MOST_COMPARED: Final = 10_000
"""Entries that one search looks at."""

PAUSE_AFTER: Final = 200
"""Entries, then requests come in between."""


class SearchRequest(Shape, frozen=True):
    """`limit`: how many are wanted."""

    text: Annotated[str, Meta(min_length=1, max_length=16_384)]
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class FoundEntry(Shape, frozen=True):
    """`similarity` is the cosine."""

    similarity: Annotated[float, Meta(ge=-1, le=1)]
    entry: ListedEntry


class SearchReply(Shape, frozen=True):
    """The most similar first, with their questions. `more`: the cache has more than were `compared`."""

    matches: list[FoundEntry]
    compared: Count
    more: bool


def search_routes(
    admin: CacheAdmin | None, reader: Reader, most_compared: int = MOST_COMPARED
) -> tuple[Route]:
    calls = _Calls(admin, reader, most_compared)
    codes = (*READING_CODES, Code.CACHE_DISABLED, Code.STORE_UNAVAILABLE)
    return (
        Route(
            "POST", PREFIX + "/search", TAG, "Entries whose questions mean nearly the same as a text",
            {200: SearchReply}, told(calls.search), takes=SearchRequest, access=Access.TOKEN, codes=codes,
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Calls:
    given: CacheAdmin | None
    reader: Reader
    most_compared: int

    async def search(self, asked: SearchRequest) -> SearchReply:
        admin = self.given
        if admin is None:
            raise RefusedError(Code.CACHE_DISABLED, "the semantic cache is off; nothing is in it")
        async with self.reader.turn():
            vector = (await self.reader.read(asked.text, ONLY_VECTOR)).vector
        best: list[tuple[float, int, Entry]] = []
        compared, more = 0, False
        source = admin.catalogue.entries(Selector(Kind.ALL), admin.clock.now())
        async with asyncio.timeout(STORE_SECONDS), aclosing(paged(source)) as entries:
            async for entry in entries:
                if compared == self.most_compared:
                    more = True
                    break
                if not admin.revokes(entry):
                    compared += 1
                    # The number decides between equals: entries have no order.
                    found = (cosine(vector, entry.vector), -compared, entry)
                    (heapq.heappush if len(best) < asked.limit else heapq.heappushpop)(best, found)
                if compared % PAUSE_AFTER == 0:
                    await asyncio.sleep(0)
        matches = [
            FoundEntry(similarity=similarity, entry=listed(entry, text=True))
            for similarity, _, entry in sorted(best, reverse=True)
        ]
        return SearchReply(matches=matches, compared=compared, more=more)
