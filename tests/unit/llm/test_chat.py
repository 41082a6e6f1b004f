"""Reading chat requests, refusing what is none, and the edits by example."""

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from router_extproc.base.refusals import Rejection
from router_extproc.llm.chat import MAX_VALUES, ChatError, ChatRequest, Turn, is_ambiguous, parse_chat

MESSAGES = '"messages":[{"role":"user","content":"hi"}]'


def request(**fields: Any) -> ChatRequest:
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]} | fields
    return parse_chat(json.dumps(body).encode())


def turn(**message: Any) -> Turn:
    return request(messages=[message]).turns[0]


def refusal(body: bytes) -> ChatError:
    with pytest.raises(ChatError) as caught:
        parse_chat(body)
    return caught.value


def test_a_plain_request_is_read() -> None:
    body = b'{"model":"auto","messages":[{"role":"system","content":"s"},{"content":"hi","role":"user"}]}'
    got = parse_chat(body)
    assert got.raw is body
    assert (got.model, got.stream, got.include_usage, dict(got.params)) == ("auto", False, False, {})
    assert got.turns == (
        Turn("system", "s", b'{"content":"s","role":"system"}'),
        Turn("user", "hi", b'{"content":"hi","role":"user"}'),
    )


def test_a_request_cannot_be_changed_and_does_not_show_what_was_said() -> None:
    got = request(messages=[{"role": "user", "content": "my secret"}], user="mallory")
    with pytest.raises(FrozenInstanceError):
        got.model = "other"  # type: ignore[misc]
    assert "secret" not in repr(got)
    assert "mallory" not in repr(got)
    assert "secret" not in repr(got.turns[0])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", ""),
        (" as it is \n", " as it is \n"),
        ([{"type": "text", "text": "a"}], "a"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b "}], "a\nb "),
        ([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}], "a"),
        ([], None),
        (None, None),
        (7, None),
        ({"type": "text", "text": "a"}, None),
        (["a"], None),
        ([{"type": "text"}], None),
        ([{"type": "text", "text": 1}], None),
        ([{"text": "a"}], None),
        ([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}], None),
    ],
)
def test_only_strings_and_text_parts_are_plain_text(content: Any, text: str | None) -> None:
    assert turn(role="user", content=content).text == text


def test_a_message_without_content_has_no_text() -> None:
    assert turn(role="assistant", tool_calls=[{"id": "1"}]).text is None


def test_canonical_messages_do_not_depend_on_spelling() -> None:
    one = parse_chat(b'{"model":"m","messages":[{"role":"user","content":"\\u00e9/","name":"n"}]}')
    two = parse_chat('{"model":"m","messages":[ {"name" : "n","content":"é\\/" ,"role":"user"}]}'.encode())
    assert one.turns == two.turns
    assert one.turns[0].canonical == '{"content":"é/","name":"n","role":"user"}'.encode()


def test_canonical_messages_sort_nested_keys_and_keep_array_order() -> None:
    assert turn(role="user", content="x", meta={"b": [2, 1], "a": None}).canonical == (
        b'{"content":"x","meta":{"a":null,"b":[2,1]},"role":"user"}'
    )


def frame(**message: object) -> bytes:
    first = {"role": "system", "content": "s", "name": "not this one"}
    return parse_chat(json.dumps({"model": "m", "messages": [first, message]}).encode()).frame


def test_the_frame_is_the_last_message_without_its_text() -> None:
    parts = [{"text": "a", "type": "text"}, {"type": "text", "text": "b"}]
    as_string = frame(role="user", content="a\nb", name="n")
    assert as_string == frame(content=parts, name="n", role="user") == b'{"name":"n","role":"user"}'


def test_what_stands_beside_a_parts_text_is_in_the_frame() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "hint": 1}]
    assert frame(role="user", content=parts) == b'{"content":[{},{"hint":1}],"role":"user"}'


def test_params_are_sorted_and_canonical_and_leave_out_what_the_router_reads() -> None:
    got = request(top_p=0.5, seed=7, stop=["b", "a"], response_format={"type": "x", "a": 1}, stream=True)
    assert list(got.params.items()) == [
        ("response_format", b'{"a":1,"type":"x"}'),
        ("seed", b"7"),
        ("stop", b'["b","a"]'),
        ("top_p", b"0.5"),
    ]


