"""The table of routes, without a socket: each asks for the token before anything else."""

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from router_extproc.server.admin import PREFIX, cache_routes
from tests.support.cache_api import TOKEN, Cache

ROUTES = list(cache_routes(Cache().admin, TOKEN))


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
    assert json.loads(answer.body)["error"]["code"] == "invalid_token"


def test_the_token_is_in_no_description() -> None:
    assert TOKEN not in repr(ROUTES)
