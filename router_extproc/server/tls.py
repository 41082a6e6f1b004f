"""Certificates of the router's own listeners: read, checked, and replaced while they are in use.

A pair of files that makes no sense together never takes the place of one that does. Knows nothing of when
files are looked at, nor of what is served behind them. Keys are in no error and no log.
"""

import ssl
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc
from cryptography import x509

from router_extproc.base.errors import ConfigError

MAX_BYTES: Final = 1024 * 1024
"""Of one file. The authorities of a whole system have a quarter of that."""

OTHERS: Final = 0o007
"""The permission bits of everybody but the owner and its group. The group may have to read a key: a mounted
Kubernetes Secret gives it to the group of the pod's volumes."""

MISMATCHES: Final = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
"""OpenSSL's words for a key that belongs to another certificate; the last, where it is of another kind."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of one listener: its certificate with what leads to its authority, the key, and where clients
    must have a certificate too, the authorities of theirs. `place` is the key in the configuration, with the
    file that it stands in, as errors name it."""

    place: str
    certificate: Path
    key: Path
    client_authorities: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        given = (self.certificate, self.key, self.client_authorities)
        return tuple(path for path in given if path is not None)


@dataclass(frozen=True, slots=True)
class Pair:
    """What the files held when they were read. `expires` is the first end of any certificate in the chain, in
    seconds since 1970; `warnings` are whole lines."""

    chain: bytes = field(repr=False)
    key: bytes = field(repr=False)
    client_authorities: bytes | None = field(repr=False)
    context: ssl.SSLContext = field(repr=False, compare=False)
    expires: float
    warnings: tuple[str, ...] = ()


def read_pair(files: TlsFiles, now: float) -> Pair:
    """Blocks. Raises ConfigError that names the key, the file and the cure."""
    chain = _content(files.certificate, f"{files.place}.certificate_file")
    key = _content(files.key, f"{files.place}.key_file")
    authorities = None
    if files.client_authorities is not None:
        authorities = _content(files.client_authorities, f"{files.place}.client_ca_file")
        _certificates(authorities, files.client_authorities, f"{files.place}.client_ca_file")
    certificates = _certificates(chain, files.certificate, f"{files.place}.certificate_file")
    expires = min(each.not_valid_after_utc.timestamp() for each in certificates)
    warnings = tuple(_warnings(files, certificates, now))
    return Pair(chain, key, authorities, _context(files, key), expires, warnings)


class Certificates:
    """The pair in force of one listener. Read by handshakes in any thread; replaced as a whole."""

    def __init__(self, files: TlsFiles, first: Pair) -> None:
        self.files = files
        self._current = first
        self._grpc = _grpc_configuration(first)

    @property
    def current(self) -> Pair:
        return self._current

    def replace(self, pair: Pair) -> None:
        """Handshakes that begin from now on get `pair`; connections that are there stay as they are."""
        self._grpc = _grpc_configuration(pair)
        self._current = pair

    def for_grpc(self) -> grpc.ServerCredentials:
        """gRPC asks again at every handshake, in threads of its own: nothing is read from a file there."""
        return grpc.dynamic_ssl_server_credentials(
            self._grpc,
            lambda: self._grpc,
            require_client_authentication=self.files.client_authorities is not None,
        )

    def for_http(self) -> ssl.SSLContext:
        """A context for as long as the server runs. OpenSSL asks for another one at every handshake, with a
        server name or without; the certificates and the authorities of that one count, whatever this one
        had."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = self._current.context.verify_mode
        if self.files.client_authorities is not None:
            # A resumed session is not verified again: a client of an authority that is gone would stay. In
            # TLS 1.3 there are none without tickets, in 1.2 there would be those that the server keeps.
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.num_tickets = 0
        context.sni_callback = self._with_current
        return context

    def _with_current(self, connection: ssl.SSLSocket | ssl.SSLObject, _: str | None, __: object) -> None:
        connection.context = self._current.context


def _grpc_configuration(pair: Pair) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(pair.key, pair.chain)], root_certificates=pair.client_authorities
    )


def _content(path: Path, place: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{place}: {path}: cannot be read ({error.strerror}); write it there, readable for the router's "
            "user, or name another"
        ) from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{place}: {path}: has more than {MAX_BYTES} bytes; name the right file")
    return content


def _certificates(content: bytes, path: Path, place: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise ConfigError(
            f"{place}: {path}: has no certificate that can be read; write PEM there "
            "(-----BEGIN CERTIFICATE-----)"
        ) from error


def _context(files: TlsFiles, key: bytes) -> ssl.SSLContext:
    place = f"{files.place}.key_file: {files.key}"
    if b"ENCRYPTED" in key:
        raise ConfigError(
            f"{place}: is encrypted, and nobody can be asked for its password; write it without one"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a password OpenSSL may ask for one on the terminal.
        context.load_cert_chain(files.certificate, files.key, password=lambda: b"")
    except (OSError, ValueError) as error:
        if isinstance(error, ssl.SSLError) and error.reason in MISMATCHES:
            raise ConfigError(
                f"{place}: is not the key of {files.certificate}; write the two from one issue"
            ) from error
        raise ConfigError(f"{place}: has no key that can be read; write PEM there") from error
    if files.client_authorities is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(files.client_authorities)
        except OSError as error:
            raise ConfigError(
                f"{files.place}.client_ca_file: {files.client_authorities}: cannot be used as authorities; "
                "write their certificates there (PEM)"
            ) from error
    return context


def _warnings(files: TlsFiles, chain: list[x509.Certificate], now: float) -> list[str]:
    found = []
    first = max(each.not_valid_before_utc for each in chain)
    last = min(each.not_valid_after_utc for each in chain)
    place = f"{files.place}.certificate_file: {files.certificate}"
    if last.timestamp() <= now:
        found.append(f"{place}: expired at {last:%Y-%m-%d %H:%M} UTC, so clients refuse it; renew it")
    if first.timestamp() > now:
        found.append(f"{place}: is not valid before {first:%Y-%m-%d %H:%M} UTC; is the clock right?")
    mode = files.key.stat().st_mode
    if mode & OTHERS:
        found.append(
            f"{files.place}.key_file: {files.key}: everybody on this machine may read the key (mode "
            f"{stat.S_IMODE(mode):o}); run `chmod o= {files.key}`, or give a mounted Secret "
            "defaultMode 0440"
        )
    return found