def test_an_explicit_null_parameter_is_a_parameter() -> None:
    assert request(seed=None).params == {"seed": b"null"}


@pytest.mark.parametrize(
    ("options", "include_usage", "params"),
    [
        (None, False, {}),
        ({}, False, {}),
        ({"include_usage": True}, True, {}),
        ({"include_usage": False}, False, {}),
        ({"include_usage": None}, False, {}),
        ({"include_usage": 1}, False, {"stream_options": b'{"include_usage":1}'}),
        (
            {"include_usage": True, "continuous_usage_stats": True},
            True,
            {"stream_options": b'{"continuous_usage_stats":true}'},
        ),
        ("x", False, {"stream_options": b'"x"'}),
        ([], False, {"stream_options": b"[]"}),
    ],
)
def test_stream_options_count_beyond_include_usage(
    options: Any, include_usage: bool, params: dict[str, bytes]
) -> None:
    got = request(stream=True, stream_options=options)
    assert (got.include_usage, got.params) == (include_usage, params)


@pytest.mark.parametrize(("value", "stream"), [(True, True), (False, False), (None, False)])
def test_stream_is_a_boolean_and_null_is_false(value: bool | None, stream: bool) -> None:
    assert request(stream=value).stream is stream


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"{",
        b'{"model":"m",' + MESSAGES.encode(),
        b'{"model":"m",' + MESSAGES.encode() + b"} x",
        b"\xef\xbb\xbf" + b'{"model":"m",' + MESSAGES.encode() + b"}",
        '{"model":"m"}'.encode("utf-16"),
        b'{"model":"m","temperature":NaN,' + MESSAGES.encode() + b"}",
        b'{"model":"m","temperature":1e999,' + MESSAGES.encode() + b"}",
        b'{"model":"m","seed":' + b"9" * 5000 + b"," + MESSAGES.encode() + b"}",
        b'{"model":"\xff",' + MESSAGES.encode() + b"}",
        b'{"model":"m","model":"\xff","model":"m",' + MESSAGES.encode() + b"}",
        b'{"model":"m","x":"\xff","x":1,' + MESSAGES.encode() + b"}",
        b'{"model":"m","messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
        b'{"model":"m","messages":[{"role":"user","content":"\\ud83d"}]}',
        b'{"model":"m","messages":[{"role":"user","content":"\\ude00"}]}',
        b'{"model":"m","user":"\\udc00",' + MESSAGES.encode() + b"}",
        b'{"model":"m","user":"a\nb",' + MESSAGES.encode() + b"}",
        b'{"model":"m","x":' + b"[" * 100_000 + b"]" * 100_000 + b"," + MESSAGES.encode() + b"}",
        b'{"model":"m","messages":' + b'[{"a":' * 50_000,
        b"[]",
        b'"text"',
        b"null",
    ],
)
def test_what_is_not_one_json_object_is_invalid_json(body: bytes) -> None:
    assert refusal(body).reason is Rejection.INVALID_JSON


def attempt(body: bytes) -> ChatRequest | ChatError:
    try:
        return parse_chat(body)
    except ChatError as error:
        return error


def nested(depth: int) -> bytes:
    return b'{"model":"m","x":' + b'{"a":' * depth + b"1" + b"}" * depth + b"," + MESSAGES.encode() + b"}"


