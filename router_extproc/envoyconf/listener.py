"""The listener of a topology: how a client's request is received, shown to the router and given a route."""

from dataclasses import dataclass
from datetime import timedelta

from envoy_data_plane.envoy.config.accesslog import v3 as accesslog
from envoy_data_plane.envoy.config.common.mutation_rules import v3 as mutation_rules
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.listener import v3 as listener
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.access_loggers.stream import v3 as stream_log
from envoy_data_plane.envoy.extensions.filters.http.ext_proc import v3 as ext_proc
from envoy_data_plane.envoy.extensions.filters.http.router import v3 as http_router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation import v3 as early
from envoy_data_plane.google.protobuf import Any, Struct

from router_extproc.base.names import DESTINATIONS, INTERNAL
from router_extproc.envoyconf.addresses import address, extension, watched_file
from router_extproc.envoyconf.clusters import EXT_PROC_CLUSTER, buffer_limit
from router_extproc.envoyconf.local_replies import local_replies
from router_extproc.envoyconf.routes import ROUTE_CONFIGURATION
from router_extproc.envoyconf.sharing import retry_policy
from router_extproc.envoyconf.topology import Topology


@dataclass(frozen=True, slots=True)
class RoutesFile:
    """The routes are in the file `name` of `folder`, which Envoy watches."""

    folder: str
    name: str


Routes = route.RouteConfiguration | RoutesFile

STAT_PREFIX = "router"

MESSAGE_TIMEOUT = timedelta(seconds=5)
"""For one message to the router. Its own budgets are some 100 ms; this only ends a wait for a hung process
(Envoy's default of 200 ms fires on large bodies under load)."""

UPLOAD_TIMEOUT = timedelta(minutes=5)
"""For a whole request to arrive: a buffered body occupies memory while a slow sender trickles it."""

IDLE_TIMEOUT = timedelta(minutes=10)
"""Between two bytes of a stream until it has a route; from then on the route's own holds."""

ACCESS_LOG_FIELDS = {
    "time": "%START_TIME%",
    "protocol": "%PROTOCOL%",
    "request_method": "%REQ(:METHOD)%",
    # Without the query: some clients put their key there.
    "request_path": "%PATH(NQ:ORIG_OR_PATH)%",
    "response_code": "%RESPONSE_CODE%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "response_flags": "%RESPONSE_FLAGS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    # Why a connection failed: here a certificate that was refused shows.
    "upstream_failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "selected_model": "%REQ(X-SELECTED-MODEL)%",
}
"""The field names of vLLM Semantic Router's access log, Envoy's reason for the response code, and its reason
for a failed connection."""


def client_listener(topology: Topology, routes: Routes) -> listener.Listener:
    """The listener that clients connect to."""
    manager = listener.Filter(
        name="envoy.filters.network.http_connection_manager",
        typed_config=Any.pack(_connection_manager(topology, routes)),
    )
    return listener.Listener(
        name="clients",
        address=address(topology.listener),
        filter_chains=[listener.FilterChain(filters=[manager])],
        # This limit, not the clusters', decides how large a body the filter below can hold.
        per_connection_buffer_limit_bytes=buffer_limit(topology),
    )


