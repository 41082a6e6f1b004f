"""What the connection does when a client fails as no client should."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from pymilvus import AsyncMilvusClient, CollectionSchema
from pymilvus.exceptions import MilvusException
from pymilvus.milvus_client.index import IndexParams

from router_extproc.base.refusals import Failure
from router_extproc.ports import PortError
from router_extproc.stores.connection import Connection
from router_extproc.stores.options import MilvusOptions, Server
from tests.support.entries import DIMENSION

OPTIONS = MilvusOptions(
    Server("127.0.0.1"), DIMENSION, "e", failures_to_open=1, first_retry=1.0, longest_retry=4.0
)
SECRET = "what a user asked"


class FakeMilvus:
    """A client of an empty server. `trouble`: raised by the first call of a connect;
    `closing`: raised when it is closed."""

    def __init__(self, trouble: Exception | None = None, closing: Exception | None = None) -> None:
        self.trouble = trouble
        self.closing = closing
        self.fields: dict[str, list[dict[str, Any]]] = {}

    async def has_collection(self, name: str, **_: Any) -> bool:
        if self.trouble is not None:
            raise self.trouble
        return name in self.fields

    async def create_collection(self, name: str, *, schema: CollectionSchema, **_: Any) -> None:
        self.fields[name] = [{"name": each.name, "params": each.params} for each in schema.fields]

    async def describe_collection(self, name: str, **_: Any) -> dict[str, Any]:
        return {"fields": self.fields[name]}

    async def list_indexes(self, name: str, **_: Any) -> list[str]:
        return []

    async def create_index(self, name: str, index: IndexParams, **_: Any) -> None: ...

    async def load_collection(self, name: str, **_: Any) -> None: ...

    async def close(self) -> None:
        if self.closing is not None:
            raise self.closing


class Line:
    """Hands out one client after the other; time stands still until `at` is changed."""

    def __init__(self, clients: Sequence[FakeMilvus | Exception]) -> None:
        self.clients = list(clients)
        self.made = 0
        self.at = 0.0

    def new_client(self, *_: object) -> AsyncMilvusClient:
        client = self.clients[self.made]
        self.made += 1
        if isinstance(client, Exception):
            raise client
        return cast("AsyncMilvusClient", client)

    async def open(self) -> Connection:
        return await Connection.open(OPTIONS, None, lambda: self.at, self.new_client)


async def call(connection: Connection, error: Exception | None = None) -> Failure | None:
    async def operation(_: AsyncMilvusClient) -> None:
        if error is not None:
            raise error

    try:
        await connection.call(operation, 1.0)
    except PortError as raised:
        return raised.reason
    return None


async def attempt_ended() -> None:
    """Wait for the background task; what it raises is raised here."""
    [task] = [each for each in asyncio.all_tasks() if each.get_name() == "milvus-reconnect"]
    await asyncio.wait_for(task, 1.0)


BUGS: list[FakeMilvus | Exception] = [
    FakeMilvus(ZeroDivisionError(SECRET)),
    FakeMilvus(TimeoutError(SECRET), closing=RuntimeError(SECRET)),
    ValueError(SECRET),
]
"""Raised while connecting, while closing after it, and while a client is made."""


@pytest.mark.parametrize("bug", BUGS, ids=["connecting", "closing", "making"])
async def test_reconnecting_survives_any_exception_and_goes_on_with_longer_delays(
    bug: FakeMilvus | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "router_extproc")
    line = Line([FakeMilvus(closing=KeyError(SECRET)), bug, bug, bug, bug, FakeMilvus()])
    connection = await line.open()
    assert await call(connection, MilvusException(1, SECRET)) is Failure.UNAVAILABLE
    for attempt, delay in enumerate([1.0, 2.0, 4.0, 4.0], start=2):
        line.at += delay - 0.1
        assert await call(connection) is Failure.UNAVAILABLE
        assert line.made == attempt - 1
        caplog.clear()
        line.at += 0.1
        assert await call(connection) is Failure.UNAVAILABLE
        await attempt_ended()
        assert line.made == attempt
        assert "still cannot be used" in caplog.text
        assert SECRET not in caplog.text
    line.at += 4.0
    assert await call(connection) is Failure.UNAVAILABLE
    await attempt_ended()
    assert connection.is_up
    assert await call(connection) is None
    await connection.close()


async def test_an_unexpected_exception_is_an_error_in_the_log_and_names_its_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "router_extproc")
    line = Line([FakeMilvus(), FakeMilvus(ZeroDivisionError(SECRET))])
    connection = await line.open()
    await call(connection, MilvusException(1, SECRET))
    line.at = 1.0
    await call(connection)
    await attempt_ended()
    assert [record.levelname for record in caplog.records if "ZeroDivision" in record.message] == ["ERROR"]
    await connection.close()


async def test_a_client_that_cannot_be_closed_is_given_up() -> None:
    connection = await Line([FakeMilvus(closing=RuntimeError())]).open()
    await connection.close()
    assert await call(connection) is Failure.UNAVAILABLE


LOOKUP = 0.5
"""Seconds: `call_timeout` of OPTIONS."""


async def waste(line: Line, connection: Connection, within: float, spent: float) -> Failure | None:
    """A call that takes `spent` of `within` seconds and then times out, on the test's clock."""

    async def operation(_: AsyncMilvusClient) -> None:
        line.at += spent
        raise TimeoutError

    try:
        await connection.call(operation, within)
    except PortError as raised:
        return raised.reason
    return None


