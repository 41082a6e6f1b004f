"""A model server that answers at once, and badly when asked to: `python -m bench.soak_upstream PORT`.

The request header `x-soak` asks for a fault, so that a run's faults are its load's choice and can be counted.
"""

import asyncio
import json
import socket
import struct
import sys

from aiohttp import web

FAULT = "x-soak"
WORDS = (
    "The sun and the wind are the two that grow fastest, and water is still the largest of them . ".split()
)
STEP_SECONDS = 0.002
"""Between two chunks of a stream: long enough that a client can leave in the middle of it."""

STALL_SECONDS = 1.0


async def chat(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    match request.headers.get(FAULT):
        case "refused":
            return web.json_response({"error": {"message": "The queue is full.", "code": 503}}, status=503)
        case "html":
            return web.Response(text="<html><body>It works!</body></html>", content_type="text/html")
        case "garbage":
            return web.Response(body=b'{"choices":[{', content_type="application/json")
        case "stalled":
            await asyncio.sleep(STALL_SECONDS)
        case fault if body.get("stream"):
            return await _stream(request, fault)
    message = {"role": "assistant", "content": " ".join(WORDS * 4)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return web.json_response(_head("chat.completion") | {"choices": [choice]})


async def _stream(request: web.Request, fault: str | None) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    for place, word in enumerate(WORDS):
        await response.write(_chunk({"content": f"{word} "}))
        if place == len(WORDS) // 2 and fault in ("cut", "reset"):
            return _broken(request, response, fault)
        await asyncio.sleep(STEP_SECONDS)
    await response.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
    return response


def _broken(request: web.Request, response: web.StreamResponse, fault: str) -> web.StreamResponse:
    """The connection, closed in the middle of an answer."""
    transport = request.transport
    if transport is not None:
        if fault == "reset":
            # Closing with a linger of zero seconds sends RST (socket(7)).
            held = transport.get_extra_info("socket")
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return response


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: %b\n\n" % json.dumps(_head("chat.completion.chunk") | {"choices": [choice]}).encode()


def _head(kind: str) -> dict[str, object]:
    return {"id": "chatcmpl-soak", "object": kind, "created": 1, "model": "soak"}


async def health(request: web.Request) -> web.Response:
    return web.Response()


async def models(request: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": []})


def application() -> web.Application:
    made = web.Application(client_max_size=64 * 1024 * 1024)
    made.add_routes(
        [
            web.post("/v1/chat/completions", chat),
            web.get("/v1/models", models),
            web.get("/health", health),
        ]
    )
    return made


if __name__ == "__main__":
    web.run_app(application(), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
