"""One simulated vLLM server: HTTP, the clock and the queue. What it says is made elsewhere."""

import asyncio
import errno
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from aiohttp import web

from router_extproc.base.errors import PortTakenError
from router_extproc.simulator import rendering
from router_extproc.simulator.generation import Generation, generate
from router_extproc.simulator.metrics import ServerMetrics
from router_extproc.simulator.options import SimulatedModel
from router_extproc.simulator.pace import Pace
from router_extproc.simulator.rendering import Stamp
from router_extproc.simulator.requests import ChatRequest, InvalidRequestError, parse_request

MAX_BODY_BYTES = 256 * 1024 * 1024
"""The largest body that the router's own limit can be set to."""

SEND_SECONDS = 60.0
"""A client that reads nothing for this long is taken for gone."""

KEEP_ALIVE_SECONDS = 5.0
"""vLLM's default; proxies in front must close idle connections earlier."""

STOP_SECONDS = 1.0

EVENT_STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}


class SimulatedServer:
    """`async with SimulatedServer(options) as server: ... server.url ...`"""

    def __init__(self, options: SimulatedModel) -> None:
        self._options = options
        self._metrics = ServerMetrics(options.name)
        self._slots = asyncio.Semaphore(options.slots)
        self._waiting = 0
        self._started = 0
        self._runner: web.AppRunner | None = None
        self.port = options.port
        """The real port once started."""

    @property
    def url(self) -> str:
        host = f"[{self._options.host}]" if ":" in self._options.host else self._options.host
        return f"http://{host}:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listens when it returns. Raises PortTakenError."""
        # Cancelling the handler is how a client that leaves stops its generation.
        runner = web.AppRunner(
            self._application(),
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            shutdown_timeout=STOP_SECONDS,
        )
        await runner.setup()
        self._runner, self._started = runner, int(time.time())
        try:
            await web.TCPSite(runner, self._options.host, self._options.port).start()
        except OSError as error:
            await self.stop()
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortTakenError(self._port_taken()) from error
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Ends open answers within about a second. Does nothing the second time."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def _port_taken(self) -> str:
        at = f"{self._options.host}:{self._options.port}"
        return (
            f"{at} is in use by another process, so the simulated {self._options.name} cannot listen there: "
            "stop that process, or give the model's endpoint another port in vllm_endpoints"
        )

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.add_routes(
            [
                web.post("/v1/chat/completions", self._chat),
                web.get("/v1/models", self._models),
                web.get("/health", self._health),
                web.get("/metrics", self._render_metrics),
            ]
        )
        return application

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _render_metrics(self, request: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def _models(self, request: web.Request) -> web.Response:
        models = [
            {
                "id": name,
                "object": "model",
                "created": self._started,
                "owned_by": "vllm",
                "root": self._options.name,
                "parent": None,
                "max_model_len": self._options.context_tokens,
            }
            for name in self._options.names
        ]
        return web.json_response({"object": "list", "data": models})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        arrival = asyncio.get_running_loop().time()
        try:
            chat = parse_request(await request.read())
        except InvalidRequestError as error:
            return _refusal(400, "BadRequestError", str(error))
        model = chat.model or self._options.name
        if model not in self._options.names:
            return _refusal(404, "NotFoundError", f"The model `{model}` does not exist.", "model")
        generation = generate(chat, self._options.name)
        if generation.prompt_tokens > self._options.context_tokens:
            return _refusal(400, "BadRequestError", self._too_long(generation), "messages")
        if self._waiting >= self._options.queue:
            return _refusal(503, "ServiceUnavailableError", "The server's queue is full.")
        stamp = Stamp(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), model)
        async with self._slot():
            return await self._answer(request, chat, generation, stamp, arrival)

    def _too_long(self, generation: Generation) -> str:
        return (
            f"This model's maximum context length is {self._options.context_tokens} tokens. However, your "
            f"messages have {generation.prompt_tokens} tokens."
        )

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        # No deadline: the queue is bounded, each generation before this one ends, and a client's patience
        # ends the wait by cancelling it.
        self._waiting += 1
        self._metrics.waiting.set(self._waiting)
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
            self._metrics.waiting.set(self._waiting)
        self._metrics.running.inc()
        try:
            yield
        finally:
            self._metrics.running.dec()
            self._slots.release()

    async def _answer(
        self, request: web.Request, chat: ChatRequest, generation: Generation, stamp: Stamp, arrival: float
    ) -> web.StreamResponse:
        try:
            if not chat.stream:
                await self._run(generation, stamp, arrival, None)
                body = rendering.completion(stamp, generation)
                return web.Response(body=body, content_type="application/json")
            response = web.StreamResponse(headers=EVENT_STREAM)
            response.enable_chunked_encoding()
            await response.prepare(request)
            await self._run(generation, stamp, arrival, response)
            await _send(response, rendering.closing(stamp, generation, chat.include_usage))
            return response
        except (asyncio.CancelledError, ConnectionError, TimeoutError):
            self._metrics.finished("abort")
            raise

    async def _run(
        self, generation: Generation, stamp: Stamp, arrival: float, response: web.StreamResponse | None
    ) -> None:
        """Generates at the model's pace; sends each step when there is a stream to send it to."""
        now = asyncio.get_running_loop().time
        pace = Pace(now(), self._options.time_to_first_token, self._options.tokens_per_second)
        await _sleep_until(pace.due(0))
        first = now() - arrival
        self._metrics.first_token(first, generation.prompt_tokens)
        if response is not None:
            await _send(response, rendering.opening(stamp, generation))
        for index in range(generation.steps):
            await _sleep_until(pace.due(index))
            self._metrics.token_step(sum(1 for _ in generation.step(index)))
            if response is not None:
                await _send(response, rendering.step(stamp, generation, index))
        self._metrics.completed(generation, first, now() - arrival)


async def _sleep_until(due: float) -> None:
    await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))


async def _send(response: web.StreamResponse, events: Iterable[bytes]) -> None:
    """Each event in a write of its own. Raises TimeoutError when the client takes none for a minute."""
    for event in events:
        async with asyncio.timeout(SEND_SECONDS):
            await response.write(event)


def _refusal(status: int, kind: str, message: str, param: str | None = None) -> web.Response:
    body = rendering.error(status, kind, message, param)
    return web.Response(status=status, body=body, content_type="application/json")
