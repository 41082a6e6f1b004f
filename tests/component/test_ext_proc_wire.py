"""The codec, driver, servicer and listener behind a real Envoy: what each effect does to real HTTP."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest

from router_extproc.base.headers import HeaderEdits
from router_extproc.base.refusals import Failure
from router_extproc.exchange.effects import (
    Cancelled,
    Close,
    Effect,
    ImmediateReply,
    Phase,
    PortFailed,
    Reply,
    Violation,
    Watch,
)
from router_extproc.exchange.events import (
    Event,
    PeerClosed,
    RequestBody,
    RequestHeaders,
    ResponseBody,
    ResponseHeaders,
    ResponseTrailers,
)
from router_extproc.server.driver import Exchange
from router_extproc.server.listener import Listener
from router_extproc.server.servicer import Servicer
from tests.component.bare_envoy import bare_config
from tests.support.envoy import EnvoyProcess
from tests.support.exchanges import ScriptedExchange
from tests.support.fake_ports import fake_ports
from tests.support.ports import RecordingTelemetry
from tests.support.processes import wait_until
from tests.support.upstream import Answer, Received, ScriptedUpstream, json_answer, sse_answer

CHAT = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "hello"}]}).encode()
PIECES = (b'data: {"n":1}\n\n', b'data: {"n":2}\n', b"\ndata: [DONE]\n\n")
DEADLINE = 10.0

Script = dict[type, Sequence[Effect] | Callable[[Event], Sequence[Effect]]]

IGNORE = [Reply(Phase.REQUEST_HEADERS, watch=Watch.NOTHING)]
WATCH = [Reply(Phase.RESPONSE_HEADERS, watch=Watch.STREAMED_RESPONSE)]


@dataclass
class Proxied:
    """A client's session on Envoy, and everything behind it."""

    client: aiohttp.ClientSession
    envoy: EnvoyProcess
    upstream: ScriptedUpstream
    listener: Listener
    exchanges: list[ScriptedExchange]
    telemetry: RecordingTelemetry

    @property
    def port(self) -> int:
        return int(self.envoy.url.rpartition(":")[2])

    async def chat(self, body: bytes = CHAT) -> tuple[int, bytes]:
        headers = {"content-type": "application/json"}
        async with self.client.post(
            "/v1/chat/completions", data=io.BytesIO(body), headers=headers
        ) as response:
            return response.status, await response.read()

    async def told(self) -> list[type]:
        """The kinds of events of the only stream, as soon as it is over."""
        await wait_until(
            lambda: self.exchanges and self.exchanges[-1].events[-1:] == [PeerClosed()], "PeerClosed"
        )
        (exchange,) = self.exchanges
        return [type(event) for event in exchange.events]

    async def assert_no_protocol_errors(self) -> None:
        for name in ("streams_failed", "spurious_msgs_received", "rejected_header_mutations"):
            assert await self.envoy.stat(f"http.bare.ext_proc.{name}") == 0, name


@asynccontextmanager
async def proxied(
    script: Script | None = None,
    *answers: Answer,
    otherwise: Callable[[Received], Answer] | None = None,
    trailers: bool = False,
    max_streams: int = 100,
) -> AsyncIterator[Proxied]:
    exchanges: list[ScriptedExchange] = []
    telemetry = RecordingTelemetry()

    def new_exchange() -> Exchange:
        exchanges.append(ScriptedExchange(script))
        return exchanges[-1]

    ports = fake_ports(telemetry)
    servicer = Servicer(new_exchange, ports, max_streams)
    listener = Listener("127.0.0.1:0", servicer, max_message_bytes=16 * 1024 * 1024)
    await listener.start()
    processor = int(listener.address.rpartition(":")[2])
    try:
        async with (
            ScriptedUpstream(*answers, otherwise=otherwise) as upstream,
            EnvoyProcess(bare_config(processor, upstream.port, trailers=trailers)) as envoy,
            aiohttp.ClientSession(envoy.url, timeout=aiohttp.ClientTimeout(total=DEADLINE)) as client,
        ):
            yield Proxied(client, envoy, upstream, listener, exchanges, telemetry)
    finally:
        await listener.stop(grace=0.0)


def replacing(body: bytes) -> Script:
    return {RequestBody: [Reply(Phase.REQUEST_BODY, body=body, clear_route_cache=True)]}


async def pieces_of(body: bytes) -> AsyncIterator[bytes]:
    """A body of unknown length, which aiohttp sends in chunks."""
    middle = len(body) // 2
    for piece in (body[:middle], body[middle:]):
        yield piece


async def test_each_kind_of_message_gets_its_reply() -> None:
    answer = sse_answer(*PIECES, trailers=[("x-usage", "3")])
    async with proxied({ResponseHeaders: WATCH}, answer, trailers=True) as proxy:
        assert await proxy.chat() == (200, b"".join(PIECES))
        told = await proxy.told()
        assert told[:3] == [RequestHeaders, RequestBody, ResponseHeaders]
        assert set(told[3:-2]) == {ResponseBody}
        assert told[-2:] == [ResponseTrailers, PeerClosed]
        await proxy.assert_no_protocol_errors()


