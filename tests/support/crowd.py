"""Many requests at once, each an exchange driven on shared ports as the server does it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from router_extproc.caching.entry import Entry
from router_extproc.caching.marks import Marks
from router_extproc.exchange.effects import ImmediateReply, Note, Reply
from router_extproc.exchange.events import Message
from router_extproc.exchange.exchange import Exchange
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.server.driver import Ports, drive
from router_extproc.server.flights import Flight, Flights
from tests.support.ports import FakeAnalyst, FakeClock, FakeStore, RecordingTelemetry


class WatchedFlights(Flights):
    """Tells when so many have asked whether an identical request is under way."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = 0
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def under_way(self, entry_id: str) -> Flight | None:
        self._asked += 1
        task = asyncio.ensure_future(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return super().under_way(entry_id)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def asked(self, times: int) -> None:
        """Returns once `under_way` was called `times` times, and whoever called has begun to wait."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._asked >= times)


@dataclass(slots=True)
class Guest:
    """One request. Once `gate` is open its model answers `answer`; without one, the client leaves then."""

    ask: Sequence[Message]
    answer: Sequence[Message] = ()
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the request has gone to its model."""
    replies: list[Reply | ImmediateReply] = field(default_factory=list)

    async def messages(self) -> AsyncIterator[Message]:
        for message in self.ask:
            yield message
        self.waiting.set()
        await self.gate.wait()
        for message in self.answer:
            yield message

    @property
    def forwarded(self) -> bool:
        return self.waiting.is_set()

    @property
    def hit(self) -> ImmediateReply | None:
        last = self.replies[-1] if self.replies else None
        return last if isinstance(last, ImmediateReply) else None


class Crowd:
    """The ports that all share. `kept` is what was to be stored; the store itself keeps what it was given."""

    def __init__(self, store: FakeStore | None = None, analyst: FakeAnalyst | None = None) -> None:
        self.flights = WatchedFlights()
        self.telemetry = RecordingTelemetry()
        self.kept: list[Entry] = []
        self._number = 0
        self._ports = Ports(
            analyst=analyst or FakeAnalyst(),
            store=store or FakeStore(),
            fill=self._keep,
            verify=lambda _: True,
            screen=lambda asked, land: True,
            marks=Marks,
            flights=self.flights,
            telemetry=self.telemetry,
            clock=FakeClock(),
        )

    def _keep(self, entry: Entry) -> bool:
        self.kept.append(entry)
        return True

    def notes(self, kind: type[Note]) -> list[Note]:
        return [note for note in self.telemetry.notes if isinstance(note, kind)]

    def admit(self, guest: Guest, plan: Snapshot) -> "asyncio.Task[None]":
        """Drive the guest's exchange, in a task."""
        self._number += 1
        return asyncio.ensure_future(self._serve(guest, Exchange(plan, f"x{self._number}")))

    async def _serve(self, guest: Guest, exchange: Exchange) -> None:
        async with aclosing(drive(exchange, guest.messages(), self._ports)) as replies:
            async for reply in replies:
                guest.replies.append(reply)
