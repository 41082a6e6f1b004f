"""One pymilvus client and its health: when it fails, it is left alone, replaced, and taken up again.

Owns the client, the circuit breaker and the one background task that reconnects. A call while the breaker
is open fails at once and may start that task; no request ever waits for a connection. Knows nothing of
entries.

pymilvus retries a failed call up to 75 times unless a timeout is given, and its recovery of a lost
connection is outside of that timeout, so every call is bounded twice: by its own timeout, which travels to
the server, and by one around it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pymilvus import AsyncMilvusClient

from router_extproc.base.errors import OperatorError
from router_extproc.base.refusals import Failure
from router_extproc.ports import PortError
from router_extproc.stores.breaker import Breaker
from router_extproc.stores.collection import prepare
from router_extproc.stores.failures import describe, failure_of, is_denied, is_unknown_database
from router_extproc.stores.lite import LiteServer
from router_extproc.stores.options import Embedded, MilvusOptions, Server, Tls

_LOG = logging.getLogger(__name__)
_CLOSE_TIMEOUT = 2.0

_CHANNEL = {
    # gRPC waits up to 120 s between two attempts to connect, and shares that wait between channels of one
    # process with the same address (grpc_types.h): a restarted server would stay away for minutes.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1000,
}

T = TypeVar("T")


class Connection:
    """Made inside the event loop that uses it, by `open`: gRPC's asyncio channels belong to one loop."""

    def __init__(
        self,
        options: MilvusOptions,
        lite: LiteServer | None,
        monotonic: Callable[[], float],
        new_client: Callable[[MilvusOptions, LiteServer | None], AsyncMilvusClient],
    ) -> None:
        self._options = options
        self._lite = lite
        self._monotonic = monotonic
        self._new_client = new_client
        self._breaker = Breaker(options.failures_to_open, options.first_retry, options.longest_retry)
        self._client: AsyncMilvusClient | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._in_flight = 0
        self._closed = False

    @classmethod
    async def open(
        cls,
        options: MilvusOptions,
        lite: LiteServer | None,
        monotonic: Callable[[], float],
        new_client: Callable[[MilvusOptions, LiteServer | None], AsyncMilvusClient] | None = None,
    ) -> "Connection":
        """Connect. What only the operator can mend is an OperatorError; a server that is merely not there is
        logged and tried again later. `new_client` makes a client that is not connected yet."""
        connection = cls(options, lite, monotonic, new_client or _client)
        try:
            connection._client = await connection._connect()
        except PortError as error:
            if lite is not None:
                raise OperatorError(
                    f"{options.target}: the embedded server does not answer ({error})"
                ) from error
            _LOG.warning(
                "%s cannot be used yet (%s): going on without it, trying again", options.target, error
            )
            connection._breaker.trip(monotonic())
        return connection

    @property
    def is_up(self) -> bool:
        """Whether calls are let through."""
        return self._client is not None and not self._breaker.is_open

    async def call(self, operation: Callable[[AsyncMilvusClient], Awaitable[T]], within: float) -> T:
        """Run one operation within that many seconds, or raise PortError.

        That the time was not enough says something of the server only when it was at least half of
        `call_timeout`: a caller that had 5 ms left says nothing about Milvus.
        """
        client = self._usable()
        began = self._monotonic()
        self._in_flight += 1
        try:
            async with asyncio.timeout(within):
                result = await operation(client)
        except asyncio.CancelledError:
            # The caller's deadline may be shorter than ours, or a server that hangs would never be noticed.
            if self._was_fair(began, within):
                self._failed(client)
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled the caller: grpc.aio raises this in calls under way when their channel is
            # closed, which is what reconnecting does. Passed on, it would end the caller's task.
            raise PortError(Failure.UNAVAILABLE, "the connection was given up") from None
        except Exception as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # grpc.aio may tell a cancelled call as an error of the server: the caller's end comes first.
                if self._was_fair(began, within):
                    self._failed(client)
                raise asyncio.CancelledError from None
            raise self._classified(client, error, self._was_fair(began, within)) from None
        finally:
            self._in_flight -= 1
        if client is self._client and not self._breaker.is_open:
            self._breaker.succeeded()
        return result

    async def close(self) -> None:
        """Stop reconnecting and close the client. No call may follow."""
        self._closed = True
        task, self._reconnecting = self._reconnecting, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task], timeout=_CLOSE_TIMEOUT)
        client, self._client = self._client, None
        if client is not None:
            await _discard(client)

    def _usable(self) -> AsyncMilvusClient:
        if self._closed:
            raise PortError(Failure.UNAVAILABLE, "the store is closed")
        if self._breaker.is_open:
            idle = self._reconnecting is None or self._reconnecting.done()
            if idle and self._breaker.grant_probe(self._monotonic()):
                self._reconnecting = asyncio.create_task(self._reconnect(), name="milvus-reconnect")
        elif self._client is not None and self._in_flight < self._options.max_in_flight:
            return self._client
        else:
            raise PortError(Failure.OVERLOADED, f"{self._in_flight} calls to Milvus are under way")
        raise PortError(Failure.UNAVAILABLE, "Milvus is being left alone after failures")

    def _was_fair(self, began: float, within: float) -> bool:
        """Whether a server in good health would have answered by now."""
        return self._monotonic() - began >= max(within, self._options.call_timeout) / 2

    def _classified(self, client: AsyncMilvusClient, error: Exception, was_fair: bool) -> Exception:
        """The PortError for `error`, counted; or `error` itself when it is a bug of ours."""
        failure = failure_of(error)
        if failure is None:
            return error
        if failure is not Failure.INVALID and (was_fair or failure is not Failure.TIMEOUT):
            self._failed(client)
        return PortError(failure, describe(error))

    def _failed(self, client: AsyncMilvusClient) -> None:
        if client is not self._client or self._breaker.is_open:
            return
        self._breaker.failed(self._monotonic())
        if self._breaker.is_open:
            _LOG.warning("%s keeps failing: going on without it, trying again", self._options.target)

    async def _reconnect(self) -> None:
        old, self._client = self._client, None
        if old is not None:
            await _discard(old)
        try:
            self._client = await self._connect()
        except Exception as error:
            # Also what pymilvus must not raise, and our own bugs: they cost this attempt, not all later ones.
            self._breaker.probe_failed(self._monotonic())
            known = isinstance(error, PortError | OperatorError)
            level = logging.INFO if known else logging.ERROR
            _LOG.log(
                level,
                "%s still cannot be used: %s",
                self._options.target,
                error if known else describe(error),
            )
        else:
            self._breaker.succeeded()
            _LOG.warning("%s is back", self._options.target)

    async def _connect(self) -> AsyncMilvusClient:
        """A client that is connected and has its collection; PortError or OperatorError otherwise."""
        client = self._new_client(self._options, self._lite)
        try:
            async with asyncio.timeout(self._options.timeout):
                await prepare(client, self._options, self._lite)
        except BaseException as error:
            await _discard(client)
            if not isinstance(error, Exception):
                raise
            raise _start_error(error, self._options) from error
        return client


