"""The clusters of a topology: the router's own, and one per model. Knows nothing of routes."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.endpoint import v3 as endpoint
from envoy_data_plane.envoy.extensions.upstreams.http import v3 as upstream_http
from envoy_data_plane.envoy.type import v3 as envoy_type
from envoy_data_plane.google.protobuf import Any

from router_extproc.envoyconf import sharing
from router_extproc.envoyconf.addresses import address, stat_name
from router_extproc.envoyconf.credentials import credential_filters
from router_extproc.envoyconf.resilience import (
    MODEL_REQUESTS,
    MODEL_RETRIES,
    UNLIMITED,
    circuit_breakers,
    health_checks,
    outlier_detection,
    tcp_keepalive,
)
from router_extproc.envoyconf.router_tls import router_socket
from router_extproc.envoyconf.sharing import places
from router_extproc.envoyconf.topology import Endpoint, HostPort, Model, Topology, is_ip
from router_extproc.envoyconf.upstream_tls import socket_matches, socket_metadata, transport_socket

EXT_PROC_CLUSTER = "ext_proc"

HTTP_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

BUFFER_SLACK = 1024 * 1024
"""Above the router's own limit, so that a body slightly too large reaches the router, whose refusal tells
the limit in the API's error form. Also room for headers: Envoy's limit counts everything buffered."""

ROUTER_CONNECT_MS = 250
ROUTER_TLS_CONNECT_MS = 1000
"""Envoy counts the handshake, and the router may be computing just then."""

CONNECT_SECONDS = 2
TLS_CONNECT_SECONDS = 5
"""Envoy counts the handshake, and who asks for TLS is often far away."""

LAST_RESORT_PERCENT = 1.0
"""Only when no server is left does Envoy ask the ones it holds for dead: a wrong path of a health check is
then no outage. Its default, asking all as soon as half are dead, would in a pool of two or three send every
other request to a dead server."""


def model_cluster(model: str) -> str:
    """The name of a model's cluster: injective, and telling in the access log."""
    return f"model:{model}"


def buffer_limit(topology: Topology) -> int:
    """Bytes that a connection may buffer. Envoy's default of 1 MiB would answer 413 to a long chat."""
    return topology.max_body_bytes + BUFFER_SLACK


def ext_proc_cluster(topology: Topology, folder: str | None = None) -> cluster.Cluster:
    """The router's own cluster: one endpoint for each of its processes; `folder` as in `model_clusters`."""
    at, tls = places(topology), topology.ext_proc_tls
    hosts = [endpoint.LbEndpoint(endpoint=endpoint.Endpoint(address=address(each))) for each in at]
    keepalive = core.KeepaliveSettings(
        # Finds a router that vanished without closing (a lost node). Slow enough for gRPC's ping policy.
        interval=timedelta(seconds=30),
        timeout=timedelta(seconds=5),
    )
    http2 = core.Http2ProtocolOptions(connection_keepalive=keepalive)
    return cluster.Cluster(
        name=EXT_PROC_CLUSTER,
        type=_discovery([each.host for each in at if isinstance(each, HostPort)]),
        # Every request waits this long, once, when the router's address does not even refuse.
        connect_timeout=timedelta(milliseconds=ROUTER_CONNECT_MS if tls is None else ROUTER_TLS_CONNECT_MS),
        per_connection_buffer_limit_bytes=buffer_limit(topology),
        lb_policy=cluster.ClusterLbPolicy.LEAST_REQUEST,
        load_assignment=_assignment(EXT_PROC_CLUSTER, hosts),
        health_checks=sharing.health_checks(topology),
        common_lb_config=sharing.last_resort(topology),
        # One gRPC stream may live as long as its HTTP request: this counts the clients' requests in flight.
        circuit_breakers=circuit_breakers(UNLIMITED, retries=UNLIMITED),
        dns_lookup_family=cluster.ClusterDnsLookupFamily.V4_PREFERRED,
        transport_socket=None if tls is None else router_socket(tls, folder),
        typed_extension_protocol_options=_protocol(
            upstream_http.HttpProtocolOptions(
                explicit_http_config=upstream_http.HttpProtocolOptionsExplicitHttpConfig(
                    http2_protocol_options=http2
                )
            )
        ),
    )


def model_clusters(topology: Topology, folder: str | None = None) -> dict[str, cluster.Cluster]:
    """Each model's cluster, in the models' order.

    Without `folder` for one file. With it, for files in that folder that Envoy watches: a cluster's name then
    tells its definition, so that a changed definition is another cluster. Envoy prepares that one beside the
    old one, the routes change from one to the other at once, and requests under way keep theirs.
    """
    limit = buffer_limit(topology)
    named = {name: _model_cluster(name, model, limit, folder) for name, model in topology.models.items()}
    if folder is not None:
        for each in named.values():
            each.name = f"{each.name}@{hashlib.sha256(bytes(each)).hexdigest()[:8]}"
            if each.load_assignment is not None:
                each.load_assignment.cluster_name = each.name
    return named


