"""Entries as rows."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.base.completion import Completion, Usage
from router_extproc.base.refusals import Failure
from router_extproc.ports import PortError
from router_extproc.stores.codec import PIECE_BYTES, PIECES, TRAITS, VERSION, entry_of, key, row_of
from tests.support.entries import DIMENSION, a_partition, an_entry

HERE = a_partition("here")
FIELD = "meaning"

completions = st.builds(
    Completion,
    model=st.text(),
    content=st.text(),
    finish_reason=st.text(),
    extras=st.lists(st.tuples(st.text(), st.text()), max_size=3).map(tuple),
    usage=st.none() | st.builds(Usage, st.integers(0, 2**40), st.integers(0, 2**40)),
)


@given(completion=completions, text=st.text(), exact_only=st.booleans())
def test_a_row_gives_the_entry_back(completion: Completion, text: str, exact_only: bool) -> None:
    entry = an_entry(HERE, text, completion=completion, exact_only=exact_only)
    found = entry_of(row_of(entry, FIELD), FIELD, DIMENSION)
    assert dataclasses.replace(found, vector=entry.vector) == entry
    np.testing.assert_array_equal(found.vector, entry.vector)


@pytest.mark.parametrize("character", ["x", "é", "語", "👍"])
@pytest.mark.parametrize("offset", range(4))
def test_pieces_fit_their_columns_in_bytes_whatever_the_characters(character: str, offset: int) -> None:
    content = "x" * offset + character * (3 * PIECE_BYTES // len(character.encode()))
    row = row_of(an_entry(HERE, content=content), FIELD)
    sizes = [len(row[name].encode()) for name in PIECES]
    assert max(sizes) <= PIECE_BYTES
    assert sum(sizes) == row["size"]
    assert entry_of(row, FIELD, DIMENSION).completion.content == content


def test_an_entry_larger_than_all_columns_is_refused() -> None:
    with pytest.raises(PortError) as raised:
        row_of(an_entry(HERE, content="語" * (len(PIECES) * PIECE_BYTES // 3)), FIELD)
    assert raised.value.reason is Failure.INVALID


def test_text_without_a_utf_8_form_is_refused_without_being_quoted() -> None:
    with pytest.raises(PortError) as raised:
        row_of(an_entry(HERE, content="secret \ud800"), FIELD)
    assert raised.value.reason is Failure.INVALID
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(("column", "size"), TRAITS.items())
def test_what_operators_select_by_fits_its_column_or_the_entry_is_refused(column: str, size: int) -> None:
    fitting = "é" * (size // 2)
    entry = an_entry(HERE, **{column: fitting})  # type: ignore[arg-type]
    found = entry_of(row_of(entry, FIELD), FIELD, DIMENSION)
    assert getattr(found, column) == fitting
    for value in (fitting + "x", "\ud800"):
        with pytest.raises(PortError) as raised:
            row_of(an_entry(HERE, **{column: value}), FIELD)  # type: ignore[arg-type]
        assert raised.value.reason is Failure.INVALID


def changed(**columns: Any) -> dict[str, Any]:
    return row_of(an_entry(HERE, content="secret"), FIELD) | columns


DOCUMENT = changed()["payload0"]
VERSIONED = f'"version":{VERSION}'


@pytest.mark.parametrize(
    "row",
    [
        changed(payload0=""),
        changed(payload0="{"),
        changed(payload0=DOCUMENT.replace(VERSIONED, f'"version":{VERSION - 1}')),
        changed(payload0=DOCUMENT.replace(VERSIONED, f'"version":{VERSION + 1}')),
        changed(payload0=DOCUMENT.replace(f"{VERSIONED},", "")),
        changed(payload0=DOCUMENT.replace('"finish_reason":"stop",', "")),
        changed(payload0=DOCUMENT.replace('"content"', '"other":1,"content"')),
        changed(payload0=DOCUMENT.replace('"reasoning":false', '"reasoning":"secret"')),
        changed(payload1="x"),
        changed(payload0=None),
        changed(**{FIELD: [0.0] * (DIMENSION - 1)}),
        changed(**{FIELD: [float("nan")] * DIMENSION}),
        changed(**{FIELD: "secret"}),
        changed(tenant=None),
        changed(model=5),
        changed(category=["secret"]),
        changed(exact_only="secret"),
        changed(exact_only=1),
        changed(id='" or "'),
        changed(created_at="secret"),
        {},
    ],
    ids=range(21),
)
def test_a_row_that_row_of_did_not_write_is_invalid_and_not_quoted(row: dict[str, Any]) -> None:
    with pytest.raises(PortError) as raised:
        entry_of(row, FIELD, DIMENSION)
    assert raised.value.reason is Failure.INVALID
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_the_document_that_is_altered_above_has_what_is_altered() -> None:
    for part in (f"{VERSIONED},", '"finish_reason":"stop",', '"content"', '"reasoning":false'):
        assert part in DOCUMENT


@given(st.text())
def test_a_key_is_hexadecimal_and_nothing_else(text: str) -> None:
    if text and len(text) <= 64 and set(text) <= set("0123456789abcdef"):
        assert key(text) == text
    else:
        with pytest.raises(PortError):
            key(text)


@pytest.mark.parametrize("value", ["", "0" * 65, "AB", "0f\n", "٣", '"', "0f 0f"])
def test_what_is_no_digest_is_no_key(value: str) -> None:
    with pytest.raises(PortError):
        key(value)
