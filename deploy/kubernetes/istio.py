"""What Istio is told: an EnvoyFilter with the very messages that `envoyconf` renders, and routes in Istio's
own words."""

from typing import Any, Final

from deploy.kubernetes.envoy_gateway import EXT_PROC_PORT, NAMESPACE, SERVICE, route_name
from deploy.kubernetes.rendered import SUFFIX, Envoy, Message, Service
from router_extproc.base.names import SELECTED_MODEL

GATEWAY_NAMESPACE: Final = "istio-ingress"
GATEWAY_LABELS: Final = {"istio": "ingress"}
GATEWAY: Final = "llm"
HOST: Final = f"{SERVICE}.{NAMESPACE}{SUFFIX}"
CLUSTER: Final = f"outbound|{EXT_PROC_PORT}||{HOST}"
"""Istio's name for the router's cluster. Its endpoints, and mTLS to them, are Istio's affair."""

MANAGER: Final = "envoy.filters.network.http_connection_manager"
ROUTER: Final = "envoy.filters.http.router"

OURS: Final = (
    "@type",
    "early_header_mutation_extensions",
    "local_reply_config",
    "merge_slashes",
    "normalize_path",
    "path_with_escaped_slashes_action",
    "preserve_external_request_id",
    "request_timeout",
    "server_header_transformation",
    "stream_idle_timeout",
    "use_remote_address",
)
"""Of the connection manager, what is merged into Istio's."""

ISTIO_S: Final = ("access_log", "http_filters", "route_config", "stat_prefix", "upgrade_configs")
"""What stays as Istio has it. Its list of upgrades cannot be merged: a second entry for websockets is
refused by Envoy."""


def resources(envoy: Envoy) -> list[Message]:
    models = [_destination(envoy, name) for name in envoy.services]
    return [envoy_filter(envoy), _ext_proc_destination(envoy), virtual_service(envoy), *models]


def envoy_filter(envoy: Envoy) -> Message:
    service = {**envoy.processor["grpc_service"], "envoy_grpc": {"cluster_name": CLUSTER}}
    processor = {**envoy.processor, "grpc_service": service, "failure_mode_allow": envoy.fails_open}
    if unknown := sorted(envoy.manager.keys() - {*OURS, *ISTIO_S}):
        raise ValueError(f"connection manager: Istio is not told of {', '.join(unknown)}")
    manager = {key: envoy.manager[key] for key in OURS if key in envoy.manager}
    limit = "per_connection_buffer_limit_bytes"
    patches = [
        _patch(
            "HTTP_FILTER",
            {"listener": _in_manager({"subFilter": {"name": ROUTER}})},
            "INSERT_BEFORE",
            {"name": "envoy.filters.http.ext_proc", "typed_config": processor},
        ),
        _patch("NETWORK_FILTER", {"listener": _in_manager({})}, "MERGE", {"typed_config": manager}),
        _patch("LISTENER", {}, "MERGE", {limit: envoy.listener[limit]}),
        _patch(
            "CLUSTER",
            {"cluster": {"service": HOST, "portNumber": EXT_PROC_PORT}},
            "MERGE",
            {limit: envoy.ext_proc[limit]},
        ),
    ]
    spec = {"workloadSelector": {"labels": GATEWAY_LABELS}, "configPatches": patches}
    return _object("networking.istio.io/v1alpha3", "EnvoyFilter", SERVICE, spec)


def virtual_service(envoy: Envoy) -> Message:
    selected = [
        {
            "name": route_name(model),
            "match": [{"headers": {SELECTED_MODEL: {"exact": model}}}],
            **_http(services, envoy.routes[model]["route"]),
        }
        for model, services in sorted(envoy.services.items())
    ]
    default = _http(envoy.services[envoy.default_model], envoy.routes[None]["route"])
    spec = {
        "hosts": ["*"],
        "gateways": [f"{GATEWAY_NAMESPACE}/{GATEWAY}"],
        "http": [*selected, {"name": "default", **default}],
    }
    return _object("networking.istio.io/v1", "VirtualService", SERVICE, spec)


