"""Labelled data from JSON Lines files. Owns the row formats and the errors that name the line.

A row's text is the user's data: no error message quotes it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from router_extproc.base.errors import OperatorError

Row = TypeVar("Row", bound=msgspec.Struct)


class DomainRow(msgspec.Struct, frozen=True):
    """A question and its category. Other keys are ignored."""

    text: str
    label: str


class PairRow(msgspec.Struct, frozen=True):
    """Two questions, and whether one answer serves both (`same`: a boolean, or 0 and 1)."""

    a: str
    b: str
    same: bool


def read_domain_rows(path: Path) -> list[DomainRow]:
    """Rows `{"text": ..., "label": ...}`. Raises OperatorError beginning with `FILE:LINE: `."""
    return list(_read(path, DomainRow))


def read_pair_rows(path: Path) -> list[PairRow]:
    """Rows `{"a": ..., "b": ..., "same": ...}`. Raises OperatorError beginning with `FILE:LINE: `."""
    return list(_read(path, PairRow))


def _read(path: Path, kind: type[Row]) -> Iterator[Row]:
    keys = ", ".join(kind.__struct_fields__)
    count = 0
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                count += 1
                try:
                    # Not strict: sets write `same` as 0 and 1 as often as false and true.
                    yield msgspec.json.decode(line, type=kind, strict=False)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise OperatorError(
                        f"{path}:{number}: not a JSON object with the keys {keys} ({_reason(error)})"
                    ) from None
    except OSError as error:
        raise OperatorError(f"{path}: cannot be read ({error.strerror})") from None
    if count == 0:
        raise OperatorError(f"{path}: there is no row in it; expected JSON objects with the keys {keys}")


def _reason(error: Exception) -> str:
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
