"""An entry as a line of JSON, for moving a cache from one place to another, and back. Strict: a line that
`line_of` did not write is refused with the reason. Knows nothing of HTTP or stores.

`version` is of this form. The vector is base64 (RFC 4648, section 4) of little-endian float32; it means
something to the encoder that made it and to no other, so the line names that one.
"""

import base64
import binascii
import math
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
import numpy as np

from router_extproc.base.completion import Completion, Usage
from router_extproc.base.digest import digest
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Entry

VERSION: Final = 1
LINE_BYTES = 1024 * 1024
"""The longest line that is read."""

REASON_CHARACTERS = 200
UNIT_TOLERANCE = 1e-3
"""How far from 1 the length of a vector may be; a longer one would pass for more similar than it is."""

SKEW_SECONDS = 60.0
"""By how much the clock of the machine that wrote a line may be ahead."""

MESSAGE_FIELDS = frozenset({"role", "content", "refusal", "tool_calls", "function_call", "audio"})
"""Fields of a message that no extra field may stand in for."""

_LITTLE = np.dtype("<f4")

Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class LineError(Exception):
    """Why a line, or an entry, cannot be taken. The message names keys and repeats no value."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What entries must agree with to be taken: the `encoder` whose vectors have `dimension` components.
    `longest_ttl` in seconds: no entry lives longer than those made here."""

    encoder: str
    dimension: int
    longest_ttl: float


class _Usage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    prompt_tokens: Count
    completion_tokens: Count


class _Completion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str
    content: str
    finish_reason: str
    extras: tuple[tuple[str, str], ...]
    usage: _Usage | None


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    encoder: str
    id: Id
    partition: Id
    tenant: str
    text: str
    vector: str
    completion: _Completion
    model: str
    category: str
    reasoning: bool
    exact_only: bool
    created_at: float
    expires_at: float


_DECODER = msgspec.json.Decoder(_Line)


def line_of(entry: Entry, encoder: str) -> bytes:
    """One line, its end included. LineError for an entry that has no UTF-8 form."""
    completion, usage = entry.completion, entry.completion.usage
    line = _Line(
        version=VERSION,
        encoder=encoder,
        id=entry.id,
        partition=entry.partition,
        tenant=entry.tenant,
        text=entry.text,
        vector=base64.b64encode(entry.vector.astype(_LITTLE).tobytes()).decode(),
        completion=_Completion(
            model=completion.model,
            content=completion.content,
            finish_reason=completion.finish_reason,
            extras=completion.extras,
            usage=None if usage is None else _Usage(usage.prompt_tokens, usage.completion_tokens),
        ),
        model=entry.model,
        category=entry.category,
        reasoning=entry.reasoning,
        exact_only=entry.exact_only,
        created_at=entry.created_at,
        expires_at=entry.expires_at,
    )
    try:
        return msgspec.json.encode(line) + b"\n"
    except UnicodeEncodeError:
        raise LineError("the entry has no UTF-8 form") from None


def entry_of(line: bytes, terms: Terms, at: float) -> Entry:
    """The entry in `line`, which may have expired. LineError with the reason for anything else."""
    try:
        row = _DECODER.decode(line)
    except UnicodeDecodeError:
        raise LineError("is not UTF-8") from None
    except RecursionError:
        raise LineError("is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise LineError(_shorten(str(error))) from None
    if row.encoder != terms.encoder:
        raise LineError(
            f"encoder: the vector was made by another encoder than {terms.encoder}, "
            "so it cannot be compared here; fill the cache with `router-extproc cache warm` instead"
        )
    if row.id != digest("entry", (row.partition.encode(), row.text.encode())):
        raise LineError("id: is not the digest of partition and text")
    created_at, expires_at = _times(row, terms, at)
    return Entry(
        id=row.id,
        partition=row.partition,
        tenant=row.tenant,
        text=row.text,
        vector=_vector(row.vector, terms.dimension),
        completion=_completion(row.completion),
        model=row.model,
        category=row.category,
        reasoning=row.reasoning,
        created_at=created_at,
        expires_at=expires_at,
        exact_only=row.exact_only,
    )


def _times(row: _Line, terms: Terms, at: float) -> tuple[float, float]:
    """An entry from the future would outlive an invalidation of now, and one that lives too long the
    invalidation's mark: its creation is at most now, and its end at most `longest_ttl` after."""
    if not (math.isfinite(row.created_at) and math.isfinite(row.expires_at)):
        raise LineError("created_at, expires_at: are not both finite")
    if row.created_at >= row.expires_at:
        raise LineError("expires_at: is not after created_at")
    if row.created_at > at + SKEW_SECONDS:
        raise LineError("created_at: lies in the future")
    return min(row.created_at, at), min(row.expires_at, at + terms.longest_ttl)


def _vector(text: str, dimension: int) -> Vector:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise LineError("vector: is not base64") from None
    if len(raw) != dimension * _LITTLE.itemsize:
        raise LineError(f"vector: has {len(raw)} bytes, not the {dimension * _LITTLE.itemsize} expected here")
    vector: Vector = np.frombuffer(raw, dtype=_LITTLE).astype(np.float32)
    if not np.isfinite(vector).all():
        raise LineError("vector: has a component that is not finite")
    # In double precision: squares of large components would overflow.
    if abs(float(np.linalg.norm(vector.astype(np.float64))) - 1.0) > UNIT_TOLERANCE:
        raise LineError("vector: is not of length 1")
    return vector


def _completion(row: _Completion) -> Completion:
    """What the cache itself would have stored: a complete answer, whose extra fields are none of its own."""
    if row.finish_reason != "stop":
        raise LineError("completion.finish_reason: is not `stop`; only complete answers are cached")
    if not row.model:
        raise LineError("completion.model: is empty")
    names = [name for name, _ in row.extras]
    if len(set(names)) != len(names) or not MESSAGE_FIELDS.isdisjoint(names):
        raise LineError("completion.extras: has a name twice, or one of the message's own fields")
    usage = row.usage
    return Completion(
        model=row.model,
        content=row.content,
        finish_reason=row.finish_reason,
        extras=row.extras,
        usage=None if usage is None else Usage(usage.prompt_tokens, usage.completion_tokens),
    )


def _shorten(reason: str) -> str:
    """msgspec's messages name keys, also ones that only the line knows, as long as it likes."""
    return reason if len(reason) <= REASON_CHARACTERS else f"{reason[:REASON_CHARACTERS]}..."
