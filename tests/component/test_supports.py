"""The supports that need sockets and processes do what tests rely on."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.envoy import EnvoyProcess
from tests.support.processes import wait_until
from tests.support.tuned import TunedModel
from tests.support.upstream import HANG_UP, Abort, ScriptedUpstream, gzip_answer, json_answer, sse_answer
from tests.unit.envoyconf.shipped import SHIPPED, shipped_text

DEADLINE = 10.0


async def fetch(upstream: ScriptedUpstream, payload: bytes) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.post(upstream.url, data=payload) as response:
        return response.status, await response.read()


@contextlib.asynccontextmanager
async def get(upstream: ScriptedUpstream) -> AsyncIterator[aiohttp.ClientResponse]:
    async with aiohttp.ClientSession() as session, session.get(upstream.url) as response:
        yield response


async def exchange(upstream: ScriptedUpstream) -> bytes:
    """Every byte that comes back on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
    try:
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        writer.write_eof()
        async with asyncio.timeout(DEADLINE):
            return await reader.read()
    finally:
        writer.close()


async def test_answers_are_given_in_order_and_requests_recorded() -> None:
    async with ScriptedUpstream(json_answer(1), json_answer(2, status=503)) as upstream:
        assert await fetch(upstream, b"a") == (200, b"1")
        assert await fetch(upstream, b"b") == (503, b"2")
        assert [request.body for request in await upstream.received(2)] == [b"a", b"b"]


async def test_a_request_that_nobody_scripted_fails_the_test() -> None:
    with pytest.raises(AssertionError, match=r"no answer was scripted for .'POST /'"):
        async with ScriptedUpstream() as upstream:
            assert (await fetch(upstream, b""))[0] == 500


async def test_a_failure_in_the_test_is_not_hidden_by_the_upstreams_own() -> None:
    async def failing() -> None:
        async with ScriptedUpstream() as upstream:
            await fetch(upstream, b"")
            raise KeyError

    with pytest.raises(KeyError):
        await failing()


async def test_a_gate_holds_the_next_piece_back() -> None:
    gate = asyncio.Event()
    async with ScriptedUpstream(sse_answer(b"one", gate, b"two")) as upstream, get(upstream) as response:
        assert await response.content.readexactly(3) == b"one"
        rest = asyncio.ensure_future(response.content.readexactly(3))
        await asyncio.wait({rest}, timeout=0.05)
        assert not rest.done()
        gate.set()
        assert await rest == b"two"


async def test_an_abort_lets_earlier_bytes_arrive_and_no_end() -> None:
    answer = sse_answer(b"x" * 200_000, Abort.NOW)
    async with ScriptedUpstream(answer) as upstream, get(upstream) as response:
        assert len(await response.content.readexactly(200_000)) == 200_000
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.readexactly(1)


async def test_trailers_end_the_body() -> None:
    gate = asyncio.Event()
    gate.set()
    async with ScriptedUpstream(sse_answer(b"a", gate, trailers=[("x-end", "1")])) as upstream:
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(DEADLINE):
            assert (await reader.readuntil(b"x-end: 1\r\n\r\n")).endswith(b"1\r\na\r\n0\r\nx-end: 1\r\n\r\n")
        writer.close()
        await writer.wait_closed()


async def test_hanging_up_sends_nothing() -> None:
    async with ScriptedUpstream(HANG_UP) as upstream:
        assert await exchange(upstream) == b""


async def test_a_peer_that_leaves_is_noticed() -> None:
    async with ScriptedUpstream(sse_answer(asyncio.Event())) as upstream:
        _, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        (request,) = await upstream.received(1)
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(DEADLINE):
            await request.peer_closed.wait()


async def test_a_client_may_decode_gzip() -> None:
    async with ScriptedUpstream(gzip_answer({"a": 1})) as upstream:
        assert await fetch(upstream, b"") == (200, b'{"a": 1}')


async def test_a_configuration_that_envoy_refuses_is_reported_with_its_log() -> None:
    envoy = EnvoyProcess(shipped_text().replace("failure_mode_allow", "failure_mode_alow"))
    with pytest.raises(RuntimeError, match="failure_mode_alow"):
        await envoy.start()
    await envoy.stop()


async def test_no_process_is_left_behind(capsys: pytest.CaptureFixture[str]) -> None:
    async with EnvoyProcess(SHIPPED) as envoy:
        pid = envoy.pid
        assert (await envoy.admin("/ready")).strip() == "LIVE"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert "caught ENVOY_SIGTERM" in capsys.readouterr().err


async def say(model: TunedModel, name: str = "m", **more: object) -> tuple[int, bytes]:
    """The status and body of a chat completion."""
    asked = {"model": name, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 3, **more}
    url = f"http://127.0.0.1:{model.port}/v1/chat/completions"
    async with aiohttp.ClientSession() as session, session.post(url, json=asked) as response:
        return response.status, await response.read()


async def test_a_tuned_model_fails_as_often_as_it_is_told() -> None:
    async with TunedModel("m", 0.0) as model:
        assert (await say(model, "other"))[0] == 404
        model.failing = 4
        statuses = [(await say(model))[0] for _ in range(20)]
    assert statuses.count(500) == 8
    assert statuses.count(200) == 12


async def test_a_killed_model_breaks_off_and_comes_back_where_it_was() -> None:
    async with TunedModel("m", 0.0) as model:
        model.flowing.clear()
        asking = asyncio.create_task(say(model, stream=True))
        await wait_until(lambda: model.requests == 1, "the request", DEADLINE)
        await model.kill()
        with pytest.raises(aiohttp.ClientError):
            await asyncio.wait_for(asking, DEADLINE)
        with pytest.raises(aiohttp.ClientConnectorError):
            await say(model)
        model.flowing.set()
        await model.start()
        status, body = await say(model, stream=True)
        assert (status, body.endswith(b"data: [DONE]\n\n")) == (200, True)


async def test_a_hanging_model_takes_requests_and_answers_them_when_it_resumes() -> None:
    async with TunedModel("m", 0.0) as model:
        model.hang()
        asking = asyncio.create_task(say(model))
        await wait_until(lambda: model.requests == 1, "the request", DEADLINE)
        await asyncio.wait({asking}, timeout=0.05)
        assert not asking.done()
        model.resume()
        assert (await asyncio.wait_for(asking, DEADLINE))[0] == 200
