"""How the commands trust the HTTP API that they call over TLS. Knows no call and no address.

The configuration of a router names its certificate, and whoever reads it there needs no authority to know it
again: without other words exactly that certificate is trusted, whatever names it has.
"""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router_extproc.base.errors import OperatorError
from router_extproc.settings.tls_schema import ApiTls, ClientTls

CA_VARIABLE: Final = "ROUTER_EXTPROC_CA_FILE"
CERTIFICATE_VARIABLE: Final = "ROUTER_EXTPROC_CERTIFICATE_FILE"
KEY_VARIABLE: Final = "ROUTER_EXTPROC_KEY_FILE"
END: Final = "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Trust:
    """`server_name` is the name that the router's certificate must have, None for that in the address.
    `context` None is plain HTTP, or for an https address the system's authorities."""

    context: ssl.SSLContext | None = None
    server_name: str | None = None


PLAIN: Final = Trust()


def trust_of(config: Path, tls: ApiTls | None) -> Trust:
    """In the router of the configuration in the file `config`. Raises OperatorError."""
    if tls is None:
        return PLAIN
    if tls.client is not None:
        return _as_given(config, tls.client)
    path = config.parent / tls.certificate_file
    place = f"{config}: listeners.api.tls.certificate_file: {path}"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # Without this only a certificate that signed itself could be trusted as it is.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        # Only the first: were its authority trusted too, anybody with a certificate of it would be.
        own = path.read_text(encoding="ascii").partition(END)[0] + END
        context.load_verify_locations(cadata=own)
    except OSError as error:
        raise OperatorError(f"{place}: cannot be used ({error.strerror})") from error
    except ValueError as error:
        raise OperatorError(f"{place}: has no certificate that can be read (PEM)") from error
    return Trust(context)


def trust_of_environment() -> Trust:
    """In a router elsewhere: by CA_VARIABLE, else the system's authorities; with the certificate and the key
    of CERTIFICATE_VARIABLE and KEY_VARIABLE, if they are set. Raises OperatorError."""
    authorities, certificate, key = (
        os.environ.get(name) or None for name in (CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE)
    )
    if authorities is None and certificate is None and key is None:
        return PLAIN
    return Trust(_verifying(authorities, certificate, key, (CA_VARIABLE, CERTIFICATE_VARIABLE)))


def _as_given(config: Path, client: ClientTls) -> Trust:
    folder, place = config.parent, f"{config}: listeners.api.tls.client"
    certificate, key = (
        None if each is None else str(folder / each) for each in (client.certificate_file, client.key_file)
    )
    names = (f"{place}.ca_file", f"{place}.certificate_file")
    return Trust(_verifying(str(folder / client.ca_file), certificate, key, names), client.server_name)


def _verifying(
    authorities: str | None, certificate: str | None, key: str | None, names: tuple[str, str]
) -> ssl.SSLContext:
    """`names` are what errors call the file of authorities, and that of the certificate."""
    try:
        context = ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise OperatorError(f"{names[0]}: {authorities}: cannot be used ({error.strerror})") from error
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key, password=lambda: b"")
        except (OSError, ValueError) as error:
            raise OperatorError(
                f"{names[1]}: {certificate}: cannot be used with its key; both are PEM, and of one issue"
            ) from error
    return context
