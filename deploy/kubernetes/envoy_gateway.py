"""What Envoy Gateway is told: policies and routes that say what `envoyconf` renders, as far as its API can.

What its API cannot say is in `BEYOND`, and what follows from that in docs/KUBERNETES.md. A field that is in
neither stops the rendering, so that nothing is left out unnoticed.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from deploy.kubernetes.rendered import Envoy, Message, Service
from router_extproc.base.names import SELECTED_MODEL
from router_extproc.envoyconf.routes import routes
from router_extproc.envoyconf.text import content_of
from router_extproc.envoyconf.topology import Endpoint, HostPort, Model, Topology

NAMESPACE: Final = "router-extproc"
GATEWAY: Final = "llm"
SERVICE: Final = "router-extproc"
EXT_PROC_PORT: Final = 50051

BODY_MODES: Final = {"BUFFERED": "Buffered", "STREAMED": "Streamed", "BUFFERED_PARTIAL": "BufferedPartial"}

BEYOND: Final = frozenset({"@type", "failure_mode_allow", "grpc_service", "mutation_rules"})
"""Of the filter: the API has no rules for what a processor may change, Envoy Gateway itself writes the
connection to the processor, and whether it fails open is told with a view to the routes."""

MI: Final = 1024 * 1024


def resources(envoy: Envoy) -> list[Message]:
    models = [
        each for name in envoy.services for each in (_model_route(envoy, name), _traffic_policy(envoy, name))
    ]
    default = [_default_route(envoy), _traffic_policy(envoy, None)]
    return [extension_policy(envoy), client_policy(envoy), *models, *default, *_grants(envoy)]


def extension_policy(envoy: Envoy) -> Message:
    processor = dict(envoy.processor)
    mode = processor.pop("processing_mode")
    spec = {
        "backendRefs": [{"name": SERVICE, "port": EXT_PROC_PORT}],
        "backendSettings": {
            "connection": _connection(envoy.ext_proc),
            "circuitBreaker": _circuit_breaker(envoy.ext_proc),
            "loadBalancer": _load_balancer(envoy.ext_proc),
            "timeout": {"tcp": {"connectTimeout": duration(envoy.ext_proc["connect_timeout"])}},
        },
        "failOpen": envoy.fails_open,
        "messageTimeout": duration(processor.pop("message_timeout")),
        "processingMode": {
            "allowModeOverride": processor.pop("allow_mode_override", False),
            "request": _options(mode, "request"),
            "response": _options(mode, "response"),
        },
    }
    if unknown := sorted(processor.keys() - BEYOND):
        raise ValueError(f"ext_proc: Envoy Gateway is not told of {', '.join(unknown)}")
    return _policy("EnvoyExtensionPolicy", SERVICE, [_gateway()], {"extProc": [spec]})


def client_policy(envoy: Envoy) -> Message:
    manager = envoy.manager
    return _policy(
        "ClientTrafficPolicy",
        GATEWAY,
        [_gateway()],
        {
            "connection": {"bufferLimit": quantity(envoy.listener["per_connection_buffer_limit_bytes"])},
            "headers": {
                # Before the first route is chosen.
                "earlyRequestHeaders": {"remove": stripped(manager)},
                "requestID": "PreserveOrGenerate" if manager["preserve_external_request_id"] else "Generate",
            },
            "path": {
                "disableMergeSlashes": not manager["merge_slashes"],
                "escapedSlashesAction": {"UNESCAPE_AND_FORWARD": "UnescapeAndForward"}[
                    manager["path_with_escaped_slashes_action"]
                ],
            },
            "timeout": {
                "http": {
                    "requestReceivedTimeout": duration(manager["request_timeout"]),
                    "streamIdleTimeout": duration(manager["stream_idle_timeout"]),
                }
            },
        },
    )


def stripped(manager: Message) -> list[str]:
    """The names of the header fields that are removed before a route is chosen."""
    (extension,) = manager["early_header_mutation_extensions"]
    return [each["remove"] for each in extension["typed_config"]["mutations"]]


def route_name(model: str) -> str:
    """A model's name as Kubernetes takes it. Two models of one such name are refused by Kubernetes."""
    return "model-" + re.sub(r"[^a-z0-9-]+", "-", model.lower()).strip("-")


def duration(text: str) -> str:
    """Envoy's seconds as Gateway API writes a duration (GEP-2257): whole numbers of s or ms."""
    milliseconds = round(float(text.removesuffix("s")) * 1000)
    return f"{milliseconds // 1000}s" if milliseconds % 1000 == 0 else f"{milliseconds}ms"


def quantity(size: int) -> str:
    return f"{size // MI}Mi" if size % MI == 0 else str(size)


def _options(mode: Mapping[str, str], direction: str) -> Message:
    """Where they are given, the headers are sent. No mode for the body means that it is not sent, and
    trailers never are."""
    if mode[f"{direction}_header_mode"] != "SEND" or mode[f"{direction}_trailer_mode"] != "SKIP":
        raise ValueError(f"ext_proc: Envoy Gateway cannot be told of these modes of the {direction}: {mode}")
    body = mode.get(f"{direction}_body_mode", "NONE")
    return {} if body == "NONE" else {"body": BODY_MODES[body]}


