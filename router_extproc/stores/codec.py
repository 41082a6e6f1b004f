"""An entry as a row of Milvus columns, and back. Strict and versioned: a row of another version is no row.

What Milvus filters by has a column of its own. The rest is one JSON document in UTF-8, cut into pieces
because a VARCHAR column holds 65,535 bytes (Milvus limits, `max_length` of VARCHAR, counted in bytes). Knows
nothing of connections or collections.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
import numpy as np

from router_extproc.base.completion import Completion, Usage
from router_extproc.base.refusals import Failure
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Entry
from router_extproc.ports import PortError

VERSION = 3
"""Of the stored form. 3 made columns of what operators select by; rows of 2 are in other collections."""

TRAITS: Mapping[str, int] = MappingProxyType({"tenant": 64, "model": 256, "category": 544})
"""Columns that operators select by, and how many bytes of UTF-8 each holds."""

MARK_VALUE_BYTES = 512
"""What a mark's value may have: more than any of these columns holds."""

PIECE_BYTES = 65_535
PIECES = tuple(f"payload{number}" for number in range(8))
"""Columns of the document's pieces, in order; unused ones are empty. Together 512 KiB, twice the largest
answer that is stored by default."""

_KEY = re.compile(r"[0-9a-f]{1,64}", re.ASCII)
_CONTINUATION = 0b1000_0000
"""A byte 10xxxxxx continues a character (RFC 3629, section 3)."""


class _UsageDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    prompt: int
    completion: int


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The stored form. Changing it means a new VERSION: old rows are then misses, not garbage."""

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]
    text: str
    reasoning: bool
    answered_by: str
    content: str
    finish_reason: str
    extras: tuple[tuple[str, str], ...]
    usage: _UsageDocument | None


_DECODER = msgspec.json.Decoder(_Document)


def key(value: str) -> str:
    """`value`, if it is a key: 1 to 64 lower-case hexadecimal digits. Otherwise PortError(INVALID).

    Keys are written into filter expressions, which Milvus 2.3 cannot take as parameters: what is not a
    digest never gets that far.
    """
    if _KEY.fullmatch(value) is None:
        raise PortError(Failure.INVALID, "a key that is not a lower-case hexadecimal digest")
    return value


def row_of(entry: Entry, vector_field: str) -> dict[str, Any]:
    """The columns of `entry`; PortError(INVALID) when it cannot be stored (too large, not encodable)."""
    document = _encode(entry)
    pieces = _cut(document)
    return {
        "id": key(entry.id),
        "partition": key(entry.partition),
        **{name: _short(getattr(entry, name), name, size) for name, size in TRAITS.items()},
        "exact_only": bool(entry.exact_only),
        vector_field: entry.vector.astype(np.float32, copy=False),
        "created_at": float(entry.created_at),
        "expires_at": float(entry.expires_at),
        "size": len(document),
        **{name: pieces[i] if i < len(pieces) else "" for i, name in enumerate(PIECES)},
    }


def entry_of(row: Mapping[str, Any], vector_field: str, dimension: int) -> Entry:
    """The entry in `row`; PortError(INVALID) when the row is not one that `row_of` wrote."""
    try:
        document = _DECODER.decode("".join(row[name] for name in PIECES).encode())
        vector: Vector = np.asarray(row[vector_field], dtype=np.float32)
        if vector.shape != (dimension,) or not np.isfinite(vector).all():
            raise ValueError("vector")
        return Entry(
            id=key(row["id"]),
            partition=key(row["partition"]),
            tenant=msgspec.convert(row["tenant"], str),
            text=document.text,
            vector=vector,
            completion=_completion(document),
            model=msgspec.convert(row["model"], str),
            category=msgspec.convert(row["category"], str),
            reasoning=document.reasoning,
            created_at=float(row["created_at"]),
            expires_at=float(row["expires_at"]),
            exact_only=msgspec.convert(row["exact_only"], bool),
        )
    except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
        # The cause is cut off: a decoder's message may quote what it read.
        raise PortError(Failure.INVALID, f"a row that cannot be read ({type(error).__name__})") from None


def _encode(entry: Entry) -> bytes:
    completion = entry.completion
    usage = completion.usage
    document = _Document(
        version=VERSION,
        text=entry.text,
        reasoning=entry.reasoning,
        answered_by=completion.model,
        content=completion.content,
        finish_reason=completion.finish_reason,
        extras=completion.extras,
        usage=None if usage is None else _UsageDocument(usage.prompt_tokens, usage.completion_tokens),
    )
    try:
        return msgspec.json.encode(document)
    except (UnicodeEncodeError, msgspec.MsgspecError):
        raise PortError(Failure.INVALID, "an entry that has no UTF-8 form") from None


def _short(value: str, name: str, size: int) -> str:
    """`value`, if the column of `size` bytes holds it."""
    if len(utf8(value)) > size:
        raise PortError(Failure.INVALID, f"an entry whose {name} is longer than {size} bytes")
    return value


def utf8(value: str) -> bytes:
    """PortError(INVALID) for what has no UTF-8 form: half of a surrogate pair, legal in a JSON string."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise PortError(Failure.INVALID, "a text that has no UTF-8 form") from None


def _completion(document: _Document) -> Completion:
    usage = document.usage
    return Completion(
        model=document.answered_by,
        content=document.content,
        finish_reason=document.finish_reason,
        extras=document.extras,
        usage=None if usage is None else Usage(usage.prompt, usage.completion),
    )


def _cut(document: bytes) -> list[str]:
    """Pieces of at most PIECE_BYTES bytes, cut between characters, because each column is UTF-8 by itself."""
    pieces: list[str] = []
    start = 0
    while start < len(document):
        end = min(start + PIECE_BYTES, len(document))
        while end < len(document) and document[end] & 0b1100_0000 == _CONTINUATION:
            end -= 1
        pieces.append(document[start:end].decode())
        start = end
    if len(pieces) > len(PIECES):
        raise PortError(Failure.INVALID, f"an entry of {len(document)} bytes is too large for a row")
    return pieces
