"""A certificate authority of a test's own, and TLS servers that it vouches for. Owns no socket."""

import ssl
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

    def files(self, folder: Path, *names: str) -> tuple[Path, Path]:
        """The files of a server's certificate chain and of its key."""
        certificate = self._authority.issue_cert(*names)
        chain, key = folder / "chain.pem", folder / "key.pem"
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(key)
        return chain, key
