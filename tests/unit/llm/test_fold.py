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


@pytest.mark.parametrize("nothing", [None, "", [], {}, False])
@pytest.mark.parametrize("name", ["tool_calls", "function_call", "refusal", "audio", "annotations", "other"])
def test_fields_that_say_nothing_are_ignored(name: str, nothing: Any) -> None:
    assert told_both_ways({"content": "hi", name: nothing}) == Completion("m", "hi", "stop")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"tool_calls": [{"id": "1"}]}, Uncached.TOOL_CALLS),
        ({"function_call": {"name": "f"}}, Uncached.TOOL_CALLS),
        ({"refusal": "no"}, Uncached.REFUSAL),
        ({"audio": {"id": "1"}}, Uncached.UNKNOWN_FIELD),
        ({"annotations": [{"type": "url_citation"}]}, Uncached.UNKNOWN_FIELD),
        ({"other": 0}, Uncached.UNKNOWN_FIELD),
        ({"other": True}, Uncached.UNKNOWN_FIELD),
        ({"other": [[]]}, Uncached.UNKNOWN_FIELD),
        ({"content": 0}, Uncached.MALFORMED),
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
    ],
)
def test_choices_that_cannot_be_replayed(spec: list[dict[str, Any]], reason: Uncached) -> None:
    body = {"model": "m", "choices": [choice("message", **fields) for fields in spec]}
    assert refused(fold_json(json.dumps(body).encode())) is reason
    body = {"model": "m", "choices": [choice("delta", **fields) for fields in spec]}
    assert refused(stream(event(body), DONE)) is reason


def with_fields(place: str, fields: dict[str, Any]) -> Folded:
    """A plain answer that has `fields` in that place as well, told both ways."""
    usage = USAGE | (fields if place == "usage" else {})
    rest = {"usage": usage} | (fields if place == "answer" else {})
    in_choice = fields if place == "choice" else {}
    body = {"model": "m", "choices": [choice("message", **in_choice)]} | rest
    whole = fold_json(json.dumps(body).encode())
    pieces = [{"index": 0, "delta": {"content": letter}} | in_choice for letter in "hi"]
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    chunks = [event({"model": "m", "choices": [piece]} | rest) for piece in [*pieces, last]]
    assert stream(*chunks, DONE) == whole
    return whole


PLAIN = Completion("m", "hi", "stop", (), Usage(3, 2))


@pytest.mark.parametrize(
    ("place", "fields"),
    [
        ("answer", {"citations": ["https://example.org"]}),
        ("answer", {"prompt_token_ids": [1]}),
        ("answer", {"kv_transfer_params": {"remote_block_ids": [1]}}),
        ("answer", {"other": 0}),
        ("answer", {"other": 0.0}),
        ("answer", {"other": True}),
        ("answer", {"other": "x"}),
        ("answer", {"other": [None]}),
        ("answer", {"other": {"a": None}}),
        ("answer", {"a": None, "b": "x", "c": None}),
        ("answer", {"a": "x", "b": None}),
        ("answer", {"message": {"content": "hi"}}),
        ("choice", {"stop_reason": "###"}),
        ("choice", {"stop_reason": 0}),
        ("choice", {"stop_reason": 2}),
        ("choice", {"token_ids": [1, 2]}),
        ("choice", {"citations": ["https://example.org"]}),
        ("choice", {"id": "x"}),
        ("usage", {"other": 1}),
        ("usage", {"model": "m"}),
    ],
)
def test_an_unlisted_field_that_says_something_is_unknown(place: str, fields: dict[str, Any]) -> None:
    assert refused(with_fields(place, fields)) is Uncached.UNKNOWN_FIELD


@pytest.mark.parametrize("nothing", [None, "", [], {}, False])
@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("answer", ("citations", "prompt_token_ids", "kv_transfer_params", "other")),
        ("choice", ("stop_reason", "token_ids", "citations")),
        ("usage", ("other", "another")),
    ],
)
def test_an_unlisted_field_that_says_nothing_is_ignored(
    place: str, names: tuple[str, ...], nothing: Any
) -> None:
    assert with_fields(place, dict.fromkeys(names, nothing)) == PLAIN
    for name in names:
        assert with_fields(place, {name: nothing}) == PLAIN


