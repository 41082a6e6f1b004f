"""Rows as requests."""

import json

import pytest

from router_extproc.app.warm import RowError, request_of

USER = {"role": "user", "content": "hi"}


def test_a_prompt_is_the_one_message() -> None:
    row = b'{"prompt": "hi", "temperature": 0.5, "stream": true}'
    assert json.loads(request_of(row, "auto")) == {
        "model": "auto", "messages": [USER], "temperature": 0.5, "stream": True,
    }  # fmt: skip


def test_messages_get_the_model_where_they_name_none() -> None:
    row = json.dumps({"messages": [USER]}).encode()
    assert json.loads(request_of(row, "m")) == {"model": "m", "messages": [USER]}


def test_a_whole_request_is_sent_as_it_stands() -> None:
    row = b'{"temperature": 0.20, "messages":[], "model" :"x"}'
    assert request_of(b"  " + row + b"\r\n", "auto") == row


@pytest.mark.parametrize(
    "row",
    [
        b"",
        b"null",
        b"[]",
        b'"secret"',
        b"{secret",
        b'{"model": "secret"}',
        b'{"prompt": "secret", "messages": []}',
        b'{"prompt": ["secret"]}',
        b'{"prompt": "\xff"}',
        b'{"prompt": "\\ud800"}',
        b'{"prompt": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_request_is_refused_without_quoting_it(row: bytes) -> None:
    with pytest.raises(RowError) as raised:
        request_of(row, "auto")
    assert "secret" not in str(raised.value)
