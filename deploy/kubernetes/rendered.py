"""Parts of the configuration that `envoyconf` renders for a router's configuration, by what they are.

What other control planes are told is made of these, so that it says what our own Envoy would be told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from router_extproc.app.configuration import load, topology_of
from router_extproc.base.errors import ConfigError
from router_extproc.envoyconf.clusters import EXT_PROC_CLUSTER, model_cluster
from router_extproc.envoyconf.render import render_envoy
from router_extproc.envoyconf.topology import Model, Topology

Message = dict[str, Any]
"""A message of Envoy's API as YAML has it."""

SUFFIX = ".svc.cluster.local"


@dataclass(frozen=True, slots=True)
class Service:
    """A Kubernetes Service that serves a model, and its share of the model's requests."""

    name: str
    namespace: str
    port: int
    weight: int

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace}{SUFFIX}"


@dataclass(frozen=True, slots=True)
class Envoy:
    """`text` is the whole configuration; `clusters` and `routes` are by model, `routes` also has the default
    one under None. `services` are each model's. `fails_open`: requests that the router does not judge,
    because it is away, pass on every route."""

    text: str
    manager: Message
    listener: Message
    processor: Message
    ext_proc: Message
    clusters: Mapping[str, Message]
    routes: Mapping[str | None, Message]
    services: Mapping[str, tuple[Service, ...]]
    default_model: str
    fails_open: bool


def read(path: Path) -> Envoy:
    """What is rendered for the configuration at `path`. Raises ConfigError."""
    topology = topology_of(load(path))
    services = {name: _services(path, name, model) for name, model in topology.models.items()}
    default = _default(path, topology)
    text = render_envoy(topology)
    resources = yaml.safe_load(text)["static_resources"]
    (listener,) = resources["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    (processor,) = (each for each in manager["http_filters"] if each["name"] == "envoy.filters.http.ext_proc")
    clusters = {each["name"]: each for each in resources["clusters"]}
    (host,) = manager["route_config"]["virtual_hosts"]
    routes = {each["name"]: each for each in host["routes"]}
    return Envoy(
        text=text,
        manager=manager,
        listener=listener,
        processor=processor["typed_config"],
        ext_proc=clusters[EXT_PROC_CLUSTER],
        clusters={name: clusters[model_cluster(name)] for name in topology.models},
        routes={
            **{name: routes[model_cluster(name)] for name in topology.models},
            None: host["routes"][-1],
        },
        services=services,
        default_model=default,
        fails_open=fails_open(processor["typed_config"], host["routes"]),
    )


def fails_open(processor: Message, routes: Sequence[Message]) -> bool:
    """A route may be closed where the filter is open. Other control planes have one word for all routes: it
    is the strictest of them, so that no guard can be got around."""
    own = [
        each.get("overrides", {}).get("failure_mode_allow")
        for one in routes
        for each in one.get("typed_per_filter_config", {}).values()
    ]
    return processor.get("failure_mode_allow", False) and False not in own


def _default(path: Path, topology: Topology) -> str:
    if topology.tenant_header is not None:
        raise ConfigError(
            f"{path}: semantic_cache.scope: a header that a filter sets is not rendered for other control "
            "planes; write that filter, and the removal of the header, by hand"
        )
    return topology.default_model


def _services(path: Path, name: str, model: Model) -> tuple[Service, ...]:
    """Raises ConfigError for what a Service of the cluster cannot be."""
    if model.path_prefix or model.api_key or model.health_check or any(each.tls for each in model.endpoints):
        raise ConfigError(
            f"{path}: model_config.{name}: path_prefix, tls, api_key and health_check are rendered for our "
            "own Envoy only; write this model's route by hand, or use the sidecar"
        )
    return tuple(_service(path, each.host, each.port, each.weight) for each in model.endpoints)


def _service(path: Path, host: str, port: int, weight: int) -> Service:
    name, dot, namespace = host.removesuffix(SUFFIX).partition(".")
    if not (host.endswith(SUFFIX) and dot and "." not in namespace):
        raise ConfigError(
            f"{path}: vllm_endpoints: {host}: a gateway needs a Service; write NAME.NAMESPACE{SUFFIX}, or "
            "use the sidecar"
        )
    return Service(name, namespace, port, weight)
