"""Milvus's filter expressions. Milvus 2.3 takes no parameters, so every value that enters one passes here.

Two ways in, and no third: `key` for digests, which need no quotes' protection, and `quoted` for anything
else. Knows no collection and no connection.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from router_extproc.caching.marks import Kind, Selector
from router_extproc.stores.codec import key, utf8

COLUMN_OF: Mapping[Kind, str] = MappingProxyType(
    {Kind.TENANT: "tenant", Kind.MODEL: "model", Kind.CATEGORY: "category", Kind.ENTRY: "id"}
)
"""The column that a selector compares. ALL compares none; PAIR selects no entry."""

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
"""All that the grammars of Milvus (Plan.g4, StringLiteral) and Milvus Lite do not take as it stands. Other
control characters have no escape that both know, and need none."""


def quoted(value: str) -> str:
    """`value` as a string literal. PortError(INVALID) when it has no UTF-8 form, which a call needs."""
    utf8(value)
    return f'"{value.translate(_ESCAPES)}"'


def number(value: float) -> str:
    """A float as Milvus's grammar takes it, without an exponent. Nine decimals are exact for Unix seconds:
    near 2e9 two floats are 2.4e-7 apart."""
    return f"{value:.9f}"


def live(at: float) -> str:
    """Rows that are not dead at `at`."""
    return f"expires_at > {number(at)}"


def dead(at: float) -> str:
    return f"expires_at <= {number(at)}"


def one(partition: str, entry_id: str, at: float) -> str:
    """The live row with this id in this partition."""
    return f'id == "{key(entry_id)}" and {_inside(partition, at)}'


def neighbours(partition: str, at: float) -> str:
    """Rows of one partition that may be found by meaning and are not dead at `at`."""
    return f"{_inside(partition, at)} and exact_only == false"


def those(ids: Sequence[str]) -> str:
    return "id in [" + ", ".join(f'"{key(each)}"' for each in ids) + "]"


def selected(selector: Selector, condition: str) -> str:
    """Rows that `selector` covers and for which `condition` holds. Not for a selector of kind PAIR."""
    if selector.kind is Kind.ALL:
        return condition
    return f"{COLUMN_OF[selector.kind]} == {quoted(selector.value)} and {condition}"


def beginning(prefix: str, condition: str) -> str:
    """Rows with ids that begin with these hexadecimal digits, for which `condition` holds. After the last
    digit comes `g`."""
    return f'id >= "{prefix}" and id < "{prefix}g" and {condition}'


def exactly(entry_id: str, condition: str) -> str:
    """The row with this id, if `condition` holds for it."""
    return f"id == {quoted(entry_id)} and {condition}"


def _inside(partition: str, at: float) -> str:
    return f'partition == "{key(partition)}" and {live(at)}'
