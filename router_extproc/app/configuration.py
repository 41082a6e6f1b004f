"""Configuration files, and what each part of the product is told of them."""

import os
from dataclasses import dataclass
from pathlib import Path

from router_extproc.base.errors import ConfigError
from router_extproc.caching.scope import TrustedHeader
from router_extproc.envoyconf.topology import Endpoint, HostPort, Topology
from router_extproc.settings.check import check_milvus, check_settings
from router_extproc.settings.compile import scope_of
from router_extproc.settings.load import load_milvus, load_settings
from router_extproc.settings.schema import Address, MilvusSettings, Settings
from router_extproc.simulator.options import SimulatedModel
from router_extproc.stores.options import Credentials, Embedded, MilvusOptions, Server, Tls


@dataclass(frozen=True, slots=True)
class Configuration:
    """A checked configuration. `milvus` is None unless the cache's backend is Milvus; paths in it are
    relative to `milvus_path`."""

    path: Path
    settings: Settings
    milvus: MilvusSettings | None
    milvus_path: Path | None


def load(path: Path) -> Configuration:
    """Read and check `path` and the files it names. Raises ConfigError."""
    settings = load_settings(path)
    check_settings(path, settings)
    cache = settings.semantic_cache
    if not cache.enabled or cache.backend_config_path is None:
        return Configuration(path, settings, None, None)
    milvus_path = path.parent / cache.backend_config_path
    milvus = load_milvus(milvus_path)
    check_milvus(milvus_path, milvus)
    if cache.backend_type == "milvus" and milvus.connection.path is not None:
        raise ConfigError(
            f"{path}: semantic_cache.backend_type: `milvus` finds neighbours in a Milvus server, and "
            f"{milvus_path} names an embedded folder; use `hybrid`, or give connection.host"
        )
    return Configuration(path, settings, milvus, milvus_path)


def topology_of(settings: Settings) -> Topology:
    """What Envoy is to be configured for."""
    scope = scope_of(settings.semantic_cache.scope)
    endpoints = {
        endpoint.name: Endpoint(endpoint.address, endpoint.port, endpoint.weight)
        for endpoint in settings.vllm_endpoints
    }
    return Topology(
        listener=_host_port(settings.listeners.envoy),
        ext_proc=_host_port(settings.listeners.ext_proc),
        models={
            name: tuple(endpoints[place] for place in model.preferred_endpoints)
            for name, model in settings.models.items()
        },
        default_model=settings.default_model,
        max_body_bytes=settings.limits.max_body_bytes,
        tenant_header=scope.name if isinstance(scope, TrustedHeader) else None,
    )


def place(address: Address) -> str:
    """`HOST:PORT` as URLs and gRPC write it: an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    host = address.address
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"


def reachable(address: Address) -> str:
    """Like `place`, from this machine: a listener on every interface is reached over loopback."""
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    return place(Address(address=loopback.get(address.address, address.address), port=address.port))


def _host_port(address: Address) -> HostPort:
    return HostPort(address.address, address.port)


def simulated_models(configuration: Configuration) -> tuple[SimulatedModel, ...]:
    """One server for each endpoint of each model. The default model also answers to the router's aliases,
    for requests that Envoy forwards while the router is away. Raises ConfigError."""
    settings = configuration.settings
    if settings.simulator is None:
        raise ConfigError(f"{configuration.path}: simulator: is required to simulate the pool")
    places = {endpoint.name: endpoint for endpoint in settings.vllm_endpoints}
    return tuple(
        SimulatedModel(
            name=name,
            host=places[endpoint].address,
            port=places[endpoint].port,
            aliases=("auto", settings.auto_model_name) if name == settings.default_model else (),
            time_to_first_token=pace.time_to_first_token_ms / 1000,
            tokens_per_second=pace.tokens_per_second,
        )
        for name, pace in settings.simulator.models.items()
        for endpoint in settings.models[name].preferred_endpoints
    )


def milvus_options(
    configuration: Configuration, *, encoder: str, dimension: int | None
) -> MilvusOptions | None:
    """None when the cache does not use Milvus. Raises ConfigError when the password is not in the
    environment."""
    milvus, path = configuration.milvus, configuration.milvus_path
    if milvus is None or path is None:
        return None
    connection, index = milvus.connection, milvus.collection.index
    # Less than the lookup's budget, so that what memory found is still in time when Milvus is not.
    lookup = 0.8 * configuration.settings.semantic_cache.lookup_timeout_ms / 1000
    field = milvus.collection.vector_field
    if dimension is not None and field.dimension not in ("auto", dimension):
        raise ConfigError(
            f"{path}: collection.vector_field.dimension: the encoder makes vectors of {dimension} "
            f"components, not {field.dimension}; write {dimension}, or `auto`"
        )
    return MilvusOptions(
        target=_target(milvus, path),
        dimension=dimension or 0,
        encoder=encoder,
        collection=milvus.collection.name,
        description=milvus.collection.description,
        m=index.params.M,
        ef_construction=index.params.efConstruction,
        ef=milvus.search.params.ef,
        vector_field=field.name,
        metric=field.metric_type,
        top_k=milvus.search.topk,
        consistency=milvus.search.consistency_level,
        timeout=connection.timeout,
        call_timeout=lookup,
    )


def tenant_key(configuration: Configuration) -> bytes:
    """What keys the tenants' digests; empty when the configuration asks for none. Raises ConfigError."""
    name = configuration.settings.semantic_cache.tenant_key_env
    if name is None:
        return b""
    key = os.environ.get(name, "").encode()
    if not 16 <= len(key) <= 64:
        raise ConfigError(
            f"{configuration.path}: semantic_cache.tenant_key_env: the environment variable {name} must hold "
            f"16 to 64 bytes; it has {len(key)}"
        )
    return key


def _target(milvus: MilvusSettings, path: Path) -> Server | Embedded:
    connection = milvus.connection
    if connection.path is not None:
        return Embedded((path.parent / connection.path).resolve())
    if connection.host is None:
        raise ConfigError(f"{path}: connection: give either `path` (embedded) or `host` (a server)")
    credentials = None
    if connection.auth is not None and connection.auth.enabled:
        username = connection.auth.username
        if not username:
            raise ConfigError(f"{path}: connection.auth.username: is required; or set `enabled: false`")
        password = os.environ.get(connection.auth.password_env, "")
        if not password:
            raise ConfigError(
                f"{path}: connection.auth.password_env: the environment variable "
                f"{connection.auth.password_env} is not set; set it to the password of Milvus"
            )
        credentials = Credentials(username, password)
    tls = None
    if connection.tls is not None and connection.tls.enabled:
        given = connection.tls
        files = (given.authority, given.cert_file, given.key_file)
        authority, certificate, key = (path.parent / each if each else None for each in files)
        tls = Tls(authority, given.server_name, certificate, key)
    return Server(connection.host, connection.port, connection.database, credentials, tls)


def listening(configuration: Configuration) -> dict[str, tuple[str, int]]:
    """Every address that the router itself opens, by its key in the configuration."""
    listeners = configuration.settings.listeners
    return {
        f"listeners.{name}": (getattr(listeners, name).address, getattr(listeners, name).port)
        for name in ("ext_proc", "api", "metrics")
    }
