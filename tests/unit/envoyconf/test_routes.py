from dataclasses import replace
from datetime import timedelta

import pytest
from envoy_data_plane.envoy.config.route.v3 import RetryPolicy, Route, RouteAction, VirtualHost

from router_extproc.base.names import SELECTED_MODEL
from router_extproc.envoyconf.clusters import model_cluster
from router_extproc.envoyconf.routes import DEFAULT, routes
from router_extproc.envoyconf.topology import Endpoint, KeyFromEnvironment, Model, Topology, Upstream
from tests.unit.envoyconf.shipped import SHIPPED


def everything(topology: Topology = SHIPPED) -> VirtualHost:
    (host,) = routes(topology, {name: model_cluster(name) for name in topology.models}).virtual_hosts
    return host


def only(model: Model) -> Topology:
    return replace(SHIPPED, models={"m": model}, default_model="m")


def action(route: Route) -> RouteAction:
    assert route.route is not None
    return route.route


def policy(*endpoints: Endpoint) -> RetryPolicy:
    found = action(everything(only(Model(endpoints))).routes[0]).retry_policy
    assert found is not None
    return found


def test_each_model_has_a_route_on_the_exact_header() -> None:
    by_model = {}
    for route in everything().routes[:-1]:
        assert route.match is not None
        (header,) = route.match.headers
        assert header.name == SELECTED_MODEL
        assert header.string_match is not None
        by_model[header.string_match.exact] = action(route).cluster
    assert by_model == {name: f"model:{name}" for name in SHIPPED.models}


def test_the_last_route_takes_everything_to_the_default_model() -> None:
    last = everything().routes[-1]
    assert last.match is not None
    assert (last.name, last.match.prefix, last.match.headers) == (DEFAULT, "/", [])
    assert action(last).cluster == "model:qwen3-8b"


def test_answers_may_take_any_time_but_not_be_silent_for_ever() -> None:
    for route in everything().routes:
        assert action(route).timeout == timedelta(0)
        assert action(route).idle_timeout == timedelta(minutes=10)


def test_a_model_s_own_timeouts_are_on_each_of_its_routes() -> None:
    upstream = Upstream(idle_timeout=90.5, request_timeout=120)
    slow = Model((Endpoint("10.0.0.1", 1),), "/api", upstream=upstream)
    models = {**SHIPPED.models, "qwen3-8b": slow}
    found = [
        (action(each).timeout, action(each).idle_timeout, action(each).cluster)
        for each in everything(replace(SHIPPED, models=models)).routes
    ]
    own = [(timeout, idle) for timeout, idle, cluster in found if cluster == "model:qwen3-8b"]
    assert own == [(timedelta(seconds=120), timedelta(seconds=90.5))] * 4
    rest = {(timeout, idle) for timeout, idle, cluster in found if cluster != "model:qwen3-8b"}
    assert rest == {(timedelta(0), timedelta(minutes=10))}


@pytest.mark.parametrize(("retries", "servers", "done"), [(1, 1, 1), (5, 1, 5), (5, 3, 2), (1, 3, 1)])
def test_retries_are_as_many_as_wanted_and_at_each_other_server_once(
    retries: int, servers: int, done: int
) -> None:
    endpoints = tuple(Endpoint(f"10.0.0.{number}", 1) for number in range(servers))
    model = Model(endpoints, upstream=Upstream(retries=retries))
    found = action(everything(only(model)).routes[0]).retry_policy
    assert found is not None
    assert found.num_retries == done


def test_without_retries_there_is_no_policy_for_them() -> None:
    model = Model((Endpoint("a", 1), Endpoint("b", 1)), upstream=Upstream(retries=0))
    assert all(action(each).retry_policy is None for each in everything(only(model)).routes)


UNSEEN = {"connect-failure", "refused-stream", "reset-before-request"}


def test_only_what_a_lone_server_has_not_seen_is_sent_again() -> None:
    lone = policy(Endpoint("10.0.0.1", 1))
    assert set(lone.retry_on.split(",")) == UNSEEN
    assert lone.retriable_status_codes == []


@pytest.mark.parametrize(("servers", "retries"), [(2, 1), (3, 2), (9, 2)])
def test_each_other_server_is_tried_at_most_once_for_one_that_is_unavailable(
    servers: int, retries: int
) -> None:
    several = policy(*(Endpoint(f"10.0.0.{number}", 1) for number in range(servers)))
    assert set(several.retry_on.split(",")) == UNSEEN | {"retriable-status-codes"}
    assert several.retriable_status_codes == [503]
    assert several.num_retries == retries
    (elsewhere,) = several.retry_host_predicate
    assert elsewhere.name == "envoy.retry_host_predicates.previous_hosts"


def test_the_prefix_is_replaced_inside_the_api_only() -> None:
    model = Model((Endpoint("10.0.0.1", 1),), path_prefix="/openai/v1/")
    found = [
        (each.match.prefix, action(each).prefix_rewrite)
        for each in everything(only(model)).routes
        if each.match
    ]
    assert found == [("/v1/", "/openai/v1/"), ("/", "")] * 2


def test_the_host_is_rewritten_for_servers_with_names_only() -> None:
    by_address, by_name = Model((Endpoint("10.0.0.1", 1),)), Model((Endpoint("vllm", 1),))
    assert action(everything(only(by_address)).routes[0]).auto_host_rewrite is None
    assert action(everything(only(by_name)).routes[0]).auto_host_rewrite is True


def test_of_a_default_model_with_a_key_only_listed_paths_are_served() -> None:
    keyed = Model((Endpoint("a", 1),), api_key=KeyFromEnvironment("K"))
    selected, *rest, last = everything(only(keyed)).routes
    assert selected.match is not None
    assert selected.match.headers[0].name == SELECTED_MODEL
    for route in rest:
        assert route.match is not None
        assert route.match.path
        assert [header.name for header in route.match.headers] == [":method"]
    assert last.route is None
    assert last.direct_response is not None
    assert last.direct_response.status == 404


def test_the_default_routes_can_be_told_by_their_names() -> None:
    """No model's route begins so: they begin with `model:`."""
    keyed = Model((Endpoint("a", 1),), api_key=KeyFromEnvironment("K"))
    selected, *rest = everything(only(keyed)).routes
    assert not selected.name.startswith(DEFAULT)
    assert all(each.name.startswith(DEFAULT) for each in rest)
