"""The smallest Envoy configuration that has an ext_proc filter, for tests of the wire alone.

The shipped configuration is `envoyconf`'s; this one differs where a test of the protocol needs it to:
trailers are enabled, and a failing processor fails the request, so that no test passes by going around it.
"""

import json
from typing import Any


def bare_config(processor_port: int, upstream_port: int, *, trailers: bool = False) -> str:
    """`trailers` shows trailers to the processor; HTTP/1.1 carries them in either case."""
    show = "SEND" if trailers else "SKIP"
    processor = _any(
        "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
        grpc_service={"envoy_grpc": {"cluster_name": "processor"}},
        failure_mode_allow=False,
        allow_mode_override=True,
        message_timeout="5s",
        mutation_rules={"allow_all_routing": False, "allow_envoy": False, "disallow_system": True},
        processing_mode={
            "request_header_mode": "SEND",
            "response_header_mode": "SEND",
            "request_body_mode": "BUFFERED",
            "response_body_mode": "NONE",
            "request_trailer_mode": show,
            "response_trailer_mode": show,
        },
    )
    manager = _any(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="bare",
        http_protocol_options={"enable_trailers": True},
        preserve_external_request_id=True,
        server_header_transformation="PASS_THROUGH",
        upgrade_configs=[{"upgrade_type": "websocket"}],
        route_config={
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "0s"}}],
                }
            ]
        },
        http_filters=[
            {"name": "envoy.filters.http.ext_proc", "typed_config": processor},
            {
                "name": "envoy.filters.http.router",
                "typed_config": _any("envoy.extensions.filters.http.router.v3.Router"),
            },
        ],
    )
    listener = {
        "name": "clients",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "per_connection_buffer_limit_bytes": 16 * 1024 * 1024,
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }
    clusters = [
        _cluster("upstream", upstream_port, {"http_protocol_options": {"enable_trailers": True}}),
        _cluster("processor", processor_port, {"http2_protocol_options": {}}),
    ]
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": clusters}})


def _any(message: str, **fields: Any) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/{message}", **fields}


def _cluster(name: str, port: int, protocol: dict[str, Any]) -> dict[str, Any]:
    options = _any("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", explicit_http_config=protocol)
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": 16 * 1024 * 1024,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