def test_depth_near_the_limit_is_read_or_refused_and_what_is_read_can_be_edited() -> None:
    read, refusals = 0, 0
    for depth in range(500, 1001):
        got = attempt(nested(depth))
        if isinstance(got, ChatError):
            assert got.reason is Rejection.INVALID_JSON
            assert "deep" in got.message
            refusals += 1
        else:
            edited = got.edited(defaults=[("x", "b", 1)])
            assert edited == nested(depth).replace(b'"x":{', b'"x":{"b":1,', 1)
            read += 1
    assert read
    assert refusals


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ("{%s}", "model"),
        ('{"model":null,%s}', "model"),
        ('{"model":7,%s}', "model"),
        ('{"model":"",%s}', "model"),
        ('{"model":["m"],%s}', "model"),
        ('{"model":"m"}', "messages"),
        ('{"model":"m","messages":null}', "messages"),
        ('{"model":"m","messages":[]}', "messages"),
        ('{"model":"m","messages":"hi"}', "messages"),
        ('{"model":"m","messages":{"role":"user"}}', "messages"),
        ('{"model":"m","messages":["hi"]}', "messages[0]"),
        ('{"model":"m","messages":[{"role":"user"},null]}', "messages[1]"),
        ('{"model":"m","messages":[{"content":"hi"}]}', "messages[0].role"),
        ('{"model":"m","messages":[{"role":"user"},{"role":1}]}', "messages[1].role"),
        ('{"model":"m","stream":"true",%s}', "stream"),
        ('{"model":"m","stream":1,%s}', "stream"),
    ],
)
def test_a_wrong_field_is_named(body: str, param: str) -> None:
    error = refusal((body.replace("%s", MESSAGES)).encode())
    assert (error.reason, error.param) == (Rejection.INVALID_REQUEST, param)
    assert f"'{param}'" in error.message
    assert str(error) == error.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"secret":"\xff"}',
        b'{"model":"secret","secret":1e999,' + MESSAGES.encode() + b"}",
        b'{"model":"m","messages":[{"role":["secret"],"secret":1}]}',
        b'{"secret" secret}',
        b'["secret"]',
        b'{"model":"m","stream":"secret",' + MESSAGES.encode() + b"}",
    ],
)
def test_an_error_repeats_and_carries_nothing_the_client_wrote(body: bytes) -> None:
    error = refusal(body)
    assert "secret" not in error.message
    assert "secret" not in str(error.param)
    assert error.__context__ is None
    assert error.__cause__ is None


def test_numbers_beyond_64_bits_and_surrogate_pairs_are_read() -> None:
    big = 10**4000 + 1
    body = '{"model":"m","messages":[{"role":"user","content":"\\ud83d\\ude00"}],"seed":' + str(big) + "}"
    got = parse_chat(body.encode())
    assert got.params["seed"] == str(big).encode()
    assert got.turns[0].text == "😀"


def test_white_space_around_the_object_is_kept() -> None:
    body = b' \r\n\t{ "model" : "a" ,' + MESSAGES.encode() + b"} \n"
    edited = parse_chat(body).edited(model="bb", defaults=[("n", None, 1)])
    assert edited == b' \r\n\t{"n":1, "model" : "bb" ,' + MESSAGES.encode() + b"} \n"


def test_of_equal_names_the_last_counts_and_is_edited() -> None:
    body = b'{"model":"a","x":1,"model":"b","x":2,%b,"mod\\u0065l":"c"}' % MESSAGES.encode()
    got = parse_chat(body)
    assert (got.model, got.params) == ("c", {"x": b"2"})
    assert got.edited(model="d") == body[: -len(b'"c"}')] + b'"d"}'


def test_only_the_top_level_model_is_edited() -> None:
    body = b'{"metadata":{"model":"auto"},"messages":[{"role":"user","content":"\\"model\\":\\"auto\\""}],'
    body += b'"model":"auto"}'
    assert parse_chat(body).edited(model="m") == body[: -len(b'"auto"}')] + b'"m"}'


def test_a_model_name_is_written_as_json() -> None:
    edited = request().edited(model='a"\\\n/é')
    assert parse_chat(edited).model == 'a"\\\n/é'


def test_no_edit_returns_the_body_itself() -> None:
    got = request(temperature=1.50)
    assert got.edited() is got.raw
    assert got.edited(defaults=[("temperature", None, 0)]) is got.raw


def edited(fields: str, *defaults: tuple[str, str | None, object]) -> str:
    """What stands before `model` after the edit of a request that had `fields` there."""
    tail = '"model":"m",' + MESSAGES + "}"
    body = parse_chat(("{" + fields + tail).encode()).edited(defaults=defaults).decode()
    assert body.endswith(tail)
    json.loads(body)
    return body[1 : -len(tail)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '"kw":{"think":false},'),
        ('"kw":{},', '"kw":{"think":false},'),
        ('"kw": { } ,', '"kw": {"think":false } ,'),
        ('"kw":{"a":1},', '"kw":{"think":false,"a":1},'),
        ('"kw":{"think":true},', '"kw":{"think":true},'),
        ('"kw":{"th\\u0069nk":null},', '"kw":{"th\\u0069nk":null},'),
        ('"kw":null,', '"kw":null,'),
        ('"kw":"x",', '"kw":"x",'),
        ('"kw":[1],', '"kw":[1],'),
        ('"kw":{"think":1},"kw":{"a":1},', '"kw":{"think":1},"kw":{"think":false,"a":1},'),
    ],
)
def test_a_default_key_is_added_only_where_it_is_missing(before: str, after: str) -> None:
    assert edited(before, ("kw", "think", False)) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '"effort":"low",'),
        ('"effort":"high",', '"effort":"high",'),
        ('"effort":null,', '"effort":null,'),
        ('"\\u0065ffort":1,', '"\\u0065ffort":1,'),
    ],
)
def test_a_default_field_is_added_only_where_it_is_missing(before: str, after: str) -> None:
    assert edited(before, ("effort", None, "low")) == after


