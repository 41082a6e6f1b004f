import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import pytest

from router_extproc._pb.envoy.service.ext_proc.v3.external_processor_pb2 import (
    ProcessingRequest,
    ProcessingResponse,
)
from router_extproc.base.refusals import Failure
from router_extproc.caching.marks import Marks
from router_extproc.exchange.effects import Cancelled, Close, Effect, PortFailed, Violation
from router_extproc.exchange.events import PeerClosed, RequestHeaders, ResponseHeaders
from router_extproc.server.driver import Exchange, Ports
from router_extproc.server.flights import Flights
from router_extproc.server.servicer import SERVICE, Servicer
from tests.support.exchanges import ScriptedExchange
from tests.support.ports import FakeAnalyst, FakeClock, FakeStore, RecordingTelemetry
from tests.support.wire import recordings, request_body, request_headers, response_headers


class FakeContext:
    """One gRPC stream: `requests` arrive, then silence, or the end where the last one is EOF."""

    def __init__(self, *requests: Any) -> None:
        self._requests = list(requests)
        self.written: list[ProcessingResponse] = []
        self.code: grpc.StatusCode | None = None
        self.silent = asyncio.Event()
        self.was_cancelled = False

    async def read(self) -> Any:
        if self._requests:
            return self._requests.pop(0)
        self.silent.set()
        await asyncio.Event().wait()

    async def write(self, message: ProcessingResponse) -> None:
        self.written.append(message)

    def set_code(self, code: grpc.StatusCode) -> None:
        self.code = code

    def cancelled(self) -> bool:
        return self.was_cancelled

    def kinds(self) -> list[str | None]:
        return [message.WhichOneof("response") for message in self.written]


EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]


class Setup:
    def __init__(self, script: dict[type, Any] | None = None, max_streams: int = 10) -> None:
        self.telemetry = RecordingTelemetry()
        self.exchanges: list[ScriptedExchange] = []
        ports = Ports(
            analyst=FakeAnalyst(),
            store=FakeStore(),
            fill=lambda _: True,
            verify=lambda _: True,
            screen=lambda asked, land: True,
            marks=Marks,
            flights=Flights(),
            telemetry=self.telemetry,
            clock=FakeClock(),
        )

        def new_exchange() -> Exchange:
            self.exchanges.append(ScriptedExchange(script))
            return self.exchanges[-1]

        self.servicer = Servicer(new_exchange, ports, max_streams)

    def start(self, context: FakeContext) -> "asyncio.Task[None]":
        process: Callable[[object, Any], Any] = self.servicer.process
        return asyncio.ensure_future(process(None, context))

    async def waiting(self, *contexts: FakeContext) -> "Sequence[asyncio.Task[None]]":
        """Streams that have had replies to everything and wait for Envoy's next message."""
        tasks = [self.start(context) for context in contexts]
        async with asyncio.timeout(5):
            for context in contexts:
                await context.silent.wait()
        return tasks


