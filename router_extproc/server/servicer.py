"""The ExternalProcessor service: one exchange per gRPC stream.

Owns how streams begin and end. Knows nothing of what an exchange decides or of how a listener is set up.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc

from router_extproc._pb.envoy.service.ext_proc.v3.external_processor_pb2 import (
    DESCRIPTOR,
    ProcessingRequest,
    ProcessingResponse,
)
from router_extproc.base.refusals import Failure
from router_extproc.exchange.effects import ImmediateReply, Phase, PortFailed, Reply, Violation
from router_extproc.exchange.events import Message
from router_extproc.server.codec import WireError, decode, encode
from router_extproc.server.driver import Exchange, Ports, drive, log_bug

SERVICE: str = DESCRIPTOR.services_by_name["ExternalProcessor"].full_name

Context: TypeAlias = grpc.aio.ServicerContext[ProcessingRequest, ProcessingResponse]


class Servicer:
    """Serves `Process` streams; make one per listener, inside the event loop that runs it.

    `max_streams` bounds the streams that are open at once. A stream that ends before its request was judged
    (one beyond the bound, one that a stop or a broken message cuts short) ends with an error status: whether
    the request goes on unjudged is for the route's `failure_mode_allow` to say. Once it was judged, a stream
    ends cleanly, so that no answer is cut off.
    """

    def __init__(self, new_exchange: Callable[[], Exchange], ports: Ports, max_streams: int) -> None:
        self._new_exchange = new_exchange
        self._ports = ports
        self._max_streams = max_streams
        self._seen = 0
        self._streams: set[asyncio.Task[Any]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._released = False

    @property
    def streams(self) -> int:
        """Streams that are open now."""
        return len(self._streams)

    @property
    def seen(self) -> int:
        """Streams that were ever opened."""
        return self._seen

    def handler(self) -> "grpc.GenericRpcHandler[Any, Any]":
        """What a gRPC server needs to route calls here."""
        process = grpc.stream_stream_rpc_method_handler(
            self.process,
            request_deserializer=ProcessingRequest.FromString,
            response_serializer=ProcessingResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Process": process})

    async def process(self, _requests: object, context: Context) -> None:
        """One stream. Cancellation, Envoy's normal way to end a stream, passes through to grpc.aio:
        a handler that swallows it leaks native memory there (grpc/grpc#43360)."""
        task = asyncio.current_task()
        self._seen += 1
        if task is None or len(self._streams) >= self._max_streams:
            self._ports.telemetry.note(PortFailed("streams", Failure.OVERLOADED))
            context.set_code(grpc.StatusCode.RESOURCE_EXHAUSTED)
            return
        self._streams.add(task)
        self._idle.clear()
        stream = _Stream(context)
        try:
            await self._converse(stream)
        except asyncio.CancelledError:
            if not self._released or context.cancelled():
                raise
            task.uncancel()
            stream.fail(grpc.StatusCode.UNAVAILABLE)
        finally:
            self._streams.discard(task)
            if not self._streams:
                self._idle.set()

    async def idle(self) -> None:
        """Returns once no stream is open."""
        await self._idle.wait()

    def release(self) -> None:
        """Ends every open stream: those whose request was judged cleanly, so that Envoy lets the rest of the
        exchange pass."""
        self._released = True
        for task in self._streams:
            task.cancel()

    async def _converse(self, stream: "_Stream") -> None:
        try:
            async with aclosing(drive(self._new_exchange(), stream, self._ports)) as replies:
                async for reply in replies:
                    message = stream.encoded(reply)
                    del reply  # the next one may be minutes away, and this one may hold megabytes
                    await stream.send(message)
                    del message
        except WireError as error:
            self._ports.telemetry.note(Violation("wire", error.event))
            stream.fail(grpc.StatusCode.INVALID_ARGUMENT)
        except Exception as error:
            # A bug of ours.
            log_bug("stream", error)
            self._ports.telemetry.note(Violation("stream", type(error).__name__))
            stream.fail(grpc.StatusCode.INTERNAL)


class _Stream:
    """Events of one stream, read as the driver asks for them, so that nothing is queued here; and whether its
    request was judged."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._judged = False

    def encoded(self, reply: Reply | ImmediateReply) -> ProcessingResponse:
        """As it is to be sent next."""
        self._judged = not isinstance(reply, Reply) or reply.phase is not Phase.REQUEST_HEADERS
        return encode(reply)

    async def send(self, message: ProcessingResponse) -> None:
        await self._context.write(message)

    def fail(self, code: grpc.StatusCode) -> None:
        """The stream ends before its time."""
        if not self._judged:
            self._context.set_code(code)

    def __aiter__(self) -> "_Stream":
        return self

    async def __anext__(self) -> Message:
        request = await self._context.read()
        if request is grpc.aio.EOF:  # type: ignore[attr-defined]  # unknown to grpc-stubs
            raise StopAsyncIteration
        return decode(request)
