"""Addresses and extension configurations as Envoy writes them. Knows nothing of routes or clusters."""

import re

import betterproto2
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.google.protobuf import Any

from router_extproc.envoyconf.topology import HostPort, UnixPath

OWNER_ONLY = 0o600


def address(of: HostPort | UnixPath) -> core.Address:
    match of:
        case HostPort(host, port):
            return core.Address(socket_address=core.SocketAddress(address=host, port_value=port))
        case UnixPath(path):
            return core.Address(pipe=core.Pipe(path=path))


def private_socket(path: str) -> core.Address:
    """A Unix socket to listen on that only Envoy's own user may connect to."""
    return core.Address(pipe=core.Pipe(path=path, mode=OWNER_ONLY))


def extension(name: str, config: betterproto2.Message) -> core.TypedExtensionConfig:
    return core.TypedExtensionConfig(name=name, typed_config=Any.pack(config))


def watched_file(folder: str, name: str) -> core.ConfigSource:
    """The file `name` of `folder`, read again whenever something in the folder is replaced by renaming: a
    file, or the link by which a mounted ConfigMap is exchanged."""
    return core.ConfigSource(
        path_config_source=core.PathConfigSource(
            path=f"{folder}/{name}", watched_directory=core.WatchedDirectory(path=folder)
        ),
        resource_api_version=core.ApiVersion.V3,
    )


def stat_name(name: str) -> str:
    """`name` as one part of a statistic's name: Envoy's tag extraction ends a cluster's name at a dot."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)