def test_defaults_for_one_field_are_merged_and_the_first_counts() -> None:
    defaults = (("kw", "a", 1), ("kw", "b", 2), ("kw", "a", 3), ("n", None, 4), ("n", None, 5))
    assert json.loads("{" + edited("", *defaults) + '"z":0}') == {"kw": {"a": 1, "b": 2}, "n": 4, "z": 0}
    assert json.loads("{" + edited('"kw":{"b":0},', *defaults) + '"z":0}') == {
        "kw": {"a": 1, "b": 0},
        "n": 4,
        "z": 0,
    }


def test_defaults_reach_an_object_that_is_a_default_itself() -> None:
    assert edited("", ("kw", None, {"a": 1}), ("kw", "a", 2), ("kw", "b", 3)) == '"kw":{"b":3,"a":1},'
    assert edited("", ("kw", None, "text"), ("kw", "a", 2)) == '"kw":"text",'


def test_stream_options_take_defaults_too() -> None:
    got = edited('"stream_options":{"x":1},', ("stream_options", "include_usage", True))
    assert got == '"stream_options":{"include_usage":true,"x":1},'


@pytest.mark.parametrize("piece", ["[]", "{}", '"a"', "1"])
def test_more_values_than_the_bound_are_too_large(piece: str) -> None:
    def body(values: int) -> bytes:
        return ('{"model":"m","x":[' + ",".join([piece] * values) + "]," + MESSAGES + "}").encode()

    assert parse_chat(body(MAX_VALUES // 2 - 10)).model == "m"
    error = refusal(body(MAX_VALUES))
    assert (error.reason, error.param) == (Rejection.BODY_TOO_LARGE, None)
    assert str(MAX_VALUES) in error.message
    with pytest.raises(ChatError):
        parse_chat(body(1000), max_values=1000)


def test_text_counts_nothing_towards_the_values() -> None:
    text = 'a, [b], {c}: "d", ' * MAX_VALUES
    assert turn(role="user", content=text).text == text


@pytest.mark.parametrize(
    "fields",
    [
        '"model":"a","model":"m"',
        '"model":"m","mod\\u0065l":"m"',
        '"model":"m","x":1,"x":1',
        '"model":"m","x":{"a":[{"b":1,"b":1}]}',
        '"model":"m","stream_options":{"include_usage":true,"include_usage":true}',
        '"model":"m","stream_options":{"a":{"b":1,"b":2}}',
        '"model":"m","messages":[]',
        '"model":"m","Messages":[]',
        '"model":"m","me\u017fsages":[]',
        '"model":"m","MODEL":1',
    ],
)
def test_what_can_be_read_in_two_ways_is_ambiguous(fields: str) -> None:
    assert is_ambiguous(parse_chat(("{" + fields + "," + MESSAGES + "}").encode()))


@pytest.mark.parametrize("message", ['"content":"a","content":"a"', '"content":[{"text":"a","text":"b"}]'])
def test_a_name_twice_in_a_message_is_ambiguous(message: str) -> None:
    body = '{"model":"m","messages":[{"role":"user",' + message + "}]}"
    assert is_ambiguous(parse_chat(body.encode()))


def test_what_can_be_read_in_one_way_is_not_ambiguous() -> None:
    text = '{"model":"model","model":"messages"} \\" : é \n'
    asked = request(
        messages=[
            {"role": "user", "content": text},
            {"role": "user", "content": [{"type": "text", "text": text}]},
        ],
        stream=True,
        stream_options={"include_usage": True, "x": {"a": text}},
        metadata={text: {text: text}},
        Stream=1,
    )
    assert not is_ambiguous(asked)
    assert not is_ambiguous(request())
