"""What can be replayed, and what cannot: one table, told as a JSON body and as a stream."""

import json
from typing import Any

import pytest

from router_extproc.base.completion import Completion, Folded, Unfoldable, Usage
from router_extproc.base.refusals import Uncached
from router_extproc.llm.fold import StreamFold, fold_json

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def answer(message: Any, finish_reason: Any = "stop", **fields: Any) -> bytes:
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    return json.dumps({"id": "x", "model": "m", "choices": [choice]} | fields).encode()


def event(body: Any) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def chunk(delta: Any = None, finish_reason: Any = None, **fields: Any) -> bytes:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish_reason}
    return event({"id": "x", "model": "m", "choices": [choice]} | fields)


def stream(*events: bytes) -> Folded:
    fold = StreamFold()
    fold.feed(b"".join(events))
    return fold.finish()


def complete(*chunks: bytes) -> Folded:
    return stream(*chunks, chunk({}, "stop"), DONE)


def told_both_ways(message: dict[str, Any], finish_reason: Any = "stop", **fields: Any) -> Folded:
    """The same answer as a body and as a stream, which must fold to the same."""
    whole = fold_json(answer(message, finish_reason, **fields))
    chunks = [chunk({name: value}, **fields) for name, value in message.items()]
    assert stream(*chunks, chunk({}, finish_reason, **fields), DONE) == whole
    return whole


def refused(folded: Folded) -> Uncached:
    assert isinstance(folded, Unfoldable)
    return folded.reason


def test_a_plain_answer_is_folded() -> None:
    got = told_both_ways({"role": "assistant", "content": " hi\n"}, usage=USAGE)
    assert got == Completion("m", " hi\n", "stop", (), Usage(3, 2))


def test_usage_may_be_missing_or_null() -> None:
    want = Completion("m", "hi", "stop")
    assert told_both_ways({"role": "assistant", "content": "hi"}) == want
    assert told_both_ways({"role": "assistant", "content": "hi"}, usage=None) == want


def test_white_space_is_content() -> None:
    assert told_both_ways({"content": " "}) == Completion("m", " ", "stop")
    assert complete(
        chunk({"content": "\n"}), chunk({"content": " a"}), chunk({"content": " "})
    ) == Completion("m", "\n a ", "stop")


def test_other_text_fields_are_extras_in_order_of_appearance() -> None:
    got = told_both_ways({"reasoning_content": "r", "content": "c", "z": " z", "a": "a"})
    assert got == Completion("m", "c", "stop", (("reasoning_content", "r"), ("z", " z"), ("a", "a")))


def test_interleaved_deltas_are_joined_by_name() -> None:
    got = complete(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "a "}),
        chunk({"reasoning_content": "b", "content": "c"}),
        chunk({"role": "assistant", "content": " d"}),
    )
    assert got == Completion("m", "c d", "stop", (("reasoning_content", "a b"),))


@pytest.mark.parametrize("nothing", [None, "", []])
@pytest.mark.parametrize("name", ["tool_calls", "function_call", "refusal", "audio", "annotations", "other"])
def test_fields_that_say_nothing_are_ignored(name: str, nothing: Any) -> None:
    assert told_both_ways({"content": "hi", name: nothing}) == Completion("m", "hi", "stop")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"tool_calls": [{"id": "1"}]}, Uncached.TOOL_CALLS),
        ({"function_call": {"name": "f"}}, Uncached.TOOL_CALLS),
        ({"refusal": "no"}, Uncached.REFUSAL),
        ({"audio": {"id": "1"}}, Uncached.MALFORMED),
        ({"annotations": [1]}, Uncached.MALFORMED),
        ({"other": 0}, Uncached.MALFORMED),
        ({"other": False}, Uncached.MALFORMED),
        ({"other": {}}, Uncached.MALFORMED),
        ({"content": [{"type": "text", "text": "hi"}]}, Uncached.MALFORMED),
        ({"role": "user"}, Uncached.MALFORMED),
        ({"role": 1}, Uncached.MALFORMED),
        ({"content": ""}, Uncached.EMPTY),
        ({"content": None}, Uncached.EMPTY),
        ({"content": None, "reasoning_content": "hm"}, Uncached.EMPTY),
    ],
)
def test_messages_that_cannot_be_replayed(fields: dict[str, Any], reason: Uncached) -> None:
    assert refused(told_both_ways({"role": "assistant", "content": "hi"} | fields)) is reason


