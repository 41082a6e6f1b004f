from dataclasses import replace

from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration
from envoy_data_plane.envoy.extensions.access_loggers.stream.v3 import StdoutAccessLog
from envoy_data_plane.envoy.extensions.filters.http.ext_proc.v3 import (
    ExternalProcessor,
    ProcessingModeBodySendMode,
    ProcessingModeHeaderSendMode,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpConnectionManager
from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation.v3 import HeaderMutation

from router_extproc.base.names import DESTINATIONS, INTERNAL
from router_extproc.envoyconf.clusters import EXT_PROC_CLUSTER, buffer_limit
from router_extproc.envoyconf.listener import ACCESS_LOG_FIELDS, Routes, RoutesFile, client_listener
from router_extproc.envoyconf.render import render_envoy
from tests.unit.envoyconf.shipped import SHIPPED

FILE = RoutesFile("/etc/envoy", "routes.yaml")


def manager(routes: Routes = FILE) -> HttpConnectionManager:
    (chain,) = client_listener(SHIPPED, routes).filter_chains
    (only,) = chain.filters
    assert only.typed_config is not None
    unpacked = only.typed_config.unpack()
    assert isinstance(unpacked, HttpConnectionManager)
    return unpacked


def processor() -> ExternalProcessor:
    config = manager().http_filters[0].typed_config
    assert config is not None
    unpacked = config.unpack()
    assert isinstance(unpacked, ExternalProcessor)
    return unpacked


def test_the_listener_can_buffer_the_largest_body() -> None:
    assert client_listener(SHIPPED, FILE).per_connection_buffer_limit_bytes == buffer_limit(SHIPPED)


def test_the_routers_filter_comes_before_the_one_that_sends_upstream() -> None:
    names = [each.name for each in manager().http_filters]
    assert names == ["envoy.filters.http.ext_proc", "envoy.filters.http.router"]


def test_every_internal_header_is_removed_early() -> None:
    (early,) = manager().early_header_mutation_extensions
    assert early.typed_config is not None
    mutation = early.typed_config.unpack()
    assert isinstance(mutation, HeaderMutation)
    assert {each.remove for each in mutation.mutations if each.remove} == {*INTERNAL, *DESTINATIONS}


def test_bodies_are_sent_to_the_router_whole_and_responses_only_on_demand() -> None:
    mode = processor().processing_mode
    assert mode is not None
    assert mode.request_header_mode == mode.response_header_mode == ProcessingModeHeaderSendMode.SEND
    assert mode.request_trailer_mode == mode.response_trailer_mode == ProcessingModeHeaderSendMode.SKIP
    assert mode.request_body_mode == ProcessingModeBodySendMode.BUFFERED
    assert mode.response_body_mode == ProcessingModeBodySendMode.NONE
    assert processor().allow_mode_override


def test_the_service_goes_on_without_the_router() -> None:
    assert processor().failure_mode_allow


def test_the_routers_stream_has_no_timeout_but_each_message_has() -> None:
    service = processor().grpc_service
    assert service is not None
    assert service.timeout is None
    assert service.envoy_grpc is not None
    assert service.envoy_grpc.cluster_name == EXT_PROC_CLUSTER
    timeout = processor().message_timeout
    assert timeout is not None
    assert timeout.total_seconds() == 5


def test_the_access_log_is_json_with_the_known_fields() -> None:
    (log,) = manager().access_log
    assert log.typed_config is not None
    stdout = log.typed_config.unpack()
    assert isinstance(stdout, StdoutAccessLog)
    assert stdout.log_format is not None
    assert stdout.log_format.json_format is not None
    assert stdout.log_format.json_format.to_dict() == ACCESS_LOG_FIELDS
    assert ACCESS_LOG_FIELDS["selected_model"] == "%REQ(X-SELECTED-MODEL)%"


def test_a_client_s_own_copy_of_the_tenant_s_header_is_removed_first() -> None:
    """Before any filter: one that authenticates the client sets it after that."""
    assert "remove: 'x-tenant'" not in render_envoy(SHIPPED)
    assert "remove: 'x-tenant'" in render_envoy(replace(SHIPPED, tenant_header="x-tenant"))


def test_the_routes_are_in_the_listener_or_in_a_file_that_envoy_watches() -> None:
    inside = manager(RouteConfiguration(name="models"))
    assert inside.route_config is not None
    assert inside.rds is None
    outside = manager()
    assert outside.route_config is None
    assert outside.rds is not None
    assert outside.rds.config_source is not None
    source = outside.rds.config_source.path_config_source
    assert source is not None
    assert source.path == "/etc/envoy/routes.yaml"
    assert source.watched_directory is not None
    assert source.watched_directory.path == "/etc/envoy"
