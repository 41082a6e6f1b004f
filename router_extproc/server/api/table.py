"""The whole table of the HTTP API, with the routes that describe it."""

import functools
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web

from router_extproc import __version__
from router_extproc.server.api.document import TITLE, document_of
from router_extproc.server.api.reference import page
from router_extproc.server.api.route import Access, Route, Shape
from router_extproc.server.replies import json_reply

TAG: Final = "description"
HTML: Final = "text/html"


class Endpoint(Shape, frozen=True):
    """`token`: whether the call needs one."""

    path: str
    method: str
    description: str
    token: bool


class Index(Shape, frozen=True):
    service: str
    version: str
    endpoints: list[Endpoint]
    task_types: list[str]
    links: dict[str, str]


def complete(routes: Iterable[Route]) -> tuple[Route, ...]:
    """`routes`, and those that tell of all of them."""

    async def index(_: None) -> Index:
        return Index(
            service=TITLE,
            version=__version__,
            endpoints=[
                Endpoint(
                    path=each.path,
                    method=each.method,
                    description=each.summary,
                    token=each.access is Access.TOKEN,
                )
                for each in table
            ],
            task_types=["intent", "pii", "security", "all"],
            links={"openapi": "/openapi.json", "documentation": "/docs"},
        )

    # Made once, when somebody asks: neither changes, and the loop that makes them serves requests too.
    @functools.cache
    def described() -> dict[str, Any]:
        return document_of(table)

    @functools.cache
    def printed() -> str:
        return page(table)

    async def document(_: web.Request, __: None) -> web.StreamResponse:
        return json_reply(described())

    async def documentation(_: web.Request, __: None) -> web.StreamResponse:
        answer = web.Response(text=printed(), content_type=HTML)
        answer.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
        return answer

    table: tuple[Route, ...] = (
        *routes,
        Route("GET", "/api/v1", TAG, "Every call there is", {200: Index}, index),
        Route("GET", "/openapi.json", TAG, "The OpenAPI 3.1 document", stream=document),
        Route("GET", "/docs", TAG, "The same as a page, also without a network", stream=documentation,
              produces=HTML),
    )  # fmt: skip
    return table
