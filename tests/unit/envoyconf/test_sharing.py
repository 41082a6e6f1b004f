"""Several processes of the router behind one Envoy."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from router_extproc.base.names import EXT_PROC_SERVICE
from router_extproc.envoyconf.render import render_envoy
from router_extproc.envoyconf.topology import HostPort, Topology, UnixPath
from tests.unit.envoyconf.shipped import SHIPPED, shipped_text


def parts(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The router's cluster, and the service that the filter calls."""
    document = yaml.load(text, Loader=yaml.CSafeLoader)["static_resources"]
    (cluster,) = (each for each in document["clusters"] if each["name"] == "ext_proc")
    manager = document["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    service: dict[str, Any] = manager["http_filters"][0]["typed_config"]["grpc_service"]
    return cluster, service


def test_one_process_has_nowhere_to_turn_to() -> None:
    cluster, service = parts(shipped_text())
    assert {"health_checks", "common_lb_config"}.isdisjoint(cluster)
    assert service == {"envoy_grpc": {"cluster_name": "ext_proc"}}


@pytest.mark.parametrize(
    ("topology", "kind", "endpoints"),
    [
        (
            replace(SHIPPED, more_ext_proc=(HostPort("127.0.0.1", 50052),)),
            "STATIC",
            [{"socket_address": {"address": "127.0.0.1", "port_value": port}} for port in (50051, 50052)],
        ),
        (
            replace(SHIPPED, ext_proc=UnixPath("/run/r"), more_ext_proc=(UnixPath("/run/r.1"),)),
            "STATIC",
            [{"pipe": {"path": "/run/r"}}, {"pipe": {"path": "/run/r.1"}}],
        ),
        (
            replace(SHIPPED, ext_proc=HostPort("router", 50051)),
            "STRICT_DNS",
            [{"socket_address": {"address": "router", "port_value": 50051}}],
        ),
    ],
)
def test_several_are_endpoints_that_envoy_asks_how_they_are(
    topology: Topology, kind: str, endpoints: list[dict[str, Any]]
) -> None:
    cluster, service = parts(render_envoy(topology))
    (locality,) = cluster["load_assignment"]["endpoints"]
    assert [host["endpoint"]["address"] for host in locality["lb_endpoints"]] == endpoints
    assert (cluster["type"], cluster["lb_policy"]) == (kind, "LEAST_REQUEST")
    (check,) = cluster["health_checks"]
    assert check["grpc_health_check"] == {"service_name": EXT_PROC_SERVICE}
    assert (check["interval"], check["unhealthy_threshold"], check["healthy_threshold"]) == ("1s", 2, 1)
    assert cluster["common_lb_config"]["healthy_panic_threshold"] == {"value": 1.0}
    policy = service["retry_policy"]
    assert (policy["retry_on"], policy["num_retries"]) == ("connect-failure,refused-stream,reset", 2)
    assert policy["retry_host_predicate"][0]["name"] == "envoy.retry_host_predicates.previous_hosts"
