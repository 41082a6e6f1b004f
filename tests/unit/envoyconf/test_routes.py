from datetime import timedelta

from envoy_data_plane.envoy.config.route.v3 import VirtualHost

from router_extproc.base.names import SELECTED_MODEL
from router_extproc.envoyconf.routes import routes
from tests.unit.envoyconf.shipped import SHIPPED


def everything() -> VirtualHost:
    (host,) = routes(SHIPPED).virtual_hosts
    return host


def test_each_model_has_a_route_on_the_exact_header() -> None:
    by_model = {}
    for route in everything().routes[:-1]:
        assert route.match is not None
        (header,) = route.match.headers
        assert header.name == SELECTED_MODEL
        assert header.string_match is not None
        assert route.route is not None
        by_model[header.string_match.exact] = route.route.cluster
    assert by_model == {name: f"model:{name}" for name in SHIPPED.models}


def test_the_last_route_takes_everything_to_the_default_model() -> None:
    last = everything().routes[-1]
    assert last.match is not None
    assert (last.match.prefix, last.match.headers) == ("/", [])
    assert last.route is not None
    assert last.route.cluster == "model:qwen3-8b"


def test_answers_may_take_any_time_but_not_be_silent_for_ever() -> None:
    for route in everything().routes:
        assert route.route is not None
        assert route.route.timeout == timedelta(0)
        assert route.route.idle_timeout == timedelta(minutes=10)


def test_only_requests_that_no_server_has_seen_are_retried() -> None:
    policy = everything().retry_policy
    assert policy is not None
    assert set(policy.retry_on.split(",")) == {"connect-failure", "refused-stream"}
