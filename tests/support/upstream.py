"""A scripted model server: answers what a test says, byte by byte, and records what it receives.

Speaks HTTP/1.1 on a plain socket, so that a script may do what libraries avoid: trailers, a body cut
off in the middle, a length that lies. Owns its socket; knows nothing of the router.
"""

import asyncio
import contextlib
import gzip
import json
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self

from tests.support.processes import wait_until

DEADLINE = 10.0
MAX_HEAD_BYTES = 1024 * 1024


class Abort(Enum):
    """A step that ends the connection at once; all bytes of earlier steps have left."""

    NOW = auto()


Step = bytes | asyncio.Event | Abort
"""What an answer does next: send these bytes of the body, wait for a gate, or break off."""

Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """One scripted response.

    Without a content-length among `headers` the body is chunked, one chunk for each bytes step.
    `trailers` need a chunked body. `upgraded` takes over the connection after the head. Status 0 sends
    nothing and closes the connection.
    """

    status: int = 200
    headers: Fields = ()
    steps: Sequence[Step] = ()
    trailers: Fields = ()
    upgraded: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None

    @property
    def has_length(self) -> bool:
        return any(name.lower() == "content-length" for name, _ in self.headers)


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived: fields in order, names as sent; `body` with its framing removed."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    peer_closed: asyncio.Event = field(compare=False, repr=False)
    """Set when the peer closes before the answer is complete."""

    def all(self, name: str) -> list[str]:
        """Every value of a field, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The only value of a field, or None. Raises AssertionError when there are several."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def json(self) -> Any:
        return json.loads(self.body)


def json_answer(content: object, status: int = 200, headers: Fields = ()) -> Answer:
    """A body of known length."""
    return bytes_answer(
        json.dumps(content).encode(), status, [("content-type", "application/json"), *headers]
    )


def gzip_answer(content: object, headers: Fields = ()) -> Answer:
    body = gzip.compress(json.dumps(content).encode(), mtime=0)
    fields = [("content-type", "application/json"), ("content-encoding", "gzip"), *headers]
    return bytes_answer(body, 200, fields)


def bytes_answer(body: bytes, status: int = 200, headers: Fields = ()) -> Answer:
    return Answer(status, [*headers, ("content-length", str(len(body)))], [body] if body else [])


HANG_UP = Answer(status=0)
"""The connection ends instead of an answer."""


def sse_answer(*steps: Step, headers: Fields = (), trailers: Fields = ()) -> Answer:
    """A chunked event stream; the bytes are sent exactly as given."""
    return Answer(200, [("content-type", "text/event-stream"), *headers], steps, trailers)


class ScriptedUpstream:
    """`async with ScriptedUpstream(answer, ...) as upstream: ... upstream.port ...`

    With `tls` it speaks HTTPS. Answers are given in order of arrival. A request for which nothing is
    scripted gets `otherwise`'s answer; without that it gets a 500, and leaving the context raises
    AssertionError.
    """

    def __init__(
        self,
        *answers: Answer,
        otherwise: Callable[[Received], Answer] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[Received] = []
        self.port = 0
        self._answers = deque(answers)
        self._otherwise = otherwise
        self._tls = tls
        self._unexpected: list[str] = []
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def script(self, *answers: Answer) -> None:
        """Adds answers after those not yet given."""
        self._answers.extend(answers)

    def discard(self) -> None:
        """Forgets the answers not yet given."""
        self._answers.clear()

    async def received(self, count: int = 1) -> list[Received]:
        """The requests so far, as soon as there are at least `count`."""
        await wait_until(lambda: len(self.requests) >= count, f"{count} requests upstream", DEADLINE)
        return self.requests

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._on_connection, "127.0.0.1", 0, limit=MAX_HEAD_BYTES, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        results = await asyncio.gather(*self._connections, return_exceptions=True)
        if error is None:
            failed = [each for each in results if isinstance(each, Exception)]
            assert not failed, failed
            assert not self._unexpected, f"no answer was scripted for {self._unexpected}"

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        if self._tls is None:  # asyncio's TLS transport would never call its buffer empty then
            writer.transport.set_write_buffer_limits(0)  # drain() returns when the kernel has every byte
        try:
            while (request := await read_request(reader)) is not None:
                self.requests.append(request)
                if not await _send(self._next(request), request, reader, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the peer broke off in the middle of its request
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    def _next(self, request: Received) -> Answer:
        if self._answers:
            return self._answers.popleft()
        if self._otherwise is not None:
            return self._otherwise(request)
        self._unexpected.append(f"{request.method} {request.target}")
        return json_answer({"error": "nothing scripted"}, status=500)


async def read_request(reader: asyncio.StreamReader) -> Received | None:
    """The next request, or None at the end of the connection. Raises IncompleteReadError in the middle."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    start, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _version = start.split(" ")
    pairs = [line.partition(":") for line in lines]
    headers = tuple((name, value.strip()) for name, _, value in pairs)
    lower = {name.lower(): value for name, value in headers}
    if lower.get("transfer-encoding") == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(lower.get("content-length", "0")))
    return Received(method, target, headers, body, asyncio.Event())


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        continue  # trailers
    return b"".join(pieces)


async def _send(
    answer: Answer, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Plays `answer`; whether the connection can be used again."""
    if answer.status == 0:
        return False
    writer.write(response_head(answer))
    await writer.drain()
    if answer.upgraded is not None:
        await answer.upgraded(reader, writer)
        return False
    playing = asyncio.ensure_future(_play(answer, writer))
    # A client sends nothing while it waits for an answer: whatever can be read is the end of the connection.
    leaving = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({playing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            return playing.result()
        request.peer_closed.set()
        return False
    finally:
        for task in (playing, leaving):
            task.cancel()
            with contextlib.suppress(
                asyncio.CancelledError, ConnectionError
            ):  # cancelled above, or peer gone
                await task


async def _play(answer: Answer, writer: asyncio.StreamWriter) -> bool:
    chunked = not answer.has_length
    for step in answer.steps:
        match step:
            case Abort():
                return False
            case asyncio.Event():
                await step.wait()
            case bytes():
                writer.write(b"%x\r\n%s\r\n" % (len(step), step) if chunked else step)
                await writer.drain()
    if chunked:
        writer.write(b"0\r\n" + _lines(answer.trailers) + b"\r\n")
        await writer.drain()
    return True


def response_head(answer: Answer) -> bytes:
    """Everything before the body."""
    framing: Fields = [] if answer.has_length or answer.upgraded else [("transfer-encoding", "chunked")]
    return b"HTTP/1.1 %d Scripted\r\n%s\r\n" % (answer.status, _lines([*answer.headers, *framing]))


def _lines(fields: Fields) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1")
