"""The router with its real encoder behind a real Envoy with the shipped `envoy.yaml`, and an upstream that
records what reaches it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from router_extproc.app.configuration import load
from router_extproc.app.mind import Mind
from router_extproc.app.router import running
from router_extproc.base.names import INTERNAL
from router_extproc.server.http import probe
from tests.support.encoder import real_bundle
from tests.support.envoy import EnvoyProcess
from tests.support.gateway import COMPLETION, JSON, SSE, Gateway, answered, gateway, question
from tests.support.processes import wait_until
from tests.support.stack import ROOT, ask, write_configuration
from tests.support.upstream import (
    Abort,
    Received,
    ScriptedUpstream,
    Step,
    bytes_answer,
    gzip_answer,
    json_answer,
    sse_answer,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS = ("qwen3-0.6b", "qwen3-8b", "qwen3-32b")
MATH = "Solve x^2 - 5x + 6 = 0."


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path_factory.mktemp("router")) as opened:
        yield opened


async def last(upstream: ScriptedUpstream, before: int) -> Received:
    return (await upstream.received(before + 1))[before]


async def test_a_request_is_routed_and_only_the_decision_is_written_into_it(gate: Gateway) -> None:
    before = len(gate.upstream.requests)
    gate.upstream.script(answered())
    text = (
        '{ "seed":18446744073709551615, "x":1.50,\n "model" : "auto","messages":[{"role":"user","content":"'
        + ('Solve x^2 - 5x + 6 = 0. \\u00e9"}] }')
    )
    headers = {"content-type": "application/json", "accept-encoding": "gzip"}
    async with gate.session.post(
        f"{gate.envoy.url}/v1/chat/completions", data=text.encode(), headers={**headers, "authorization": "a"}
    ) as response:
        assert response.status == 200
        assert await response.read() == JSON
        assert response.headers["x-vsr-selected-model"] == "qwen3-32b"
        assert response.headers["x-vsr-selected-category"] == "math"
        assert response.headers["x-vsr-selected-reasoning"] == "on"
        assert "x-vsr-cache-hit" not in response.headers
    request = await last(gate.upstream, before)
    switch = '{"chat_template_kwargs":{"enable_thinking":true},'
    assert request.body.decode() == switch + text[1:].replace('"auto"', '"qwen3-32b"')
    assert request.get("x-selected-model") == "qwen3-32b"
    assert request.get("content-length") == str(len(request.body))
    assert request.get("accept-encoding") is None


async def test_each_model_has_a_route_of_its_own(gate: Gateway) -> None:
    for model in MODELS:
        gate.upstream.script(answered())
        answer = await gate.ask(question("Which route?", model=model), token="")
        assert answer.headers["x-vsr-selected-model"] == model

    async def clusters() -> bool:
        used = {(e["selected_model"], e["upstream_cluster"]) for e in await gate.envoy.access_log()}
        return used >= {(model, f"model:{model}") for model in MODELS}

    await wait_until(clusters, "each model's cluster in the access log")


async def test_forged_internal_headers_reach_nobody(gate: Gateway) -> None:
    before = len(gate.upstream.requests)
    gate.upstream.script(answered())
    headers = dict.fromkeys(INTERNAL, "evil") | {"x-selected-model": "qwen3-0.6b"}
    async with gate.session.post(
        f"{gate.envoy.url}/v1/chat/completions", json=question("Solve 3x = 9."), headers=headers
    ) as response:
        assert response.headers["x-vsr-selected-model"] == "qwen3-32b"
    request = await last(gate.upstream, before)
    assert request.get("x-selected-model") == "qwen3-32b"
    for name in set(INTERNAL) - {"x-selected-model"}:
        assert request.get(name) is None


@pytest.mark.parametrize("stream_first", [True, False])
async def test_an_answer_is_replayed_byte_for_byte_in_either_form(gate: Gateway, stream_first: bool) -> None:
    text = f"Solve x^2 = 16. {'Stream' if stream_first else 'Plain'} first."
    gate.upstream.script(sse_answer(SSE[:50], SSE[50:51], SSE[51:]) if stream_first else answered())
    first = await gate.ask(question(text, stream=stream_first))
    assert first.body == (SSE if stream_first else JSON)
    plain = await gate.hit(question(text))
    assert json.loads(plain.body)["choices"][0]["message"]["content"] == COMPLETION.content
    # A stream tells its usage only to a client that asked for it.
    assert ("usage" in json.loads(plain.body)) is not stream_first
    streamed = await gate.hit(question(text, stream=True))
    chunks = [json.loads(line[6:]) for line in streamed.body.split(b"\n") if line.startswith(b"data: {")]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content") or "" for delta in deltas) == COMPLETION.content
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_a_stream_passes_piece_by_piece_while_it_is_recorded(gate: Gateway) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    lines = SSE.split(b"\n\n")
    steps: list[Step] = [lines[0] + b"\n\n", gates[0], lines[1] + b"\n\n", gates[1], b"\n\n".join(lines[2:])]
    gate.upstream.script(sse_answer(*steps))
    async with gate.session.post(
        f"{gate.envoy.url}/v1/chat/completions",
        json=question("Solve x^2 = 25, slowly.", stream=True),
        headers={"authorization": "a"},
    ) as response:
        received = await response.content.readuntil(b"\n\n")
        gates[0].set()
        received += await response.content.readuntil(b"\n\n")
        gates[1].set()
        received += await response.content.read()
    assert received == SSE


async def miss(gate: Gateway, text: str) -> None:
    """Asking again reaches the upstream: nothing was stored."""
    before = len(gate.upstream.requests)
    gate.upstream.script(answered())
    answer = await gate.ask(question(text))
    assert answer.status == 200
    assert not answer.is_hit
    assert len(gate.upstream.requests) == before + 1


async def test_a_stream_that_breaks_off_is_not_stored(gate: Gateway) -> None:
    text = "Solve x^2 = 36 until it breaks."
    seen = asyncio.Event()
    gate.upstream.script(sse_answer(SSE[:-20], seen, Abort.NOW))
    async with gate.session.post(
        f"{gate.envoy.url}/v1/chat/completions",
        json=question(text, stream=True),
        headers={"authorization": "Bearer k1"},
    ) as response:
        assert await response.content.readany()
        seen.set()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()
    await miss(gate, text)


async def test_an_answer_whose_client_left_is_not_stored(gate: Gateway) -> None:
    text = "Solve x^2 = 49 for a client that leaves."
    held = asyncio.Event()
    before = len(gate.upstream.requests)
    gate.upstream.script(sse_answer(SSE[:60], held, SSE[60:]))
    async with gate.session.post(
        f"{gate.envoy.url}/v1/chat/completions",
        json=question(text, stream=True),
        headers={"authorization": "Bearer k1"},
    ) as response:
        assert await response.content.readany()
        response.close()
    request = await last(gate.upstream, before)
    async with asyncio.timeout(5):
        await request.peer_closed.wait()
    held.set()
    await miss(gate, text)


@pytest.mark.parametrize(
    ("text", "answer", "status"),
    [
        ("Solve x^2 = 64 with an error.", json_answer({"error": {"message": "busy"}}, status=503), 503),
        ("Solve x^2 = 81 compressed.", gzip_answer(json.loads(JSON)), 200),
        ("Solve x^2 = 100 as a page.", bytes_answer(b"<html>", 200, [("content-type", "text/html")]), 200),
        ("Solve x^2 = 121 cut by length.", answered(JSON.replace(b'"stop"', b'"length"')), 200),
    ],
)
async def test_what_is_not_a_good_answer_passes_and_is_not_stored(
    gate: Gateway, text: str, answer: Any, status: int
) -> None:
    gate.upstream.script(answer)
    first = await gate.ask(question(text))
    assert first.status == status
    assert not first.is_hit
    await miss(gate, text)


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b'{"model":"auto","messages":[]}', b"\xff{}"])
async def test_a_malformed_request_is_an_error_in_openai_s_shape(gate: Gateway, body: bytes) -> None:
    async with gate.session.post(
        f"{gate.envoy.url}/v1/chat/completions", data=body, headers={"content-type": "application/json"}
    ) as response:
        document = await response.json()
        assert response.status == 400
    assert document["error"]["type"] == "invalid_request_error"


async def test_what_is_not_ours_passes_byte_for_byte(gate: Gateway) -> None:
    before = len(gate.upstream.requests)
    gate.upstream.script(
        json_answer({"object": "list"}), json_answer({"ok": True}), json_answer({"ok": True})
    )
    async with gate.session.get(f"{gate.envoy.url}/v1/files") as response:
        assert await response.json() == {"object": "list"}
    async with gate.session.post(f"{gate.envoy.url}/v1/embeddings", data=b'{"model":"auto"}') as response:
        assert response.status == 200
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    async with gate.session.post(
        f"{gate.envoy.url}/v1/chat/completions", data=b"\x1f\x8b", headers=packed, compress=None
    ) as response:
        assert response.status == 200
    bodies = [request.body for request in (await gate.upstream.received(before + 3))[before:]]
    assert bodies == [b"", b'{"model":"auto"}', b"\x1f\x8b"]


async def test_a_large_prompt_is_routed(gate: Gateway) -> None:
    before = len(gate.upstream.requests)
    gate.upstream.script(answered())
    text = "Solve for x. " + "padding " * 400_000
    answer = await gate.ask(question(text))
    assert answer.status == 200
    request = await last(gate.upstream, before)
    assert request.json()["messages"][0]["content"] == text
    assert request.get("content-length") == str(len(request.body))


async def test_a_body_over_the_limit_is_refused_in_openai_s_shape(gate: Gateway) -> None:
    answer = await gate.ask(question("x" * (16 * 1024 * 1024)))
    assert answer.status == 413
    assert json.loads(answer.body)["error"]["type"] == "invalid_request_error"


async def test_while_the_router_is_away_the_default_model_answers(tmp_path: Path) -> None:
    configuration = load(write_configuration(tmp_path))
    ports = {9001: 1, 9003: 1, 50051: configuration.settings.listeners.ext_proc.port}
    async with ScriptedUpstream(answered()) as upstream:
        ports[9002] = upstream.port
        text = (ROOT / "envoy.yaml").read_text()
        async with EnvoyProcess(text, ports=ports) as envoy, aiohttp.ClientSession() as session:
            answer = await ask(session, envoy.url, question(MATH))
            assert (answer.status, answer.body) == (200, JSON)
            assert upstream.requests[0].json() == question(MATH)


async def test_it_is_not_ready_while_envoy_serves_without_it(tmp_path: Path) -> None:
    """Something answers where Envoy should, and does not ask the router."""
    async with ScriptedUpstream(json_answer({"status": "up"})) as other:
        address = {"address": "127.0.0.1", "port": other.port}
        configuration = load(write_configuration(tmp_path, listeners={"envoy": address}))
        api = configuration.settings.listeners.api
        async with running(configuration, Mind.load(real_bundle(), configuration)):
            assert not await probe(f"http://127.0.0.1:{api.port}/ready", 5.0)()
            assert other.requests[0].target == "/health"
            assert await probe(f"http://127.0.0.1:{api.port}/health", 5.0)()