async def ended(task: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(5):
        await task


@pytest.mark.parametrize("scenario", recordings())
async def test_a_recorded_exchange_gets_one_reply_of_the_same_kind_per_message(scenario: str) -> None:
    recording = recordings()[scenario]
    context = FakeContext(*map(ProcessingRequest.FromString, recording.messages), EOF)
    await ended(Setup().start(context))
    assert context.kinds() == list(recording.kinds)


async def test_every_stream_has_an_exchange_of_its_own() -> None:
    setup = Setup()
    for _ in range(2):
        await ended(setup.start(FakeContext(request_headers(), EOF)))
    assert [type(event) for exchange in setup.exchanges for event in exchange.events] == [
        RequestHeaders,
        PeerClosed,
        RequestHeaders,
        PeerClosed,
    ]


async def test_cancellation_passes_through_and_the_exchange_is_told() -> None:
    setup = Setup({PeerClosed: [Cancelled("waiting")]})
    context = FakeContext(request_headers())
    (task,) = await setup.waiting(context)
    assert setup.servicer.streams == 1
    context.was_cancelled = True
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ended(task)
    assert setup.telemetry.notes == [Cancelled("waiting")]
    assert setup.servicer.streams == 0


async def test_streams_beyond_the_bound_end_unread_with_an_error_and_are_counted() -> None:
    setup = Setup(max_streams=2)
    tasks = await setup.waiting(FakeContext(), FakeContext())
    third = FakeContext(request_headers(), EOF)
    await ended(setup.start(third))
    assert (third.written, third.code) == ([], grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert setup.telemetry.notes == [PortFailed("streams", Failure.OVERLOADED)]
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await ended(tasks[0])
    await setup.waiting(FakeContext())
    assert setup.servicer.streams == 2
    setup.servicer.release()
    async with asyncio.timeout(5):
        await setup.servicer.idle()


async def test_a_message_without_meaning_ends_an_unjudged_stream_with_an_error_and_is_noted() -> None:
    setup = Setup()
    context = FakeContext(request_headers(), ProcessingRequest(), response_headers())
    await ended(setup.start(context))
    assert context.kinds() == ["request_headers"]
    assert context.code is grpc.StatusCode.INVALID_ARGUMENT
    assert setup.telemetry.notes == [Violation("wire", "unknown_message")]
    assert setup.exchanges[0].events[-1] == PeerClosed()


async def test_observability_mode_gets_no_reply_at_all() -> None:
    setup = Setup()
    message = request_headers()
    message.observability_mode = True
    context = FakeContext(message)
    await ended(setup.start(context))
    assert (context.written, context.code) == ([], grpc.StatusCode.INVALID_ARGUMENT)
    assert setup.telemetry.notes == [Violation("wire", "observability_mode")]


@pytest.mark.parametrize("fault", ["message", "bug", "stop"])
async def test_once_its_request_was_judged_a_stream_ends_cleanly_whatever_happens(fault: str) -> None:
    def bug(_: object) -> list[Effect]:
        raise RuntimeError

    setup = Setup({ResponseHeaders: bug} if fault == "bug" else None)
    more = {"message": [ProcessingRequest()], "bug": [response_headers()], "stop": []}[fault]
    context = FakeContext(request_headers(), request_body(b"{}"), *more)
    task = setup.start(context)
    if fault == "stop":
        async with asyncio.timeout(5):
            await context.silent.wait()
        setup.servicer.release()
    await ended(task)
    assert context.kinds() == ["request_headers", "request_body"]
    assert context.code is None


async def test_a_bug_in_the_exchange_ends_the_stream_with_an_error_status(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def bug(_: object) -> list[Effect]:
        raise RuntimeError("the user's prompt")

    setup = Setup({RequestHeaders: bug})
    context = FakeContext(request_headers())
    await ended(setup.start(context))
    assert context.code is grpc.StatusCode.INTERNAL
    assert setup.telemetry.notes == [Violation("stream", "RuntimeError")]
    assert "RuntimeError" in caplog.text
    assert "prompt" not in caplog.text


async def test_close_ends_the_stream_with_what_was_replied_before() -> None:
    setup = Setup({ResponseHeaders: [Close()]})
    context = FakeContext(request_headers(), response_headers())
    await ended(setup.start(context))
    assert (context.kinds(), context.code) == (["request_headers"], None)


async def test_release_ends_waiting_streams_and_leaves_the_unjudged_to_the_routes_failure_mode() -> None:
    setup = Setup()
    contexts = FakeContext(request_headers()), FakeContext(request_headers())
    tasks = await setup.waiting(*contexts)
    setup.servicer.release()
    for task in tasks:
        await ended(task)
    assert setup.servicer.streams == 0
    assert [context.code for context in contexts] == [grpc.StatusCode.UNAVAILABLE] * 2
    assert all(exchange.events[-1] == PeerClosed() for exchange in setup.exchanges)


async def test_release_does_not_hide_a_cancellation_by_the_peer() -> None:
    setup = Setup()
    context = FakeContext(request_headers())
    (task,) = await setup.waiting(context)
    context.was_cancelled = True
    setup.servicer.release()
    with pytest.raises(asyncio.CancelledError):
        await ended(task)


async def test_a_servicer_without_streams_is_idle() -> None:
    async with asyncio.timeout(5):
        await Setup().servicer.idle()


def test_the_service_is_the_one_envoy_calls() -> None:
    assert SERVICE == "envoy.service.ext_proc.v3.ExternalProcessor"
