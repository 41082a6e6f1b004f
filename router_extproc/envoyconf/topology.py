"""What an Envoy configuration is rendered from. Knows nothing of files and settings."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostPort:
    """A TCP address: an IP address or host name, and a port (1 to 65535; 0 lets the kernel choose)."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class UnixPath:
    """A Unix domain socket, by its path in the file system."""

    path: str


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS to a server. `ca_file` holds the authorities (PEM) that its certificate must come from, as Envoy
    sees the path; `server_name` is the name or IP address that the certificate must have, and SNI."""

    ca_file: str
    server_name: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server of a model. `weight` (at least 1) is its share of the model's requests."""

    host: str
    port: int
    weight: int = 1
    tls: Tls | None = None

    @property
    def authority(self) -> str:
        """What a client of this server alone would send as `Host`: the port only where it is not the
        scheme's own (RFC 9110, section 7.2)."""
        host = self.host
        if self.tls is not None and is_ip(host) and not is_ip(self.tls.server_name):
            host = self.tls.server_name
        written = f"[{host}]" if ":" in host else host
        return written if self.port == (80 if self.tls is None else 443) else f"{written}:{self.port}"

    @property
    def is_named(self) -> bool:
        """Whether the server goes by a name, so that it may serve several and choose by `Host`."""
        return not is_ip(self.host) or (self.tls is not None and not is_ip(self.tls.server_name))


@dataclass(frozen=True, slots=True)
class KeyFromEnvironment:
    """An API key in an environment variable of Envoy's process, read when the configuration is loaded."""

    variable: str


@dataclass(frozen=True, slots=True)
class KeyFromFile:
    """An API key in a file, by its absolute path as Envoy sees it. It holds the key and nothing else."""

    path: str


ApiKey = KeyFromEnvironment | KeyFromFile


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A GET of `path` every `interval` seconds, which must answer 200 within `timeout` seconds."""

    path: str
    interval: float
    timeout: float


@dataclass(frozen=True, slots=True)
class Upstream:
    """How long Envoy waits for a model's servers, in seconds, and how often it tries again.

    `connect_timeout` None is the default, which depends on whether they have TLS. `idle_timeout` passes
    between two bytes of a stream: the default is above the longest silence of a thinking model behind a full
    queue. `request_timeout` is for the whole request with its answer; None is any time. `retries` follow only
    failures in which no server has begun to generate.
    """

    connect_timeout: float | None = None
    idle_timeout: float = 600.0
    request_timeout: float | None = None
    retries: int = 2


@dataclass(frozen=True, slots=True)
class Model:
    """A model's servers and how they are spoken to. `path_prefix` stands where clients write `/v1`;
    `api_key` is sent in place of the client's own credentials.

    Raises ValueError without endpoints.
    """

    endpoints: tuple[Endpoint, ...]
    path_prefix: str | None = None
    api_key: ApiKey | None = None
    health_check: HealthCheck | None = None
    upstream: Upstream = Upstream()

    def __post_init__(self) -> None:
        if not self.endpoints:
            raise ValueError("a model has no endpoint")

    @property
    def is_named(self) -> bool:
        """Whether `Host` is rewritten to each server's own; otherwise the servers see the client's."""
        return any(each.is_named for each in self.endpoints)


@dataclass(frozen=True, slots=True)
class Topology:
    """Who listens where. `models` maps each model's name to its servers; `admin` None means no admin port.

    `max_body_bytes` is the largest request body that the router accepts. `tenant_header` names a client's
    tenant; a filter that authenticates the client sets it. `more_ext_proc` are further processes of the
    router beside `ext_proc`, which may also be a name with several addresses. Raises ValueError when the
    default model is not one of `models`.
    """

    listener: HostPort
    ext_proc: HostPort | UnixPath
    models: Mapping[str, Model]
    default_model: str
    max_body_bytes: int
    admin: HostPort | UnixPath | None = None
    tenant_header: str | None = None
    more_ext_proc: tuple[HostPort | UnixPath, ...] = ()

    def __post_init__(self) -> None:
        if self.default_model not in self.models:
            raise ValueError(f"default model {self.default_model!r} is not one of the models")


def is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
