"""A certificate authority of a test's own, and TLS servers that it vouches for. Owns no socket."""

import os
import ssl
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import trustme


class Authority:
    """`path` is the file of its certificate (PEM)."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.path = folder / f"{name}.pem"
        self._authority = trustme.CA(organization_name=name)
        self._authority.cert_pem.write_to_path(self.path)

    def server(self, *names: str, named: list[str | None] | None = None) -> ssl.SSLContext:
        """A server that may call itself `names` (host names or IP addresses). The names that clients ask for
        (SNI; None from one that does not) are added to `named`."""

        def on_name(_: object, name: str | None, __: ssl.SSLContext) -> None:
            if named is not None:
                named.append(name)

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._authority.issue_cert(*names).configure_cert(context)
        context.sni_callback = on_name
        return context

    @property
    def pem(self) -> bytes:
        """Its certificate."""
        return self._authority.cert_pem.bytes()

    def pair(self, *names: str, expires: datetime | None = None) -> tuple[bytes, bytes]:
        """A certificate for `names` (chain, PEM) and its key."""
        issued = self._authority.issue_cert(*names, not_after=expires)
        return b"".join(blob.bytes() for blob in issued.cert_chain_pems), issued.private_key_pem.bytes()

    def client(self, *names: str) -> ssl.SSLContext:
        """A client that trusts this authority, with a certificate for `names` if there are any."""
        context = ssl.create_default_context(cafile=self.path)
        if names:
            self.certify(context, *names)
        return context

    def certify(self, context: ssl.SSLContext, *names: str) -> None:
        """Give `context` a certificate for `names`."""
        self._authority.issue_cert(*names).configure_cert(context)

    def files(self, folder: Path, *names: str) -> tuple[Path, Path]:
        """The files of a server's certificate chain and of its key."""
        certificate = self._authority.issue_cert(*names)
        chain, key = folder / "chain.pem", folder / "key.pem"
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(key)
        return chain, key


class MountedSecret:
    """A folder as Kubernetes mounts a Secret in it: every file is a link into `..data`, itself a link, which
    one renaming exchanges for another."""

    def __init__(self, folder: Path, files: Mapping[str, bytes]) -> None:
        self.folder = folder
        self._turn = 0
        folder.mkdir()
        self.replace(files)
        for name in files:
            (folder / name).symlink_to(Path("..data") / name)

    def replace(self, files: Mapping[str, bytes]) -> None:
        """All of them at once; the mode is that of a Secret which only its pod may read."""
        self._turn += 1
        fresh = self.folder / f"..version_{self._turn}"
        fresh.mkdir()
        for name, content in files.items():
            (fresh / name).write_bytes(content)
            (fresh / name).chmod(0o440)
        link = self.folder / "..data_tmp"
        link.symlink_to(fresh.name)
        os.replace(link, self.folder / "..data")
