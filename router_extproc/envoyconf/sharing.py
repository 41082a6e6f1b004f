"""Several processes of the router behind one Envoy: which of them is asked, and what becomes of a stream that
one of them did not take. Knows nothing of what the processes do.
"""

from datetime import timedelta
from typing import Final

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts import v3 as previous_hosts
from envoy_data_plane.envoy.type import v3 as envoy_type
from envoy_data_plane.google.protobuf import Any

from router_extproc.base.names import EXT_PROC_SERVICE
from router_extproc.envoyconf.topology import HostPort, Topology, UnixPath, is_ip

CHECK_INTERVAL: Final = timedelta(seconds=1)
CHECK_TIMEOUT: Final = timedelta(seconds=1)
CHECK_FAILURES: Final = 2
"""In a row: then no new stream goes to the process. So it takes 3 s at most until Envoy has turned away from
one that drains (`shutdown.drain_seconds`), and one lost answer under load changes nothing."""

LAST_RESORT_PERCENT: Final = 1.0
"""Only when all are held for dead does Envoy ask them all the same. By its default it would do so as soon as
half of them are: a third of all streams would go to a process that is being restarted."""

RETRY_ON: Final = "connect-failure,refused-stream,reset"
"""As long as the process has not answered anything: then nothing of its judgement has been used."""

RETRIES: Final = 2


def places(topology: Topology) -> tuple[HostPort | UnixPath, ...]:
    """Every process of the router that is known by an address of its own."""
    return (topology.ext_proc, *topology.more_ext_proc)


def is_shared(topology: Topology) -> bool:
    """Whether there are, or behind a name may be, several."""
    at = topology.ext_proc
    return bool(topology.more_ext_proc) or (isinstance(at, HostPort) and not is_ip(at.host))


def health_checks(topology: Topology) -> list[core.HealthCheck]:
    """gRPC's own health service (grpc.health.v1), asked for the service by name, so that a router can tell
    Envoy from others who ask. None for a single process: there is nowhere to turn to."""
    if not is_shared(topology):
        return []
    return [
        core.HealthCheck(
            timeout=CHECK_TIMEOUT,
            interval=CHECK_INTERVAL,
            # Its default of a minute would hold until the first request.
            no_traffic_interval=CHECK_INTERVAL,
            unhealthy_threshold=CHECK_FAILURES,
            healthy_threshold=1,
            grpc_health_check=core.HealthCheckGrpcHealthCheck(service_name=EXT_PROC_SERVICE),
        )
    ]


def last_resort(topology: Topology) -> cluster.ClusterCommonLbConfig | None:
    if not is_shared(topology):
        return None
    return cluster.ClusterCommonLbConfig(
        healthy_panic_threshold=envoy_type.Percent(value=LAST_RESORT_PERCENT)
    )


def retry_policy(topology: Topology) -> core.RetryPolicy | None:
    """For a stream on the way to a process that was just killed, or that closed its listener: another one
    takes it."""
    if not is_shared(topology):
        return None
    elsewhere = core.RetryPolicyRetryHostPredicate(
        name="envoy.retry_host_predicates.previous_hosts",
        typed_config=Any.pack(previous_hosts.PreviousHostsPredicate()),
    )
    return core.RetryPolicy(
        retry_on=RETRY_ON,
        num_retries=RETRIES,
        retry_host_predicate=[elsewhere],
        host_selection_retry_max_attempts=5,
    )
