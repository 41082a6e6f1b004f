import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.base.completion import Usage
from router_extproc.llm.meter import Meter

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
TRICK = 'He said "completion_tokens": 99 and {"prompt_tokens": 98}'


def answer(text: str, usage: object = USAGE) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"usage": usage, "choices": [choice]}).encode()


def stream(tokens: int, usage: object = None) -> bytes:
    events: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": "x"}}]} for _ in range(tokens)
    ]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage})
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n"


def metered(body: bytes, cuts: list[int], *, event_stream: bool) -> Meter:
    meter = Meter(event_stream=event_stream)
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    for start, stop in pairwise(edges):
        meter.feed(body[start:stop])
    return meter


@given(cuts=st.lists(st.integers(0, 10_000), max_size=20))
def test_the_servers_counts_are_read_wherever_the_pieces_end(cuts: list[int]) -> None:
    meter = metered(answer(TRICK), cuts, event_stream=False)
    assert (meter.prompt_tokens, meter.completion_tokens) == (11, 7)
    meter = metered(stream(3, USAGE), cuts, event_stream=True)
    assert (meter.prompt_tokens, meter.completion_tokens) == (11, 7)


@given(tokens=st.integers(0, 40), cuts=st.lists(st.integers(0, 10_000), max_size=20))
def test_a_stream_without_counts_has_as_many_tokens_as_events(tokens: int, cuts: list[int]) -> None:
    assert metered(stream(tokens), cuts, event_stream=True).completion_tokens == tokens


@pytest.mark.parametrize("body", [b"", b"not json", answer("x", None), b"\xff" * 9000])
def test_an_answer_without_counts_has_none(body: bytes) -> None:
    meter = metered(body, [], event_stream=False)
    assert (meter.prompt_tokens, meter.completion_tokens) == (None, None)


@given(cuts=st.lists(st.integers(0, 10_000), max_size=20))
def test_what_ends_as_an_answer_does_is_complete(cuts: list[int]) -> None:
    assert metered(answer(TRICK), cuts, event_stream=False).complete
    assert metered(stream(3, USAGE), cuts, event_stream=True).complete
    without_done = stream(3).removesuffix(b"data: [DONE]\n\n")
    assert metered(without_done, cuts, event_stream=True).complete


@pytest.mark.parametrize("body", [b"", answer("x")[:-1], answer('finish_reason": "')[:-30]])
def test_what_lacks_its_end_is_not(body: bytes) -> None:
    assert not metered(body, [], event_stream=False).complete
    meter = Meter(event_stream=False, readable=False)
    meter.feed(body)
    assert meter.complete


@pytest.mark.parametrize("tokens", [0, 3])
def test_a_stream_that_lacks_its_end_is_not(tokens: int) -> None:
    body = b'data: {"choices": [{"delta": {"content": "[DONE]"}, "finish_reason": null}]}\n\n' * tokens
    assert not metered(body, [], event_stream=True).complete


def test_what_is_held_is_bounded() -> None:
    meter = Meter(event_stream=True)
    for _ in range(100):
        meter.feed(b"x" * 100_000)
    assert len(meter._tail) <= 4096


def test_the_usage_is_what_the_server_counted_and_nothing_else() -> None:
    assert metered(answer("x"), [], event_stream=False).usage == Usage(11, 7)
    assert metered(stream(3, USAGE), [], event_stream=True).usage == Usage(11, 7)
    assert metered(stream(3), [], event_stream=True).usage is None
    assert metered(answer("x", {"completion_tokens": 7}), [], event_stream=False).usage is None


def test_the_tokens_of_a_stream_share_the_time_after_the_first() -> None:
    meter = metered(stream(5), [], event_stream=True)
    assert meter.per_token(12.0, 3.0) is None
    meter.first_at = 10.0
    assert meter.per_token(12.0, 3.0) == 0.5


def test_the_tokens_of_another_answer_share_all_of_its_time() -> None:
    assert metered(answer("x"), [], event_stream=False).per_token(12.0, 3.5) == 0.5


@pytest.mark.parametrize("tokens", [0, 1])
def test_there_is_no_time_per_token_of_less_than_two_in_a_stream_or_of_none(tokens: int) -> None:
    meter = metered(stream(tokens), [], event_stream=True)
    meter.first_at = 10.0
    assert meter.per_token(12.0, 3.0) is None
    assert metered(answer("x", None), [], event_stream=False).per_token(12.0, 3.5) is None
