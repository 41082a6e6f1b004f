"""What operators and users took back: entries invalidated by what they are, and answers marked as wrong.

A mark costs the same whatever it covers: it is a time, and every entry it selects that was created until then
is dead from that moment on, in every tier and replica that knows the mark. Deleting the rows comes later.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from router_extproc.base.digest import digest
from router_extproc.caching.entry import Entry


class Kind(StrEnum):
    """What a mark selects by."""

    ALL = "all"
    TENANT = "tenant"
    MODEL = "model"
    CATEGORY = "category"
    ENTRY = "entry"
    PAIR = "pair"
    """One question that one entry must not answer; the value is `pair_of` the two."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Which entries: those whose `kind` has this value. The value of ALL is empty."""

    kind: Kind
    value: str = ""

    def covers(self, entry: Entry) -> bool:
        """Whether `entry` is selected. A pair selects no entry by itself."""
        match self.kind:
            case Kind.ALL:
                return not self.value
            case Kind.TENANT:
                return entry.tenant == self.value
            case Kind.MODEL:
                return entry.model == self.value
            case Kind.CATEGORY:
                return entry.category == self.value
            case Kind.ENTRY:
                return entry.id == self.value
            case Kind.PAIR:
                return False


@dataclass(frozen=True, slots=True)
class Mark:
    """`selector` until `at` (Unix seconds); forgotten at `expires_at`, when all it covers has expired."""

    selector: Selector
    at: float
    expires_at: float

    @property
    def id(self) -> str:
        """A later mark of the same selector takes the place of the earlier."""
        return digest("mark", (self.selector.kind.encode(), self.selector.value.encode()))


def pair_of(question: str, entry: str) -> str:
    """The value of a PAIR selector: the ids of a question and of the entry that answered it wrongly."""
    return f"{question}:{entry}"


def _traits(entry: Entry) -> dict[Kind, str]:
    return {
        Kind.ALL: "",
        Kind.TENANT: entry.tenant,
        Kind.MODEL: entry.model,
        Kind.CATEGORY: entry.category,
        Kind.ENTRY: entry.id,
    }


@dataclass(frozen=True, slots=True)
class Marks:
    """All marks in force, by selector."""

    at: Mapping[Selector, float] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, marks: Iterable[Mark]) -> "Marks":
        """Of two marks of one selector the later counts."""
        latest: dict[Selector, float] = {}
        for mark in marks:
            latest[mark.selector] = max(mark.at, latest.get(mark.selector, mark.at))
        return cls(MappingProxyType(latest))

    def revokes(self, entry: Entry, question: str = "") -> bool:
        """Whether `entry` may no longer answer at all, or not the question with the id `question`."""
        if not self.at:
            return False
        selectors = [Selector(kind, value) for kind, value in _traits(entry).items()]
        if any(entry.created_at <= self.at.get(selector, float("-inf")) for selector in selectors):
            return True
        return Selector(Kind.PAIR, pair_of(question, entry.id)) in self.at
