"""What pymilvus's exceptions mean here. Knows nothing of connections.

pymilvus lets three families through: its own MilvusException, TimeoutError, and gRPC's RpcError, which is
told by its `code()` so that this package need not know gRPC.
"""

from pymilvus.exceptions import DataNotMatchException, ErrorCode, MilvusException, ParamError

from router_extproc.base.refusals import Failure

_DENIED = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})
_OVERLOADED_CODES = frozenset({int(ErrorCode.RATE_LIMIT), int(ErrorCode.FORCE_DENY)})
_PARAMETER_CODES = range(1100, 1200)
"""Milvus's error codes from 2.3 on: 1100-1199 say that the request is wrong (merr/errors.go)."""


def failure_of(error: BaseException) -> Failure | None:
    """How `error` is counted; None when it is none of pymilvus's, which makes it a bug of ours."""
    if not isinstance(error, TimeoutError | MilvusException) and _status(error) is None:
        return None
    statuses = {_status(each) for each in _causes(error)}
    if "DEADLINE_EXCEEDED" in statuses or any(isinstance(each, TimeoutError) for each in _causes(error)):
        return Failure.TIMEOUT
    if "RESOURCE_EXHAUSTED" in statuses:
        return Failure.OVERLOADED
    return _of_milvus(error) if isinstance(error, MilvusException) else Failure.UNAVAILABLE


def is_denied(error: BaseException) -> bool:
    """Whether the server refuses the credentials: no retry will change that."""
    return any(_status(each) in _DENIED for each in _causes(error))


def is_unknown_database(error: BaseException) -> bool:
    """Milvus 2.3 answers with code 800, earlier and embedded ones with words only."""
    return isinstance(error, MilvusException) and (
        error.code == 800 or ("database" in error.message and "not" in error.message)
    )


def describe(error: BaseException) -> str:
    """For logs: the kind of error and its code. Never its message, which may quote the request."""
    return ", ".join(_describe_one(each) for each in _causes(error))


def _describe_one(error: BaseException) -> str:
    status = _status(error)
    if status is not None:
        return f"gRPC {status}"
    if isinstance(error, MilvusException):
        code = error.code  # pymilvus puts a gRPC status there when its retries run out
        return f"Milvus code {getattr(code, 'name', code)}"
    return type(error).__name__


def _of_milvus(error: MilvusException) -> Failure:
    code = error.code
    if code in _OVERLOADED_CODES:
        return Failure.OVERLOADED
    if isinstance(error, ParamError | DataNotMatchException) or code in _PARAMETER_CODES:
        return Failure.INVALID
    return Failure.UNAVAILABLE


def _status(error: BaseException) -> str | None:
    code = getattr(error, "code", None)
    name = getattr(code(), "name", None) if callable(code) else None
    return name if isinstance(name, str) else None


def _causes(error: BaseException) -> list[BaseException]:
    """`error` and what it was raised from. pymilvus raises errors `from` themselves: the chain has loops."""
    chain: list[BaseException] = []
    while error not in chain:
        chain.append(error)
        error = error.__cause__ or error
    return chain
