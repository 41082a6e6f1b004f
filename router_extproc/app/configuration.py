"""Configuration files, and what each part of the product is told of them."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from router_extproc.base.errors import ConfigError
from router_extproc.caching.scope import TrustedHeader
from router_extproc.envoyconf.topology import (
    ApiKey,
    Away,
    Endpoint,
    HealthCheck,
    HostPort,
    KeyFromEnvironment,
    KeyFromFile,
    Topology,
    UnixPath,
    Upstream,
)
from router_extproc.envoyconf.topology import Model as EnvoyModel
from router_extproc.envoyconf.topology import RouterTls as EnvoyRouterTls
from router_extproc.envoyconf.topology import Tls as EnvoyTls
from router_extproc.settings.check_milvus import check_milvus
from router_extproc.settings.check_pool import with_workers
from router_extproc.settings.compile import scope_of
from router_extproc.settings.load import load as settings_of
from router_extproc.settings.load import load_milvus
from router_extproc.settings.milvus_schema import MilvusSettings
from router_extproc.settings.pool_schema import ApiKey as GivenApiKey
from router_extproc.settings.pool_schema import Endpoint as GivenEndpoint
from router_extproc.settings.pool_schema import HealthCheck as GivenHealthCheck
from router_extproc.settings.pool_schema import Upstream as GivenUpstream
from router_extproc.settings.problem import Notice
from router_extproc.settings.schema import Address, Settings
from router_extproc.settings.screening import compile_screening
from router_extproc.simulator.options import CONTEXT_TOKENS, SimulatedModel
from router_extproc.stores.options import Credentials, Embedded, MilvusOptions, Server, Tls

AUTHORITIES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Red Hat, Fedora
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS
)


@dataclass(frozen=True, slots=True)
class Configuration:
    """A checked configuration. `milvus` is None unless the cache's backend is Milvus; it stands in the file
    `milvus_path`, which is `path` where it is part of the settings, and paths in it are relative to that
    file. `tools` is the content of the tools' file, if one is used. `warnings` are about keys of the file
    that do nothing, or not what its author may expect."""

    path: Path
    settings: Settings
    milvus: MilvusSettings | None
    milvus_path: Path | None
    tools: bytes = b""
    warnings: tuple[Notice, ...] = field(default=(), compare=False)
    workers: int | None = None
    """`--workers`, which counts over `workers` of the file; `settings` have what counts."""

    def reread(self, text: bytes | None = None) -> "Configuration":
        """The same file as it is now, with the same `--workers`; with `text`, as if that stood in it. Raises
        ConfigError."""
        return load(self.path, text, self.workers)


def load(path: Path, text: bytes | None = None, workers: int | None = None) -> Configuration:
    """Read and check `path` and the files it names; with `text`, as if that stood in `path`. `workers` count
    over those of the file. Raises ConfigError."""
    settings, warnings = settings_of(path, text)
    if workers is not None:
        settings = with_workers(path, settings, workers)
    milvus, milvus_path = _milvus_of(path, settings)
    tools = tools_of(path, settings)
    configuration = Configuration(path, settings, milvus, milvus_path, tools, warnings, workers)
    check_shareable(configuration)
    return configuration


def _milvus_of(path: Path, settings: Settings) -> tuple[MilvusSettings | None, Path | None]:
    """With the file that it stands in. Raises ConfigError."""
    cache = settings.semantic_cache
    if cache.enabled and cache.milvus is not None:
        return cache.milvus, path
    if not cache.enabled or cache.backend_config_path is None:
        return None, None
    milvus_path = path.parent / cache.backend_config_path
    milvus = load_milvus(milvus_path)
    check_milvus(milvus_path, milvus)
    if cache.backend_type == "milvus" and milvus.connection.path is not None:
        raise ConfigError(
            f"{path}: semantic_cache.backend_type: `milvus` finds neighbours in a Milvus server, and "
            f"{milvus_path} names an embedded folder; use `hybrid`, or give connection.host"
        )
    return milvus, milvus_path


def check_shareable(configuration: Configuration) -> None:
    """Raises ConfigError where several workers cannot use what the configuration gives them."""
    milvus, workers = configuration.milvus, configuration.settings.workers
    if workers > 1 and milvus is not None and milvus.connection.path is not None:
        raise ConfigError(
            f"{configuration.path}: workers: {workers} processes cannot share the embedded folder of Milvus "
            f"Lite, which {configuration.milvus_path} names as connection.path and which belongs to one "
            "process; give connection.host of a Milvus server, or semantic_cache.backend_type memory (a "
            "cache for each worker), or workers: 1"
        )


def tools_file(path: Path, settings: Settings) -> Path | None:
    """The file with the tools, if the configuration at `path` uses one."""
    tools = settings.tools
    if not tools.enabled or tools.tools_db_path is None:
        return None
    return path.parent / tools.tools_db_path


def tools_of(path: Path, settings: Settings) -> bytes:
    """What that file holds, b"" without one. Raises ConfigError."""
    file = tools_file(path, settings)
    if file is None:
        return b""
    try:
        content = file.read_bytes()
        json.loads(content)
    except OSError as error:
        raise ConfigError(f"{file}: the tools cannot be read ({error.strerror})") from None
    except ValueError:
        raise ConfigError(f"{file}: is not valid JSON; is it being written?") from None
    return content


def topology_of(configuration: Configuration) -> Topology:
    """What Envoy is to be configured for. Raises ConfigError."""
    settings, folder = configuration.settings, configuration.path.parent
    scope = scope_of(settings.semantic_cache.scope)
    places = {endpoint.name: endpoint for endpoint in settings.vllm_endpoints}
    models = {
        name: EnvoyModel(
            endpoints=tuple(_envoy_endpoint(places[each], folder) for each in model.preferred_endpoints),
            path_prefix=_path_prefix(configuration.path, name, model.preferred_endpoints, places),
            api_key=_api_key(model.api_key, folder),
            health_check=_health_check(model.health_check),
            upstream=_upstream(model.upstream, settings.upstream),
        )
        for name, model in settings.models.items()
    }
    ext_proc, *more = _advertised(configuration)
    return Topology(
        listener=_host_port(settings.listeners.envoy),
        ext_proc=ext_proc,
        more_ext_proc=tuple(more),
        models=models,
        default_model=settings.default_model,
        max_body_bytes=settings.limits.max_body_bytes,
        tenant_header=scope.name if isinstance(scope, TrustedHeader) else None,
        away=away_of(settings),
        unread_paths=tuple(settings.screening.unread_paths),
        ext_proc_tls=_router_tls(configuration),
    )


def processes_of(configuration: Configuration) -> tuple[HostPort | UnixPath, ...]:
    """Where each worker takes Envoy's streams, the first at the address that is written."""
    settings = configuration.settings
    at = settings.listeners.ext_proc
    if at.path is None:
        return tuple(HostPort(at.address, at.port + number) for number in range(settings.workers))
    path = _absolute(at.path, configuration.path.parent)
    return tuple(UnixPath(path if not number else f"{path}.{number}") for number in range(settings.workers))