def _model_cluster(name: str, model: Model, limit: int, folder: str | None) -> cluster.Cluster:
    endpoints, ways = model.endpoints, socket_matches(model.endpoints)
    title, encrypted = model_cluster(name), all(each.tls for each in endpoints)
    return cluster.Cluster(
        name=title,
        alt_stat_name=stat_name(title),
        type=_discovery([each.host for each in endpoints]),
        connect_timeout=_connect_timeout(model),
        per_connection_buffer_limit_bytes=limit,
        # Answers differ in length by orders of magnitude: the server with the fewest in flight is the freest.
        lb_policy=cluster.ClusterLbPolicy.LEAST_REQUEST,
        load_assignment=_assignment(title, [_host(each, model, matched=bool(ways)) for each in endpoints]),
        health_checks=health_checks(model.health_check, encrypted=encrypted),
        ignore_health_on_host_removal=model.health_check is not None,
        circuit_breakers=circuit_breakers(MODEL_REQUESTS, retries=MODEL_RETRIES),
        dns_lookup_family=cluster.ClusterDnsLookupFamily.V4_PREFERRED,
        outlier_detection=outlier_detection(),
        common_lb_config=cluster.ClusterCommonLbConfig(
            healthy_panic_threshold=envoy_type.Percent(value=LAST_RESORT_PERCENT)
        ),
        upstream_connection_options=cluster.UpstreamConnectionOptions(tcp_keepalive=tcp_keepalive()),
        transport_socket_matches=ways,
        transport_socket=transport_socket(endpoints[0].tls) if encrypted else None,
        typed_extension_protocol_options=_protocol(_model_protocol(model, folder, negotiated=encrypted)),
    )


def _connect_timeout(model: Model) -> timedelta:
    default = TLS_CONNECT_SECONDS if any(each.tls for each in model.endpoints) else CONNECT_SECONDS
    given = model.upstream.connect_timeout
    return timedelta(seconds=default if given is None else given)


def _model_protocol(
    model: Model, folder: str | None, *, negotiated: bool
) -> upstream_http.HttpProtocolOptions:
    """HTTP/2 where every server can be asked for it (ALPN, RFC 7301), else HTTP/1.1, which vLLM speaks."""
    explicit = upstream_http.HttpProtocolOptionsExplicitHttpConfig(
        http_protocol_options=core.Http1ProtocolOptions()
    )
    return upstream_http.HttpProtocolOptions(
        # vLLM's HTTP server closes connections idle for 5 s. Closing first avoids the race in which a
        # request is written to a connection that is just being closed, which nothing may retry.
        common_http_protocol_options=core.HttpProtocolOptions(idle_timeout=timedelta(seconds=4)),
        explicit_http_config=None if negotiated else explicit,
        auto_config=upstream_http.HttpProtocolOptionsAutoHttpConfig() if negotiated else None,
        http_filters=[] if model.api_key is None else credential_filters(model.api_key, folder),
    )


def _host(each: Endpoint, model: Model, *, matched: bool) -> endpoint.LbEndpoint:
    checked = endpoint.EndpointHealthCheckConfig(hostname=each.authority) if model.health_check else None
    return endpoint.LbEndpoint(
        endpoint=endpoint.Endpoint(
            address=address(HostPort(each.host, each.port)),
            hostname=each.authority if model.is_named else "",
            health_check_config=checked,
        ),
        metadata=socket_metadata(each.tls) if matched else None,
        load_balancing_weight=each.weight,
    )


def _discovery(hosts: Sequence[str]) -> cluster.ClusterDiscoveryType:
    """STATIC when no host needs a look-up: Envoy refuses names there. The other type takes addresses too."""
    if all(is_ip(host) for host in hosts):
        return cluster.ClusterDiscoveryType.STATIC
    return cluster.ClusterDiscoveryType.STRICT_DNS


def _assignment(name: str, hosts: list[endpoint.LbEndpoint]) -> endpoint.ClusterLoadAssignment:
    locality = endpoint.LocalityLbEndpoints(lb_endpoints=hosts)
    return endpoint.ClusterLoadAssignment(cluster_name=name, endpoints=[locality])


def _protocol(options: upstream_http.HttpProtocolOptions) -> dict[str, Any]:
    return {HTTP_PROTOCOL_OPTIONS: Any.pack(options)}
