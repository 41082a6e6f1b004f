"""The cache's routes in the table, without a socket: each asks for the token before anything else."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from router_extproc.server.api.cache import PREFIX, EntryPath, cache_routes
from router_extproc.server.api.dispatch import served
from router_extproc.server.api.route import Route
from router_extproc.server.replies import Code, RefusedError
from router_extproc.server.selection import FeedbackRequest, InvalidationRequest, ListingQuery
from tests.support.cache_api import TOKEN, Cache

TABLE = cache_routes(Cache().admin)
ROUTES = [*served(TABLE, TOKEN)]


def test_these_are_the_calls() -> None:
    assert {(route.method, route.path.removeprefix(PREFIX)) for route in ROUTES} == {
        ("GET", "/stats"),
        ("GET", "/entries"),
        ("GET", "/entries/{id}"),
        ("GET", "/export"),
        ("GET", "/capabilities"),
        ("GET", "/health"),
        ("POST", "/invalidate"),
        ("POST", "/flush"),
        ("POST", "/feedback"),
        ("POST", "/import"),
    }


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_a_call_without_the_token_does_nothing(route: web.RouteDef) -> None:
    """A mocked request has no body to read: reading one would fail."""
    answer = await route.handler(make_mocked_request(route.method, route.path))
    assert isinstance(answer, web.Response)
    assert answer.status == 401
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body)["error"]["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize("route", served(TABLE, None), ids=lambda route: f"{route.method} {route.path}")
async def test_a_router_without_a_token_lets_nobody_in(route: web.RouteDef) -> None:
    answer = await route.handler(
        make_mocked_request(route.method, route.path, headers={"authorization": "Bearer None"})
    )
    assert (answer.status, isinstance(answer, web.Response)) == (403, True)


def test_the_token_is_in_no_description() -> None:
    assert TOKEN not in repr(ROUTES)


ASKED: Mapping[str, Any] = {
    "/entries": ListingQuery(),
    "/entries/{id}": EntryPath(id="0" * 32),
    "/invalidate": InvalidationRequest(all=True),
    "/feedback": FeedbackRequest(entry="0" * 32, question="1" * 32),
}


@pytest.mark.parametrize("route", [each for each in cache_routes(None) if each.handle], ids=lambda r: r.path)
async def test_without_a_cache_every_call_says_so(route: Route) -> None:
    assert route.handle is not None
    with pytest.raises(RefusedError) as raised:
        await route.handle(ASKED.get(route.path.removeprefix(PREFIX)))
    assert raised.value.code is Code.CACHE_DISABLED