def listened(at: HostPort | UnixPath) -> str:
    """As the router's listener is told."""
    match at:
        case UnixPath(path):
            return f"unix:{path}"
        case HostPort(host, port):
            return place(Address(address=host, port=port))


def away_of(settings: Settings) -> Away:
    """What becomes of requests that the router does not judge. Where a guard may refuse any, that is the same
    as for requests that it could not look at, whatever else is said."""
    if compile_screening(settings).refuses:
        return Away.REFUSE_UNREAD
    return Away.REFUSE_CHAT if settings.when_router_is_away == "refuse" else Away.PASS


def _router_tls(configuration: Configuration) -> EnvoyRouterTls | None:
    """Envoy's side. Raises ConfigError where the router would have TLS and Envoy none, or no certificate that
    the router asks for."""
    listener, folder = configuration.settings.listeners.ext_proc, configuration.path.parent
    if listener.tls is None:
        return None
    place, given = f"{configuration.path}: listeners.ext_proc.tls.envoy", listener.tls.envoy
    if given is None:
        raise ConfigError(
            f"{place}: is required to write Envoy's configuration; give ca_file, the authority of "
            "certificate_file"
        )
    if listener.tls.client_ca_file is not None and given.certificate_file is None:
        raise ConfigError(
            f"{place}.certificate_file: is required with client_ca_file, or the router refuses Envoy; give "
            "it with key_file"
        )
    certificate, key = (
        None if each is None else _absolute(each, folder) for each in (given.certificate_file, given.key_file)
    )
    name = given.server_name or listener.advertised_address or listener.address
    return EnvoyRouterTls(_absolute(given.ca_file, folder), name, certificate, key)


