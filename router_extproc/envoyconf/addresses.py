"""Addresses and extension configurations as Envoy writes them. Knows nothing of routes or clusters."""

import re

import betterproto2
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.google.protobuf import Any

from router_extproc.envoyconf.topology import HostPort, UnixPath


def address(of: HostPort | UnixPath) -> core.Address:
    match of:
        case HostPort(host, port):
            return core.Address(socket_address=core.SocketAddress(address=host, port_value=port))
        case UnixPath(path):
            return core.Address(pipe=core.Pipe(path=path))


def extension(name: str, config: betterproto2.Message) -> core.TypedExtensionConfig:
    return core.TypedExtensionConfig(name=name, typed_config=Any.pack(config))


def stat_name(name: str) -> str:
    """`name` as one part of a statistic's name: Envoy's tag extraction ends a cluster's name at a dot."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)