@pytest.mark.parametrize(
    ("finish_reason", "reason"),
    [
        (None, Uncached.INCOMPLETE),
        ("", Uncached.INCOMPLETE),
        ("length", Uncached.FINISH_REASON),
        ("content_filter", Uncached.FINISH_REASON),
        ("tool_calls", Uncached.FINISH_REASON),
        (1, Uncached.MALFORMED),
    ],
)
def test_only_an_answer_that_stopped_by_itself_is_complete(finish_reason: Any, reason: Uncached) -> None:
    assert refused(told_both_ways({"content": "hi"}, finish_reason)) is reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"error": {"message": "late failure"}}, Uncached.MALFORMED),
        ({"error": "x"}, Uncached.MALFORMED),
        ({"choices": None}, Uncached.MALFORMED),
        ({"choices": {}}, Uncached.MALFORMED),
        ({"choices": [1]}, Uncached.MALFORMED),
        ({"choices": [{"index": 0, "finish_reason": "stop"}]}, Uncached.MALFORMED),
        ({"choices": []}, Uncached.INCOMPLETE),
        ({"model": ""}, Uncached.MALFORMED),
        ({"model": None}, Uncached.MALFORMED),
        ({"prompt_logprobs": [None]}, Uncached.LOGPROBS),
        ({"prompt_token_ids": [1]}, Uncached.MALFORMED),
        ({"usage": 5}, Uncached.MALFORMED),
        ({"usage": {}}, Uncached.MALFORMED),
        ({"usage": {"prompt_tokens": 1}}, Uncached.MALFORMED),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": None}}, Uncached.MALFORMED),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": "2"}}, Uncached.MALFORMED),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": 2.0}}, Uncached.MALFORMED),
        ({"usage": {"prompt_tokens": True, "completion_tokens": 2}}, Uncached.MALFORMED),
        ({"usage": {"prompt_tokens": -1, "completion_tokens": 2}}, Uncached.MALFORMED),
        ({"usage": {"prompt_tokens": 10**30, "completion_tokens": 2}}, Uncached.MALFORMED),
    ],
)
def test_envelopes_that_cannot_be_replayed(fields: dict[str, Any], reason: Uncached) -> None:
    assert refused(told_both_ways({"content": "hi"}, **fields)) is reason


def choice(kind: str, index: Any = 0, **fields: Any) -> dict[str, Any]:
    return {"index": index, kind: {"content": "hi"}, "finish_reason": "stop"} | fields


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ([{}, {"index": 1}], Uncached.MULTIPLE_CHOICES),
        ([{}, {}], Uncached.MULTIPLE_CHOICES),
        ([{"index": 1}], Uncached.MULTIPLE_CHOICES),
        ([{"index": -1}], Uncached.MULTIPLE_CHOICES),
        ([{"index": "0"}], Uncached.MALFORMED),
        ([{"logprobs": {"content": []}}], Uncached.LOGPROBS),
        ([{"logprobs": {}}], Uncached.LOGPROBS),
        ([{"token_ids": [1, 2]}], Uncached.MALFORMED),
    ],
)
def test_choices_that_cannot_be_replayed(spec: list[dict[str, Any]], reason: Uncached) -> None:
    body = {"model": "m", "choices": [choice("message", **fields) for fields in spec]}
    assert refused(fold_json(json.dumps(body).encode())) is reason
    body = {"model": "m", "choices": [choice("delta", **fields) for fields in spec]}
    assert refused(stream(event(body), DONE)) is reason


def test_two_choices_in_turn_are_two() -> None:
    one, two = ({"model": "m", "choices": [choice("delta", index=index)]} for index in (0, 1))
    assert refused(stream(event(one), event(two), DONE)) is Uncached.MULTIPLE_CHOICES


def test_a_delta_is_no_message_and_a_message_no_delta() -> None:
    delta = {"model": "m", "choices": [choice("delta")]}
    message = {"model": "m", "choices": [choice("message")]}
    assert refused(fold_json(json.dumps(delta).encode())) is Uncached.MALFORMED
    assert refused(stream(event(message), DONE)) is Uncached.MALFORMED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"upstream connect error",
        b'{"object":"error","message":"m"}',
        b"\xef\xbb\xbf" + answer({"content": "hi"}),
        answer({"content": "hi"}) + b"{}",
        answer({"content": "hi"}).replace(b'"x"', b'"\xff"'),
        answer({"content": "hi"}).replace(b'"hi"', b'"\\ud83d"'),
        answer({"content": "hi"}).replace(b'"x"', b"[" * 100_000),
        answer({"content": "hi"}).replace(b'"x"', b"NaN"),
    ],
)
def test_what_cannot_be_read_is_malformed(body: bytes) -> None:
    assert refused(fold_json(body)) is Uncached.MALFORMED
    assert refused(complete(chunk({"content": "hi"}), b"data: " + body + b"\n\n")) is Uncached.MALFORMED