def require_secrets(configuration: Configuration) -> None:
    """For an Envoy on this machine that gets this process's environment. Raises ConfigError naming every key
    and every file of authorities that it will not find, rather than have requests fail one by one."""
    folder, problems = configuration.path.parent, []
    for name, model in configuration.settings.models.items():
        key, path = model.api_key, f"model_config.{name}.api_key"
        if key is not None and key.env is not None and not os.environ.get(key.env):
            problems.append(f"{path}.env: the environment variable {key.env} is not set; set it to the key")
        if key is not None and key.file is not None and not os.path.isfile(_absolute(key.file, folder)):
            problems.append(f"{path}.file: {key.file} is no file; write the key there, and nothing else")
    for index, endpoint in enumerate(configuration.settings.vllm_endpoints):
        tls = _envoy_endpoint(endpoint, folder).tls
        if tls is not None and not os.path.isfile(tls.ca_file):
            problems.append(f"vllm_endpoints[{index}].tls.ca_file: {tls.ca_file} is no file; name one")
    router = _router_tls(configuration)
    given = () if router is None else (router.ca_file, router.certificate, router.key)
    missing = (each for each in given if each is not None and not os.path.isfile(each))
    problems += [f"listeners.ext_proc.tls.envoy: {each} is no file; name one" for each in missing]
    if problems:
        raise ConfigError(f"{configuration.path}: {'; '.join(problems)}")


def _envoy_endpoint(given: GivenEndpoint, folder: Path) -> Endpoint:
    tls = None
    if given.tls is not None and given.tls.enabled:
        authorities = given.tls.ca_file
        tls = EnvoyTls(
            system_authorities() if authorities is None else _absolute(authorities, folder),
            given.tls.server_name or given.address,
        )
    return Endpoint(given.address, given.port, given.weight, tls)


def _path_prefix(
    path: Path, model: str, endpoints: Sequence[str], places: Mapping[str, GivenEndpoint]
) -> str | None:
    prefixes = {places[endpoint].path_prefix for endpoint in endpoints}
    if len(prefixes) > 1:
        raise ConfigError(
            f"{path}: model_config.{model}.preferred_endpoints: have different path_prefix, and Envoy "
            "rewrites a path before it chooses the endpoint; give them one, or make two models of them"
        )
    return prefixes.pop()


def _api_key(given: GivenApiKey | None, folder: Path) -> ApiKey | None:
    match given:
        case GivenApiKey(env=str(variable)):
            return KeyFromEnvironment(variable)
        case GivenApiKey(file=str(file)):
            return KeyFromFile(_absolute(file, folder))
        case _:
            return None


def _health_check(given: GivenHealthCheck | None) -> HealthCheck | None:
    if given is None:
        return None
    return HealthCheck(given.path, given.interval_seconds, given.timeout_seconds)


def _upstream(own: GivenUpstream, shared: GivenUpstream) -> Upstream:
    """The model's own values, else those of all models, else Envoy's configuration has its defaults."""
    given = shared.model_dump(exclude_none=True) | own.model_dump(exclude_none=True)
    return Upstream(**{key.removesuffix("_seconds"): value for key, value in given.items()})


def system_authorities() -> str:
    """The file of authorities that this system trusts; where there is none, where Debian has it. Envoy has no
    default of its own: without a file it would not verify at all."""
    named = os.environ.get("SSL_CERT_FILE")
    found = (each for each in AUTHORITIES if os.path.isfile(each))
    return named or next(found, AUTHORITIES[0])


def _absolute(path: str, folder: Path) -> str:
    """Links stay: a mounted secret is replaced by changing one of them."""
    return os.path.abspath(folder / path)


