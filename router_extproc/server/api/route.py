"""What a route of the HTTP API is: everything that both the dispatcher and the document go by.

Owns the rule of who may call what. A call is open where it tells nothing but what the router can do, how it
does, and what it makes of a text that the caller sends. It needs the token where it changes something or
shows what another has written: cached questions and answers, and the configuration. A router without a token
refuses these calls, and listens on loopback only.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import msgspec
from aiohttp import web

from router_extproc.server.replies import Code

SMALL_BODY: Final = 64 * 1024
LARGE_BODY: Final = 1024 * 1024
"""Bytes: of a body that names things, and of one that holds texts."""

ID_FORM: Final = "^[0-9a-f]{32}$"
"""Of the ids of entries and questions: 32 hexadecimal digits."""

JSON: Final = "application/json"


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A body, or the parameters of a path and a query. Unknown fields are refused by name: a field that was
    misspelt must not become a default."""


class Access(StrEnum):
    """Who may call."""

    OPEN = "open"
    TOKEN = "token"  # noqa: S105 - a word


@dataclass(frozen=True, slots=True)
class Answer:
    """A body with another status than 200."""

    status: int
    body: msgspec.Struct


@dataclass(frozen=True, slots=True)
class Route:
    """A call. `takes` is the Shape of its JSON body (`has_body`), or of its path's and query's parameters;
    None: it looks at neither.

    `handle` is given that and answers with a Shape of `answers`, by status. Or `stream` is given the request
    and that, and answers in its own form, `produces`, with a body it reads itself, one of `consumes`. With
    `raw`, the handler is given the body's bytes, of which `takes` describes what is asked of everybody.
    `codes` are errors beside those that follow from the rest. `body_bytes` bounds the body and `seconds` the
    whole answer, of `handle` only.
    """

    method: str
    path: str
    tag: str
    summary: str
    answers: Mapping[int, Any] = field(default_factory=dict)
    handle: Callable[[Any], Awaitable[msgspec.Struct | Answer]] | None = None
    stream: Callable[[web.Request, Any], Awaitable[web.StreamResponse]] | None = None
    takes: type[msgspec.Struct] | None = None
    access: Access = Access.OPEN
    codes: tuple[Code, ...] = ()
    detail: str = ""
    optional_body: bool = False
    raw: bool = False
    consumes: tuple[str, ...] = (JSON,)
    produces: str = JSON
    body_bytes: int = SMALL_BODY
    seconds: float = 60.0

    @property
    def has_body(self) -> bool:
        return self.method in ("POST", "PUT")

    @property
    def errors(self) -> tuple[Code, ...]:
        """Every code that the call may answer with."""
        found = {*self.codes, Code.INTERNAL_ERROR}
        if self.access is Access.TOKEN:
            found |= {Code.UNAUTHORIZED, Code.TOKEN_NOT_CONFIGURED}
        if self.takes is not None:
            found.add(Code.INVALID_INPUT)
        if self.has_body:
            found |= {Code.INVALID_INPUT, Code.BODY_TIMEOUT, Code.BODY_TOO_LARGE, Code.UNSUPPORTED_MEDIA_TYPE}
        if self.handle is not None:
            found.add(Code.DEADLINE_EXCEEDED)
        return tuple(code for code in Code if code in found)
