"""The cache's HTTP API on a real server, over a real store in memory with real marks and the test's clock."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from router_extproc.base.refusals import Failure
from router_extproc.caching.entry import Entry
from router_extproc.caching.marks import Selector
from router_extproc.ports import PortError, Tally
from router_extproc.server.api.cache import PREFIX, CacheAdmin, Facts, cache_routes
from router_extproc.server.api.dispatch import served
from router_extproc.server.http import Site, serve_api
from router_extproc.server.replies import STATUS, Code
from router_extproc.stores.marks import MarkBook
from router_extproc.stores.memory import MemoryStore
from tests.support.backends import new_front
from tests.support.entries import DIMENSION, NOW
from tests.support.ports import FakeClock
from tests.support.processes import free_port

TOKEN = "a-token-for-tests"
BEARER = {"authorization": f"Bearer {TOKEN}"}
ENCODER = "encoder-of-tests"
LIFE = 86_400.0


@dataclass(slots=True)
class Cache:
    """A store, what was taken back of it, and how it fails: every call of the store raises `trouble`."""

    store: MemoryStore = field(default_factory=new_front)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW + 1.0))
    trouble: PortError | None = None
    breaks_after: int | None = None
    """Listings raise after this many entries."""
    shared: bool = True
    marks: MarkBook = field(init=False)
    marked: list[Selector] = field(default_factory=list)
    """What was marked, in order."""

    def __post_init__(self) -> None:
        self.marks = MarkBook(self.store, None)

    @property
    def admin(self) -> CacheAdmin:
        facts = Facts("memory", "credential", 0.85, "generation-1", ENCODER, DIMENSION, LIFE)
        return CacheAdmin(
            catalogue=self,
            marker=self,
            store=self,
            clock=self.clock,
            facts=facts,
            counters=lambda: {"hits": 3, "misses": 4},
            revokes=lambda entry: self.marks.current.revokes(entry),
        )

    async def add(self, selector: Selector, at: float) -> bool:
        self._suffer()
        self.marked.append(selector)
        await self.marks.add(selector, at, LIFE)
        return self.shared

    async def put(self, entry: Entry) -> None:
        self._suffer()
        await self.store.put(entry)

    async def find(self, entry_id: str, at: float) -> Entry | None:
        self._suffer()
        return await self.store.find(entry_id, at)

    async def entries(self, selector: Selector, at: float) -> AsyncIterator[Entry]:
        self._suffer()
        count = 0
        async for entry in self.store.entries(selector, at):
            if count == self.breaks_after:
                raise PortError(Failure.UNAVAILABLE, "the store went away")
            count += 1
            yield entry

    async def remove(self, selector: Selector, until: float) -> int:
        self._suffer()
        return await self.store.remove(selector, until)

    async def tallies(self) -> Sequence[Tally]:
        self._suffer()
        return await self.store.tallies()

    def _suffer(self) -> None:
        if self.trouble is not None:
            raise self.trouble


@asynccontextmanager
async def serving(cache: Cache, port: int | None = None) -> AsyncIterator[str]:
    """The address of an API over `cache`, for bearers of TOKEN."""
    port = free_port() if port is None else port
    site = Site("127.0.0.1", port, "listeners.api")
    server = await serve_api(site, served(cache_routes(cache.admin), TOKEN))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.stop()


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message of an error."""
        error = self.json()["error"]
        assert error.keys() == {"code", "message", "timestamp"}
        assert STATUS[Code(error["code"])] == self.status
        return str(error["message"])


@dataclass(frozen=True, slots=True)
class Client:
    cache: Cache
    url: str
    session: aiohttp.ClientSession

    async def call(self, method: str, path: str, *, headers: Any = BEARER, **more: Any) -> Reply:
        """A body without a type gets the one that the call takes."""
        if "data" in more and isinstance(headers, dict):
            kind = "application/x-ndjson" if path == "/import" else "application/json"
            headers = {"content-type": kind, **headers}
        async with self.session.request(method, self.url + PREFIX + path, headers=headers, **more) as reply:
            return Reply(reply.status, reply.headers, await reply.read())

    async def get(self, path: str, **query: str) -> Reply:
        return await self.call("GET", path, params=query)

    async def post(self, path: str, document: object = None) -> Reply:
        return await self.call("POST", path, data=b"" if document is None else json.dumps(document).encode())

    async def ids(self, **query: str) -> set[str]:
        return {entry["id"] for entry in (await self.get("/entries", **query)).json()["entries"]}


@asynccontextmanager
async def opened(cache: Cache) -> AsyncIterator[Client]:
    limits = aiohttp.ClientTimeout(total=10)
    async with serving(cache) as url, aiohttp.ClientSession(timeout=limits) as session:
        yield Client(cache, url, session)
