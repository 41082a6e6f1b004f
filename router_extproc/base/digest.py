"""Injective digests: two different sequences of parts never feed the hash the same bytes."""

from collections.abc import Iterable
from hashlib import blake2b


def digest(domain: str, parts: Iterable[bytes], *, key: bytes = b"") -> str:
    """32 hex characters (128 bits) of BLAKE2b over length-prefixed `parts`.

    `domain` (up to 16 ASCII bytes) keeps digests made for different purposes apart (RFC 7693, person).
    `key` (up to 64 bytes) makes it a code that only its holders can compute (RFC 7693, section 2.9).
    """
    state = blake2b(digest_size=16, person=domain.encode("ascii"), key=key)
    for part in parts:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.hexdigest()
