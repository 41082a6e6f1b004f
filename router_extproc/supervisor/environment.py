"""What of the router's environment its child processes get. The router's own holds keys of providers, of
tenants and of the store, under names that the configuration chooses."""

from collections.abc import Collection, Mapping
from typing import Final

INHERITED: Final = frozenset(
    """
    HOME LANG LD_LIBRARY_PATH PATH SSL_CERT_DIR SSL_CERT_FILE TMPDIR TZ VIRTUAL_ENV
    LC_ALL LC_COLLATE LC_CTYPE LC_MESSAGES LC_MONETARY LC_NUMERIC LC_TIME
    PYTHONDONTWRITEBYTECODE PYTHONHASHSEED PYTHONHOME PYTHONIOENCODING PYTHONNOUSERSITE PYTHONPATH
    PYTHONSAFEPATH PYTHONUNBUFFERED PYTHONUSERBASE PYTHONUTF8 PYTHONWARNINGS
    """.split()
)
"""What a Python process needs to start, to find its texts, and to verify a server behind https. By whole
names: a prefix would let through what somebody has named LC_API_KEY."""


def inherited(ours: Mapping[str, str]) -> Mapping[str, str]:
    """For a child that needs no secret: what is passed on is named, not what is kept back."""
    return {name: value for name, value in ours.items() if name in INHERITED}


def without(ours: Mapping[str, str], kept_back: Collection[str]) -> Mapping[str, str]:
    """For a child that needs secrets of its own, which a later configuration may name."""
    return {name: value for name, value in ours.items() if name not in kept_back}
