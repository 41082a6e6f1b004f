"""The clusters of a topology: the router's own, and one per model. Knows nothing of routes."""

import ipaddress
from datetime import timedelta

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.endpoint import v3 as endpoint
from envoy_data_plane.envoy.extensions.upstreams.http import v3 as upstream_http
from envoy_data_plane.google.protobuf import Any

from router_extproc.envoyconf.addresses import address, stat_name
from router_extproc.envoyconf.topology import Endpoint, HostPort, Topology, UnixPath

EXT_PROC_CLUSTER = "ext_proc"

HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

UNLIMITED = 1_000_000
"""A circuit breaker that never opens. The router bounds its own streams and answers above the bound;
Envoy's default of 1024 would turn a busy hour of long answers into errors instead."""

MODEL_REQUESTS = 10_000
"""Requests and connections to one model at a time: beyond it, waiting in the model's queue helps nobody."""

MODEL_RETRIES = 100
"""Retries in flight to one model. They only ever follow a failed connect, so they cost the servers nothing;
the default of 3 would make the 4th client see the dead server."""

BUFFER_SLACK = 1024 * 1024
"""Above the router's own limit, so that a body slightly too large reaches the router, whose refusal tells
the limit in the API's error form. Also room for headers: Envoy's limit counts everything buffered."""


def model_cluster(model: str) -> str:
    """The name of a model's cluster: injective, and telling in the access log."""
    return f"model:{model}"


def buffer_limit(topology: Topology) -> int:
    """Bytes that a connection may buffer. Envoy's default of 1 MiB would answer 413 to a long chat."""
    return topology.max_body_bytes + BUFFER_SLACK


def clusters(topology: Topology) -> list[cluster.Cluster]:
    """The router's cluster first, then the models' in their order."""
    limit = buffer_limit(topology)
    models = [_model_cluster(name, endpoints, limit) for name, endpoints in topology.models.items()]
    return [_ext_proc_cluster(topology.ext_proc, limit), *models]


def _ext_proc_cluster(at: HostPort | UnixPath, limit: int) -> cluster.Cluster:
    host = endpoint.LbEndpoint(endpoint=endpoint.Endpoint(address=address(at)))
    keepalive = core.KeepaliveSettings(
        # Finds a router that vanished without closing (a lost node). Slow enough for gRPC's ping policy.
        interval=timedelta(seconds=30),
        timeout=timedelta(seconds=5),
    )
    http2 = core.Http2ProtocolOptions(connection_keepalive=keepalive)
    return cluster.Cluster(
        name=EXT_PROC_CLUSTER,
        type=_discovery([] if isinstance(at, UnixPath) else [at.host]),
        # Every request waits this long, once, when the router's address does not even refuse.
        connect_timeout=timedelta(milliseconds=250),
        per_connection_buffer_limit_bytes=limit,
        lb_policy=cluster.ClusterLbPolicy.LEAST_REQUEST,
        load_assignment=_assignment(EXT_PROC_CLUSTER, [host]),
        # One gRPC stream may live as long as its HTTP request: this counts the clients' requests in flight.
        circuit_breakers=_breakers(UNLIMITED, retries=UNLIMITED),
        dns_lookup_family=cluster.ClusterDnsLookupFamily.V4_PREFERRED,
        typed_extension_protocol_options=_protocol(
            upstream_http.HttpProtocolOptions(
                explicit_http_config=upstream_http.HttpProtocolOptionsExplicitHttpConfig(
                    http2_protocol_options=http2
                )
            )
        ),
    )


def _model_cluster(model: str, endpoints: tuple[Endpoint, ...], limit: int) -> cluster.Cluster:
    name = model_cluster(model)
    hosts = [
        endpoint.LbEndpoint(
            endpoint=endpoint.Endpoint(address=address(HostPort(each.host, each.port))),
            load_balancing_weight=each.weight,
        )
        for each in endpoints
    ]
    return cluster.Cluster(
        name=name,
        alt_stat_name=stat_name(name),
        type=_discovery([each.host for each in endpoints]),
        connect_timeout=timedelta(seconds=2),
        per_connection_buffer_limit_bytes=limit,
        # Answers differ in length by orders of magnitude: the server with the fewest in flight is the freest.
        lb_policy=cluster.ClusterLbPolicy.LEAST_REQUEST,
        load_assignment=_assignment(name, hosts),
        circuit_breakers=_breakers(MODEL_REQUESTS, retries=MODEL_RETRIES),
        dns_lookup_family=cluster.ClusterDnsLookupFamily.V4_PREFERRED,
        outlier_detection=_outlier_detection(),
        typed_extension_protocol_options=_protocol(
            upstream_http.HttpProtocolOptions(
                # vLLM's HTTP server closes connections idle for 5 s. Closing first avoids the race in which a
                # request is written to a connection that is just being closed, which nothing may retry.
                common_http_protocol_options=core.HttpProtocolOptions(idle_timeout=timedelta(seconds=4)),
                explicit_http_config=upstream_http.HttpProtocolOptionsExplicitHttpConfig(
                    http_protocol_options=core.Http1ProtocolOptions()
                ),
            )
        ),
    )


def _discovery(hosts: list[str]) -> cluster.ClusterDiscoveryType:
    """STATIC when no host needs a look-up: Envoy refuses names there, and resolves in vain otherwise."""
    if all(_is_ip(host) for host in hosts):
        return cluster.ClusterDiscoveryType.STATIC
    return cluster.ClusterDiscoveryType.STRICT_DNS


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _assignment(name: str, hosts: list[endpoint.LbEndpoint]) -> endpoint.ClusterLoadAssignment:
    locality = endpoint.LocalityLbEndpoints(lb_endpoints=hosts)
    return endpoint.ClusterLoadAssignment(cluster_name=name, endpoints=[locality])


def _breakers(limit: int, retries: int) -> cluster.CircuitBreakers:
    threshold = cluster.CircuitBreakersThresholds(
        max_connections=limit, max_pending_requests=limit, max_requests=limit, max_retries=retries
    )
    return cluster.CircuitBreakers(thresholds=[threshold])


def _outlier_detection() -> cluster.OutlierDetection:
    """Takes a server out for a while when it refuses connections or its gateway fails, nothing else.

    A 500 is a bad request as often as a bad server, and success rates mean nothing for a handful of
    servers. At most half are out; a lone server never is.
    """
    return cluster.OutlierDetection(
        interval=timedelta(seconds=5),
        base_ejection_time=timedelta(seconds=10),
        max_ejection_percent=50,
        enforcing_consecutive_5xx=0,
        enforcing_success_rate=0,
        consecutive_gateway_failure=5,
        enforcing_consecutive_gateway_failure=100,
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=3,
        enforcing_local_origin_success_rate=0,
    )


def _protocol(options: upstream_http.HttpProtocolOptions) -> dict[str, Any]:
    return {HTTP_PROTOCOL_OPTIONS: Any.pack(options)}
