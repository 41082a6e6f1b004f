"""No body makes the event loop wait for long: what is done there about a request is linear in its bytes, and
bodies that are all structure are refused before they are taken apart."""

from dataclasses import replace
from time import process_time

import pytest

from router_extproc.base.headers import Headers
from router_extproc.base.refusals import Failure
from router_extproc.exchange.effects import Analyse, ImmediateReply, Join, Question, Reply
from router_extproc.exchange.events import AnalysisFailed, Event, Leads, LookupFailed, RequestBody
from router_extproc.exchange.exchange import Exchange
from router_extproc.llm.chat import MAX_VALUES
from router_extproc.screening.policy import GuardPolicy, ScreeningPolicy, Strictness
from tests.support.play import AT, PLAN, chat_headers

SIZE = 1 << 20
PLANS = {
    "open": replace(PLAN, max_body_bytes=1 << 30),
    "guarded": replace(
        PLAN, max_body_bytes=1 << 30, screening=ScreeningPolicy(GuardPolicy(Strictness(True, 0.5)))
    ),
}


def request(content: bytes = b'"hi"', more: bytes = b"", messages: bytes = b"") -> bytes:
    said = messages or b'[{"role":"user","content":' + content + b"}]"
    return b'{"model":"auto","messages":' + said + more + b"}"


def listed(piece: bytes, size: int) -> bytes:
    return b"[" + b",".join([piece] * (size // (len(piece) + 1))) + b"]"


TEXTS: dict[str, bytes] = {
    "words": b"some words, and more: ",
    "one letter": b"a",
    "quotes": b'\\"',
    "backslashes": b"\\\\",
    "escaped letters": b"\\u00e9",
    "emoji": "\U0001f600".encode(),
    "braces": b"{[,:]}",
    "white space": b"\\n \\t",
}
DENSE: dict[str, bytes] = {
    "arrays": b"[]",
    "objects": b"{}",
    "numbers": b"1",
    "strings": b'""',
    "members": b'{"a":{"b":1}}',
}


def seconds(body: bytes, plan: str) -> float:
    """Processor time until the request is answered or on its way, every port failing at once; the best of
    three."""
    return min(_once(body, plan) for _ in range(3))


def _once(body: bytes, plan: str) -> float:
    exchange = Exchange(PLANS[plan], "1")
    exchange.receive(chat_headers(), AT)
    began = process_time()
    waiting: list[Event] = [RequestBody(body, end_of_stream=True)]
    answered = False
    while waiting:
        for effect in exchange.receive(waiting.pop(), AT):
            if isinstance(effect, Join):
                waiting.append(Leads())
            elif isinstance(effect, Analyse):
                waiting.append(AnalysisFailed(Failure.TIMEOUT))
            elif isinstance(effect, Question):
                waiting.append(LookupFailed(Failure.TIMEOUT))
            answered |= isinstance(effect, Reply | ImmediateReply)
    assert answered
    return process_time() - began


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("name", TEXTS)
def test_time_is_linear_in_a_text(name: str, plan: str) -> None:
    piece = TEXTS[name]
    short, long = (request(b'"' + piece * (size // len(piece)) + b'"') for size in (SIZE, 4 * SIZE))
    assert seconds(long, plan) < max(0.2, 4 * 3 * seconds(short, plan))


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("where", ["a field", "a message", "messages"])
@pytest.mark.parametrize("name", DENSE)
def test_a_body_that_is_all_structure_costs_no_more_than_text(name: str, where: str, plan: str) -> None:
    """Without a bound on values each of these takes between one and ten seconds."""
    piece = listed(DENSE[name], 8 * SIZE)
    bodies = {"a field": request(more=b',"x":' + piece), "a message": request(piece)}
    assert _once(bodies.get(where, request(messages=piece)), plan) < 0.7


@pytest.mark.parametrize(
    "messages",
    [
        b'{"role":"user","content":"hi"}',
        b'{"role":"user","a":1}',
        b'{"role":"user"}',
        b'{"role":"tool","content":[{"type":"text","text":"a"}]}',
        b'{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]}',
    ],
)
def test_as_many_values_as_may_be_are_bounded_too(messages: bytes) -> None:
    values = messages.count(b",") + messages.count(b"{") + messages.count(b"[") + 1
    body = request(messages=b"[" + b",".join([messages] * (MAX_VALUES // values - 10)) + b"]")
    assert _once(body, "guarded") < 4.0


def test_header_fields_of_one_name_take_linear_time() -> None:
    def cost(count: int) -> float:
        began = process_time()
        assert len(Headers.of([("x", "y")] * count).all("x")) == count
        return process_time() - began

    assert cost(200_000) < 1.0
