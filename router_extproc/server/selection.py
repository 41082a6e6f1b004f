"""Which entries a request means: its parameters or its body as values. What it does not know, it refuses by
name: a selector that was misspelt must not become one that selects more."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from router_extproc.caching.marks import Kind, Selector
from router_extproc.server.api.route import ID_FORM, Shape
from router_extproc.server.replies import Code, RefusedError

KINDS: Final = (Kind.TENANT, Kind.MODEL, Kind.CATEGORY, Kind.ENTRY)
"""What can be selected by beside everything."""

VALUE_CHARACTERS: Final = 512
DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000

Value = Annotated[str, Meta(max_length=VALUE_CHARACTERS)]
Named = Annotated[str, Meta(min_length=1, max_length=VALUE_CHARACTERS)]
EntryId = Annotated[
    str, Meta(pattern=ID_FORM, max_length=32, description="32 hexadecimal digits, of x-vsr-cache-entry.")
]


class Selection(Shape, frozen=True):
    """At most one of the four; none means everything. An empty category is that of questions in no domain for
    certain."""

    entry: EntryId | None = None
    tenant: Named | None = None
    model: Named | None = None
    category: Value | None = None


class ListingQuery(Selection, frozen=True):
    """As Selection. `text` shows the questions."""

    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    text: bool = False


class InvalidationRequest(Selection, frozen=True):
    """Exactly one of the five. Everything is never meant by leaving something out. A `dry_run` counts what
    is covered, up to 10,000, and changes nothing."""

    all: bool = False
    dry_run: bool = False


class FlushRequest(Shape, frozen=True):
    """Nothing."""


class FeedbackRequest(Shape, frozen=True):
    """The answer of `entry` to `question` was wrong; the ids are in x-vsr-cache-entry and
    x-vsr-cache-question of that answer."""

    entry: EntryId
    question: EntryId


@dataclass(frozen=True, slots=True)
class Invalidation:
    selector: Selector
    dry_run: bool


def selector_of(asked: Selection) -> Selector:
    """Raises RefusedError where it selects by more than one thing."""
    given = _given(asked)
    if len(given) > 1:
        raise RefusedError(Code.INVALID_INPUT, f"give one of {_names(KINDS)}, not {len(given)} of them")
    return Selector(*next(iter(given.items()))) if given else Selector(Kind.ALL)


def invalidation_of(asked: InvalidationRequest) -> Invalidation:
    """Raises RefusedError where it does not clearly say what to invalidate."""
    if asked.all == bool(_given(asked)):
        raise RefusedError(Code.INVALID_INPUT, f'give one of {_names(KINDS)}, or `"all": true`')
    return Invalidation(selector_of(asked), asked.dry_run)


def _given(asked: Selection) -> Mapping[Kind, str]:
    return {kind: value for kind in KINDS if (value := getattr(asked, kind)) is not None}


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
