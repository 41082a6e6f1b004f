"""Expressions and parameters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.ports import PortError
from router_extproc.stores.collection import alive, number, one, search_parameters, those
from router_extproc.stores.options import MilvusOptions, Server

OPTIONS = MilvusOptions(Server("127.0.0.1"), 16, "e", ef=64)


@given(st.floats(1.0, 4e9))
def test_a_time_is_written_exactly_and_without_an_exponent(value: float) -> None:
    assert float(number(value)) == pytest.approx(value, abs=1e-9)
    assert "e" not in number(value)
    if value > 1e8:
        assert float(number(value)) == value


@pytest.mark.parametrize("hostile", ['" or "" == "', "", "ABC", "a b"])
def test_only_digests_enter_an_expression(hostile: str) -> None:
    with pytest.raises(PortError):
        alive(hostile, 1.0)
    with pytest.raises(PortError):
        one(hostile, "0f", 1.0)
    with pytest.raises(PortError):
        one("0f", hostile, 1.0)
    with pytest.raises(PortError):
        those(["0f", hostile])


def test_ids_are_listed() -> None:
    assert those(["0f", "1a"]) == 'id in ["0f", "1a"]'


@pytest.mark.parametrize(("limit", "ef"), [(4, 64), (64, 64), (100, 100)])
def test_ef_is_never_below_the_limit(limit: int, ef: int) -> None:
    assert search_parameters(OPTIONS, limit)["params"] == {"ef": ef}
