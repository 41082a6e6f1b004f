"""A simulated model that a test kills, slows down, lets fail or lets hang. It knows nothing of the router."""

import asyncio
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from aiohttp import web

from router_extproc.simulator import rendering
from router_extproc.simulator.generation import generate
from router_extproc.simulator.rendering import Stamp
from router_extproc.simulator.requests import parse_request


class TunedModel:
    """A simulated model whose pace and failures a test sets while it serves, and that dies and comes back.

    `seconds` per answer. Of each ten requests, the first `failing` get a 500. A stream stops after its first
    token until `flowing` is set, and is broken off there if `breaks` is "reset" (the connection breaks) or
    "cut" (the body ends). A request for another model gets a 404.
    """

    def __init__(self, name: str, seconds: float = 0.02) -> None:
        self.name, self.seconds, self.failing, self.port = name, seconds, 0, 0
        self.requests = 0
        self.breaks = ""
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._answering = asyncio.Event()
        self._answering.set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    async def start(self) -> None:
        """Where it was before, if it was."""
        application = web.Application()
        application.add_routes([web.post("/v1/chat/completions", self._chat), web.get("/health", _healthy)])
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def kill(self) -> None:
        """As when its process is killed: connections break, whatever was under way, and no new ones come
        about."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for site in tuple(runner.sites):
            await site.stop()
        for connection in () if runner.server is None else runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()

    def hang(self) -> None:
        """Say nothing from now on, though connections succeed."""
        self._answering.clear()

    def resume(self) -> None:
        """Answer those who wait, and others."""
        self._answering.set()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        chat = parse_request(await request.read())
        if chat.model != self.name:
            return web.json_response({"error": {"message": f"no {chat.model}"}}, status=404)
        place, self.requests = self.requests % 10, self.requests + 1
        await self._answering.wait()
        if place < self.failing:
            return web.json_response({"error": {"message": "failing", "type": "x"}}, status=500)
        generation = generate(chat, self.name)
        stamp = Stamp(f"chatcmpl-{self.requests}", int(time.time()), self.name)
        await asyncio.sleep(self.seconds)
        if not chat.stream:
            body = rendering.completion(stamp, generation)
            return web.Response(body=body, content_type="application/json")
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await _write(response, rendering.opening(stamp, generation))
        await self.flowing.wait()
        if self.breaks:
            if self.breaks == "reset" and request.transport is not None:
                request.transport.abort()
            return response
        for index in range(generation.steps):
            await _write(response, rendering.step(stamp, generation, index))
        await _write(response, rendering.closing(stamp, generation, chat.include_usage))
        return response


async def _write(response: web.StreamResponse, events: Iterable[bytes]) -> None:
    for event in events:
        await response.write(event)


async def _healthy(_: web.Request) -> web.Response:
    return web.Response()
