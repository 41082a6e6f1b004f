from dataclasses import replace
from datetime import timedelta

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType, ClusterLbPolicy
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import HttpProtocolOptions

from router_extproc.envoyconf.clusters import (
    BUFFER_SLACK,
    EXT_PROC_CLUSTER,
    HTTP_PROTOCOL_OPTIONS,
    buffer_limit,
    ext_proc_cluster,
    model_cluster,
    model_clusters,
)
from router_extproc.envoyconf.topology import (
    Endpoint,
    HealthCheck,
    HostPort,
    KeyFromEnvironment,
    Model,
    Tls,
    Topology,
    UnixPath,
    Upstream,
)
from tests.unit.envoyconf.shipped import SHIPPED

DEFAULT_BREAKER = 1024


SECURE = Tls("/ca.pem", "api.example.com")


def clusters(topology: Topology) -> list[Cluster]:
    return [ext_proc_cluster(topology), *model_clusters(topology).values()]


def cluster_of(topology: Topology, name: str) -> Cluster:
    return next(each for each in clusters(topology) if each.name == name)


def only(model: Model) -> Topology:
    return replace(SHIPPED, models={"m": model}, default_model="m")


def cluster_for(*endpoints: Endpoint) -> Cluster:
    return cluster_of(only(Model(endpoints)), "model:m")


def protocol_of(cluster: Cluster) -> HttpProtocolOptions:
    options = cluster.typed_extension_protocol_options[HTTP_PROTOCOL_OPTIONS].unpack()
    assert isinstance(options, HttpProtocolOptions)
    return options


@pytest.mark.parametrize(
    ("tls", "given", "seconds"), [(None, None, 2), (SECURE, None, 5), (None, 0.25, 0.25), (SECURE, 30, 30)]
)
def test_a_connection_may_take_what_is_given_and_longer_with_tls(
    tls: Tls | None, given: float | None, seconds: float
) -> None:
    model = Model((Endpoint("10.0.0.1", 1, tls=tls),), upstream=Upstream(connect_timeout=given))
    assert cluster_of(only(model), "model:m").connect_timeout == timedelta(seconds=seconds)


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
    assert cluster_for(*(Endpoint(host, 8000) for host in hosts)).type == expected


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
    cluster = cluster_for(Endpoint("10.0.0.1", 8000, 3), Endpoint("10.0.0.2", 8001))
    assert cluster.lb_policy == ClusterLbPolicy.LEAST_REQUEST
    assert cluster.load_assignment is not None
    (locality,) = cluster.load_assignment.endpoints
    assert [host.load_balancing_weight for host in locality.lb_endpoints] == [3, 1]


def test_http_2_is_negotiated_where_every_server_speaks_tls_and_nowhere_else() -> None:
    secure, plain = Endpoint("a", 443, tls=SECURE), Endpoint("b", 8000)
    assert protocol_of(cluster_for(secure, secure)).auto_config is not None
    for mixed in (cluster_for(secure, plain), cluster_for(plain)):
        options = protocol_of(mixed)
        assert options.auto_config is None
        assert options.explicit_http_config is not None


def test_a_handshake_is_given_more_time_than_a_connection() -> None:
    plain, secure = cluster_for(Endpoint("b", 80)), cluster_for(Endpoint("a", 443, tls=SECURE))
    assert plain.connect_timeout is not None
    assert secure.connect_timeout is not None
    assert plain.connect_timeout < secure.connect_timeout


def test_dead_servers_are_asked_only_when_none_is_alive() -> None:
    config = cluster_for(Endpoint("10.0.0.1", 8000)).common_lb_config
    assert config is not None
    assert config.healthy_panic_threshold is not None
    assert 0 < config.healthy_panic_threshold.value < 100 / 50  # below one of fifty servers


def test_servers_keep_their_own_host_names() -> None:
    cluster = cluster_for(Endpoint("a", 443, tls=SECURE), Endpoint("10.0.0.1", 8000))
    assert cluster.load_assignment is not None
    hosts = cluster.load_assignment.endpoints[0].lb_endpoints
    assert [host.endpoint.hostname for host in hosts if host.endpoint] == ["a", "10.0.0.1:8000"]


def test_only_a_model_with_a_key_has_filters_of_its_own() -> None:
    model = Model((Endpoint("10.0.0.1", 8000),))
    assert protocol_of(cluster_of(only(model), "model:m")).http_filters == []
    keyed = replace(model, api_key=KeyFromEnvironment("KEY"))
    names = [each.name for each in protocol_of(cluster_of(only(keyed), "model:m")).http_filters]
    assert names[-1] == "envoy.filters.http.upstream_codec"
    assert names.index("envoy.filters.http.header_mutation") < names.index(
        "envoy.filters.http.credential_injector"
    )


def test_a_changed_definition_is_another_cluster_with_the_same_statistics() -> None:
    model = Model((Endpoint("10.0.0.1", 8000),))
    changes = [
        replace(model, endpoints=(Endpoint("10.0.0.2", 8000),)),
        replace(model, endpoints=(Endpoint("10.0.0.1", 8000, 2),)),
        replace(model, api_key=KeyFromEnvironment("KEY")),
        replace(model, health_check=HealthCheck("/health", 5, 2)),
    ]
    rendered = [model_clusters(only(each), "/etc/envoy")["m"] for each in (model, *changes)]
    assert len({each.name for each in rendered}) == 5
    assert {each.alt_stat_name for each in rendered} == {"model_m"}
    assert model_clusters(only(model), "/etc/envoy")["m"].name == rendered[0].name


def test_in_one_file_a_cluster_has_the_model_s_name_alone() -> None:
    assert [each.name for each in model_clusters(SHIPPED).values()] == [*map(model_cluster, SHIPPED.models)]
