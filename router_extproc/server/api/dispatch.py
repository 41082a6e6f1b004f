"""The table as aiohttp serves it: the token first, then the form of the request, then the handler in time."""

import asyncio
from collections.abc import Iterable, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler

from router_extproc.server.api.intake import check_form, taken
from router_extproc.server.api.route import Access, Answer, Route
from router_extproc.server.bearer import barred
from router_extproc.server.replies import Code, RefusedError, error_reply, json_reply


def served(table: Iterable[Route], token: str | None) -> Sequence[web.RouteDef]:
    """Every route of `table`; those that need a token for bearers of `token` only."""
    return [web.route(route.method, route.path, _answering(route, token)) for route in table]


def _answering(route: Route, token: str | None) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        refused = barred(request, token) if route.access is Access.TOKEN else None
        try:
            response = refused or await _answer(route, request)
        except RefusedError as error:
            response = error_reply(error.code, error.message)
        if not response.prepared:
            # Nobody on the way keeps what shows texts or changes from one moment to the next.
            response.headers["Cache-Control"] = "no-store"
        return response

    return answer


async def _answer(route: Route, request: web.Request) -> web.StreamResponse:
    if route.stream is not None:
        if route.has_body:
            check_form(route, request)
            return await route.stream(request, None)
        return await route.stream(request, await taken(route, request))
    asked = await taken(route, request)
    if route.handle is None:
        raise TypeError(f"{route.method} {route.path} has no handler")
    try:
        async with asyncio.timeout(route.seconds):
            said = await route.handle(asked)
    except TimeoutError:
        raise RefusedError(Code.DEADLINE_EXCEEDED, f"no answer within {route.seconds:g} s") from None
    return json_reply(said.body, said.status) if isinstance(said, Answer) else json_reply(said)
