"""Lines of a body that comes in pieces, whatever the pieces; never more than a line is held."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.server.exported import LINE_BYTES
from router_extproc.server.transfer import Report, lines_of


async def lines(*pieces: bytes) -> list[bytes | None]:
    async def coming() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return [line async for line in lines_of(coming())]


@given(body=st.binary(max_size=40), cuts=st.lists(st.integers(0, 40), max_size=5))
def test_lines_do_not_depend_on_the_pieces(body: bytes, cuts: list[int]) -> None:
    body = body.replace(b"\x01", b"\n").replace(b"\x02", b"\n")
    places = [0, *sorted(cuts), 40]
    pieces = [body[start:stop] for start, stop in pairwise(places)]
    expected = body.split(b"\n") if not body.endswith(b"\n") else body.split(b"\n")[:-1]
    if not body:
        expected = []
    assert asyncio.run(lines(*(piece for piece in pieces if piece))) == expected


@pytest.mark.parametrize("size", [LINE_BYTES - 1, LINE_BYTES, LINE_BYTES + 1, 3 * LINE_BYTES])
@pytest.mark.parametrize("piece_size", [65_536, 10 * LINE_BYTES])
@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_a_line_that_is_too_long_is_passed_over(size: int, piece_size: int, end: bytes) -> None:
    body = b"before\n" + b"x" * size + b"\nbetween\n" + b"y" * size + end
    pieces = [body[start : start + piece_size] for start in range(0, len(body), piece_size)]
    long = (lambda letter: None) if size > LINE_BYTES else (lambda letter: letter * size)
    assert await lines(*pieces) == [b"before", long(b"x"), b"between", long(b"y")]


def test_a_report_names_the_first_refusals_and_counts_all() -> None:
    report = Report(imported=1, present=2, expired=3, invalidated=4)
    for number in range(30):
        report.refuse(number, "why")
    document = report.as_json()
    assert (document["skipped"], document["refused_count"], len(document["refused"])) == (9, 30, 20)
    assert document["refused"][0] == {"line": 0, "reason": "why"}