def _client(options: MilvusOptions, lite: LiteServer | None) -> AsyncMilvusClient:
    """Not connected yet. `dedicated`: pymilvus's shared connections are kept per `id(loop)`, which a later
    loop may have again, and are never closed."""
    # It logs every failed call as an error with a traceback that may quote the request; failures are
    # counted and reported here instead.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    logging.getLogger("milvus_lite").setLevel(logging.CRITICAL)
    uri, arguments = (lite.uri, {}) if lite is not None else _address(options.target)
    return AsyncMilvusClient(
        uri, timeout=options.timeout, dedicated=True, grpc_options=dict(_CHANNEL), **arguments
    )


def _address(target: Server | Embedded) -> tuple[str, dict[str, Any]]:
    """The URI and the other arguments that pymilvus needs to reach `target`."""
    if isinstance(target, Embedded):
        raise ValueError("an embedded target is reached through its server")
    arguments: dict[str, Any] = {"db_name": target.database}
    if target.credentials is not None:
        arguments |= {"user": target.credentials.username, "password": target.credentials.password}
    host = f"[{target.host}]" if ":" in target.host else target.host
    if target.tls is None:
        return f"http://{host}:{target.port}", arguments
    arguments |= {"secure": True, "server_name": target.tls.server_name or "", **_certificates(target.tls)}
    return f"https://{host}:{target.port}", arguments


def _certificates(tls: Tls) -> dict[str, str]:
    """pymilvus knows two ways, by which paths it is given: only the server shows who it is, or both do. Each
    has its own name for the authority."""
    authority = "" if tls.ca_pem_path is None else str(tls.ca_pem_path)
    if tls.client_pem_path is None or tls.client_key_path is None:
        return {"server_pem_path": authority}
    return {
        "ca_pem_path": authority,
        "client_pem_path": str(tls.client_pem_path),
        "client_key_path": str(tls.client_key_path),
    }


def _start_error(error: Exception, options: MilvusOptions) -> Exception:
    """What a failed `_connect` raises: OperatorError, PortError, or `error` itself when it is a bug."""
    target = options.target
    if isinstance(error, OperatorError | PortError):
        return error
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return OperatorError(f"{target}: a file of connection.tls cannot be read: {error}")
    if is_denied(error):
        who = getattr(target, "credentials", None)
        cure = "the server wants credentials: set connection.auth"
        if who is not None:
            cure = (
                f"the server refuses user {who.username!r}: check connection.auth and its password variable"
            )
        return OperatorError(f"{target}: {cure}")
    if is_unknown_database(error):
        name = getattr(target, "database", "default")
        return OperatorError(
            f"{target}: there is no database {name!r}: create it or mend connection.database"
        )
    failure = failure_of(error)
    return error if failure is None else PortError(failure, describe(error))


async def _discard(client: AsyncMilvusClient) -> None:
    """Close it, if it can be closed: it is given up either way, and its channel closes when collected."""
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT):
            await client.close()
    except Exception as error:
        _LOG.info("a client of Milvus was given up without being closed: %s", describe(error))
