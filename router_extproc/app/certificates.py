"""The certificates of the router's listeners while it serves: which files, when they are looked at, and what
is said about them. Knows nothing of how a pair is checked or used."""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Final

from router_extproc.app.configuration import Configuration
from router_extproc.app.reload import POLL_SECONDS, watch
from router_extproc.base.errors import OperatorError
from router_extproc.server.driver import log_bug
from router_extproc.server.tls import Certificates, Pair, TlsFiles, read_pair
from router_extproc.settings.schema import Settings
from router_extproc.settings.tls_schema import ServerTls
from router_extproc.telemetry.certificates import CertificateMetrics
from router_extproc.telemetry.labels import Listening, Renewal

log = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 2.0
"""A pair is two files, and who renews them may write one after the other: what makes no sense together is
looked at once more after this long, before it is refused."""


def tls_of(settings: Settings, listening: Listening) -> ServerTls | None:
    listeners = settings.listeners
    match listening:
        case Listening.EXT_PROC:
            return listeners.ext_proc.tls
        case Listening.API:
            return listeners.api.tls
        case Listening.METRICS:
            return listeners.metrics.tls


def tls_files(configuration: Configuration) -> Mapping[Listening, TlsFiles]:
    """Of every listener that has TLS."""
    folder, found = configuration.path.parent, {}
    for listening in Listening:
        given = tls_of(configuration.settings, listening)
        if given is not None:
            clients = given.client_ca_file
            found[listening] = TlsFiles(
                f"{configuration.path}: listeners.{listening}.tls",
                folder / given.certificate_file,
                folder / given.key_file,
                None if clients is None else folder / clients,
            )
    return found


def check_certificates(configuration: Configuration) -> tuple[str, ...]:
    """What is worth a warning about the files that the configuration names. Raises ConfigError."""
    now = time.time()
    return tuple(
        line for files in tls_files(configuration).values() for line in read_pair(files, now).warnings
    )


@asynccontextmanager
async def certificates_of(
    configuration: Configuration,
    metrics: CertificateMetrics,
    listeners: Collection[Listening] = tuple(Listening),
    *,
    interval: float = POLL_SECONDS,
    settle: float = SETTLE_SECONDS,
) -> AsyncIterator[Mapping[Listening, Certificates]]:
    """Of those `listeners` that have some, renewed whenever their files change, until the context is left.
    Raises ConfigError."""
    renewals = []
    for listening, files in tls_files(configuration).items():
        if listening not in listeners:
            continue
        first = await asyncio.to_thread(read_pair, files, time.time())
        renewals.append(Renewals(listening, Certificates(files, first), metrics, settle))
    watching = [asyncio.create_task(each.follow(interval), name="certificates") for each in renewals]
    try:
        yield {each.listening: each.certificates for each in renewals}
    finally:
        for task in watching:
            task.cancel()
        if watching:
            await asyncio.wait(watching)


class Renewals:
    """Of one listener. A pair that cannot be used changes nothing, and is told."""

    def __init__(
        self, listening: Listening, certificates: Certificates, metrics: CertificateMetrics, settle: float
    ) -> None:
        self.listening = listening
        self.certificates = certificates
        self._metrics = metrics
        self._settle = settle
        self._tell(certificates.current)

    async def follow(self, interval: float) -> None:
        files, first = self.certificates.files, self.certificates.current
        read = (first.chain, first.key, first.client_authorities)
        digests = (hashlib.sha256(each).hexdigest() for each in read if each is not None)
        await watch(lambda: files.paths, self._renew, interval, dict(zip(files.paths, digests, strict=True)))

    async def _renew(self) -> None:
        try:
            pair = await self._read()
            if pair == self.certificates.current:
                return
            self.certificates.replace(pair)
        except OperatorError as error:
            log.error("renewed certificates are refused, the ones in use stay: %s", error)
            self._metrics.renewed(self.listening, Renewal.REFUSED)
        except Exception as error:
            # A bug must not end the watch: the next pair may be the cure.
            log_bug("certificates", error)
            self._metrics.renewed(self.listening, Renewal.REFUSED)
        else:
            log.info("listeners.%s has new certificates", self.listening)
            self._metrics.renewed(self.listening, Renewal.TAKEN)
            self._tell(pair)

    async def _read(self) -> Pair:
        files = self.certificates.files
        try:
            return await asyncio.to_thread(read_pair, files, time.time())
        except OperatorError:
            await asyncio.sleep(self._settle)
            return await asyncio.to_thread(read_pair, files, time.time())

    def _tell(self, pair: Pair) -> None:
        self._metrics.certified(self.listening, pair.expires)
        for line in pair.warnings:
            log.warning("%s", line)
