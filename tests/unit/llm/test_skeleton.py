"""Counting what stands outside of strings."""

import json

import pytest

from router_extproc.llm.skeleton import has_more_values, members

CHUNK = 1 << 18


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b"", 0),
        (b"{}", 0),
        (b'{"a":1,"b":{"c":[{"d":2}]}}', 4),
        (b'{"a":1,"a":2}', 2),
        (b'{"a:b":"c:d"}', 1),
        (b'{"a\\":":"\\\\","b":"\\\\\\":"}', 2),
        (b'{"a":"never closed: ', 1),
        (b'"\\', 0),
    ],
)
def test_members_are_the_colons_outside_of_strings(body: bytes, count: int) -> None:
    assert members(body) == count


@pytest.mark.parametrize("shift", range(-3, 4))
@pytest.mark.parametrize("text", ['":', '\\":', '\\\\":', '\\\\\\":,', ":{", '"'])
def test_a_string_may_lie_across_two_pieces(text: str, shift: int) -> None:
    before = "x" * (CHUNK - 8 + shift)
    assert members(json.dumps({"a": before + text, "b": {"c": text}}).encode()) == 3


def test_values_are_counted_by_what_stands_between_and_before_them() -> None:
    body = b'{"a":[1,2,{"b":null}],"c":"[,{[,{"}'
    assert has_more_values(body, 5)
    assert not has_more_values(body, 6)
    assert not has_more_values(b"1", 0)
    assert has_more_values(b"[1]", 0)
