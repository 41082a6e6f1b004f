from dataclasses import replace

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType, ClusterLbPolicy
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import HttpProtocolOptions

from router_extproc.envoyconf.clusters import (
    BUFFER_SLACK,
    EXT_PROC_CLUSTER,
    HTTP_PROTOCOL_OPTIONS,
    buffer_limit,
    clusters,
    model_cluster,
)
from router_extproc.envoyconf.topology import Endpoint, HostPort, Topology, UnixPath
from tests.unit.envoyconf.shipped import SHIPPED

DEFAULT_BREAKER = 1024


def cluster_of(topology: Topology, name: str) -> Cluster:
    return next(each for each in clusters(topology) if each.name == name)


def protocol_of(cluster: Cluster) -> HttpProtocolOptions:
    options = cluster.typed_extension_protocol_options[HTTP_PROTOCOL_OPTIONS].unpack()
    assert isinstance(options, HttpProtocolOptions)
    return options


def test_there_is_one_cluster_for_the_router_and_one_for_each_model() -> None:
    names = [each.name for each in clusters(SHIPPED)]
    assert names == [EXT_PROC_CLUSTER, "model:qwen3-0.6b", "model:qwen3-8b", "model:qwen3-32b"]


def test_no_model_can_be_named_like_the_routers_cluster() -> None:
    assert model_cluster(EXT_PROC_CLUSTER) != EXT_PROC_CLUSTER


def test_every_cluster_can_buffer_the_largest_body() -> None:
    assert {each.per_connection_buffer_limit_bytes for each in clusters(SHIPPED)} == {
        SHIPPED.max_body_bytes + BUFFER_SLACK
    }
    assert buffer_limit(SHIPPED) == SHIPPED.max_body_bytes + BUFFER_SLACK


def test_the_router_is_spoken_to_in_http2_and_found_dead_by_pings() -> None:
    explicit = protocol_of(cluster_of(SHIPPED, EXT_PROC_CLUSTER)).explicit_http_config
    assert explicit is not None
    assert explicit.http2_protocol_options is not None
    keepalive = explicit.http2_protocol_options.connection_keepalive
    assert keepalive is not None
    assert keepalive.interval is not None
    assert keepalive.interval.total_seconds() >= 10  # the least that gRPC servers can be told to accept


def test_models_are_spoken_to_in_http1_and_idle_connections_closed_before_vllm_does() -> None:
    options = protocol_of(cluster_of(SHIPPED, "model:qwen3-8b"))
    assert options.explicit_http_config is not None
    assert options.explicit_http_config.http_protocol_options is not None
    assert options.common_http_protocol_options is not None
    assert options.common_http_protocol_options.idle_timeout is not None
    assert options.common_http_protocol_options.idle_timeout.total_seconds() < 5


def test_no_cluster_has_the_default_circuit_breakers() -> None:
    for each in clusters(SHIPPED):
        assert each.circuit_breakers is not None
        (threshold,) = each.circuit_breakers.thresholds
        limits = (threshold.max_connections, threshold.max_pending_requests, threshold.max_requests)
        assert all(limit is not None and limit > DEFAULT_BREAKER for limit in limits), each.name


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (("10.0.0.1", "::1"), ClusterDiscoveryType.STATIC),
        (("10.0.0.1", "vllm.internal"), ClusterDiscoveryType.STRICT_DNS),
    ],
)
def test_names_are_resolved_and_addresses_are_not(
    hosts: tuple[str, ...], expected: ClusterDiscoveryType
) -> None:
    endpoints = tuple(Endpoint(host, 8000) for host in hosts)
    topology = replace(SHIPPED, models={"m": endpoints}, default_model="m")
    assert cluster_of(topology, "model:m").type == expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (HostPort("router", 50051), ClusterDiscoveryType.STRICT_DNS),
        (HostPort("127.0.0.1", 50051), ClusterDiscoveryType.STATIC),
        (UnixPath("/run/s"), ClusterDiscoveryType.STATIC),
    ],
)
def test_the_router_may_have_a_name_an_address_or_a_path(
    at: HostPort | UnixPath, expected: ClusterDiscoveryType
) -> None:
    assert cluster_of(replace(SHIPPED, ext_proc=at), EXT_PROC_CLUSTER).type == expected


def test_endpoints_share_a_model_by_weight() -> None:
    endpoints = (Endpoint("10.0.0.1", 8000, 3), Endpoint("10.0.0.2", 8001))
    cluster = cluster_of(replace(SHIPPED, models={"m": endpoints}, default_model="m"), "model:m")
    assert cluster.lb_policy == ClusterLbPolicy.LEAST_REQUEST
    assert cluster.load_assignment is not None
    (locality,) = cluster.load_assignment.endpoints
    assert [host.load_balancing_weight for host in locality.lb_endpoints] == [3, 1]


def test_a_server_is_never_taken_out_for_internal_errors() -> None:
    detection = cluster_of(SHIPPED, "model:qwen3-8b").outlier_detection
    assert detection is not None
    assert (detection.enforcing_consecutive_5xx, detection.enforcing_success_rate) == (0, 0)
