"""The listener on real sockets: addresses, health, pings, and how it stops."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, PingAckReceived

from router_extproc._pb.envoy.service.ext_proc.v3.external_processor_pb2 import (
    ProcessingRequest,
    ProcessingResponse,
)
from router_extproc.base.errors import OperatorError, PortTakenError
from router_extproc.server.listener import Listener
from router_extproc.server.servicer import SERVICE, Servicer
from tests.support.exchanges import ScriptedExchange
from tests.support.fake_ports import fake_ports
from tests.support.ports import RecordingTelemetry
from tests.support.processes import wait_until
from tests.support.wire import request_body, request_headers

LOOPBACK = "127.0.0.1:0"

Status = health_pb2.HealthCheckResponse


def a_servicer() -> Servicer:
    ports = fake_ports(RecordingTelemetry())
    return Servicer(ScriptedExchange, ports, max_streams=100)


@asynccontextmanager
async def listening(address: str = LOOPBACK, servicer: Servicer | None = None) -> AsyncIterator[Listener]:
    listener = Listener(address, servicer or a_servicer(), max_message_bytes=1024)
    await listener.start()
    try:
        yield listener
    finally:
        await listener.stop(grace=0.0)


@asynccontextmanager
async def open_stream(channel: grpc.aio.Channel) -> AsyncIterator[Any]:
    """A stream that has had its first reply."""
    call: Any = channel.stream_stream(
        f"/{SERVICE}/Process",
        request_serializer=ProcessingRequest.SerializeToString,
        response_deserializer=ProcessingResponse.FromString,
    )()  # type: ignore[call-arg]  # grpc-stubs requires the iterator
    await call.write(request_headers())
    assert (await call.read()).HasField("request_headers")
    try:
        yield call
    finally:
        call.cancel()


async def check(channel: grpc.aio.Channel, service: str = "") -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
    return int(answer.status)


async def test_a_free_port_is_taken_and_told() -> None:
    async with listening() as listener:
        host, _, port = listener.address.rpartition(":")
        assert (host, int(port) > 0) == ("127.0.0.1", True)


async def test_a_taken_port_is_an_error_that_names_it() -> None:
    async with listening() as first:
        second = Listener(first.address, a_servicer(), max_message_bytes=1024)
        with pytest.raises(PortTakenError, match=first.address) as caught:
            await second.start()
        assert isinstance(caught.value, OperatorError)
        assert "listeners.ext_proc" in str(caught.value)
        assert "\n" not in str(caught.value)


async def test_a_unix_socket_is_served_and_not_stolen(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'router.sock'}"
    async with listening(address) as first:
        assert first.address == address
        with pytest.raises(PortTakenError, match=r"router\.sock"):
            await Listener(address, a_servicer(), max_message_bytes=1024).start()
        async with grpc.aio.insecure_channel(address) as channel, open_stream(channel):
            assert await check(channel) == Status.NOT_SERVING


async def test_a_socket_file_that_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "router.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    address = f"unix:{path}"
    async with listening(address), grpc.aio.insecure_channel(address) as channel, open_stream(channel):
        assert path.is_socket()


async def test_a_folder_that_does_not_exist_is_an_error_that_names_it(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'missing' / 'router.sock'}"
    with pytest.raises(PortTakenError, match="missing"):
        await Listener(address, a_servicer(), max_message_bytes=1024).start()


async def test_health_follows_readiness_and_a_drain_is_final() -> None:
    async with listening() as listener, grpc.aio.insecure_channel(listener.address) as channel:
        assert await check(channel) == Status.NOT_SERVING
        await listener.serving(True)
        assert (await check(channel), await check(channel, SERVICE)) == (Status.SERVING, Status.SERVING)
        await listener.drain()
        await listener.serving(True)
        assert (await check(channel), await check(channel, SERVICE)) == (
            Status.NOT_SERVING,
            Status.NOT_SERVING,
        )
        async with open_stream(channel):
            pass  # a draining listener still serves


async def test_a_stream_that_ends_within_the_grace_is_not_disturbed() -> None:
    servicer = a_servicer()
    async with (
        listening(servicer=servicer) as listener,
        grpc.aio.insecure_channel(listener.address) as channel,
    ):
        async with open_stream(channel) as call:
            stopping = asyncio.ensure_future(listener.stop(grace=30.0))
            await wait_until(lambda: _refuses(listener.address), "the port to be closed")
            await call.write(request_body(b"{}"))
            assert (await call.read()).HasField("request_body")
            await call.done_writing()
            assert await call.code() is grpc.StatusCode.OK
        async with asyncio.timeout(10):
            await stopping


async def test_a_stream_that_outlives_the_grace_unjudged_ends_with_an_error() -> None:
    """Ended cleanly, its request would pass unread. One that was judged is closed cleanly
    (`test_faults_router.py`)."""
    async with (
        listening() as listener,
        grpc.aio.insecure_channel(listener.address) as channel,
        open_stream(channel) as call,
    ):
        async with asyncio.timeout(10):
            await listener.stop(grace=0.05)
        assert await call.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_health_watcher_sees_the_drain_and_does_not_hold_up_the_stop() -> None:
    async with listening() as listener, grpc.aio.insecure_channel(listener.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watch: Any = stub.Watch(health_pb2.HealthCheckRequest(service=""))
        assert (await watch.read()).status == Status.NOT_SERVING
        await listener.serving(True)
        assert (await watch.read()).status == Status.SERVING
        await listener.drain()
        assert (await watch.read()).status == Status.NOT_SERVING
        async with asyncio.timeout(2):
            await listener.stop(grace=30.0)


async def test_pings_on_an_idle_connection_do_not_cost_it() -> None:
    async with listening() as listener:
        host, _, port = listener.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        peer = H2Connection(H2Configuration(client_side=True))
        peer.initiate_connection()
        acknowledged = 0
        async with asyncio.timeout(10):
            for number in range(20):
                peer.ping(number.to_bytes(8, "big"))
                writer.write(peer.data_to_send())
                while acknowledged <= number:
                    events = peer.receive_data(await reader.read(65536))
                    assert not any(isinstance(event, ConnectionTerminated) for event in events)
                    acknowledged += sum(isinstance(event, PingAckReceived) for event in events)
        writer.close()


def _refuses(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) != 0


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
async def test_a_unix_socket_is_for_its_user_and_group_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """Envoy's user comes in by the group; nobody else."""
    path = tmp_path / "router.sock"
    before = os.umask(umask)
    try:
        async with listening(f"unix:{path}"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
    finally:
        os.umask(before)
