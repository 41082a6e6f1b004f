"""Answers that no model server gives by accident, through a real Envoy past a router of its own process: the
client gets each byte, nothing of it is kept, and the router holds no more of it than its bounds."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from router_extproc.base.completion import Completion
from router_extproc.llm.render import render_json, render_sse
from tests.support.processes import wait_until
from tests.support.served import Served, served
from tests.support.upstream import Answer, Step, bytes_answer, sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1 << 20
SECRET = {"content-type": "application/json", "authorization": "Bearer k"}
_COMPLETION = Completion("m", "Four.", "stop")
SSE = render_sse(_COMPLETION, "chatcmpl-1", 1, include_usage=False)
JSON = render_json(_COMPLETION, "chatcmpl-1", 1)
DEEP = b"[" * 100_000 + b"]" * 100_000
CHUNK = b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'


def request(text: str) -> bytes:
    said = {"model": "auto", "messages": [{"role": "user", "content": text}]}
    return json.dumps(said).encode()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def router(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """It has passed one long answer before, for which gRPC takes what memory it then keeps."""
    async with served(tmp_path_factory.mktemp("answers"), {}) as opened:
        opened.upstream.script(stream(*LONG))
        assert (await opened.send(request("Begin."), SECRET)).status == 200
        yield opened
        samples = await opened.metrics()
        assert not [name for name in samples if name.startswith("router_protocol_violations_total")]
        assert opened.bugs() == []


def stream(*pieces: Step) -> Answer:
    return sse_answer(*pieces)


def json_of(body: bytes, *fields: tuple[str, str]) -> Answer:
    return bytes_answer(body, 200, [("content-type", "application/json"), *fields])


LONG = [b"x" * MIB] * 64
ANSWERS: dict[str, Answer] = {
    "64 MiB without an end of a line": stream(b"data: ", *LONG, b"\n\n", SSE),
    "a chunk nested 100,000 deep": stream(b"data: " + DEEP + b"\n\n", SSE),
    "a chunk with a field nested 100,000 deep": stream(b'data: {"choices":[],"x":' + DEEP + b"}\n\n", SSE),
    "nul bytes as data": stream(b"data: \0\n\n", SSE),
    "bytes that are no text": stream(b"data: \xff\xfe\xed\xa0\x80\n\n", SSE),
    "after its end goes on": stream(SSE, CHUNK * 100),
    "no end": stream(CHUNK * 1_000),
    "another model half way": stream(CHUNK, CHUNK.replace(b'"m"', b'"n"'), SSE),
    "an error in a chunk": stream(CHUNK, b'data: {"error":{"message":"no"},"choices":[]}\n\n', SSE),
    "a stream that says it is JSON": json_of(SSE),
    "JSON nested 100,000 deep": json_of(DEEP),
    "JSON with a number beyond any double": json_of(
        JSON.replace(b'"created":1', b'"created":1e999,"usage":{"a":1e999}')
    ),
    "JSON with names twice": json_of(JSON.replace(b'"choices"', b'"error":{"message":"no"},"choices"', 1)),
    "64 MiB of JSON": json_of(b'{"choices":[' + b"1," * (32 * MIB) + b"1]}"),
    "gzip that nobody asked for": json_of(gzip.compress(JSON, mtime=0), ("content-encoding", "gzip")),
    "gzip that does not say so": json_of(gzip.compress(JSON, mtime=0)),
    "plain text that says it is gzip": json_of(JSON, ("content-encoding", "gzip")),
    "200 with a page": json_of(b"<html><body>busy</body></html>"),
    "200 with nothing": json_of(b""),
}


def whole(steps: Sequence[object]) -> bytes:
    return b"".join(step for step in steps if isinstance(step, bytes))


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_hostile_answer_passes_byte_for_byte_and_is_not_kept(router: Served, name: str) -> None:
    answer, asked = ANSWERS[name], request(f"What is {name}?")
    fresh = router.resident()
    router.forget_peak()
    router.upstream.discard()
    for _ in range(2):
        router.upstream.script(answer)
        got = await router.send(asked, SECRET)
        assert got.status == 200
        assert got.body == whole(answer.steps)
        assert "x-vsr-cache-hit" not in got.headers
    assert router.peak() - fresh < 64 * MIB


ODD: dict[str, bytes] = {
    "lines that end with CR": SSE.replace(b"\n", b"\r"),
    "lines that end with CR and LF": SSE.replace(b"\n", b"\r\n"),
    "nul bytes before it": b"\0" * 4_096 + b"\n\n" + SSE,
    "a hundred thousand empty lines": b"\n" * 50_000 + b"\r\n" * 50_000 + SSE,
    "fields and comments of no meaning": b"\xef\xbb\xbf: hi\nid: 7\nretry: 0\nevent\ndat\n\n" + SSE,
}


@pytest.mark.parametrize("step", [37, 65_536])
@pytest.mark.parametrize("name", ODD)
async def test_an_odd_stream_that_clients_can_read_is_read_as_they_do(
    router: Served, name: str, step: int
) -> None:
    asked, body = request(f"What about {name}, in pieces of {step}?"), ODD[name]
    router.upstream.discard()
    router.upstream.script(stream(*(body[start : start + step] for start in range(0, len(body), step))))
    got = await router.send(asked, SECRET)
    assert got.body == body

    async def hit() -> bool:
        return (await router.send(asked, SECRET)).headers.get("x-vsr-cache-hit") == "true"

    await wait_until(hit, "the answer from the cache", 10.0)


async def test_a_stream_without_an_end_is_given_up_when_its_client_leaves(router: Served) -> None:
    never = asyncio.Event()
    router.upstream.discard()
    router.upstream.script(stream(CHUNK * 1_000, never))
    sending = asyncio.create_task(router.send(request("Go on for ever."), SECRET))
    arrived = (await router.upstream.received(len(router.upstream.requests) + 1))[-1]

    async def open_streams() -> float:
        samples = await router.metrics()
        return samples["router_streams"]

    async def flows() -> bool:
        return await open_streams() > 0

    await wait_until(flows, "the stream to flow", 10.0)
    sending.cancel()
    await asyncio.wait_for(arrived.peer_closed.wait(), 10.0)

    async def over() -> bool:
        return await open_streams() == 0

    await wait_until(over, "the router to let go of it", 10.0)
    assert (await router.send(request("Are you there?"), SECRET)).status == 200
