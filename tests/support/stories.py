"""Stories of exchanges that the driver ran, on ports of a test."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from router_extproc.caching.entry import Entry
from router_extproc.caching.marks import Marks
from router_extproc.exchange.events import Message
from router_extproc.exchange.exchange import Exchange
from router_extproc.exchange.snapshot import Snapshot
from router_extproc.routing.analysis import Analysis, Timings
from router_extproc.server.driver import Ports, drive
from router_extproc.server.flights import Flights
from router_extproc.telemetry.story import Story, StoryWitness, Teller
from tests.support.play import AT, PLAN, vector
from tests.support.ports import FakeAnalyst, FakeClock, FakeStore, RecordingTelemetry, Trouble

ANALYSIS_SECONDS = 0.010
TIMINGS = Timings(queue=1.0, tokenise=2.0, run=5.0, screen=1.0)


class Scene:
    """One router's ports, for exchanges one after the other. `analysed` takes the analyst's ten milliseconds;
    messages arrive a second apart."""

    def __init__(
        self,
        plan: Snapshot = PLAN,
        *,
        trouble: Trouble = None,
        room: bool = True,
        tellers: Sequence[Teller] = (),
    ) -> None:
        self.plan = plan
        self.clock = FakeClock(AT)
        self.store = FakeStore()
        self.telemetry = RecordingTelemetry()
        self._room = room
        self._ports = Ports(
            analyst=FakeAnalyst(self._analysed, trouble=trouble),
            store=self.store,
            fill=self._fill,
            verify=lambda _: True,
            screen=lambda *_: True,
            marks=Marks,
            flights=Flights(),
            telemetry=self.telemetry,
            clock=self.clock,
            witness=lambda: StoryWitness([self._stories.append, *tellers]),
        )
        self._stories: list[Story] = []

    async def story(self, *messages: Message, ident: str = "x1") -> Story | None:
        """Of one exchange; None where there is none."""
        self._stories.clear()
        async with aclosing(
            drive(Exchange(self.plan, ident), self._arriving(*messages), self._ports)
        ) as replies:
            async for _ in replies:
                pass
        assert len(self._stories) <= 1
        return self._stories[0] if self._stories else None

    async def told(self, *messages: Message, ident: str = "x1") -> Story:
        """Of one exchange that is the router's business."""
        story = await self.story(*messages, ident=ident)
        assert story is not None
        return story

    async def _arriving(self, *messages: Message) -> AsyncIterator[Message]:
        for message in messages:
            yield message
            self.clock.advance(1.0)

    def _analysed(self, _: str) -> Analysis:
        self.clock.advance(ANALYSIS_SECONDS)
        return Analysis(vector(), {"domain": {"math": 0.9, "history": 0.1}}, "e1", 5, timings=TIMINGS)

    def _fill(self, entry: Entry) -> bool:
        if self._room:
            self.store.entries[entry.partition, entry.id] = entry
        return self._room