def _connection_manager(topology: Topology, routes: Routes) -> hcm.HttpConnectionManager:
    router = hcm.HttpFilter(name="envoy.filters.http.router", typed_config=Any.pack(http_router.Router()))
    processor = hcm.HttpFilter(
        name="envoy.filters.http.ext_proc", typed_config=Any.pack(_processor(topology))
    )
    return hcm.HttpConnectionManager(
        stat_prefix=STAT_PREFIX,
        route_config=routes if isinstance(routes, route.RouteConfiguration) else None,
        rds=_rds(routes) if isinstance(routes, RoutesFile) else None,
        http_filters=[processor, router],
        # The upstream's Server field, or none: the proxy adds nothing of its own.
        server_header_transformation=hcm.HttpConnectionManagerServerHeaderTransformation.PASS_THROUGH,
        stream_idle_timeout=IDLE_TIMEOUT,
        request_timeout=UPLOAD_TIMEOUT,
        access_log=[_access_log()],
        local_reply_config=local_replies(topology.max_body_bytes, timed=_is_timed(topology)),
        # The peer's address is the client's, and the peer is outside: Envoy then drops the x-envoy-* fields
        # by which a client could change timeouts, retries and the path in the log.
        use_remote_address=True,
        early_header_mutation_extensions=[
            extension("envoy.http.early_header_mutation.header_mutation", _strip_internal_headers(topology))
        ],
        # Clients correlate by the id they sent.
        preserve_external_request_id=True,
        # The body of an upgraded connection never ends: the filter that buffers it would wait for ever.
        upgrade_configs=[hcm.HttpConnectionManagerUpgradeConfig(upgrade_type="websocket", filters=[router])],
        # vLLM's HTTP server decodes paths before it compares them: every spelling that it reads as the chat
        # endpoint must look so to the router too, or it would be a way around the router.
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action=(
            hcm.HttpConnectionManagerPathWithEscapedSlashesAction.UNESCAPE_AND_FORWARD
        ),
    )


def _is_timed(topology: Topology) -> bool:
    """Whether a request may end because its time is up."""
    return any(model.upstream.request_timeout for model in topology.models.values())


def _rds(routes: RoutesFile) -> hcm.Rds:
    source = watched_file(routes.folder, routes.name)
    return hcm.Rds(route_config_name=ROUTE_CONFIGURATION, config_source=source)


def _strip_internal_headers(topology: Topology) -> early.HeaderMutation:
    """Removes what only the router, or a filter of this chain, may say, before the first route is chosen.

    Removing it in the route's configuration would be too late: a route has been matched by then.
    """
    tenant = () if topology.tenant_header is None else (topology.tenant_header,)
    names = (*INTERNAL, *DESTINATIONS, *tenant)
    return early.HeaderMutation(mutations=[mutation_rules.HeaderMutation(remove=name) for name in names])


def _processor(topology: Topology) -> ext_proc.ExternalProcessor:
    send = ext_proc.ProcessingModeHeaderSendMode.SEND
    skip = ext_proc.ProcessingModeHeaderSendMode.SKIP
    return ext_proc.ExternalProcessor(
        # No timeout: it would end the stream, which lives as long as the answer does.
        grpc_service=core.GrpcService(
            envoy_grpc=core.GrpcServiceEnvoyGrpc(cluster_name=EXT_PROC_CLUSTER),
            retry_policy=retry_policy(topology),
        ),
        # A router that is away costs routing and cache, not the service, and no answer under way. Where it
        # must not be so, the routes refuse what the router has not judged (`envoyconf.away`).
        failure_mode_allow=True,
        processing_mode=ext_proc.ProcessingMode(
            request_header_mode=send,
            response_header_mode=send,
            # Whole, so that the reply may change the body, its length and the route; and the body can be sent
            # to another server after a failed connect.
            request_body_mode=ext_proc.ProcessingModeBodySendMode.BUFFERED,
            # The router asks for STREAMED on the responses that it will store: others do not pass through it.
            response_body_mode=ext_proc.ProcessingModeBodySendMode.NONE,
            request_trailer_mode=skip,
            response_trailer_mode=skip,
        ),
        message_timeout=MESSAGE_TIMEOUT,
        # The router sets ordinary header fields only: method, path, authority, x-envoy-* stay as they came.
        mutation_rules=mutation_rules.HeaderMutationRules(
            allow_all_routing=False, allow_envoy=False, disallow_system=True
        ),
        allow_mode_override=True,
    )


def _access_log() -> accesslog.AccessLog:
    log_format = core.SubstitutionFormatString(json_format=Struct.from_dict(dict(ACCESS_LOG_FIELDS)))
    return accesslog.AccessLog(
        name="envoy.access_loggers.stdout",
        typed_config=Any.pack(stream_log.StdoutAccessLog(log_format=log_format)),
    )
