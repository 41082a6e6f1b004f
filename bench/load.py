"""A load generator for loopback: keep-alive connections that each send one request at a time.

Plain asyncio, so that the generator's own cost per request is small and the same for every subject.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

DEADLINE = 30.0


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    head: bytes
    body: bytes


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection. Understands content-length and chunked bodies, which is what Envoy sends."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answer: asyncio.Future[Response] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        response = parse(self._received)
        if response is not None and self._answer is not None and not self._answer.done():
            self._received.clear()
            self._answer.set_result(response)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server closed the connection"))

    async def send(self, request: bytes) -> Response:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def parse(received: bytearray) -> Response | None:
    """The response in `received`, or None while it is incomplete."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end]).lower()
    status = int(head[9:12])
    rest = received[end + 4 :]
    if b"\r\ntransfer-encoding: chunked" in head:
        return Response(status, head, bytes(rest)) if rest.endswith(b"0\r\n\r\n") else None
    place = head.find(b"\r\ncontent-length: ")
    length = int(head[place + 18 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
    return Response(status, head, bytes(rest)) if len(rest) >= length else None


def post(body: bytes, token: str = "bench") -> bytes:
    """A chat completion as bytes on the wire."""
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {token}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def measure(
    port: int,
    requests: int,
    concurrency: int,
    next_request: Callable[[], bytes],
    check: Callable[[Response], bool],
) -> list[float]:
    """Seconds of each of `requests` exchanges, `concurrency` at a time. A wrong answer is a RuntimeError."""
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(Connection, "127.0.0.1", port))[1] for _ in range(concurrency)
    ]
    left = requests
    seconds: list[float] = []

    async def worker(connection: Connection) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            request = next_request()
            began = time.perf_counter()
            response = await connection.send(request)
            seconds.append(time.perf_counter() - began)
            if response.status != 200 or not check(response):
                raise RuntimeError(f"unexpected answer: {response.head[:300]!r}")

    try:
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
            for connection in connections:
                group.create_task(worker(connection))
    finally:
        for connection in connections:
            connection.close()
    return seconds
