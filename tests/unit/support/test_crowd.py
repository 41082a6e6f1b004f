import asyncio

from router_extproc.exchange.effects import Answered, Routed
from router_extproc.llm.render import render_json
from tests.support.crowd import Crowd, Guest, WatchedFlights
from tests.support.play import (
    COMPLETION,
    PLAN,
    analysis,
    chat_body,
    chat_headers,
    pieces,
    response_headers,
)
from tests.support.ports import FakeAnalyst


def a_guest() -> Guest:
    body = render_json(COMPLETION, "chatcmpl-1", 1)
    return Guest([chat_headers(), chat_body()], [response_headers(), *pieces(body)])


async def test_flights_tell_when_so_many_have_asked() -> None:
    flights = WatchedFlights()
    waiting = asyncio.ensure_future(flights.asked(2))
    async with asyncio.timeout(5):
        flights.under_way("a")
        await flights.asked(1)
        assert not waiting.done()
        flights.under_way("b")
        await waiting


async def test_a_guest_s_model_answers_when_its_gate_is_open() -> None:
    crowd, guest = Crowd(analyst=FakeAnalyst(lambda _: analysis())), a_guest()
    async with asyncio.timeout(5):
        task = crowd.admit(guest, PLAN)
        await guest.waiting.wait()
        assert (len(guest.replies), guest.forwarded, crowd.kept) == (2, True, [])
        guest.gate.set()
        await task
    assert (len(guest.replies), guest.hit, len(crowd.kept)) == (4, None, 1)
    assert len(crowd.notes(Routed)) == len(crowd.notes(Answered)) == 1


async def test_a_guest_without_an_answer_leaves() -> None:
    crowd, guest = Crowd(analyst=FakeAnalyst(lambda _: analysis())), a_guest()
    guest.answer = []
    guest.gate.set()
    async with asyncio.timeout(5):
        await crowd.admit(guest, PLAN)
    assert (len(guest.replies), crowd.kept) == (2, [])
