"""Marks as rows: exact, strict, and never a reason to lose the others."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.base.refusals import Failure
from router_extproc.caching.marks import Kind, Mark, Selector, pair_of
from router_extproc.ports import PortError
from router_extproc.stores.mark_rows import mark_of, row_of_mark

NOW = 1_700_000_000.25
MARK = Mark(Selector(Kind.MODEL, 'a"b'), NOW, NOW + 9)

marks = st.builds(
    Mark,
    st.builds(Selector, st.sampled_from(Kind), st.text(max_size=100)),
    st.floats(0, 4e9),
    st.floats(0, 4e9),
)


@given(marks)
def test_a_row_gives_the_mark_back(mark: Mark) -> None:
    assert mark_of(row_of_mark(mark)) == mark


def test_the_longest_pair_fits() -> None:
    mark = Mark(Selector(Kind.PAIR, pair_of("f" * 64, "f" * 64)), NOW, NOW + 9)
    assert mark_of(row_of_mark(mark)) == mark


@pytest.mark.parametrize("value", ["é" * 257, "\ud800"])
def test_a_value_that_no_column_holds_is_invalid(value: str) -> None:
    with pytest.raises(PortError) as raised:
        row_of_mark(Mark(Selector(Kind.MODEL, value), NOW, NOW + 9))
    assert raised.value.reason is Failure.INVALID


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "flavour"},
        {"value": None},
        {"value": "other"},
        {"at": "secret"},
        {"expires_at": None},
        {"id": 5},
    ],
    ids=str,
)
def test_a_row_that_row_of_mark_did_not_write_is_invalid_and_not_quoted(change: dict[str, Any]) -> None:
    with pytest.raises(PortError) as raised:
        mark_of(row_of_mark(MARK) | change)
    assert raised.value.reason is Failure.INVALID
    assert "secret" not in str(raised.value)
