import json

import pytest

from router_extproc.page.envoy import Asked, _chunk, _whole


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
