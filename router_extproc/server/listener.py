"""The gRPC server that Envoy connects to, with its health service.

Owns the address, the transport's limits and the order of starting and stopping. Knows nothing of what
the service behind it does.
"""

import asyncio
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from router_extproc.base.errors import PortTakenError
from router_extproc.server.servicer import SERVICE, Servicer
from router_extproc.server.tls import Certificates

SLACK_BYTES: Final = 2 * 1024 * 1024
"""What a message may hold beyond the longest body: Envoy lets a body exceed the limit by up to 1 MiB so
that the refusal comes from the router (`envoyconf`), and a header block needs up to another."""

PING_INTERVAL_MS: Final = 10_000
"""gRPC's default is 5 minutes, and a peer that pings more often is sent away with too_many_pings."""

KEEPALIVE_MS: Final = 10_000
KEEPALIVE_TIMEOUT_MS: Final = 5_000
PING_STRIKES: Final = 1_000
"""Pings faster than that before the connection is given up. Each connection carries many exchanges and
the peer is our own Envoy, so gRPC's default of 2 is out of proportion."""

HANDSHAKE_MS: Final = 5_000
"""For the whole of a TLS handshake. gRPC's default is two minutes, which whoever says nothing may hold."""

SOCKET_MODE: Final = 0o660
"""Of a Unix socket: this user and its group, which Envoy is in where it runs as another user. By default it
would depend on the umask of whoever starts the router."""

RELEASE_SECONDS: Final = 5.0
"""Time for the last status messages of released streams to reach the peer."""

_PROBE_SECONDS: Final = 1.0


class Listener:
    """Serves `servicer` and `grpc.health.v1.Health` on `address`: `HOST:PORT`, or `unix:PATH`.

    Port 0 takes a free one. `max_message_bytes` is the longest body in one message, in either direction. With
    `certificates` TLS only, and they may be replaced while it runs.
    """

    def __init__(
        self,
        address: str,
        servicer: Servicer,
        max_message_bytes: int,
        certificates: Certificates | None = None,
    ) -> None:
        self._address = address
        self._servicer = servicer
        self._certificates = certificates
        self._server = grpc.aio.server(options=options(max_message_bytes))
        self._health = _Health()
        self._accepting = self._drained = False
        self._hurried = asyncio.Event()
        self._server.add_generic_rpc_handlers((servicer.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    @property
    def address(self) -> str:
        """Where it listens; after `start()`, with the port that was taken in place of 0."""
        return self._address

    async def start(self) -> None:
        """Binds and serves. Not ready yet: health says NOT_SERVING until `serving(True)`.

        Raises PortTakenError when the address is in use, or is not one that this machine can bind.
        """
        await self.serving(False)
        if self._address.startswith("unix:") and await _answers(self._address.removeprefix("unix:")):
            raise _taken(self._address)
        try:
            port = self._open()
        except RuntimeError as error:
            raise _taken(self._address) from error
        if self._address.startswith("unix:"):
            os.chmod(self._address.removeprefix("unix:"), SOCKET_MODE)
        else:
            self._address = f"{self._address.rpartition(':')[0]}:{port}"
        await self._server.start()

    def _open(self) -> int:
        """The port. Nobody is served before `start` of the server."""
        if self._certificates is None:
            return self._server.add_insecure_port(self._address)
        return self._server.add_secure_port(self._address, self._certificates.for_grpc())

    async def serving(self, ready: bool) -> None:
        """What health reports, for the server as a whole and for the service by name."""
        states = health_pb2.HealthCheckResponse
        self._accepting = ready and not self._drained
        status = states.SERVING if ready else states.NOT_SERVING
        for service in ("", SERVICE):
            await self._health.set(service, status)

    @property
    def accepting(self) -> bool:
        """Whether Envoy is told to send streams."""
        return self._accepting

    def asked_within(self, seconds: float) -> bool:
        """Whether Envoy asked lately how the service is: it does where several routers are behind it."""
        return asyncio.get_running_loop().time() - self._health.asked < seconds

    def hurry(self) -> None:
        """Whoever stops waits for no stream any more: those that are open are released at once."""
        self._hurried.set()

    async def drain(self) -> None:
        """Health says NOT_SERVING from now on; everything is still served. Call it some health-check
        intervals before `stop`, so that Envoy has turned to other replicas by then."""
        self._accepting = False
        self._drained = True
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace: float) -> None:
        """Drains, accepts nothing more, and gives open streams up to `grace` seconds to end.

        Streams that are open after that are closed cleanly, so that answers still on their way to clients
        are not cut off.
        """
        await self.drain()
        stopping = asyncio.create_task(self._server.stop(grace + RELEASE_SECONDS))
        with suppress(TimeoutError):  # then the streams that are left are released
            async with asyncio.timeout(grace):
                await self._idle_or_hurried()
        self._servicer.release()
        with suppress(TimeoutError):  # then whatever is left is cancelled below
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._servicer.idle()
        # Health watchers never end by themselves; a second stop does not wait for them.
        await self._server.stop(None)
        await stopping

    async def _idle_or_hurried(self) -> None:
        waits = {asyncio.ensure_future(self._servicer.idle()), asyncio.ensure_future(self._hurried.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


class _Health(health.aio.HealthServicer):  # type: ignore[misc, name-defined]  # unknown to grpc-stubs
    """gRPC's own, which remembers when somebody last asked for our service by its name. Envoy's rendered
    health check does; a kubelet asks for the server as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = -math.inf

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> Any:  # noqa: N802
        if request.service == SERVICE:
            self.asked = asyncio.get_running_loop().time()
        return await super().Check(request, context)


def options(max_message_bytes: int) -> Sequence[tuple[str, int]]:
    """Channel arguments of gRPC Core (grpc/impl/channel_arg_names.h)."""
    longest = max_message_bytes + SLACK_BYTES
    return (
        # 4 MiB by default, which a long prompt with images passes.
        ("grpc.max_receive_message_length", longest),
        ("grpc.max_send_message_length", longest),
        ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        # An Envoy whose host vanished says nothing: without these its streams stay open for hours, and what
        # they hold, with requests that wait for them.
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.max_ping_strikes", PING_STRIKES),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
        # Otherwise two routers share a port without an error, and each gets half of the streams.
        ("grpc.so_reuseport", 0),
    )


async def _answers(path: str) -> bool:
    """Whether a process listens on the socket file. gRPC would unlink it and take its place."""
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await asyncio.open_unix_connection(path)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _taken(address: str) -> PortTakenError:
    return PortTakenError(
        f"{address}: cannot listen here; end the process that uses it or set another address "
        "in listeners.ext_proc"
    )
