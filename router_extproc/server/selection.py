"""Which entries a request means: its query or its JSON body as values. What it does not know, it refuses by
name: a selector that was misspelt must not become one that selects more."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec
from multidict import MultiMapping

from router_extproc.caching.marks import Kind, Selector
from router_extproc.server.replies import RefusedError

KINDS = (Kind.TENANT, Kind.MODEL, Kind.CATEGORY, Kind.ENTRY)
"""What can be selected by beside everything."""

VALUE_CHARACTERS = 512
DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)

Value = Annotated[str, msgspec.Meta(max_length=VALUE_CHARACTERS)]
Body = TypeVar("Body")


class _Invalidation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    entry: Value | None = None
    tenant: Value | None = None
    model: Value | None = None
    category: Value | None = None
    all: bool = False
    dry_run: bool = False


class _Flush(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class _Feedback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    entry: Value
    question: Value


@dataclass(frozen=True, slots=True)
class Invalidation:
    selector: Selector
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Feedback:
    """The answer of `entry` to `question` was wrong; both are ids."""

    entry: str
    question: str


@dataclass(frozen=True, slots=True)
class Listing:
    """At most `limit` entries that `selector` covers, with their questions when `text`."""

    selector: Selector
    limit: int
    text: bool


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def listing_of(query: MultiMapping[str]) -> Listing:
    """`?tenant=|model=|category=|entry=`, `limit=`, `text=`. Raises RefusedError."""
    given = _single(query, {*KINDS, "limit", "text"})
    limit = given.get("limit", str(DEFAULT_LIMIT))
    if not (limit.isascii() and limit.isdecimal() and len(limit) <= 4 and 1 <= int(limit) <= MAX_LIMIT):
        raise RefusedError(400, f"limit: is not a number from 1 to {MAX_LIMIT}", "limit")
    text = given.get("text", "false")
    if text not in ("true", "false"):
        raise RefusedError(400, "text: is neither `true` nor `false`", "text")
    return Listing(_selector(given), int(limit), text == "true")


def selector_of(query: MultiMapping[str]) -> Selector:
    """`?tenant=|model=|category=|entry=`, or nothing for everything. Raises RefusedError."""
    return _selector(_single(query, set(KINDS)))


def invalidation_of(body: bytes) -> Invalidation:
    """`{"entry"|"tenant"|"model"|"category": "..."}` or `{"all": true}`, and `"dry_run"`. Everything is never
    meant by leaving something out. Raises RefusedError."""
    row = _decode(body, _Invalidation)
    given = {kind.value: value for kind in KINDS if (value := getattr(row, kind)) is not None}
    if row.all == bool(given):
        raise RefusedError(400, f'give one of {_names(KINDS)}, or `"all": true`')
    return Invalidation(_selector(given), row.dry_run)


def flush_of(body: bytes) -> None:
    """No body, or `{}`. Raises RefusedError."""
    if body.strip():
        _decode(body, _Flush)


def feedback_of(body: bytes) -> Feedback:
    """`{"entry": ID, "question": ID}`. Raises RefusedError."""
    row = _decode(body, _Feedback)
    for name in ("entry", "question"):
        if not is_id(getattr(row, name)):
            raise RefusedError(
                400, f"{name}: is not 32 hexadecimal digits as in x-vsr-cache-{name} of the answer", name
            )
    return Feedback(row.entry, row.question)


def _decode(body: bytes, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(400, f"the body is not what this call takes: {str(error)[:200]}") from None


def _single(query: MultiMapping[str], known: set[str]) -> dict[str, str]:
    for name in query:
        if name not in known:
            raise RefusedError(400, f"{name[:100]}: unknown parameter; known are {_names(known)}", name[:100])
        if len(query.getall(name)) > 1:
            raise RefusedError(400, f"{name}: stands more than once", name)
    return dict(query)


def _selector(given: Mapping[str, str]) -> Selector:
    kinds = [kind for kind in KINDS if kind in given]
    if not kinds:
        return Selector(Kind.ALL)
    if len(kinds) > 1:
        raise RefusedError(400, f"give one of {_names(KINDS)}, not {len(kinds)} of them")
    (kind,), value = kinds, given[kinds[0]]
    if len(value) > VALUE_CHARACTERS:
        raise RefusedError(400, f"{kind}: has more than {VALUE_CHARACTERS} characters", kind)
    if kind is Kind.ENTRY and not is_id(value):
        raise RefusedError(400, "entry: is not an id: 32 hexadecimal digits", kind)
    # An empty category is that of questions in no domain for certain; nothing else is ever empty.
    if not value and kind is not Kind.CATEGORY:
        raise RefusedError(400, f"{kind}: is empty", kind)
    return Selector(kind, value)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