def place(address: Address) -> str:
    """`HOST:PORT` as URLs and gRPC write it: an IPv6 address in brackets (RFC 3986, section 3.2.2)."""
    host = address.address
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"


def reachable(address: Address) -> str:
    """Like `place`, from this machine: a listener on every interface is reached over loopback, and one that
    is advertised elsewhere, there."""
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    host = address.advertised_address or loopback.get(address.address, address.address)
    return place(Address(address=host, port=address.port))


def _host_port(address: Address) -> HostPort:
    return HostPort(address.address, address.port)


def _advertised(configuration: Configuration) -> Iterator[HostPort | UnixPath]:
    """Where Envoy reaches each worker."""
    elsewhere = configuration.settings.listeners.ext_proc.advertised_address
    for at in processes_of(configuration):
        yield at if isinstance(at, UnixPath) or elsewhere is None else HostPort(elsewhere, at.port)


def simulated_models(configuration: Configuration) -> tuple[SimulatedModel, ...]:
    """One server for each endpoint of each model, with its adapters. The default model also answers to the
    router's aliases, for requests that Envoy forwards while the router is away. Raises ConfigError."""
    settings = configuration.settings
    if settings.simulator is None:
        raise ConfigError(f"{configuration.path}: simulator: is required to simulate the pool")
    places = {endpoint.name: endpoint for endpoint in settings.vllm_endpoints}
    automatic = ("auto", settings.auto_model_name, *settings.model_aliases)
    return tuple(
        SimulatedModel(
            name=name,
            host=settings.simulator.address or places[endpoint].address,
            port=places[endpoint].port,
            aliases=(
                *(lora.name for lora in settings.models[name].loras),
                *(dict.fromkeys(automatic) if name == settings.default_model else ()),
            ),
            time_to_first_token=pace.time_to_first_token_ms / 1000,
            tokens_per_second=pace.tokens_per_second,
            context_tokens=settings.models[name].context_window or CONTEXT_TOKENS,
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
    place = _milvus_place(configuration, path)
    # Less than the lookup's budget, so that what memory found is still in time when Milvus is not.
    lookup = 0.8 * configuration.settings.semantic_cache.lookup_timeout_ms / 1000
    field = milvus.collection.vector_field
    if dimension is not None and field.dimension not in ("auto", dimension):
        raise ConfigError(
            f"{place}collection.vector_field.dimension: the encoder makes vectors of {dimension} "
            f"components, not {field.dimension}; write {dimension}, or `auto`"
        )
    return MilvusOptions(
        target=_target(milvus, path, place),
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


def _milvus_place(configuration: Configuration, path: Path) -> str:
    """What a message about a key of Milvus's begins with."""
    inline = configuration.settings.semantic_cache.milvus is not None
    return f"{path}: {'semantic_cache.milvus.' if inline else ''}"


def _target(milvus: MilvusSettings, path: Path, place: str) -> Server | Embedded:
    connection = milvus.connection
    if connection.path is not None:
        return Embedded((path.parent / connection.path).resolve())
    if connection.host is None:
        raise ConfigError(f"{place}connection: give either `path` (embedded) or `host` (a server)")
    credentials = None
    if connection.auth is not None and connection.auth.enabled:
        username = connection.auth.username
        if not username:
            raise ConfigError(f"{place}connection.auth.username: is required; or set `enabled: false`")
        password = os.environ.get(connection.auth.password_env, "")
        if not password:
            raise ConfigError(
                f"{place}connection.auth.password_env: the environment variable "
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
    """Every port that the router itself opens, by its key in the configuration. Whether a Unix socket is
    free, its listener finds out."""
    listeners, found = configuration.settings.listeners, dict[str, tuple[str, int]]()
    for number, at in enumerate(processes_of(configuration)):
        if isinstance(at, HostPort):
            found[f"listeners.ext_proc{f' of worker {number}' if number else ''}"] = (at.host, at.port)
    for name in ("api", "metrics"):
        found[f"listeners.{name}"] = (getattr(listeners, name).address, getattr(listeners, name).port)
    return found