@pytest.mark.parametrize(
    "body",
    [CHAT * 50, b"{}", '{"text":"Gr\u00fc\u00dfe \u4f60\u597d \U0001f600"}'.encode(), b""],
    ids=["longer", "shorter", "multibyte", "empty"],
)
async def test_a_replaced_body_arrives_with_its_exact_length(body: bytes) -> None:
    async with proxied(replacing(body), otherwise=lambda _: json_answer({})) as proxy:
        assert (await proxy.chat())[0] == 200
        async with proxy.client.post("/v1/chat/completions", data=pieces_of(CHAT)) as response:
            assert response.status == 200
        for request in await proxy.upstream.received(2):
            assert request.body == body
            assert request.get("content-length") == str(len(body))
            assert request.get("transfer-encoding") is None
        await proxy.assert_no_protocol_errors()


async def test_a_replaced_body_before_trailers_is_not_sent_with_two_lengths() -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (CHAT[:9], CHAT[9:]))
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    async with proxied(replacing(b'{"n":1}'), json_answer({})) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(head + chunks + b"0\r\nx-checksum: 7\r\n\r\n")
        async with asyncio.timeout(DEADLINE):
            assert b" 200 " in await reader.readline()
        writer.close()
        (request,) = await proxy.upstream.received()
        assert request.body == b'{"n":1}'
        assert request.get("content-length") == "7"
        assert request.get("transfer-encoding") is None


async def test_an_unreplaced_body_is_forwarded_byte_by_byte() -> None:
    body = b"\x00\xff{not json" + bytes(range(256)) * 4096
    async with proxied(None, json_answer({})) as proxy:
        assert (await proxy.chat(body))[0] == 200
        (request,) = await proxy.upstream.received()
        assert request.body == body


async def test_a_body_of_twelve_mebibytes_passes_through_the_processor_and_back() -> None:
    body = bytes(12 * 1024 * 1024)
    async with proxied(replacing(body), json_answer({})) as proxy:
        assert (await proxy.chat(body))[0] == 200
        (request,) = await proxy.upstream.received()
        assert request.get("content-length") == str(len(body))
        assert len(request.body) == len(body)


async def test_header_edits_overwrite_what_the_client_sent() -> None:
    edits = HeaderEdits(set=(("x-selected-model", "b\xe9"), ("x-new", "1")), remove=("x-secret",))
    script: Script = {RequestHeaders: [Reply(Phase.REQUEST_HEADERS, edits=edits, clear_route_cache=True)]}
    async with proxied(script, json_answer({})) as proxy:
        headers = [("x-selected-model", "a"), ("x-selected-model", "c"), ("x-secret", "s")]
        async with proxy.client.get("/v1/models", headers=headers) as response:
            assert response.status == 200
        (request,) = await proxy.upstream.received()
        assert request.all("x-selected-model") == ["b\xe9"]
        assert request.get("x-new") == "1"
        assert request.get("x-secret") is None


async def test_header_edits_of_a_response_reach_the_client() -> None:
    edits = HeaderEdits(set=(("x-vsr-selected-model", "m"),), remove=("x-internal",))
    script: Script = {ResponseHeaders: [Reply(Phase.RESPONSE_HEADERS, edits=edits)]}
    async with (
        proxied(script, json_answer({}, headers=[("x-internal", "1")])) as proxy,
        proxy.client.get("/v1/models") as response,
    ):
        assert response.headers.getall("x-vsr-selected-model") == ["m"]
        assert "x-internal" not in response.headers


async def test_an_exchange_that_is_not_watched_shows_its_request_headers_only() -> None:
    async with proxied({RequestHeaders: IGNORE}, json_answer({"a": 1}), sse_answer(*PIECES)) as proxy:
        async with proxy.client.get("/v1/models") as response:
            assert (response.status, await response.json()) == (200, {"a": 1})
        assert await proxy.told() == [RequestHeaders, PeerClosed]
        proxy.exchanges.clear()
        assert await proxy.chat() == (200, b"".join(PIECES))
        assert await proxy.told() == [RequestHeaders, PeerClosed]
        assert [request.body for request in await proxy.upstream.received(2)] == [b"", CHAT]
        await proxy.assert_no_protocol_errors()


async def test_an_upgrade_that_is_not_watched_passes() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4))
        await writer.drain()

    answer = Answer(101, [("connection", "upgrade"), ("upgrade", "websocket")], upgraded=echo)
    async with proxied({RequestHeaders: IGNORE}, answer) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        async with asyncio.timeout(DEADLINE):
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            writer.write(b"ping")
            assert await reader.readexactly(4) == b"ping"
        writer.close()


