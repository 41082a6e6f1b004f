"""One HTTP API for several workers, each of which serves the whole API on a Unix socket of its own.

Passes calls on: to one worker where any can answer, to all where something changes that each of them keeps,
and to all with their answers put together where each knows a part. Tokens are the workers' to check. Knows
nothing of how workers are started.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from router_extproc.server import selection
from router_extproc.server.api import merging
from router_extproc.server.api.cache import PREFIX
from router_extproc.server.api.recent import DEFAULT_LIMIT, MAX_LIMIT
from router_extproc.server.api.status import Health, Readiness
from router_extproc.server.forward import NOT_PASSED_BACK
from router_extproc.server.replies import Code, error_reply, json_reply

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 70.0
"""Until a worker begins to answer, and between two pieces: its own deadlines are shorter."""

LOOK_SECONDS: Final = 5.0
"""For what the parent itself asks."""

NOT_PASSED_ON: Final = frozenset({"connection", "host", "keep-alive", "te", "transfer-encoding", "upgrade"})

EVERYWHERE: Final = frozenset({PREFIX + "/invalidate", PREFIX + "/flush", PREFIX + "/feedback"})
"""What is taken back has to be taken back from every worker's memory, at once."""


@dataclass(frozen=True, slots=True)
class Said:
    """A worker's whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Gathered:
    """The API of the workers on `sockets`, by number. `taking` are those that take streams now; `checks` are
    conditions of readiness by name, beside what the workers say. Made inside the event loop that uses it."""

    def __init__(
        self,
        sockets: Sequence[Path],
        taking: Callable[[], Sequence[int]],
        checks: Callable[[], Mapping[str, bool]],
    ) -> None:
        self._taking = taking
        self._checks = checks
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=ANSWER_SECONDS)
        self._sessions = [
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(each)),
                timeout=timeout,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            for each in sockets
        ]

    async def close(self) -> None:
        await asyncio.gather(*(each.close() for each in self._sessions))

    @property
    def routes(self) -> Sequence[web.RouteDef]:
        """The last of them takes every path that nobody else has."""
        return (
            web.get("/health", self._health),
            web.get("/ready", self._readiness),
            web.get("/api/v1/overview", self._merged(lambda said, _: merging.overview(said))),
            web.get("/api/v1/pool", self._merged(lambda said, _: merging.pool(said))),
            web.get("/api/v1/decisions", self._merged(_decisions)),
            web.get(PREFIX + "/stats", self._merged(lambda said, _: merging.stats(said))),
            web.get(PREFIX + "/entries", self._merged(_entries)),
            web.get(PREFIX + "/entries/{id}", self._first_known),
            *(web.post(path, self._everywhere) for path in sorted(EVERYWHERE)),
        )

    @property
    def rest(self) -> web.RouteDef:
        return web.route("*", "/{rest:.*}", self._one)

    async def expositions(self) -> dict[int, bytes]:
        """The metrics of every worker that gives them."""
        said = await self._ask_all("GET", "/metrics", seconds=LOOK_SECONDS)
        return {number: each.body for number, each in said.items() if each.status == 200}

    async def readiness(self, worker: int) -> dict[str, Any] | None:
        """What the worker says of itself at `/ready`, ready or not; None where it says nothing."""
        said = await self._ask(worker, "GET", "/ready", seconds=LOOK_SECONDS)
        if said is None or said.status not in (200, 503):
            return None
        document: dict[str, Any] = json.loads(said.body)
        return document

    async def _health(self, _: web.Request) -> web.StreamResponse:
        return json_reply(Health(status="healthy", service="router-extproc"))

    async def _readiness(self, _: web.Request) -> web.StreamResponse:
        said = await asyncio.gather(*(self.readiness(number) for number in self._taking()))
        known = [each for each in said if each is not None]
        checks = {"envoy": any(each["checks"]["envoy"] for each in known)}
        for name, holds in self._checks().items():
            checks[name] = holds and checks.get(name, True)
        ready = all(checks.values())
        configuration = known[0]["configuration"] if known else {}
        body = Readiness(status="ready" if ready else "not ready", checks=checks, configuration=configuration)
        return json_reply(body, 200 if ready else 503)

    def _merged(self, merge: Callable[[list[Any], web.Request], dict[str, Any]]) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            said = await self._ask_all("GET", _wide(request), _passed_on(request))
            good = [each for each in said.values() if each.status == 200]
            refused = [each for each in said.values() if 400 <= each.status < 500]
            if refused or not good:
                return _passed_back(max(said.values(), key=_status)) if said else _nobody()
            merged = merge([json.loads(each.body) for each in good], request)
            response = web.json_response(merged)
            response.headers["Cache-Control"] = "no-store"
            return response

        return handle

    async def _first_known(self, request: web.Request) -> web.StreamResponse:
        said = await self._ask_all("GET", request.raw_path, _passed_on(request))
        if not said:
            return _nobody()
        return _passed_back(min(said.values(), key=_status))

    async def _everywhere(self, request: web.Request) -> web.StreamResponse:
        """The answer of the first; of a failure, that. A worker that is away has nothing of its own to take
        back: it begins with an empty memory, and with the marks of the store."""
        body = await request.read()
        said = await self._ask_all("POST", request.raw_path, _passed_on(request), body)
        if not said:
            return _nobody()
        return _passed_back(max(said.values(), key=_status))

    async def _one(self, request: web.Request) -> web.StreamResponse:
        for number in self._taking() or range(len(self._sessions)):
            try:
                async with self._sessions[number].request(
                    request.method,
                    f"http://worker{request.raw_path}",
                    headers=_passed_on(request),
                    data=request.content if request.can_read_body else None,
                    allow_redirects=False,
                ) as answer:
                    return await _copied(answer, request)
            except aiohttp.ClientConnectorError:
                continue  # nothing of the body was read
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.warning("worker %s broke off an answer: %s", number, type(error).__name__)
                break
        return _nobody()

    async def _ask_all(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> dict[int, Said]:
        """Of those that answer."""
        numbers = range(len(self._sessions))
        said = await asyncio.gather(
            *(self._ask(each, method, path, headers, body, seconds) for each in numbers)
        )
        return {number: each for number, each in zip(numbers, said, strict=True) if each is not None}

    async def _ask(
        self,
        worker: int,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> Said | None:
        try:
            async with (
                asyncio.timeout(seconds),
                self._sessions[worker].request(
                    method, f"http://worker{path}", headers=headers, data=body, allow_redirects=False
                ) as answer,
            ):
                return Said(answer.status, dict(answer.headers), await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.debug("worker %s does not answer: %s", worker, type(error).__name__)
            return None


def _status(said: Said) -> int:
    return said.status


def _nobody() -> web.Response:
    return error_reply(Code.OVERLOADED, "no worker answers; one that ended is being started again")


def _wide(request: web.Request) -> str:
    """The same question, so that nothing is missing when the answers are put together: a worker that does not
    know the request `after` would leave out what it has."""
    if request.path == "/api/v1/decisions" and "after" in request.query:
        return f"{request.path}?limit={MAX_LIMIT}"
    return request.raw_path


def _decisions(said: list[Any], request: web.Request) -> dict[str, Any]:
    return merging.decisions(said, _limit(request, DEFAULT_LIMIT), request.query.get("after"))


def _entries(said: list[Any], request: web.Request) -> dict[str, Any]:
    return merging.entries(said, _limit(request, selection.DEFAULT_LIMIT))


def _limit(request: web.Request, default: int) -> int:
    given = request.query.get("limit", "")
    return int(given) if given.isdecimal() else default


def _passed_on(request: web.Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name.lower() not in NOT_PASSED_ON}


def _passed_back(said: Said) -> web.Response:
    headers = {name: value for name, value in said.headers.items() if name.lower() not in NOT_PASSED_BACK}
    return web.Response(status=said.status, headers=headers, body=said.body)


async def _copied(answer: aiohttp.ClientResponse, request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status)
    response.headers.update(
        {name: value for name, value in answer.headers.items() if name.lower() not in NOT_PASSED_BACK}
    )
    await response.prepare(request)
    async for piece in answer.content.iter_any():
        await response.write(piece)
    await response.write_eof()
    return response
