"""The HTTP API of the running router, real encoder and all, without an Envoy before it; and the whole table
with nothing behind it, for what only describes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from router_extproc.app.configuration import Configuration
from router_extproc.app.mind import Mind
from router_extproc.app.router import running
from router_extproc.encoder.loading import Heads
from router_extproc.server.api.cache import cache_routes
from router_extproc.server.api.classify import classify_routes
from router_extproc.server.api.config import ConfigState, ConfigVerdict, config_routes
from router_extproc.server.api.decisions import decision_routes
from router_extproc.server.api.info import info_routes
from router_extproc.server.api.overview import Served, overview_routes
from router_extproc.server.api.reading import Reader
from router_extproc.server.api.recent import recent_routes
from router_extproc.server.api.route import Route
from router_extproc.server.api.search import search_routes
from router_extproc.server.api.status import status_routes
from router_extproc.server.api.table import complete
from router_extproc.server.api.vectors import vector_routes
from router_extproc.server.pool import Pool
from router_extproc.telemetry.metrics import Metrics
from router_extproc.telemetry.recent import Recent
from router_extproc.telemetry.window import Window
from tests.support.encoder import real_bundle, real_encoder, real_screener
from tests.support.play import PLAN
from tests.support.ports import FakeAnalyst, FakeClock
from tests.support.routing import prepare

DIMENSION = 384


class NoFile:
    """A configuration that nobody reads or writes."""

    async def state(self) -> ConfigState:
        return ConfigState(generation=1, policy="p", problem=None, hash="h", configuration={})

    async def check(self, content: str) -> ConfigVerdict:
        return ConfigVerdict(valid=True, problems=[], warnings=[], restart=None)

    async def replace(self, content: str, expected: str | None) -> ConfigState:
        return await self.state()


def whole_table() -> tuple[Route, ...]:
    """Every route of the router. Needs a running event loop for nothing but calls."""
    pool, clock = Pool(), FakeClock()
    reader = Reader(FakeAnalyst(), lambda: PLAN, pool, clock)
    return complete(
        (
            *status_routes({}),
            *overview_routes(Window(clock.now()), pool, lambda: Served(1, "p", None, {}), clock),
            *classify_routes(reader, Metrics()),
            *vector_routes(reader, DIMENSION),
            *decision_routes(reader, pool, clock),
            *recent_routes(Recent(0)),
            *info_routes(reader, clock),
            *config_routes(NoFile()),
            *cache_routes(None),
            *search_routes(None, reader),
        )
    )


@dataclass(frozen=True, slots=True)
class RunningApi:
    """`token` is the one that the router wrote when it started, "" where it has none."""

    url: str
    token: str
    session: aiohttp.ClientSession
    configuration: Configuration

    async def call(
        self, method: str, path: str, document: object = None, *, token: str | None = None
    ) -> tuple[int, Any]:
        """Status and JSON body. Without `token`, with none."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        async with self.session.request(method, self.url + path, json=document, headers=headers) as reply:
            return reply.status, await reply.json()

    async def post(self, path: str, document: object) -> dict[str, Any]:
        """The body of an answer that is a 200."""
        status, said = await self.call("POST", path, document)
        assert status == 200, said
        found: dict[str, Any] = said
        return found


@asynccontextmanager
async def running_api(folder: Path, **changes: Any) -> AsyncIterator[RunningApi]:
    """The router on the shipped configuration with `changes`. The encoder has as long as Envoy would wait,
    and little of a long text is read: these tests may have half a processor."""
    given: dict[str, Any] = {
        "encoder": {"timeout_ms": 1800},
        "screening": {"max_tokens": 256},
        "semantic_cache": {"coalesce_timeout_ms": 100, "verifier": {"enabled": False}},
    }
    configuration = prepare(folder, given | changes)
    mind = Mind(real_bundle().base_revision, real_encoder(), None, Heads({}, {}), real_screener())
    async with (
        running(configuration, mind.prepared(configuration)),
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
    ):
        token_file = folder / "admin-token"
        token = token_file.read_text().strip() if token_file.exists() else ""
        url = f"http://127.0.0.1:{configuration.settings.listeners.api.port}"
        yield RunningApi(url, token, session, configuration)
