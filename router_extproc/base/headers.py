"""HTTP header fields as an immutable value.

Names are lower case, as HTTP/2 and Envoy deliver them. Values are `str` decoded as latin-1, so any
byte an HTTP peer may send survives a round trip. Pseudo headers (`:path`, `:status`) are fields too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import ascii_letters, digits, punctuation
from urllib.parse import quote

_PLAIN = (ascii_letters + digits + punctuation + " ").replace("%", "")


@dataclass(frozen=True, slots=True)
class Headers:
    """Received fields: every value of every name, in order of arrival."""

    fields: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> "Headers":
        fields: dict[str, list[str]] = {}
        for name, value in pairs:
            fields.setdefault(name.lower(), []).append(value)
        return cls({name: tuple(values) for name, values in fields.items()})

    def get(self, name: str, default: str = "") -> str:
        """The first value of `name` (lower case), or `default`."""
        values = self.fields.get(name)
        return values[0] if values else default

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of `name` (lower case), in order; empty when absent."""
        return self.fields.get(name, ())

    def __contains__(self, name: str) -> bool:
        return name in self.fields


@dataclass(frozen=True, slots=True)
class HeaderEdits:
    """What to change in a header block: `set` overwrites or adds, `remove` deletes every value."""

    set: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


NO_EDITS = HeaderEdits()


def header_text(text: str) -> str:
    """A configured name as a field's value: what is not printable ASCII is percent-encoded, as UTF-8."""
    return quote(text, safe=_PLAIN)
