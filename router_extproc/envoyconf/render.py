"""Envoy's bootstrap file as text. The only place that turns messages into YAML."""

import re
from typing import cast

import betterproto2
import yaml
from envoy_data_plane.envoy.config.bootstrap import v3 as bootstrap
from envoy_data_plane.envoy.config.overload import v3 as overload
from envoy_data_plane.envoy.extensions.resource_monitors.downstream_connections import v3 as connections
from envoy_data_plane.google.protobuf import Any

from router_extproc.envoyconf.addresses import address
from router_extproc.envoyconf.clusters import clusters
from router_extproc.envoyconf.listener import client_listener
from router_extproc.envoyconf.topology import Topology

HEADER = "# rendered by `router-extproc render-envoy`; do not edit\n"

FIELD_NAMES = cast("betterproto2.Casing", str)
"""Keeps the proto's own field names, which is how Envoy's documentation writes them.

`to_dict` calls its casing with each name. The library's SNAKE would re-derive the name and turn
`enforcing_consecutive_5xx` into one that Envoy does not know.
"""

MAX_CONNECTIONS = 50_000
"""Clients' connections at a time. Without a limit a flood of them takes the file descriptors that the
connections to the models need."""

PLAIN = re.compile(r"[A-Za-z_]{2}.*", re.DOTALL)
"""Texts that no YAML reader takes for a number, whichever version of YAML it follows."""


class _Dumper(yaml.SafeDumper):
    """Quotes what Envoy's YAML reader would take for another type and this library's would not.

    That reader knows `1e3` as a number and `y` as a truth value; a model may have such a name.
    """


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if PLAIN.fullmatch(text) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def render_envoy(topology: Topology) -> str:
    """The YAML of an Envoy v3 bootstrap. Equal topologies give equal text."""
    content = bootstrap_of(topology).to_dict(casing=FIELD_NAMES)
    return HEADER + yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=110)


def bootstrap_of(topology: Topology) -> bootstrap.Bootstrap:
    """The same, as the typed message."""
    admin = None if topology.admin is None else bootstrap.Admin(address=address(topology.admin))
    return bootstrap.Bootstrap(
        static_resources=bootstrap.BootstrapStaticResources(
            listeners=[client_listener(topology)], clusters=clusters(topology)
        ),
        overload_manager=_overload_manager(),
        admin=admin,
    )


def _overload_manager() -> overload.OverloadManager:
    limit = connections.DownstreamConnectionsConfig(max_active_downstream_connections=MAX_CONNECTIONS)
    monitor = overload.ResourceMonitor(
        name="envoy.resource_monitors.global_downstream_max_connections", typed_config=Any.pack(limit)
    )
    return overload.OverloadManager(resource_monitors=[monitor])
