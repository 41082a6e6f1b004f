"""Which requests have no route to a model when the router has not judged them."""

import re
from dataclasses import replace

import pytest
from envoy_data_plane.envoy.config.route.v3 import Route

from router_extproc.envoyconf.away import UNJUDGED_STATUS
from router_extproc.envoyconf.clusters import model_cluster
from router_extproc.envoyconf.routes import DEFAULT, routes
from router_extproc.envoyconf.topology import Away, Endpoint, KeyFromEnvironment, Model, Topology
from tests.unit.envoyconf.shipped import SHIPPED

CHAT = "/v1/chat/completions"
EMBEDDINGS = "/v1/embeddings"
PREFIXED = replace(SHIPPED, models={"m": Model((Endpoint("10.0.0.1", 1),), "/api")}, default_model="m")
KEYED = replace(
    SHIPPED,
    models={"m": Model((Endpoint("10.0.0.1", 1),), "/api", KeyFromEnvironment("KEY"))},
    default_model="m",
)
POOLS = pytest.mark.parametrize("pool", [SHIPPED, PREFIXED, KEYED], ids=["plain", "prefixed", "keyed"])


def route_of(topology: Topology, method: str, path: str) -> Route:
    """The first that matches a request that was not judged, as Envoy finds it."""
    (host,) = routes(topology, {name: model_cluster(name) for name in topology.models}).virtual_hosts
    fields = {":method": method, ":path": path}
    for each in host.routes:
        if matches(each, fields):
            return each
    raise AssertionError("no route")


def matches(each: Route, fields: dict[str, str]) -> bool:
    assert each.match is not None
    path = fields[":path"].partition("?")[0]
    if not (path == each.match.path if each.match.path else path.startswith(each.match.prefix or "")):
        return False
    for header in each.match.headers:
        value, wanted = fields.get(header.name), header.string_match
        assert wanted is not None
        regex = wanted.safe_regex.regex if wanted.safe_regex else re.escape(wanted.exact or "")
        if value is None or not re.fullmatch(str(regex), value):
            return False
    return True


def is_closed(each: Route) -> bool:
    return each.direct_response is not None and each.direct_response.status == UNJUDGED_STATUS


@POOLS
def test_without_guards_nothing_is_refused(pool: Topology) -> None:
    for method, path in (("POST", CHAT), ("POST", EMBEDDINGS), ("GET", "/v1/models")):
        assert not is_closed(route_of(pool, method, path))


@POOLS
@pytest.mark.parametrize("query", ["", "?a=b", "?a=/v1/embeddings"])
def test_chat_completions_alone_are_refused_where_that_is_asked_for(pool: Topology, query: str) -> None:
    pool = replace(pool, away=Away.REFUSE_CHAT)
    assert is_closed(route_of(pool, "POST", CHAT + query))
    for method, path in (("POST", EMBEDDINGS), ("GET", "/v1/models")):
        assert not is_closed(route_of(pool, method, path + query))


@POOLS
@pytest.mark.parametrize("query", ["", "?a=b", "?/v1/embeddings", "?x=/v1/embeddings"])
def test_before_guards_everything_is_refused_but_looking_and_what_is_left_open(
    pool: Topology, query: str
) -> None:
    pool = replace(pool, away=Away.REFUSE_UNREAD, unread_paths=(EMBEDDINGS,))
    assert is_closed(route_of(pool, "POST", CHAT + query))
    assert is_closed(route_of(pool, "POST", "/v1/completions" + query))
    assert not is_closed(route_of(pool, "POST", EMBEDDINGS + query))
    assert not is_closed(route_of(pool, "GET", "/v1/models" + query))
    closed = replace(pool, unread_paths=())
    assert is_closed(route_of(closed, "POST", EMBEDDINGS + query))


@pytest.mark.parametrize("path", ["/v1/embeddingsX", "/v1/embeddings/more", "/v1xembeddings"])
def test_an_open_path_opens_no_other_one(path: str) -> None:
    pool = replace(SHIPPED, away=Away.REFUSE_UNREAD, unread_paths=(EMBEDDINGS,))
    assert is_closed(route_of(pool, "POST", path))


@pytest.mark.parametrize("away", list(Away))
def test_the_routes_of_what_was_judged_are_the_same_whatever_happens_to_the_rest(away: Away) -> None:
    def judged(topology: Topology) -> list[Route]:
        (host,) = routes(topology, {name: model_cluster(name) for name in topology.models}).virtual_hosts
        return [each for each in host.routes if not each.name.startswith(DEFAULT)]

    assert judged(replace(SHIPPED, away=away)) == judged(SHIPPED)


@POOLS
def test_before_guards_no_connection_becomes_a_websocket(pool: Topology) -> None:
    found = route_of(replace(pool, away=Away.REFUSE_UNREAD), "GET", "/v1/models")
    assert found.route is not None
    assert [(each.upgrade_type, each.enabled) for each in found.route.upgrade_configs] == [
        ("websocket", False)
    ]
