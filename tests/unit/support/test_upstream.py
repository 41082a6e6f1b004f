import asyncio
import gzip
import json

import pytest

from tests.support.upstream import (
    Answer,
    Received,
    bytes_answer,
    gzip_answer,
    json_answer,
    read_request,
    response_head,
    sse_answer,
)


async def read(data: bytes) -> Received | None:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return await read_request(reader)


async def test_a_request_keeps_order_and_case_of_its_fields() -> None:
    request = await read(b"POST /a?b HTTP/1.1\r\nX-Two: 2\r\nx-one: 1\r\nContent-Length: 3\r\n\r\nabcrest")
    assert request is not None
    assert (request.method, request.target, request.body) == ("POST", "/a?b", b"abc")
    assert request.headers == (("X-Two", "2"), ("x-one", "1"), ("Content-Length", "3"))


async def test_a_chunked_body_loses_its_framing() -> None:
    request = await read(
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx: y\r\n\r\n"
    )
    assert request is not None
    assert request.body == b"abcde"


async def test_the_end_of_a_connection_is_no_request() -> None:
    assert await read(b"") is None


async def test_a_request_cut_off_is_an_error() -> None:
    with pytest.raises(asyncio.IncompleteReadError):
        await read(b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nabc")


async def test_a_field_that_came_twice_is_not_taken_for_one() -> None:
    request = await read(b"GET / HTTP/1.1\r\nA: 1\r\na: 2\r\n\r\n")
    assert request is not None
    assert request.all("a") == ["1", "2"]
    assert request.get("b") is None
    with pytest.raises(AssertionError, match="a came 2 times"):
        request.get("a")


def test_a_body_of_known_length_is_not_chunked() -> None:
    assert response_head(bytes_answer(b"abc")) == b"HTTP/1.1 200 Scripted\r\ncontent-length: 3\r\n\r\n"


def test_other_bodies_are_chunked() -> None:
    assert b"transfer-encoding: chunked\r\n" in response_head(sse_answer(b"data: 1\n\n"))


def test_an_upgrade_has_no_body() -> None:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    assert response_head(Answer(101, upgraded=take)) == b"HTTP/1.1 101 Scripted\r\n\r\n"


def test_json_and_gzip_carry_the_same_content() -> None:
    plain, packed = json_answer({"a": "ä"}), gzip_answer({"a": "ä"})
    assert isinstance(plain.steps[0], bytes)
    assert isinstance(packed.steps[0], bytes)
    assert gzip.decompress(packed.steps[0]) == plain.steps[0]
    assert json.loads(plain.steps[0]) == {"a": "ä"}
    assert ("content-encoding", "gzip") in packed.headers
