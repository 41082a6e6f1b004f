"""From a request to the Shape that a route takes, or to a refusal that names what is wrong."""

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiMapping

from router_extproc.server.api.route import ID_FORM, Route
from router_extproc.server.replies import Code, RefusedError

BODY_SECONDS = 10.0
"""The longest a client may take to send a body that is read as a whole."""

NUMBER_DIGITS = 9

Taken = TypeVar("Taken", bound=msgspec.Struct)


async def taken(route: Route, request: web.Request) -> Any:
    """What `route` takes, of this request; None where it takes nothing. Raises RefusedError."""
    if route.takes is None:
        return None
    if not route.has_body:
        return parameters_of(route.takes, request.match_info, request.query)
    check_form(route, request)
    body = await body_of(request, route.body_bytes)
    if route.raw:
        return body
    return body_as(route.takes, b"{}" if route.optional_body and not body.strip() else body)


def check_form(route: Route, request: web.Request) -> None:
    """RefusedError for a compressed body, and for one of another type. A type is asked for because a web
    page may send any other to this address without asking."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusedError(Code.UNSUPPORTED_MEDIA_TYPE, "send the body without a content-encoding")
    if route.optional_body and not request.body_exists:
        return
    if "content-type" not in request.headers or request.content_type not in route.consumes:
        names = " or ".join(route.consumes)
        raise RefusedError(Code.UNSUPPORTED_MEDIA_TYPE, f"send the body with `content-type: {names}`")


async def body_of(request: web.Request, most: int) -> bytes:
    """The body as a whole. Raises RefusedError."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > most:
                    raise RefusedError(Code.BODY_TOO_LARGE, f"the body has more than {most} bytes")
    except TimeoutError:
        raise RefusedError(Code.BODY_TIMEOUT, f"the body did not come within {BODY_SECONDS:g} s") from None
    except HttpProcessingError:
        raise RefusedError(Code.INVALID_INPUT, "the body's chunks are not as HTTP/1.1 has them") from None
    return bytes(body)


def body_as(kind: type[Taken], body: bytes) -> Taken:
    """`body`, JSON, as `kind`. Raises RefusedError."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        told = str(error)[:300].replace(f"`str` matching regex {ID_FORM!r}", "32 hexadecimal digits")
        many = "`array` of length <=" in told
        code = Code.BATCH_TOO_LARGE if many else Code.INVALID_INPUT
        raise RefusedError(code, f"the body is not what this call takes: {told}") from None


def parameters_of(kind: type[Taken], path: Mapping[str, str], query: MultiMapping[str]) -> Taken:
    """The parameters as `kind`: each once, and known. Raises RefusedError."""
    forms = {form.encode_name: form.type for form in _struct(kind).fields}
    for name in query:
        if name not in forms or name in path:
            known = ", ".join(f"`{each}`" for each in sorted(forms))
            raise RefusedError(
                Code.INVALID_INPUT, f"{name[:100]}: unknown parameter; known are {known or 'none'}"
            )
        if len(query.getall(name)) > 1:
            raise RefusedError(Code.INVALID_INPUT, f"{name}: stands more than once")
    given = {name: _value(forms[name], text) for name, text in {**query, **path}.items()}
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise RefusedError(Code.INVALID_INPUT, f"parameters: {str(error)[:300]}") from None


def _struct(kind: type[msgspec.Struct]) -> msgspec.inspect.StructType:
    found = msgspec.inspect.type_info(kind)
    if not isinstance(found, msgspec.inspect.StructType):
        raise TypeError(f"{kind} is no Shape")
    return found


def _value(form: msgspec.inspect.Type, text: str) -> object:
    """A parameter is text; where a number or a truth value is declared, one as JSON writes it."""
    if isinstance(form, msgspec.inspect.BoolType):
        return {"true": True, "false": False}.get(text, text)
    if isinstance(form, msgspec.inspect.IntType) and text.isascii() and text.isdecimal():
        return int(text) if len(text) <= NUMBER_DIGITS else text
    return text
