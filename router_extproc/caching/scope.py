"""Whose cache a request uses: the tenant, from something its client cannot forge."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from router_extproc.base.digest import digest
from router_extproc.base.headers import Headers
from router_extproc.base.names import ACCOUNTS, AUTH_SCHEMES, SECRETS
from router_extproc.base.refusals import Uncached


@dataclass(frozen=True, slots=True)
class Credential:
    """Everyone who sends the same secret is one tenant."""


@dataclass(frozen=True, slots=True)
class TrustedHeader:
    """Envoy names the tenant in `name` (lower case) after it has authenticated the client. Envoy must
    remove what the client sent under that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Shared:
    """Everyone is one tenant."""


Scope = Credential | TrustedHeader | Shared


@dataclass(frozen=True, slots=True)
class Tenancy:
    """`key`, up to 64 bytes, makes a digest useless to whoever can read the store and guess a name. Replicas
    that share a store need the same key."""

    scope: Scope = Credential()
    key: bytes = field(default=b"", repr=False)

    def of(self, headers: Headers) -> str | Uncached:
        """The tenant, 32 hex characters, or why the request has none.

        NO_IDENTITY: nothing to tell it by. AMBIGUOUS_IDENTITY: a trusted header came more than once, so one
        of them is not Envoy's. Only digests leave this function.
        """
        match self.scope:
            case Shared():
                return self._digest("tenant-shared", ())
            case TrustedHeader(name):
                values = headers.all(name)
                if len(values) > 1:
                    return Uncached.AMBIGUOUS_IDENTITY
                if not values or not values[0].strip():
                    return Uncached.NO_IDENTITY
                return self._digest("tenant-header", (name, values[0]))
            case Credential():
                return self._by_credential(headers)

    def _by_credential(self, headers: Headers) -> str | Uncached:
        secrets = [(name, value) for name in SECRETS for value in headers.all(name) if _is_secret(value)]
        if not secrets:
            return Uncached.NO_IDENTITY
        accounts = [(name, value) for name in ACCOUNTS for value in headers.all(name)]
        return self._digest("tenant", (part for pair in secrets + accounts for part in pair))

    def _digest(self, domain: str, parts: Iterable[str]) -> str:
        return digest(domain, (part.encode("latin-1") for part in parts), key=self.key)


def _is_secret(value: str) -> bool:
    return value.strip().lower() not in AUTH_SCHEMES | {""}
