"""Whose cache a request uses, and that nothing of a credential is left of it."""

import pytest

from router_extproc.base.headers import Headers
from router_extproc.base.refusals import Uncached
from router_extproc.caching.scope import Credential, Scope, Shared, Tenancy, TrustedHeader

Pairs = list[tuple[str, str]]


def tenant(*pairs: tuple[str, str], scope: Scope | None = None, key: bytes = b"") -> str | Uncached:
    return Tenancy(scope or Credential(), key).of(Headers.of(pairs))


def test_the_tenant_is_a_digest_of_the_credential() -> None:
    mine = tenant(("authorization", "Bearer secret-key"))
    assert isinstance(mine, str)
    assert len(mine) == 32
    assert "secret" not in mine
    assert mine == tenant(("authorization", "Bearer secret-key"), ("user-agent", "curl"))
    assert mine != tenant(("authorization", "Bearer other-key"))
    assert mine != tenant(("x-api-key", "Bearer secret-key"))


def test_two_credentials_are_another_tenant_than_one() -> None:
    several = {
        tenant(("authorization", "a")),
        tenant(("authorization", "a"), ("openai-organization", "o")),
        tenant(("authorization", "a"), ("openai-project", "o")),
        tenant(("authorization", "a"), ("authorization", "b")),
        tenant(("authorization", "a"), ("api-key", "b")),
        tenant(("authorization", "ab")),
    }
    assert len(several) == 6


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("authorization", "")],
        [("authorization", "Bearer")],
        [("authorization", " basic ")],
        [("x-api-key", " ")],
        [("cookie", "a=b")],
        [("openai-organization", "acme"), ("openai-project", "p")],
        [("x-tenant", "acme")],
    ],
)
def test_without_a_secret_there_is_no_tenant(pairs: Pairs) -> None:
    assert tenant(*pairs) is Uncached.NO_IDENTITY


TRUSTED = TrustedHeader("x-tenant")


def test_a_trusted_header_is_all_that_counts() -> None:
    mine = tenant(("x-tenant", "acme"), scope=TRUSTED)
    assert isinstance(mine, str)
    assert "acme" not in mine
    assert mine == tenant(("x-tenant", "acme"), ("authorization", "Bearer k"), scope=TRUSTED)
    assert mine != tenant(("x-tenant", "other"), scope=TRUSTED)
    assert mine != tenant(("x-other", "acme"), scope=TrustedHeader("x-other"))


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([("authorization", "Bearer k")], Uncached.NO_IDENTITY),
        ([("x-tenant", "")], Uncached.NO_IDENTITY),
        ([("x-tenant", " ")], Uncached.NO_IDENTITY),
        ([("x-tenant", "a"), ("x-tenant", "b")], Uncached.AMBIGUOUS_IDENTITY),
        ([("x-tenant", "a"), ("x-tenant", "a")], Uncached.AMBIGUOUS_IDENTITY),
        ([("x-tenant", ""), ("x-tenant", "a")], Uncached.AMBIGUOUS_IDENTITY),
    ],
)
def test_a_trusted_header_that_is_missing_or_came_twice_names_nobody(pairs: Pairs, reason: Uncached) -> None:
    assert tenant(*pairs, scope=TRUSTED) is reason


def test_everybody_is_one_tenant_where_the_configuration_says_so() -> None:
    assert tenant(scope=Shared()) == tenant(("authorization", "Bearer k"), scope=Shared())
    assert isinstance(tenant(scope=Shared()), str)


def test_scopes_share_no_tenant() -> None:
    pairs = ("authorization", "k"), ("x-tenant", "k")
    scopes: list[Scope] = [Credential(), TRUSTED, TrustedHeader("authorization"), Shared()]
    assert len({tenant(*pairs, scope=scope) for scope in scopes}) == 4


@pytest.mark.parametrize("scope", [Credential(), TRUSTED, Shared()])
def test_a_key_makes_the_digest_another_one(scope: Scope) -> None:
    pairs = ("authorization", "k"), ("x-tenant", "k")
    assert len({tenant(*pairs, scope=scope, key=key) for key in (b"", b"1", b"2", b"k" * 64)}) == 4


def test_the_key_is_not_shown() -> None:
    assert "hunter2" not in repr(Tenancy(key=b"hunter2"))


def test_bytes_of_any_kind_are_a_value() -> None:
    assert tenant(("x-tenant", "\xe9\xff"), scope=TRUSTED) != tenant(("x-tenant", "\xe9\xfe"), scope=TRUSTED)