async def test_a_watched_response_passes_piece_by_piece_while_it_is_made() -> None:
    gates = [asyncio.Event() for _ in PIECES[1:]]
    answer = sse_answer(PIECES[0], gates[0], PIECES[1], gates[1], PIECES[2])
    async with proxied({ResponseHeaders: WATCH}, answer) as proxy:
        async with proxy.client.post("/v1/chat/completions", data=CHAT) as response:
            for number, piece in enumerate(PIECES):
                assert await response.content.readexactly(len(piece)) == piece
                if number < len(gates):
                    gates[number].set()
            assert await response.content.read() == b""
        assert (await proxy.told())[-1] is PeerClosed
        shown = [event for event in proxy.exchanges[0].events if isinstance(event, ResponseBody)]
        assert b"".join(event.body for event in shown) == b"".join(PIECES)
        assert [event.end_of_stream for event in shown] == [False] * (len(shown) - 1) + [True]
        await proxy.assert_no_protocol_errors()


@pytest.mark.parametrize("message", [RequestHeaders, RequestBody])
async def test_an_immediate_reply_reaches_the_client_as_an_event_stream(message: type) -> None:
    body = b"".join(PIECES)
    headers = (("content-type", "text/event-stream"), ("x-vsr-cache-hit", "true"))
    async with proxied({message: [ImmediateReply(200, headers, body, "cache_hit")]}) as proxy:
        async with proxy.client.post("/v1/chat/completions", data=CHAT) as response:
            assert (response.status, await response.read()) == (200, body)
            assert response.headers.getall("content-type") == ["text/event-stream"]
            assert response.headers["x-vsr-cache-hit"] == "true"
        assert proxy.upstream.requests == []
        assert await proxy.envoy.stat("http.bare.ext_proc.streams_failed") == 0


async def test_an_immediate_refusal_keeps_its_status_and_type() -> None:
    body = b'{"error":{"code":"body_too_large"}}'
    refusal = ImmediateReply(413, (("content-type", "application/json"),), body, "body_too_large")
    async with proxied({RequestBody: [refusal]}) as proxy:
        assert await proxy.chat() == (413, body)


@pytest.mark.parametrize("at", [RequestHeaders, RequestBody, ResponseHeaders])
async def test_after_a_clean_close_the_rest_flows_unseen(at: type) -> None:
    gate = asyncio.Event()
    phases = {
        RequestHeaders: Phase.REQUEST_HEADERS,
        RequestBody: Phase.REQUEST_BODY,
        ResponseHeaders: Phase.RESPONSE_HEADERS,
    }
    answer = sse_answer(PIECES[0], gate, *PIECES[1:])
    async with proxied({at: [Reply(phases[at]), Close()]}, answer) as proxy:
        async with proxy.client.post("/v1/chat/completions", data=CHAT) as response:
            assert await response.content.readexactly(len(PIECES[0])) == PIECES[0]
            gate.set()
            assert await response.content.read() == b"".join(PIECES[1:])
        assert type(proxy.exchanges[0].events[-1]) is at
        await proxy.assert_no_protocol_errors()


async def test_a_client_that_leaves_ends_the_stream() -> None:
    never = asyncio.Event()
    script: Script = {ResponseHeaders: WATCH, PeerClosed: [Cancelled("recording")]}
    async with proxied(script, sse_answer(PIECES[0], never)) as proxy:
        async with proxy.client.post("/v1/chat/completions", data=CHAT) as response:
            await response.content.readexactly(len(PIECES[0]))
            response.close()
        assert (await proxy.told())[-2:] == [ResponseBody, PeerClosed]
        assert proxy.telemetry.notes == [Cancelled("recording")]


async def test_streams_beyond_the_bound_are_left_to_the_filters_failure_mode() -> None:
    gate = asyncio.Event()
    async with proxied(None, sse_answer(PIECES[0], gate), max_streams=1) as proxy:
        async with proxy.client.post("/v1/chat/completions", data=CHAT) as response:
            await response.content.readexactly(len(PIECES[0]))
            assert (await proxy.chat())[0] == 500
            gate.set()
        assert proxy.telemetry.notes == [PortFailed("streams", Failure.OVERLOADED)]
        assert len(proxy.exchanges) == 1


async def test_a_bug_in_the_exchange_is_left_to_the_filters_failure_mode() -> None:
    def bug(_: Event) -> Sequence[Effect]:
        raise RuntimeError

    async with proxied({RequestBody: bug}) as proxy:
        assert (await proxy.chat())[0] == 500
        assert proxy.telemetry.notes == [Violation("stream", "RuntimeError")]


async def test_a_stop_does_not_cut_off_an_answer_that_is_still_on_its_way() -> None:
    gate = asyncio.Event()
    async with (
        proxied({ResponseHeaders: WATCH}, sse_answer(PIECES[0], gate, *PIECES[1:])) as proxy,
        proxy.client.post("/v1/chat/completions", data=CHAT) as response,
    ):
        assert await response.content.readexactly(len(PIECES[0])) == PIECES[0]
        await proxy.listener.stop(grace=0.0)
        gate.set()
        assert await response.content.read() == b"".join(PIECES[1:])
