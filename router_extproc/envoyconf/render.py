"""Envoy's bootstrap file as text: the whole configuration in one file, which Envoy reads at its start."""

from envoy_data_plane.envoy.config.bootstrap import v3 as bootstrap
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.overload import v3 as overload
from envoy_data_plane.envoy.extensions.resource_monitors.downstream_connections import v3 as connections
from envoy_data_plane.google.protobuf import Any

from router_extproc.envoyconf.addresses import address
from router_extproc.envoyconf.clusters import ext_proc_cluster, model_clusters
from router_extproc.envoyconf.credentials import secrets
from router_extproc.envoyconf.listener import client_listener
from router_extproc.envoyconf.routes import routes
from router_extproc.envoyconf.text import content_of, yaml_text
from router_extproc.envoyconf.topology import Topology

MAX_CONNECTIONS = 50_000
"""Clients' connections at a time. Without a limit a flood of them takes the file descriptors that the
connections to the models need."""

NODE = core.Node(id="router-extproc", cluster="router-extproc")
"""Envoy asks for a name of itself before it reads anything that may change."""


def render_envoy(topology: Topology) -> str:
    """The YAML of an Envoy v3 bootstrap. Equal topologies give equal text."""
    return yaml_text(content_of(bootstrap_of(topology)))


def bootstrap_of(topology: Topology) -> bootstrap.Bootstrap:
    """The same, as the typed message."""
    models = model_clusters(topology)
    names = {model: each.name for model, each in models.items()}
    keys = secrets(topology)
    return bootstrap.Bootstrap(
        node=NODE if keys else None,
        static_resources=bootstrap.BootstrapStaticResources(
            listeners=[client_listener(topology, routes(topology, names))],
            clusters=[ext_proc_cluster(topology), *models.values()],
            secrets=keys,
        ),
        overload_manager=overload_manager(),
        admin=None if topology.admin is None else bootstrap.Admin(address=address(topology.admin)),
    )


def overload_manager() -> overload.OverloadManager:
    limit = connections.DownstreamConnectionsConfig(max_active_downstream_connections=MAX_CONNECTIONS)
    monitor = overload.ResourceMonitor(
        name="envoy.resource_monitors.global_downstream_max_connections", typed_config=Any.pack(limit)
    )
    return overload.OverloadManager(resource_monitors=[monitor])
