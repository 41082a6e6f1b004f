"""The rendered configuration in the real Envoy, between a client, a scripted upstream and a processor."""

import asyncio
import contextlib
import io
import json
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from router_extproc.base.names import DESTINATIONS, INTERNAL, SELECTED_MODEL, VSR_DESTINATION
from router_extproc.envoyconf.render import render_envoy
from router_extproc.envoyconf.topology import Endpoint, HostPort, Model, Topology, UnixPath, Upstream
from tests.support.envoy import EnvoyProcess
from tests.support.processes import free_port
from tests.support.processor import processor
from tests.support.upstream import HANG_UP, Answer, Received, ScriptedUpstream, json_answer, sse_answer

ROOT = Path(__file__).resolve().parents[2]
CHAT = "/v1/chat/completions"
MIB = 1024 * 1024
DEADLINE = 10.0


def ok(_: Received) -> Answer:
    return json_answer({"ok": True})


def topology(default: int, other: int, ext_proc: HostPort | UnixPath | None = None) -> Topology:
    """Two models; without `ext_proc` nobody answers at the router's address."""
    return Topology(
        listener=HostPort("127.0.0.1", 0),
        ext_proc=ext_proc or HostPort("127.0.0.1", free_port()),
        models={
            "org/other-1.5b": Model((Endpoint("127.0.0.1", other),)),
            "default": Model((Endpoint("localhost", default),)),
        },
        default_model="default",
        max_body_bytes=MIB,
    )


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield session


@pytest.fixture
async def default() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(otherwise=ok) as upstream:
        yield upstream


@pytest.fixture
async def other() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(otherwise=ok) as upstream:
        yield upstream


@pytest.fixture
async def alone(default: ScriptedUpstream, other: ScriptedUpstream) -> AsyncIterator[EnvoyProcess]:
    """Envoy with both upstreams and no router."""
    async with EnvoyProcess(topology(default.port, other.port)) as envoy:
        yield envoy


@contextlib.asynccontextmanager
async def post(
    client: aiohttp.ClientSession,
    envoy: EnvoyProcess,
    body: bytes | dict[str, Any],
    headers: Mapping[str, str] | None = None,
    query: str = "",
) -> AsyncIterator[aiohttp.ClientResponse]:
    """A chat request with these bytes, or this JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client.post(f"{envoy.url}{CHAT}{query}", data=io.BytesIO(raw), headers=headers) as response:
        yield response


@contextlib.asynccontextmanager
async def routed(
    default: ScriptedUpstream, other: ScriptedUpstream, select: str
) -> AsyncIterator[EnvoyProcess]:
    """Envoy with both upstreams and a processor that selects `select`."""
    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(processor("127.0.0.1:0", select))
        plan = topology(default.port, other.port, HostPort("127.0.0.1", port))
        yield await stack.enter_async_context(EnvoyProcess(plan))


async def validate(path: Path) -> tuple[int | None, str]:
    """Envoy's own verdict on a configuration file: exit status and log."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "envoy"),
        *("--mode", "validate", "--disable-hot-restart", "--log-level", "error", "-c", str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(DEADLINE):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_envoy_accepts_the_shipped_file() -> None:
    status, log = await validate(ROOT / "envoy.yaml")
    assert status == 0, log


async def test_envoy_accepts_every_form_of_address_and_odd_names(tmp_path: Path) -> None:
    names = ["1e3", "y", "org/model:tag", "a" * 128]
    servers = (Endpoint("vllm.internal", 8000, 3), Endpoint("::1", 8001), Endpoint("10.0.0.1", 8002))
    plan = Topology(
        listener=HostPort("::", 8801),
        ext_proc=UnixPath("/run/router.sock"),
        models=dict.fromkeys(names, Model(servers)),
        default_model="y",
        max_body_bytes=256 * MIB,
        admin=HostPort("127.0.0.1", 19000),
    )
    path = tmp_path / "envoy.yaml"
    path.write_text(render_envoy(plan))
    status, log = await validate(path)
    assert status == 0, log


async def test_envoy_accepts_changed_waits_and_retries(tmp_path: Path) -> None:
    waits = (Upstream(0.05, 0.5, 1.5, 0), Upstream(300, 86_400, 86_400, 10), Upstream())
    servers = (Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 1))
    plan = topology(1, 2)
    models = {f"m{number}": Model(servers, upstream=each) for number, each in enumerate(waits)}
    path = tmp_path / "envoy.yaml"
    path.write_text(render_envoy(replace(plan, models={**plan.models, **models})))
    status, log = await validate(path)
    assert status == 0, log


