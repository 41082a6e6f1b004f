"""Nothing that a user or an operator writes changes what an expression means."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.base.refusals import Failure
from router_extproc.caching.marks import Kind, Selector
from router_extproc.ports import PortError
from router_extproc.stores.codec import TRAITS
from router_extproc.stores.expression import (
    COLUMN_OF,
    beginning,
    neighbours,
    number,
    one,
    quoted,
    selected,
    those,
)

LITERAL = re.compile(r'"(?:[^"\\\n\r]|\\["\\nrt])*"')
"""A string as Milvus's grammar reads it (Plan.g4, StringLiteral), with the escapes that are used here."""

_UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n", "\\r": "\r", "\\t": "\t"}


def read(literal: str) -> str:
    """What Milvus makes of a literal."""
    return re.sub(r"\\.", lambda found: _UNESCAPED[found[0]], literal[1:-1])


texts = st.text() | st.text(alphabet="\"\\nrt ord=\n\r\t'{}%u0041")


@given(texts)
def test_any_text_is_one_literal_that_means_that_text(text: str) -> None:
    literal = quoted(text)
    assert LITERAL.fullmatch(literal)
    assert read(literal) == text


def test_a_text_that_no_call_could_carry_is_invalid() -> None:
    with pytest.raises(PortError) as raised:
        quoted("\ud800")
    assert raised.value.reason is Failure.INVALID


@given(texts, st.sampled_from([Kind.TENANT, Kind.MODEL, Kind.CATEGORY, Kind.ENTRY]))
def test_a_selector_compares_one_column_with_one_literal(text: str, kind: Kind) -> None:
    column = {"tenant": "tenant", "model": "model", "category": "category", "entry": "id"}[kind.value]
    expression = selected(Selector(kind, text), "created_at <= 1")
    assert re.fullmatch(rf"{column} == {LITERAL.pattern} and created_at <= 1", expression)


def test_a_selector_of_everything_compares_nothing() -> None:
    assert selected(Selector(Kind.ALL), "created_at <= 1") == "created_at <= 1"


def test_every_trait_can_be_selected_by() -> None:
    assert set(COLUMN_OF.values()) == {*TRAITS, "id"}


@given(st.floats(1.0, 4e9))
def test_a_time_is_written_exactly_and_without_an_exponent(value: float) -> None:
    assert float(number(value)) == pytest.approx(value, abs=1e-9)
    assert "e" not in number(value)
    if value > 1e8:
        assert float(number(value)) == value


@pytest.mark.parametrize("hostile", ['" or "" == "', "", "ABC", "a b"])
def test_only_digests_are_keys(hostile: str) -> None:
    with pytest.raises(PortError):
        neighbours(hostile, 1.0)
    with pytest.raises(PortError):
        one(hostile, "0f", 1.0)
    with pytest.raises(PortError):
        one("0f", hostile, 1.0)
    with pytest.raises(PortError):
        those(["0f", hostile])


def test_ids_are_listed() -> None:
    assert those(["0f", "1a"]) == 'id in ["0f", "1a"]'


ids = st.text("0123456789abcdef", min_size=1, max_size=4)


@given(ids, st.text("0123456789abcdef", max_size=3))
def test_ids_that_begin_with_a_prefix_are_those_between_its_bounds(entry_id: str, prefix: str) -> None:
    found = re.fullmatch(r'id >= "(\w*)" and id < "(\w+)" and x', beginning(prefix, "x"))
    assert found is not None
    assert (found[1] <= entry_id < found[2]) == entry_id.startswith(prefix)
