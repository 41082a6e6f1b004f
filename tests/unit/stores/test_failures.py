"""pymilvus's exceptions, as it raises them."""

from enum import Enum

import pytest
from pymilvus.exceptions import MilvusException, ParamError

from router_extproc.base.refusals import Failure
from router_extproc.stores.failures import describe, failure_of, is_denied, is_unknown_database


class Status(Enum):
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16
    DEADLINE_EXCEEDED = 4
    RESOURCE_EXHAUSTED = 8


class RpcError(Exception):
    """Has what gRPC's has: a `code()`."""

    def __init__(self, status: Status) -> None:
        super().__init__("details")
        self._status = status

    def code(self) -> Status:
        return self._status


def raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (TimeoutError(), Failure.TIMEOUT),
        (RpcError(Status.DEADLINE_EXCEEDED), Failure.TIMEOUT),
        (raised_from(MilvusException(1, "Retry timeout: 2s"), TimeoutError()), Failure.TIMEOUT),
        (
            raised_from(MilvusException(2, "Fail connecting"), RpcError(Status.UNAVAILABLE)),
            Failure.UNAVAILABLE,
        ),
        (RpcError(Status.RESOURCE_EXHAUSTED), Failure.OVERLOADED),
        (MilvusException(8, "rate limit exceeded"), Failure.OVERLOADED),
        (MilvusException(Status.UNAVAILABLE, "retries ran out"), Failure.UNAVAILABLE),
        (MilvusException(100, "collection not found"), Failure.UNAVAILABLE),
        (MilvusException(1100, "invalid parameter"), Failure.INVALID),
        (ParamError(message="wrong type"), Failure.INVALID),
        (ValueError("a bug"), None),
        (raised_from(ValueError("a bug"), TimeoutError()), None),
    ],
)
def test_each_exception_has_its_reason(error: Exception, failure: Failure | None) -> None:
    assert failure_of(error) is failure


def test_an_exception_raised_from_itself_is_understood() -> None:
    error = MilvusException(800, "database:nodb not found")
    error.__cause__ = error
    assert failure_of(error) is Failure.UNAVAILABLE
    assert is_unknown_database(error)
    assert not is_denied(error)
    assert describe(error) == "Milvus code 800"


def test_a_denial_is_found_behind_a_failed_connection() -> None:
    error = raised_from(MilvusException(2, "Fail connecting"), RpcError(Status.UNAUTHENTICATED))
    assert is_denied(error)
    assert not is_denied(raised_from(MilvusException(2, ""), RpcError(Status.UNAVAILABLE)))


def test_a_description_never_quotes_a_message() -> None:
    error = raised_from(MilvusException(65535, "secret"), RpcError(Status.UNAVAILABLE))
    assert describe(error) == "Milvus code 65535, gRPC UNAVAILABLE"