def _http(services: tuple[Service, ...], action: Message) -> Message:
    weights = [each.weight for each in services]
    destinations = [
        {"destination": {"host": each.host, "port": {"number": each.port}}, "weight": each.weight}
        for each in services
    ]
    if len(weights) == 1:
        del destinations[0]["weight"]
    return {"route": destinations, "timeout": action["timeout"], "retries": _retries(action)}


def _retries(action: Message) -> Message:
    """None at all has to be said: Istio's default retries answers of 503."""
    policy = action.get("retry_policy")
    if policy is None:
        return {"attempts": 0}
    codes = [str(code) for code in policy.get("retriable_status_codes", ())]
    on = [each for each in policy["retry_on"].split(",") if each != "retriable-status-codes"]
    return {"attempts": policy["num_retries"], "retryOn": ",".join([*on, *codes])}


def _ext_proc_destination(envoy: Envoy) -> Message:
    return _destination_rule(SERVICE, HOST, _policy(envoy.ext_proc, {}))


def _destination(envoy: Envoy, model: str) -> Message:
    """For the model's first Service; the generator refuses more by their number in `resources`."""
    (service, *others) = envoy.services[model]
    if others:
        raise ValueError(f"{model}: has several Services; give Istio one Service with all of its servers")
    cluster = envoy.clusters[model]
    (options,) = cluster["typed_extension_protocol_options"].values()
    found = cluster["outlier_detection"]
    policy = _policy(cluster, {"idleTimeout": options["common_http_protocol_options"]["idle_timeout"]})
    policy["outlierDetection"] = {
        "interval": found["interval"],
        "baseEjectionTime": found["base_ejection_time"],
        "maxEjectionPercent": found["max_ejection_percent"],
        "consecutive5xxErrors": found["consecutive_5xx"],
        "consecutiveGatewayErrors": found["consecutive_gateway_failure"],
        "consecutiveLocalOriginFailures": found["consecutive_local_origin_failure"],
        "splitExternalLocalOriginErrors": found["split_external_local_origin_errors"],
        "minHealthPercent": 0,
    }
    return _destination_rule(route_name(model), service.host, policy)


def _policy(cluster: Message, http: Message) -> Message:
    (limits,) = cluster["circuit_breakers"]["thresholds"]
    tcp: dict[str, Any] = {
        "maxConnections": limits["max_connections"],
        "connectTimeout": cluster["connect_timeout"],
    }
    if keepalive := cluster.get("upstream_connection_options"):
        found = keepalive["tcp_keepalive"]
        tcp["tcpKeepalive"] = {
            "probes": found["keepalive_probes"],
            "time": f"{found['keepalive_time']}s",
            "interval": f"{found['keepalive_interval']}s",
        }
    return {
        "connectionPool": {
            "tcp": tcp,
            "http": {
                "http1MaxPendingRequests": limits["max_pending_requests"],
                "http2MaxRequests": limits["max_requests"],
                "maxRetries": limits["max_retries"],
                **http,
            },
        },
        "loadBalancer": {"simple": cluster["lb_policy"]},
    }


def _destination_rule(name: str, host: str, policy: Message) -> Message:
    spec = {"host": host, "trafficPolicy": policy}
    return _object("networking.istio.io/v1", "DestinationRule", name, spec)


def _in_manager(below: Message) -> Message:
    return {"filterChain": {"filter": {"name": MANAGER, **below}}}


def _patch(applies_to: str, match: Message, operation: str, value: Message) -> Message:
    return {
        "applyTo": applies_to,
        "match": {"context": "GATEWAY", **match},
        "patch": {"operation": operation, "value": value},
    }


def _object(version: str, kind: str, name: str, spec: Message) -> Message:
    metadata = {"name": name, "namespace": GATEWAY_NAMESPACE}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
