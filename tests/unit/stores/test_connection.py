"""What the connection does when a client fails as no client should."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from pymilvus import AsyncMilvusClient

from router_extproc.base.refusals import Failure
from router_extproc.ports import PortError
from router_extproc.stores.collection import COLUMNS
from router_extproc.stores.connection import Connection
from router_extproc.stores.options import MilvusOptions, Server
from tests.support.entries import DIMENSION

OPTIONS = MilvusOptions(
    Server("127.0.0.1"), DIMENSION, "e", failures_to_open=1, first_retry=1.0, longest_retry=4.0
)
SECRET = "what a user asked"


class FakeMilvus:
    """A client of a server that has the collection. `trouble`: raised by the first call of a connect;
    `closing`: raised when it is closed."""

    def __init__(self, trouble: Exception | None = None, closing: Exception | None = None) -> None:
        self.trouble = trouble
        self.closing = closing

    async def has_collection(self, name: str, **_: Any) -> bool:
        if self.trouble is not None:
            raise self.trouble
        return True

    async def describe_collection(self, name: str, **_: Any) -> dict[str, Any]:
        fields = [{"name": each, "params": {"dim": DIMENSION}} for each in ["size", *COLUMNS]]
        return {"fields": fields}

    async def list_indexes(self, name: str, **_: Any) -> list[str]:
        return ["vector"]

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
    assert await call(connection, TimeoutError()) is Failure.TIMEOUT
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
    await call(connection, TimeoutError())
    line.at = 1.0
    await call(connection)
    await attempt_ended()
    assert [record.levelname for record in caplog.records if "ZeroDivision" in record.message] == ["ERROR"]
    await connection.close()


async def test_a_client_that_cannot_be_closed_is_given_up() -> None:
    connection = await Line([FakeMilvus(closing=RuntimeError())]).open()
    await connection.close()
    assert await call(connection) is Failure.UNAVAILABLE
