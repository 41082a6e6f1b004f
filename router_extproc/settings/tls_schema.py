"""Encryption of the router's own listeners: `listeners.NAME.tls`. Paths are relative to the configuration."""

from typing import Annotated

from pydantic import Field, model_validator

from router_extproc.settings.strict import Host, Strict

File = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f]*$")]
"""A path. The PEM itself in its place has line breaks, and is refused before a message could quote it."""


class ServerTls(Strict):
    """`certificate_file` holds the listener's certificate and what leads to its authority, `key_file` its
    key, both PEM. With `client_ca_file` clients must have a certificate of one of these authorities. The
    files are read again whenever they change."""

    certificate_file: File
    key_file: File
    client_ca_file: File | None = None


class ClientTls(Strict):
    """How a listener's clients connect. The certificate must come from `ca_file` and have the name (or IP
    address) `server_name`, by default the address. `certificate_file` and `key_file` are the client's own."""

    ca_file: File
    server_name: Host | None = None
    certificate_file: File | None = None
    key_file: File | None = None

    @model_validator(mode="after")
    def _both(self) -> "ClientTls":
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("give both `certificate_file` and `key_file`, or neither")
        return self


class ExtProcTls(ServerTls):
    """`envoy` is Envoy's side, as its rendered configuration has it; paths as Envoy sees them."""

    envoy: ClientTls | None = None


class ApiTls(ServerTls):
    """`client` is the side of this program's commands; without it they trust the certificate in
    `certificate_file` itself, whatever its names."""

    client: ClientTls | None = None
