"""Labelled data from JSON Lines files. Owns the row formats and the errors that name the line.

A row's text is the user's data: no error message quotes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from router_extproc.base.errors import OperatorError

Row = TypeVar("Row", bound=msgspec.Struct)


class DomainRow(msgspec.Struct, frozen=True):
    """A question and its category; `kind` groups rows in the report. Other keys are ignored."""

    text: str
    label: str
    kind: str | None = None


class GuardRow(msgspec.Struct, frozen=True):
    """A text, and whether it is an attack (`label`: 1 and 0, or a boolean). `family` groups rows in the
    report."""

    text: str
    label: bool
    family: str | None = None


class PiiRow(msgspec.Struct, frozen=True):
    """A text, and what of it is personal data: start and end (excluded) in characters, and the type."""

    text: str
    spans: tuple[tuple[int, int, str], ...]


class PairRow(msgspec.Struct, frozen=True):
    """Two questions, and whether one answer serves both (`same`: a boolean, or 0 and 1). `kind` groups rows
    in the report; `category` is the category of both questions, where somebody knows it."""

    a: str
    b: str
    same: bool
    kind: str | None = None
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """From here on the cache holds the answer `id` to `text`."""

    text: str = field(repr=False)
    id: str


@dataclass(frozen=True, slots=True)
class Ask:
    """`expect` is the id that should answer `text`, None when none should."""

    text: str = field(repr=False)
    expect: str | None


@dataclass(frozen=True, slots=True)
class RoutingRow:
    """A prompt, and whether the weak and the strong model answered it rightly."""

    text: str = field(repr=False)
    weak_ok: bool
    strong_ok: bool


class _RoutingRow(msgspec.Struct, frozen=True):
    text: str | UnsetType = UNSET
    weak_ok: bool | UnsetType = UNSET
    strong_ok: bool | UnsetType = UNSET
    prompt: str | UnsetType = UNSET
    mixtral: bool | UnsetType = UNSET
    gpt4: bool | UnsetType = UNSET


class _ReplayRow(msgspec.Struct, frozen=True):
    put: str | UnsetType = UNSET
    id: str | int | UnsetType = UNSET
    ask: str | UnsetType = UNSET
    expect: str | int | UnsetType | None = UNSET


REPLAY_KEYS = "put and id, or ask and expect"
ROUTING_KEYS = "text, weak_ok and strong_ok, or prompt, mixtral and gpt4"


def read_domain_rows(path: Path) -> list[DomainRow]:
    """Rows `{"text": ..., "label": ...}`. Raises OperatorError beginning with `FILE:LINE: `."""
    return [row for _, row in _read(path, DomainRow, "text, label")]


def read_guard_rows(path: Path) -> Iterator[GuardRow]:
    """Rows `{"text": ..., "label": ...}` one by one. Raises OperatorError beginning with `FILE:LINE: `."""
    return (row for _, row in _read(path, GuardRow, "text, label"))


def read_pii_rows(path: Path) -> Iterator[PiiRow]:
    """Rows `{"text": ..., "spans": [[start, end, type], ...]}`, one at a time. Raises OperatorError beginning
    with `FILE:LINE: `, also for a span that is empty or not inside the text."""
    for number, row in _read(path, PiiRow, "text, spans"):
        for start, end, _ in row.spans:
            if not 0 <= start < end <= len(row.text):
                raise OperatorError(
                    f"{path}:{number}: there is a span from {start} to {end}, but the text has "
                    f"{len(row.text)} characters; offsets count characters, the end excluded"
                )
        yield row


def read_pair_rows(path: Path) -> list[PairRow]:
    """Rows `{"a": ..., "b": ..., "same": ...}`. Raises OperatorError beginning with `FILE:LINE: `."""
    return [row for _, row in _read(path, PairRow, "a, b, same")]


def read_replay_rows(path: Path) -> list[Put | Ask]:
    """Rows `{"put": ..., "id": ...}` and `{"ask": ..., "expect": ...}`, at least one of the latter; a number
    as an id is the same as its digits. Raises OperatorError beginning with `FILE:LINE: `, also when no row
    before puts what an ask expects."""
    steps: list[Put | Ask] = []
    known: set[str] = set()
    for number, row in _read(path, _ReplayRow, REPLAY_KEYS):
        step = _step(row)
        if step is None:
            raise OperatorError(f"{path}:{number}: not a JSON object with the keys {REPLAY_KEYS}")
        if isinstance(step, Put):
            known.add(step.id)
        elif step.expect is not None and step.expect not in known:
            raise OperatorError(
                f"{path}:{number}: expects an id that no row before it puts; write null where none is right"
            )
        steps.append(step)
    if not any(isinstance(step, Ask) for step in steps):
        raise OperatorError(f"{path}: there is no row with the keys ask and expect in it")
    return steps


def read_routing_rows(path: Path) -> list[RoutingRow]:
    """Rows `{"text": ..., "weak_ok": ..., "strong_ok": ...}`, or with RouteLLM's own names for its two
    models, `{"prompt": ..., "mixtral": ..., "gpt4": ...}`. Raises OperatorError beginning with `FILE:LINE:
    `, naming the key that is missing."""
    return [_outcome(path, number, row) for number, row in _read(path, _RoutingRow, ROUTING_KEYS)]


def _outcome(path: Path, number: int, row: _RoutingRow) -> RoutingRow:
    if row.prompt is UNSET:
        names, values = ("text", "weak_ok", "strong_ok"), (row.text, row.weak_ok, row.strong_ok)
    else:
        names, values = ("prompt", "mixtral", "gpt4"), (row.prompt, row.mixtral, row.gpt4)
    text, weak, strong = values
    if not isinstance(text, str) or isinstance(weak, UnsetType) or isinstance(strong, UnsetType):
        missing = next(name for name, value in zip(names, values, strict=True) if value is UNSET)
        raise OperatorError(f"{path}:{number}: {missing} is missing; a row has the keys {ROUTING_KEYS}")
    return RoutingRow(text, weak, strong)


def _step(row: _ReplayRow) -> Put | Ask | None:
    if isinstance(row.put, str) and row.ask is UNSET and not isinstance(row.id, UnsetType):
        return Put(row.put, str(row.id))
    if isinstance(row.ask, str) and row.put is UNSET and not isinstance(row.expect, UnsetType):
        return Ask(row.ask, None if row.expect is None else str(row.expect))
    return None


def _read(path: Path, kind: type[Row], keys: str) -> Iterator[tuple[int, Row]]:
    """Line numbers from 1, and rows. `keys` are the ones a row must have, for the errors."""
    count = 0
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                count += 1
                try:
                    # Not strict: sets write `same` as 0 and 1 as often as false and true.
                    yield number, msgspec.json.decode(line, type=kind, strict=False)
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
