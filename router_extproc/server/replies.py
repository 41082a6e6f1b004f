"""Answers of the HTTP API as JSON, and every way in which one is an error. Knows nothing of what is asked.

Errors are `{"error": {"code", "message", "timestamp"}}`, as in vLLM Semantic Router's API; `code` is one of
`Code`, and decides the status.
"""

import json
import logging
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

log = logging.getLogger(__name__)


class Code(StrEnum):
    """What went wrong, for programs."""

    INVALID_INPUT = "INVALID_INPUT"
    BATCH_TOO_LARGE = "BATCH_TOO_LARGE"
    UNAUTHORIZED = "UNAUTHORIZED"
    TOKEN_NOT_CONFIGURED = "TOKEN_NOT_CONFIGURED"  # noqa: S105 - a code, no token
    NOT_FOUND = "NOT_FOUND"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    ENTRY_NOT_FOUND = "ENTRY_NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    BODY_TIMEOUT = "BODY_TIMEOUT"
    CACHE_DISABLED = "CACHE_DISABLED"
    CONFIG_CHANGED = "CONFIG_CHANGED"
    CONFIG_READ_ONLY = "CONFIG_READ_ONLY"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    UNKNOWN_HOST = "UNKNOWN_HOST"
    CONFIG_REFUSED = "CONFIG_REFUSED"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    CLASSIFICATION_ERROR = "CLASSIFICATION_ERROR"
    OVERLOADED = "OVERLOADED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"


STATUS: Final[Mapping[Code, int]] = MappingProxyType(
    {
        Code.INVALID_INPUT: 400,
        Code.BATCH_TOO_LARGE: 400,
        Code.UNAUTHORIZED: 401,
        Code.TOKEN_NOT_CONFIGURED: 403,
        Code.NOT_FOUND: 404,
        Code.MODEL_NOT_FOUND: 404,
        Code.ENTRY_NOT_FOUND: 404,
        Code.METHOD_NOT_ALLOWED: 405,
        Code.BODY_TIMEOUT: 408,
        Code.CACHE_DISABLED: 409,
        Code.CONFIG_CHANGED: 409,
        Code.CONFIG_READ_ONLY: 409,
        Code.BODY_TOO_LARGE: 413,
        Code.UNSUPPORTED_MEDIA_TYPE: 415,
        Code.UNKNOWN_HOST: 421,
        Code.CONFIG_REFUSED: 422,
        Code.TOO_MANY_REQUESTS: 429,
        Code.INTERNAL_ERROR: 500,
        Code.CLASSIFICATION_ERROR: 503,
        Code.OVERLOADED: 503,
        Code.DEADLINE_EXCEEDED: 503,
        Code.STORE_UNAVAILABLE: 503,
    }
)

MEANING: Final[Mapping[Code, str]] = MappingProxyType(
    {
        Code.INVALID_INPUT: "the request is not understood; the message names the field",
        Code.BATCH_TOO_LARGE: "a list has more items than one call takes",
        Code.UNAUTHORIZED: "no token or another one",
        Code.TOKEN_NOT_CONFIGURED: "the call needs a token, and this router has none",
        Code.NOT_FOUND: "there is no such path",
        Code.MODEL_NOT_FOUND: "the pool has no such model",
        Code.ENTRY_NOT_FOUND: "the cache has no live entry with this id",
        Code.METHOD_NOT_ALLOWED: "the path takes another method; `Allow` names it",
        Code.BODY_TIMEOUT: "the body did not come in time",
        Code.CACHE_DISABLED: "the semantic cache is off",
        Code.CONFIG_CHANGED: "the configuration is not the one the caller saw",
        Code.CONFIG_READ_ONLY: "the configuration's file cannot be written",
        Code.BODY_TOO_LARGE: "the body, or an import's lines, are more than the call takes",
        Code.UNSUPPORTED_MEDIA_TYPE: "another content type than the call takes, or a compressed body",
        Code.UNKNOWN_HOST: "`Host` has a name that this address is not known by",
        Code.CONFIG_REFUSED: "the router cannot serve with this configuration; nothing changed",
        Code.TOO_MANY_REQUESTS: "as many calls as may use the encoder at once are under way",
        Code.INTERNAL_ERROR: "a bug of the router; its log says where",
        Code.CLASSIFICATION_ERROR: "the encoder, a head or a guard could not read the text",
        Code.OVERLOADED: "requests keep the encoder busy",
        Code.DEADLINE_EXCEEDED: "no answer within the deadline",
        Code.STORE_UNAVAILABLE: "the cache's store failed or was too slow; the message says why",
    }
)


class ErrorDetail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`timestamp` is that of the answer, in UTC (RFC 3339)."""

    code: Code
    message: str
    timestamp: str


class ErrorReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every answer with a status of 400 and more, unless the call says otherwise."""

    error: ErrorDetail


class RefusedError(Exception):
    """A request that cannot be served as it stands. The message is for the client, and for nobody else: it
    may name what the client wrote."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def json_reply(document: object, status: int = 200) -> web.Response:
    """`document`, plain data or a Struct, in ASCII: what has no UTF-8 form, a lone surrogate, is still an
    escape."""
    body = json.dumps(msgspec.to_builtins(document)).encode()
    return web.Response(status=status, body=body, content_type="application/json")


def error_reply(code: Code, message: str, status: int | None = None) -> web.Response:
    """The error of this code. `status` stands in for the code's where HTTP itself has a finer one."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    detail = ErrorDetail(code=code, message=message, timestamp=now)
    return json_reply(ErrorReply(error=detail), STATUS[code] if status is None else status)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whatever goes wrong, the answer is JSON. A bug is logged with its place and without its message, which
    may hold what a client wrote."""
    try:
        return await handler(request)
    except RefusedError as error:
        return error_reply(error.code, error.message)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        code = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED}.get(error.status, Code.INVALID_INPUT)
        reply = error_reply(code, f"{request.method} {request.path[:200]}: {error.reason}", error.status)
        if "Allow" in error.headers:
            reply.headers["Allow"] = error.headers["Allow"]
        return reply
    except ConnectionError:
        raise  # the client has left; aiohttp ends the exchange
    except Exception as error:
        place = "".join(traceback.format_tb(error.__traceback__))
        log.error("an answer of the HTTP API failed with %s at\n%s", type(error).__name__, place)
        return error_reply(
            Code.INTERNAL_ERROR, f"the router failed ({type(error).__name__}); its log says where"
        )