@pytest.mark.parametrize("upstream", [Upstream(request_timeout=0.3), Upstream(idle_timeout=0.3)])
async def test_a_model_that_takes_too_long_gets_an_error_of_the_api(
    upstream: Upstream, client: aiohttp.ClientSession
) -> None:
    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        plan = topology(free_port(), free_port())
        silent = Model((Endpoint("127.0.0.1", port),), upstream=upstream)
        models = {**plan.models, "default": silent}
        async with (
            EnvoyProcess(replace(plan, models=models)) as envoy,
            post(client, envoy, {"model": "auto"}) as response,
        ):
            found = (response.status, response.content_type)
            error = (await response.json())["error"]
    assert found == (504, "application/json")
    assert (error["type"], error["code"]) == ("api_error", "upstream_failed")


async def test_a_stream_that_takes_too_long_is_cut_off(
    default: ScriptedUpstream, client: aiohttp.ClientSession
) -> None:
    plan = topology(default.port, free_port())
    slow = Model((Endpoint("127.0.0.1", default.port),), upstream=Upstream(request_timeout=0.5))
    default.script(sse_answer(b"data: one\n\n", asyncio.Event()))
    async with (
        EnvoyProcess(replace(plan, models={**plan.models, "default": slow})) as envoy,
        post(client, envoy, {"stream": True}) as response,
    ):
        assert await response.content.readexactly(11) == b"data: one\n\n"
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()


async def test_the_shipped_file_serves_the_default_model(client: aiohttp.ClientSession) -> None:
    text = await asyncio.to_thread((ROOT / "envoy.yaml").read_text)
    async with ScriptedUpstream(otherwise=ok) as medium, ScriptedUpstream() as rest:
        ports = {50051: free_port(), 9001: rest.port, 9002: medium.port, 9003: rest.port}
        async with (
            EnvoyProcess(text, ports=ports) as envoy,
            post(client, envoy, {"model": "auto"}) as response,
        ):
            assert (response.status, await response.json()) == (200, {"ok": True})
        assert medium.requests[0].json() == {"model": "auto"}


@pytest.mark.parametrize("name", [*INTERNAL, *DESTINATIONS])
async def test_a_forged_internal_header_has_no_effect(
    name: str,
    alone: EnvoyProcess,
    default: ScriptedUpstream,
    other: ScriptedUpstream,
    client: aiohttp.ClientSession,
) -> None:
    forged = {name.upper(): "org/other-1.5b"}
    async with post(client, alone, {"model": "auto"}, headers=forged) as response:
        assert response.status == 200
    assert default.requests[0].all(name) == []
    assert other.requests == []


async def test_no_field_of_a_request_names_the_server_that_gets_it(
    alone: EnvoyProcess, default: ScriptedUpstream, other: ScriptedUpstream, client: aiohttp.ClientSession
) -> None:
    """Neither a server of the pool nor any other address that Envoy could reach."""
    inside = f"127.0.0.1:{other.port}"
    for name in ("host", VSR_DESTINATION, *DESTINATIONS, "x-forwarded-host", "forwarded", "x-original-url"):
        value = f"host={inside}" if name == "forwarded" else inside
        async with post(client, alone, {"model": "auto"}, headers={name: value}) as response:
            assert response.status == 200
    reader, writer = await asyncio.open_connection("127.0.0.1", int(alone.url.rpartition(":")[2]))
    target = f"http://{inside}/v1/chat/completions"
    head = f"POST {target} HTTP/1.1\r\nhost: {inside}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n"
    writer.write(head.encode() + b"{}")
    async with asyncio.timeout(20):
        assert b" 200 " in await reader.readline()
    writer.close()
    assert len(default.requests) == 8
    assert other.requests == []


async def test_a_client_cannot_speak_for_envoy(
    alone: EnvoyProcess, default: ScriptedUpstream, client: aiohttp.ClientSession
) -> None:
    default.script(json_answer({}, status=503))
    forged = {
        "x-envoy-retry-on": "5xx",
        "x-envoy-max-retries": "3",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-original-path": "/forged",
    }
    async with post(client, alone, {}, forged) as response:
        assert response.status == 503
    (request,) = default.requests
    assert not {name.lower() for name, _ in request.headers} & forged.keys()
    assert (await alone.access_log())[0]["request_path"] == CHAT