def _model_route(envoy: Envoy, model: str) -> Message:
    match = [{"headers": [{"type": "Exact", "name": SELECTED_MODEL, "value": model}]}]
    return _route(route_name(model), envoy.services[model], {"matches": match})


def _default_route(envoy: Envoy) -> Message:
    return _route("default", envoy.services[envoy.default_model], {})


def _route(name: str, services: tuple[Service, ...], rule: Message) -> Message:
    backends = [
        {"name": each.name, "namespace": each.namespace, "port": each.port, "weight": each.weight}
        for each in services
    ]
    spec = {"parentRefs": [{"name": GATEWAY}], "rules": [{**rule, "backendRefs": backends}]}
    return _object("gateway.networking.k8s.io/v1", "HTTPRoute", name, spec)


def _traffic_policy(envoy: Envoy, model: str | None) -> Message:
    cluster = envoy.clusters[envoy.default_model if model is None else model]
    name = "default" if model is None else route_name(model)
    target = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name}
    action = envoy.routes[model]["route"]
    spec: Message = {
        "connection": _connection(cluster),
        "circuitBreaker": _circuit_breaker(cluster),
        "healthCheck": _health_check(cluster),
        "loadBalancer": _load_balancer(cluster),
        "tcpKeepalive": _keepalive(cluster),
        "timeout": {
            "http": {
                "requestTimeout": duration(action["timeout"]),
                "connectionIdleTimeout": duration(
                    _http(cluster)["common_http_protocol_options"]["idle_timeout"]
                ),
            },
            "tcp": {"connectTimeout": duration(cluster["connect_timeout"])},
        },
    }
    if (policy := action.get("retry_policy")) is not None:
        spec["retry"] = _retry(policy)
    return _policy("BackendTrafficPolicy", name, [target], spec)


def _connection(cluster: Message) -> Message:
    return {"bufferLimit": quantity(cluster["per_connection_buffer_limit_bytes"])}


def _circuit_breaker(cluster: Message) -> Message:
    (limits,) = cluster["circuit_breakers"]["thresholds"]
    return {
        "maxConnections": limits["max_connections"],
        "maxPendingRequests": limits["max_pending_requests"],
        "maxParallelRequests": limits["max_requests"],
        "maxParallelRetries": limits["max_retries"],
    }


def _load_balancer(cluster: Message) -> Message:
    return {"type": {"LEAST_REQUEST": "LeastRequest"}[cluster["lb_policy"]]}


def _health_check(cluster: Message) -> Message:
    found = cluster["outlier_detection"]
    return {
        "panicThreshold": int(cluster["common_lb_config"]["healthy_panic_threshold"]["value"]),
        "passive": {
            "interval": duration(found["interval"]),
            "baseEjectionTime": duration(found["base_ejection_time"]),
            "maxEjectionPercent": found["max_ejection_percent"],
            "consecutive5XxErrors": found["consecutive_5xx"],
            "consecutiveGatewayErrors": found["consecutive_gateway_failure"],
            "consecutiveLocalOriginFailures": found["consecutive_local_origin_failure"],
            "splitExternalLocalOriginErrors": found["split_external_local_origin_errors"],
        },
    }


def _keepalive(cluster: Message) -> Message:
    found = cluster["upstream_connection_options"]["tcp_keepalive"]
    return {
        "idleTime": f"{found['keepalive_time']}s",
        "interval": f"{found['keepalive_interval']}s",
        "probes": found["keepalive_probes"],
    }


def _retry(policy: Message) -> Message:
    triggers = policy["retry_on"].split(",")
    on: dict[str, Any] = {"triggers": triggers}
    if codes := policy.get("retriable_status_codes"):
        on["httpStatusCodes"] = codes
    return {"numRetries": policy["num_retries"], "retryOn": on}


def retry_elsewhere() -> Message:
    """Of a model with two servers: who is overloaded may send the request to the other."""
    servers = (Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 1))
    topology = Topology(
        HostPort("127.0.0.1", 1), HostPort("127.0.0.1", 2), {"any": Model(servers)}, "any", MI
    )
    action = content_of(routes(topology, {"any": "any"}).virtual_hosts[0].routes[0])["route"]
    return _retry(action["retry_policy"])


def _http(cluster: Message) -> Message:
    (options,) = cluster["typed_extension_protocol_options"].values()
    return dict(options)


def _grants(envoy: Envoy) -> list[Message]:
    """One for each namespace of models: by it they allow our routes to name their Services."""
    spaces = sorted({each.namespace for group in envoy.services.values() for each in group} - {NAMESPACE})
    group = "gateway.networking.k8s.io"
    spec = {
        "from": [{"group": group, "kind": "HTTPRoute", "namespace": NAMESPACE}],
        "to": [{"group": "", "kind": "Service"}],
    }
    return [_object(f"{group}/v1beta1", "ReferenceGrant", SERVICE, spec, space) for space in spaces]


def _gateway() -> Message:
    return {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": GATEWAY}


def _policy(kind: str, name: str, targets: list[Message], spec: Message) -> Message:
    return _object("gateway.envoyproxy.io/v1alpha1", kind, name, {"targetRefs": targets, **spec})


def _object(version: str, kind: str, name: str, spec: Message, namespace: str = NAMESPACE) -> Message:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