@pytest.mark.parametrize(
    ("place", "fields"),
    [
        ("answer", {"id": "x", "object": "chat.completion", "created": 1}),
        ("answer", {"system_fingerprint": "fp", "service_tier": "default"}),
        ("answer", {"obfuscation": "aK3"}),
        ("answer", {"prompt_logprobs": None, "prompt_token_ids": None, "kv_transfer_params": None}),
        ("choice", {"logprobs": None, "stop_reason": None, "token_ids": None}),
        ("usage", {"total_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2}}),
        ("usage", {"completion_tokens_details": {"reasoning_tokens": 1}}),
    ],
)
def test_fields_that_a_replay_makes_anew_are_left_out(place: str, fields: dict[str, Any]) -> None:
    assert with_fields(place, fields) == PLAIN


@pytest.mark.parametrize("extra", [{"other": None}, {"other": "x"}])
@pytest.mark.parametrize(
    "fields",
    [
        {"model": None},
        {"usage": {"prompt_tokens": 1, "completion_tokens": 2.0}},
        {"usage": {"prompt_tokens": True, "completion_tokens": 2}},
        {"usage": {"prompt_tokens": 10**30, "completion_tokens": 2}},
        {"usage": [1]},
        {"choices": {}},
        {"choices": [1]},
        {"choices": [{"index": "0", "message": {"content": "hi"}}]},
        {"choices": [{"index": 0.0, "delta": {"content": "hi"}}]},
    ],
)
def test_a_wrong_type_is_malformed_beside_an_unknown_field_too(
    fields: dict[str, Any], extra: dict[str, Any]
) -> None:
    assert refused(told_both_ways({"content": "hi"}, **fields, **extra)) is Uncached.MALFORMED


@pytest.mark.parametrize(
    ("message", "finish_reason", "reason"),
    [
        ({"tool_calls": [{"id": "1"}]}, "tool_calls", Uncached.TOOL_CALLS),
        ({"refusal": "no"}, "stop", Uncached.REFUSAL),
        ({"role": "user"}, "stop", Uncached.MALFORMED),
        ({"content": "hi"}, None, Uncached.UNKNOWN_FIELD),
        ({"content": "hi"}, "length", Uncached.UNKNOWN_FIELD),
        ({"content": ""}, "stop", Uncached.UNKNOWN_FIELD),
    ],
)
def test_an_unknown_field_comes_after_what_was_understood_and_before_the_end(
    message: dict[str, Any], finish_reason: Any, reason: Uncached
) -> None:
    assert refused(told_both_ways(message, finish_reason, citations=["x"])) is reason
    message = message | {"annotations": [1]}
    assert refused(told_both_ways(message, finish_reason)) is reason


def test_log_probabilities_and_choices_come_before_an_unknown_field() -> None:
    got = with_fields("choice", {"logprobs": {"content": []}, "other": 1})
    assert refused(got) is Uncached.LOGPROBS
    assert refused(with_fields("choice", {"index": 1, "other": 1})) is Uncached.MULTIPLE_CHOICES
    assert refused(with_fields("answer", {"prompt_logprobs": [None], "other": 1})) is Uncached.LOGPROBS


def test_an_unknown_field_of_one_chunk_alone_counts() -> None:
    late = event({"model": "m", "choices": [], "citations": ["x"]})
    assert refused(stream(late, chunk({"content": "a"}, "stop"), DONE)) is Uncached.UNKNOWN_FIELD
    assert refused(stream(chunk({"content": "a"}, "stop"), late, DONE)) is Uncached.UNKNOWN_FIELD
    delta = chunk({"annotations": [1]})
    assert refused(stream(chunk({"content": "a"}, "stop"), delta, DONE)) is Uncached.UNKNOWN_FIELD


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
        answer({"content": "hi"}).replace(b'"x"', b'"\\ud83d"'),
        answer({"content": "hi"}, other="y").replace(b'"y"', b'"\xff"'),
        answer({"content": "hi"}, other="y").replace(b"other", b"\xed\xa0\xbd"),
        answer({"content": "hi"}, other="y").replace(b'"y"', b"[" * 100_000),
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


def test_what_other_servers_say_about_the_run_costs_no_hit() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "prompt_cache_hit_tokens": 0, "queue_time": 0.1}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "Hi"},
        "finish_reason": "stop",
        "matched_stop": 151645,
        "content_filter_results": {"hate": {"filtered": False}},
    }
    answer = {
        "model": "m",
        "choices": [choice],
        "usage": usage,
        "timings": {"prompt_ms": 3},
        "x_groq": {"id": "r"},
    }
    assert fold_json(json.dumps(answer).encode()) == Completion("m", "Hi", "stop", usage=Usage(1, 2))