async def test_the_selected_model_gets_the_request(
    default: ScriptedUpstream, other: ScriptedUpstream, client: aiohttp.ClientSession
) -> None:
    async with routed(default, other, "org/other-1.5b") as envoy:
        async with post(client, envoy, {"model": "auto"}) as response:
            assert response.status == 200
        line = (await envoy.access_log())[0]
    assert default.requests == []
    assert other.requests[0].get(SELECTED_MODEL) == "org/other-1.5b"
    assert (line["selected_model"], line["upstream_cluster"]) == ("org/other-1.5b", "model:org/other-1.5b")


async def test_a_selected_model_that_the_pool_lacks_goes_to_the_default(
    default: ScriptedUpstream, other: ScriptedUpstream, client: aiohttp.ClientSession
) -> None:
    async with routed(default, other, "org/other-1.5") as envoy, post(client, envoy, {}) as response:
        assert response.status == 200
    assert (len(default.requests), len(other.requests)) == (1, 0)


async def test_the_router_may_listen_on_a_unix_socket(
    default: ScriptedUpstream, other: ScriptedUpstream, client: aiohttp.ClientSession, tmp_path: Path
) -> None:
    path = str(tmp_path / "s")
    async with processor(f"unix:{path}", "org/other-1.5b"):
        plan = topology(default.port, other.port, UnixPath(path))
        async with EnvoyProcess(plan) as envoy, post(client, envoy, {}) as response:
            assert response.status == 200
    assert len(other.requests) == 1


async def test_the_default_route_serves_while_the_router_is_away(
    alone: EnvoyProcess, default: ScriptedUpstream, client: aiohttp.ClientSession
) -> None:
    body = b'{"model": "auto",  "messages": []}'
    async with post(client, alone, body) as response:
        assert (response.status, await response.json()) == (200, {"ok": True})
    assert default.requests[0].body == body
    assert await alone.stat("http.router.ext_proc.failure_mode_allowed") == 1


@pytest.mark.parametrize("size", [MIB, MIB + 1], ids=["at our limit", "the router refuses, not Envoy"])
async def test_a_body_up_to_the_routers_limit_is_not_refused_by_envoy(
    size: int, default: ScriptedUpstream, other: ScriptedUpstream, client: aiohttp.ClientSession
) -> None:
    body = b"x" * size
    async with routed(default, other, "default") as envoy, post(client, envoy, body) as response:
        assert response.status == 200
    assert default.requests[0].body == body


async def test_a_body_far_over_the_limit_gets_an_error_of_the_api(
    default: ScriptedUpstream, other: ScriptedUpstream, client: aiohttp.ClientSession
) -> None:
    async with routed(default, other, "default") as envoy, post(client, envoy, b"x" * 3 * MIB) as response:
        assert (response.status, response.content_type) == (413, "application/json")
        error = (await response.json())["error"]
    assert error["type"] == "invalid_request_error"
    assert "1048576 bytes" in error["message"]
    assert default.requests == []


async def test_a_slow_stream_passes_piece_by_piece(
    alone: EnvoyProcess, default: ScriptedUpstream, client: aiohttp.ClientSession
) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    pieces = [b"data: one\n\n", b"data: two\n\n", b"data: [DONE]\n\n"]
    steps = [step for gate, piece in zip(gates, pieces, strict=True) for step in (gate, piece)]
    default.script(sse_answer(*steps))
    async with post(client, alone, {"stream": True}) as response:
        for gate, piece in zip(gates, pieces, strict=True):
            gate.set()
            assert await response.content.readexactly(len(piece)) == piece
        assert await response.content.read() == b""


async def test_a_client_that_leaves_ends_the_request_upstream(
    alone: EnvoyProcess, default: ScriptedUpstream, client: aiohttp.ClientSession
) -> None:
    default.script(sse_answer(b"data: one\n\n", asyncio.Event()))
    async with post(client, alone, {"stream": True}) as response:
        await response.content.readexactly(11)
        response.close()
    async with asyncio.timeout(DEADLINE):
        await default.requests[0].peer_closed.wait()