def test_a_stream_without_its_end_mark_is_incomplete() -> None:
    chunks = (chunk({"content": "hi"}), chunk({}, "stop"))
    assert refused(stream(*chunks)) is Uncached.INCOMPLETE
    assert refused(stream(*chunks, DONE[:-1])) is Uncached.INCOMPLETE
    assert refused(stream()) is Uncached.INCOMPLETE
    assert refused(stream(DONE)) is Uncached.INCOMPLETE
    assert stream(*chunks, DONE) == Completion("m", "hi", "stop")


def test_a_stream_cut_before_its_finish_reason_is_incomplete() -> None:
    assert refused(stream(chunk({"content": "hi"}), DONE)) is Uncached.INCOMPLETE


def test_only_comments_may_follow_the_end_mark() -> None:
    chunks = (chunk({"content": "hi"}), chunk({}, "stop"), DONE)
    assert stream(*chunks, b": bye\n\n\n") == Completion("m", "hi", "stop")
    assert refused(stream(*chunks, chunk({}))) is Uncached.MALFORMED
    assert refused(stream(*chunks, DONE)) is Uncached.MALFORMED


def test_text_after_the_finish_reason_is_malformed() -> None:
    assert refused(complete(chunk({"content": "a"}, "stop"), chunk({"content": "b"}))) is Uncached.MALFORMED


def test_a_finish_reason_may_be_repeated_but_not_changed() -> None:
    assert complete(chunk({"content": "a"}, "stop"), chunk({})) == Completion("m", "a", "stop")
    assert refused(complete(chunk({"content": "a"}, "length"))) is Uncached.MALFORMED


def test_usage_on_every_chunk_counts_last() -> None:
    growing = [
        chunk({"content": text}, usage={"prompt_tokens": 3, "completion_tokens": count})
        for count, text in enumerate("abc", 1)
    ]
    assert complete(*growing) == Completion("m", "abc", "stop", (), Usage(3, 3))


def test_usage_may_come_in_a_chunk_of_its_own() -> None:
    last = event({"model": "m", "choices": [], "usage": USAGE})
    got = stream(chunk({"content": "a"}, usage=None), chunk({}, "stop", usage=None), last, DONE)
    assert got == Completion("m", "a", "stop", (), Usage(3, 2))


def test_a_chunk_may_leave_the_model_out_but_not_name_another() -> None:
    nameless = event({"choices": []})
    assert complete(nameless, chunk({"content": "a"}), chunk({}, model="")) == Completion("m", "a", "stop")
    assert refused(complete(chunk({"content": "a"}), chunk({}, model="n"))) is Uncached.MALFORMED


def test_the_bound_on_text_counts_utf_8_of_content_and_extras() -> None:
    message = {"content": "éé", "r": "xyz"}  # 7 + 2 bytes of text, 7 + 1 of names
    body, pieces = answer(message), (chunk({"content": "é"}), chunk({"content": "é"}), chunk({"r": "xyz"}))
    for limit, fits in ((15, True), (14, False)):
        fold = StreamFold(max_text_bytes=limit)
        fold.feed(b"".join((*pieces, chunk({}, "stop"), DONE)))
        assert fold.finish() == fold_json(body, max_text_bytes=limit)
        if fits:
            assert fold.finish() == Completion("m", "éé", "stop", (("r", "xyz"),))
        else:
            assert refused(fold.finish()) is Uncached.TOO_LARGE


def test_an_event_over_its_bound_is_too_large_and_stays_so() -> None:
    fold = StreamFold(max_event_bytes=200)
    fold.feed(chunk({"content": "a"}) + b"data: " + b"x" * 200)
    fold.feed(b"\n\n" + DONE)
    assert refused(fold.finish()) is Uncached.TOO_LARGE


def test_the_reason_is_the_same_however_often_it_is_asked_for() -> None:
    fold = StreamFold()
    assert refused(fold.finish()) is Uncached.INCOMPLETE
    fold.feed(chunk({"content": "a"}, "stop") + DONE)
    assert fold.finish() == fold.finish() == Completion("m", "a", "stop")
