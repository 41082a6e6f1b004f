"""API keys of models: where Envoy finds them, and how they take the place of a client's credentials.

The rendered files name a variable or a file; a key itself is never in them, nor known to the router.
"""

import hashlib
from typing import Final

from envoy_data_plane.envoy.config.common.mutation_rules import v3 as mutation_rules
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.filters.http.credential_injector import v3 as injector
from envoy_data_plane.envoy.extensions.filters.http.header_mutation import v3 as header_mutation
from envoy_data_plane.envoy.extensions.filters.http.upstream_codec import v3 as upstream_codec
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from envoy_data_plane.envoy.extensions.http.injected_credentials.generic import v3 as generic
from envoy_data_plane.envoy.extensions.transport_sockets.tls import v3 as tls
from envoy_data_plane.google.protobuf import Any

from router_extproc.base.names import ACCOUNTS, SECRETS
from router_extproc.envoyconf.addresses import extension, watched_file
from router_extproc.envoyconf.topology import ApiKey, KeyFromEnvironment, KeyFromFile, Topology

NOT_FOR_PROVIDERS: Final = (
    *SECRETS,
    *ACCOUNTS,
    "cookie",
    "proxy-authorization",
    "forwarded",
    "x-forwarded-for",
    "x-real-ip",
)
"""What a client tells about itself to us, and not to whom we ask in our own name."""


def secret_name(key: ApiKey) -> str:
    """The same for the same source, wherever it is used; also the stem of a file's name."""
    kind, where = _source_of(key)
    return f"key-{kind}-{hashlib.sha256(where.encode()).hexdigest()[:12]}"


def secrets(topology: Topology) -> list[tls.Secret]:
    """One for each source of a key that some model has, in the models' order."""
    keys = {secret_name(each.api_key): each.api_key for each in topology.models.values() if each.api_key}
    return [
        tls.Secret(name=name, generic_secret=tls.GenericSecret(secret=_data_source(key)))
        for name, key in keys.items()
    ]


def credential_filters(key: ApiKey, folder: str | None) -> list[hcm.HttpFilter]:
    """The filters of a cluster that sends `key`. In the cluster and not in the listener: so they come with
    the servers' addresses in one update, and hold for upgraded connections too; and the router, which tells
    tenants apart by the client's credential, has seen it by then.

    `folder` holds the secrets' files, which Envoy watches; None means that the bootstrap holds the secrets.
    """
    strip = [mutation_rules.HeaderMutation(remove=name) for name in NOT_FOR_PROVIDERS]
    removal = header_mutation.HeaderMutation(
        mutations=header_mutation.Mutations(request_mutations=strip),
    )
    name = secret_name(key)
    source = None if folder is None else watched_file(folder, f"{name}.yaml")
    credential = generic.Generic(
        credential=tls.SdsSecretConfig(name=name, sds_config=source),
        header="Authorization",
        header_value_prefix="Bearer ",
    )
    # Without the key the request fails here; the default would not overwrite either.
    injection = injector.CredentialInjector(
        overwrite=True, credential=extension("envoy.http.injected_credentials.generic", credential)
    )
    return [
        hcm.HttpFilter(name="envoy.filters.http.header_mutation", typed_config=Any.pack(removal)),
        hcm.HttpFilter(name="envoy.filters.http.credential_injector", typed_config=Any.pack(injection)),
        hcm.HttpFilter(
            name="envoy.filters.http.upstream_codec", typed_config=Any.pack(upstream_codec.UpstreamCodec())
        ),
    ]


def _source_of(key: ApiKey) -> tuple[str, str]:
    match key:
        case KeyFromEnvironment(variable):
            return "env", variable
        case KeyFromFile(path):
            return "file", path


def _data_source(key: ApiKey) -> core.DataSource:
    match key:
        case KeyFromEnvironment(variable):
            return core.DataSource(environment_variable=variable)
        case KeyFromFile(path):
            # Envoy watches the files of the secrets that it reads from files.
            return core.DataSource(filename=path)