async def test_a_websocket_passes_without_the_router(
    default: ScriptedUpstream, other: ScriptedUpstream, client: aiohttp.ClientSession
) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))
        await writer.drain()

    upgrade = [("connection", "upgrade"), ("upgrade", "websocket")]
    default.script(Answer(101, upgrade, upgraded=echo))
    async with routed(default, other, "default") as envoy:
        async with asyncio.timeout(DEADLINE):
            head, rest = await upgraded(envoy, "websocket", b"hello")
        assert await envoy.stat("http.router.ext_proc.streams_started") == 0
    assert head.startswith(b"HTTP/1.1 101")
    assert rest == b"hello"


async def test_an_upgrade_to_something_else_is_refused_at_once(alone: EnvoyProcess) -> None:
    async with asyncio.timeout(DEADLINE):
        head, _ = await upgraded(alone, "tic-tac-toe", b"")
    assert head.startswith(b"HTTP/1.1 403")


async def upgraded(envoy: EnvoyProcess, protocol: str, payload: bytes) -> tuple[bytes, bytes]:
    """The head of the response to an upgrade request, and as many bytes after it as `payload` has."""
    host, _, port = envoy.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        request = (
            f"GET /v1/realtime HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n"
        )
        writer.write(request.encode() + payload)
        head = await reader.readuntil(b"\r\n\r\n")
        return head, await reader.readexactly(len(payload))
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_dead_server_costs_no_request_and_duplicates_none(
    default: ScriptedUpstream, other: ScriptedUpstream, client: aiohttp.ClientSession
) -> None:
    async with processor("127.0.0.1:0", "default") as port:
        plan = topology(default.port, other.port, HostPort("127.0.0.1", port))
        servers = (Endpoint("127.0.0.1", free_port()), Endpoint("127.0.0.1", default.port))
        models = {**plan.models, "default": Model(servers)}
        async with EnvoyProcess(replace(plan, models=models)) as envoy:
            for number in range(12):
                async with post(client, envoy, {"number": number}) as response:
                    assert response.status == 200
            assert await envoy.stat("cluster.model_default.upstream_rq_retry") > 0
    assert [request.json()["number"] for request in default.requests] == list(range(12))


async def test_a_request_that_a_server_has_seen_is_not_sent_again(
    alone: EnvoyProcess, default: ScriptedUpstream, client: aiohttp.ClientSession
) -> None:
    default.script(HANG_UP)
    async with post(client, alone, {}) as response:
        assert response.status == 503
    assert len(default.requests) == 1


async def test_a_pool_that_is_down_gets_an_error_of_the_api(client: aiohttp.ClientSession) -> None:
    plan = topology(free_port(), free_port())
    async with EnvoyProcess(plan) as envoy, post(client, envoy, {}) as response:
        assert (response.status, response.content_type) == (503, "application/json")
        error = (await response.json())["error"]
    assert (error["type"], error["code"]) == ("api_error", "upstream_failed")


@pytest.mark.parametrize(
    "spelling",
    ["/v1//chat/completions", "/v1/chat%2Fcompletions", "/v1/./chat/completions", "/v1/chat/completion%73"],
)
async def test_every_spelling_of_the_path_looks_the_same_to_the_router_and_upstream(
    spelling: str, alone: EnvoyProcess, default: ScriptedUpstream
) -> None:
    host, _, port = alone.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(f"POST {spelling} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{{}}".encode())
        async with asyncio.timeout(DEADLINE):
            await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
    assert default.requests[0].target == CHAT


async def test_the_access_log_has_the_known_fields_and_no_secret(
    alone: EnvoyProcess, default: ScriptedUpstream, client: aiohttp.ClientSession
) -> None:
    secret = "sk-do-not-log"
    headers = {"x-request-id": "mine", "authorization": f"Bearer {secret}"}
    body = {"messages": [{"role": "user", "content": secret}]}
    async with post(client, alone, body, headers, f"?api_key={secret}") as response:
        assert response.status == 200
    line = (await alone.access_log())[0]
    assert secret not in json.dumps(line)
    expected = {
        "protocol": "HTTP/1.1",
        "request_method": "POST",
        "request_path": CHAT,
        "response_code": 200,
        "response_code_details": "via_upstream",
        "response_flags": "-",
        "bytes_sent": 12,
        "upstream_cluster": "model:default",
        "upstream_host": f"127.0.0.1:{default.port}",
        "request_id": "mine",
        "selected_model": None,
    }
    assert {name: line[name] for name in expected} == expected
    assert {"time", "duration", "bytes_received", "upstream_local_address"} <= line.keys()
