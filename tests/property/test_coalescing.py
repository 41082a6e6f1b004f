"""A crowd of requests, whatever becomes of each: nobody waits in vain, and nobody gets another one's answer.

Who leads may be answered, fail, be cancelled or lose its client, and so may who waits. In the end no flight
is open, whoever is still there has an answer, and it came from a request of the same tenant and question.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from router_extproc.base.completion import Completion
from router_extproc.base.names import VSR_CACHE_CONTROL
from router_extproc.exchange.events import Message
from router_extproc.llm.render import render_json
from tests.support.crowd import Crowd, Guest
from tests.support.play import (
    analysis,
    chat_body,
    chat_headers,
    pieces,
    plan_with,
    question,
    response_headers,
)
from tests.support.ports import FakeAnalyst, Held

PLAN = plan_with(coalesce_timeout=3600.0)


@dataclass(frozen=True, slots=True)
class Person:
    tenant: str
    text: str
    control: str
    stream: bool
    fate: str
    """What becomes of it: it is answered, its model fails, its client leaves, or its stream is cancelled."""

    @property
    def place(self) -> str:
        return f"{self.tenant} asks {self.text}"

    @property
    def joins(self) -> bool:
        return not self.control

    def guest(self) -> Guest:
        extra = [(VSR_CACHE_CONTROL, self.control)] if self.control else []
        ask: list[Message] = [
            chat_headers(*extra, credential=f"Bearer {self.tenant}"),
            chat_body(question(self.text, stream=self.stream)),
        ]
        return Guest(ask, self._answer())

    def _answer(self) -> Sequence[Message]:
        if self.fate == "leaves":
            return []
        if self.fate == "fails":
            return [response_headers("500")]
        body = render_json(Completion("large", self.place, "stop"), "chatcmpl-1", 1)
        return [response_headers(), *pieces(body)]


people = st.builds(
    Person,
    tenant=st.sampled_from(["k1", "k2"]),
    text=st.sampled_from(["Add 2 and 2.", "Add 2 and 3."]),
    control=st.sampled_from(["", "", "", "no-store", "no-cache"]),
    stream=st.booleans(),
    fate=st.sampled_from(["answered", "answered", "fails", "leaves", "cancelled"]),
)


@settings(deadline=None)
@given(st.lists(people, min_size=1, max_size=9), st.booleans(), st.randoms(use_true_random=False))
def test_whatever_becomes_of_each_nobody_waits_in_vain(
    crowd: list[Person], early: bool, random: Random
) -> None:
    order = list(range(len(crowd)))
    random.shuffle(order)
    asyncio.run(_meet(crowd, early, order))


async def _meet(people: list[Person], early: bool, order: list[int]) -> None:
    """`early`: fates are met while whoever leads is still being analysed."""
    held = Held()
    hall = Crowd(analyst=FakeAnalyst(lambda _: analysis(), trouble=held if early else None))
    guests = [person.guest() for person in people]
    async with asyncio.timeout(10):
        tasks = [hall.admit(guest, PLAN) for guest in guests]
        await hall.flights.asked(sum(person.joins for person in people))
        assert len(hall.flights) == len({person.place for person in people if person.joins})
        for index in order:
            if people[index].fate == "cancelled":
                tasks[index].cancel()
            guests[index].gate.set()
        held.release()
        await asyncio.wait(tasks)
    assert len(hall.flights) == 0
    for person, guest, task in zip(people, guests, tasks, strict=True):
        if person.fate == "cancelled":
            continue
        assert task.exception() is None
        assert guest.forwarded is (guest.hit is None)
        if guest.hit is not None:
            assert person.joins
            assert person.place in _said(guest)
    places = {person.place for person in people if person.fate == "answered"}
    assert {entry.completion.content for entry in hall.kept} <= places


def _said(guest: Guest) -> str:
    """The text of an answer in either form: these texts fit into one chunk."""
    assert guest.hit is not None
    return guest.hit.body.decode()
