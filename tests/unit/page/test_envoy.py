import asyncio
import json

import aiohttp
import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import LineTooLong

from router_extproc.page.envoy import (
    ERROR_BYTES,
    LINE_BYTES,
    Asked,
    _body,
    _chunk,
    _whole,
    events,
    in_words,
)
from router_extproc.page.router import ApiError


def line(document: object) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n"


def test_a_question_is_asked_as_a_client_would_and_the_key_is_in_no_document() -> None:
    asked = Asked("Why?", "auto", "Be brief.", "secret")
    document = asked.document()
    assert document["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why?"},
    ]
    assert document["stream"] is True
    assert "secret" not in json.dumps(document)
    assert Asked("Why?").document()["messages"] == [{"role": "user", "content": "Why?"}]


def test_pieces_and_the_usage_are_read_of_a_stream() -> None:
    assert _chunk(line({"choices": [{"delta": {"content": "Be"}}]})) == ("Be", None)
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    assert _chunk(line({"choices": [], "usage": usage})) == ("", usage)


@pytest.mark.parametrize(
    "given",
    [b"\n", b": a comment\n", b"event: x\n", b"data: [DONE]\n", b"data: {\n", b"data: []\n", b"data: 3\n"],
)
def test_what_is_no_piece_is_passed_over(given: bytes) -> None:
    assert _chunk(given) is None


def test_a_piece_without_text_is_empty() -> None:
    for delta in ({}, {"content": None}, None):
        assert _chunk(line({"choices": [{"delta": delta}]})) == ("", None)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": {"message": "too long"}}', "too long"),
        (b'{"choices": [{"message": {"content": "Yes."}}]}', "Yes."),
        (b"upstream connect error", "upstream connect error"),
        (b'{"detail": 1}', '{"detail": 1}'),
        (b"[1]", "[1]"),
        (b"\xff", "\ufffd"),
    ],
)
def test_an_answer_that_is_no_stream_is_shown_as_what_it_says(body: bytes, text: str) -> None:
    assert _whole(body) == text


def content(*pieces: bytes) -> aiohttp.StreamReader:
    """What a connection brought, and its end."""
    loop = asyncio.get_running_loop()
    made = aiohttp.StreamReader(BaseProtocol(loop), LINE_BYTES, loop=loop)
    for piece in pieces:
        made.feed_data(piece)
    made.feed_eof()
    return made


async def _all(stream: aiohttp.StreamReader) -> None:
    with in_words("http://envoy"):
        async for _ in events(stream, lambda: 0.0):
            pass


async def test_a_line_without_end_is_told_in_words_that_have_nothing_of_it() -> None:
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(asyncio.Transport())
    stream = aiohttp.StreamReader(protocol, LINE_BYTES, loop=loop)
    stream.feed_data(b"data: " + LINE_BYTES * b"x")
    loop.call_soon(stream.feed_data, 2 * LINE_BYTES * b"x")
    with pytest.raises(ApiError, match="cannot be read") as failed:
        await _all(stream)
    assert "xx" not in f"{failed.value.message}{failed.value.cure}"
    assert failed.value.__suppress_context__


@pytest.mark.parametrize("raised", [ValueError("secret"), LineTooLong(b"secret", 3), OSError("secret")])
def test_no_failure_is_told_with_what_was_sent(raised: Exception) -> None:
    with pytest.raises(ApiError) as failed, in_words("http://envoy"):
        raise raised
    assert "secret" not in f"{failed.value.message}{failed.value.cure}"


async def test_an_error_that_comes_in_pieces_is_read_to_its_end() -> None:
    assert await _body(content(b'{"error": {"mess', b'age": "too', b' long"}}')) == (
        b'{"error": {"message": "too long"}}',
        False,
    )


async def test_an_error_is_read_up_to_a_limit() -> None:
    body, cut = await _body(content(*(1024 * b"x" for _ in range(65))))
    assert (len(body), cut) == (ERROR_BYTES, True)