@pytest.mark.parametrize(
    ("within", "counts"),
    [(0.005, False), (LOOKUP / 2 - 0.01, False), (LOOKUP / 2, True), (LOOKUP, True), (5.0, True)],
)
async def test_a_timeout_counts_only_when_the_server_had_time_to_answer(within: float, counts: bool) -> None:
    line = Line([FakeMilvus()])
    connection = await line.open()
    assert await waste(line, connection, within, spent=within) is Failure.TIMEOUT
    assert connection.is_up is not counts
    await connection.close()


@pytest.mark.parametrize(
    ("within", "spent", "counts"), [(LOOKUP, 0.2, False), (LOOKUP, 0.3, True), (5.0, 1.0, False)]
)
async def test_a_caller_that_gives_up_counts_only_after_half_of_the_time(
    within: float, spent: float, counts: bool
) -> None:
    line = Line([FakeMilvus()])
    connection = await line.open()

    async def operation(_: AsyncMilvusClient) -> None:
        line.at += spent
        caller.cancel()
        await asyncio.Event().wait()

    caller = asyncio.create_task(connection.call(operation, within))
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert connection.is_up is not counts
    await connection.close()


async def test_a_cancellation_that_nobody_asked_for_does_not_end_the_caller() -> None:
    """grpc.aio raises it in the calls of a channel that is closed, as it is to reconnect."""
    connection = await Line([FakeMilvus()]).open()

    async def operation(_: AsyncMilvusClient) -> None:
        raise asyncio.CancelledError

    with pytest.raises(PortError, match="given up"):
        await connection.call(operation, LOOKUP)
    await connection.close()


async def test_a_refused_connection_counts_however_little_time_there_was() -> None:
    connection = await Line([FakeMilvus()]).open()
    assert await call(connection, MilvusException(1, "no route")) is Failure.UNAVAILABLE
    assert not connection.is_up
    await connection.close()


async def test_a_cancelled_caller_ends_though_the_client_calls_it_an_error_of_the_server() -> None:
    connection = await Line([FakeMilvus()]).open()
    waiting = asyncio.Event()

    async def operation(_: AsyncMilvusClient) -> None:
        try:
            waiting.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise MilvusException(message="the call was cancelled") from None

    task = asyncio.create_task(connection.call(operation, 60.0))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connection.is_up
    await connection.close()
