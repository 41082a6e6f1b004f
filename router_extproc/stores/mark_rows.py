"""Marks as rows of Milvus, so that they outlive this process and reach the other replicas."""

import logging
from collections.abc import Sequence

import msgspec

from router_extproc.base.refusals import Failure
from router_extproc.caching.marks import Kind, Mark, Selector
from router_extproc.ports import PortError
from router_extproc.stores.codec import MARK_VALUE_BYTES, utf8
from router_extproc.stores.collection import MARK_COLUMNS, MARK_VECTOR
from router_extproc.stores.expression import live
from router_extproc.stores.table import Row, Table

_LOG = logging.getLogger(__name__)


class MarkRows:
    """Implements `ports.MarkStore` over a table that `collection.prepare` made."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def load_marks(self, at: float) -> Sequence[Mark]:
        marks: list[Mark] = []
        async for rows in self._table.pages(live(at), MARK_COLUMNS):
            marks += [mark for mark in map(_readable, rows) if mark is not None and at < mark.expires_at]
        return marks

    async def add_mark(self, mark: Mark) -> None:
        await self._table.upsert(row_of_mark(mark))


def row_of_mark(mark: Mark) -> Row:
    """PortError(INVALID) when a column cannot hold the value."""
    if len(utf8(mark.selector.value)) > MARK_VALUE_BYTES:
        raise PortError(Failure.INVALID, f"a mark on a value of more than {MARK_VALUE_BYTES} bytes")
    return {
        "id": mark.id,
        "kind": mark.selector.kind.value,
        "value": mark.selector.value,
        "at": float(mark.at),
        "expires_at": float(mark.expires_at),
        MARK_VECTOR: [1.0, 0.0],
    }


def mark_of(row: Row) -> Mark:
    """PortError(INVALID) when the row is not one that `row_of_mark` wrote."""
    try:
        selector = Selector(Kind(row["kind"]), msgspec.convert(row["value"], str))
        mark = Mark(selector, float(row["at"]), float(row["expires_at"]))
    except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise PortError(Failure.INVALID, f"a mark that cannot be read ({type(error).__name__})") from None
    if mark.id != row["id"]:
        raise PortError(Failure.INVALID, "a mark that does not belong to its id")
    return mark


def _readable(row: Row) -> Mark | None:
    """The row's mark; None, and a line in the log, when another program wrote the row."""
    try:
        return mark_of(row)
    except PortError as error:
        _LOG.warning("skipped %s", error)
        return None
