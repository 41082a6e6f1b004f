"""The configuration as a folder of files that a running Envoy watches: its bootstrap, and one file for each
kind of thing that may change. Pure: gives the texts; who writes them is `app.envoy_folder`.

A file is a discovery response (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol) whose
version is a digest of its content.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

import yaml
from envoy_data_plane.envoy.config.bootstrap import v3 as bootstrap
from envoy_data_plane.google.protobuf import Any as AnyMessage

from router_extproc.envoyconf.addresses import private_socket, watched_file
from router_extproc.envoyconf.clusters import ext_proc_cluster, model_clusters
from router_extproc.envoyconf.credentials import secrets
from router_extproc.envoyconf.listener import RoutesFile, client_listener
from router_extproc.envoyconf.render import NODE, overload_manager
from router_extproc.envoyconf.router_tls import router_secrets
from router_extproc.envoyconf.routes import DEFAULT, routes
from router_extproc.envoyconf.text import HEADER, content_of, yaml_text
from router_extproc.envoyconf.topology import Topology

BOOTSTRAP: Final = "envoy.yaml"
CLUSTERS: Final = "clusters.yaml"
LISTENERS: Final = "listeners.yaml"
ROUTES: Final = "routes.yaml"

ADMIN_SOCKET: Final = "admin.sock"
"""Envoy's admin interface, for its own user only: the one way to learn that a change was taken over."""

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Discovery:
    """What one file holds. `version` changes with the content and with nothing else."""

    resources: tuple[Resource, ...]
    version: str
    text: str

    @classmethod
    def of(cls, resources: Sequence[Resource]) -> "Discovery":
        listed = yaml_text({"resources": list(resources)}).removeprefix(HEADER)
        version = hashlib.sha256(listed.encode()).hexdigest()[:16]
        return cls(tuple(resources), version, f"{HEADER}version_info: '{version}'\n{listed}")

    @classmethod
    def read(cls, text: str) -> "Discovery":
        """From the `text` of another. Raises ValueError for what is not one."""
        try:
            return cls.of([dict(each) for each in yaml.load(text, Loader=yaml.CSafeLoader)["resources"]])
        except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise ValueError("is not a file of resources for Envoy") from error


@dataclass(frozen=True, slots=True)
class Files:
    """The content of the folder. `keys` maps the names of the files that tell where API keys and certificates
    are."""

    bootstrap: str
    clusters: Discovery
    listeners: Discovery
    routes: Discovery
    keys: Mapping[str, Discovery]


def render_files(topology: Topology, folder: str) -> Files:
    """`folder` is the absolute path under which Envoy sees the files. Equal arguments give equal files."""
    models = model_clusters(topology, folder)
    names = {model: each.name for model, each in models.items()}
    named = (*secrets(topology), *router_secrets(topology))
    clusters = [ext_proc_cluster(topology, folder), *models.values()]
    return Files(
        bootstrap=yaml_text(content_of(_bootstrap(folder))),
        clusters=_discovery(clusters),
        listeners=_discovery([client_listener(topology, RoutesFile(folder, ROUTES))]),
        routes=_discovery([routes(topology, names)]),
        keys={f"{each.name}.yaml": _discovery([each]) for each in named},
    )


def with_leaving_clusters(new: Discovery, old: Discovery) -> Discovery:
    """`new`, and the clusters of `old` that it lacks."""
    names = {each["name"] for each in new.resources}
    leaving = [each for each in old.resources if each["name"] not in names]
    return Discovery.of([*new.resources, *leaving])


def with_leaving_routes(new: Discovery, old: Discovery) -> Discovery:
    """`new`, and before its default the routes of models that only `old` has."""
    (configuration,), (former,) = new.resources, old.resources
    (host,), (former_host,) = configuration["virtual_hosts"], former["virtual_hosts"]
    names = {each["name"] for each in host["routes"]}
    selected, default = _split(host["routes"])
    leaving = [each for each in _split(former_host["routes"])[0] if each["name"] not in names]
    merged = {**host, "routes": [*selected, *leaving, *default]}
    return Discovery.of([{**configuration, "virtual_hosts": [merged]}])


def _split(listed: Sequence[Resource]) -> tuple[list[Resource], list[Resource]]:
    """The models' routes, and the default ones."""
    selected = [each for each in listed if not each["name"].startswith(DEFAULT)]
    return selected, [each for each in listed if each["name"].startswith(DEFAULT)]


def _discovery(messages: Sequence[Any]) -> Discovery:
    return Discovery.of([content_of(AnyMessage.pack(each)) for each in messages])


def _bootstrap(folder: str) -> bootstrap.Bootstrap:
    return bootstrap.Bootstrap(
        node=NODE,
        dynamic_resources=bootstrap.BootstrapDynamicResources(
            cds_config=watched_file(folder, CLUSTERS), lds_config=watched_file(folder, LISTENERS)
        ),
        overload_manager=overload_manager(),
        admin=bootstrap.Admin(address=private_socket(str(PurePosixPath(folder) / ADMIN_SOCKET))),
    )
