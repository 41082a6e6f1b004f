"""When a server of a model counts as dead, and how much may be asked of a model at a time."""

from datetime import timedelta

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core

from router_extproc.envoyconf.topology import HealthCheck

UNLIMITED = 1_000_000
"""A circuit breaker that never opens. The router bounds its own streams and answers above the bound;
Envoy's default of 1024 would turn a busy hour of long answers into errors instead."""

MODEL_REQUESTS = 10_000
"""Requests and connections to one model at a time: beyond it, waiting in the model's queue helps nobody."""

MODEL_RETRIES = 100
"""Retries in flight to one model. They follow failed connects and refusals, so they cost the servers next to
nothing; the default of 3 would make the 4th client see the dead server."""


def circuit_breakers(limit: int, retries: int) -> cluster.CircuitBreakers:
    threshold = cluster.CircuitBreakersThresholds(
        max_connections=limit, max_pending_requests=limit, max_requests=limit, max_retries=retries
    )
    return cluster.CircuitBreakers(thresholds=[threshold])


def outlier_detection() -> cluster.OutlierDetection:
    """Takes a server out for a while when it does nothing but fail.

    Refused connections and a gateway's 502 to 504 say so soon; a 500 is a bad request as often as a bad
    server, so ten in a row without one success are needed. Success rates mean nothing for a handful of
    servers. The last one is never taken out.
    """
    return cluster.OutlierDetection(
        interval=timedelta(seconds=2),
        base_ejection_time=timedelta(seconds=10),
        # Each ejection in a row is longer by the base; a server that is back must not wait for minutes.
        max_ejection_time=timedelta(seconds=60),
        max_ejection_percent=99,
        consecutive_5xx=10,
        enforcing_consecutive_5xx=100,
        enforcing_success_rate=0,
        consecutive_gateway_failure=5,
        enforcing_consecutive_gateway_failure=100,
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=3,
        enforcing_local_origin_success_rate=0,
    )


def health_checks(of: HealthCheck | None, *, encrypted: bool) -> list[core.HealthCheck]:
    """At most one check. Two failures take a server out, one success brings it back."""
    if of is None:
        return []
    interval = timedelta(seconds=of.interval)
    return [
        core.HealthCheck(
            timeout=timedelta(seconds=of.timeout),
            interval=interval,
            # Its default of a minute would hold until the model's first request.
            no_traffic_interval=interval,
            unhealthy_threshold=2,
            healthy_threshold=1,
            # A connection kept between checks is closed by vLLM at just about the next one.
            reuse_connection=False,
            http_health_check=core.HealthCheckHttpHealthCheck(path=of.path),
            tls_options=core.HealthCheckTlsOptions(alpn_protocols=["http/1.1"]) if encrypted else None,
        )
    ]


def tcp_keepalive() -> core.TcpKeepalive:
    """Finds a server that vanished during a long answer, and keeps the way to it open: translators of
    addresses forget connections that are silent for some minutes, as a thinking model's are."""
    return core.TcpKeepalive(keepalive_time=60, keepalive_interval=10, keepalive_probes=3)
