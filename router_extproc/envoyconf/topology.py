"""What an Envoy configuration is rendered from. Knows nothing of files and settings."""

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
class Endpoint:
    """One server of a model. `weight` (at least 1) is its share of the model's requests."""

    host: str
    port: int
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Topology:
    """Who listens where. `models` maps each model's name to its servers; `admin` None means no admin port.

    `max_body_bytes` is the largest request body that the router accepts. `tenant_header` names a client's
    tenant; a filter that authenticates the client sets it. Raises ValueError when a model has no endpoint or
    the default model is not one of `models`.
    """

    listener: HostPort
    ext_proc: HostPort | UnixPath
    models: Mapping[str, tuple[Endpoint, ...]]
    default_model: str
    max_body_bytes: int
    admin: HostPort | None = None
    tenant_header: str | None = None

    def __post_init__(self) -> None:
        if self.default_model not in self.models:
            raise ValueError(f"default model {self.default_model!r} is not one of the models")
        for name, endpoints in self.models.items():
            if not endpoints:
                raise ValueError(f"model {name!r} has no endpoint")
