"""Runs the effects of one exchange and feeds the results back to it.

Owns the order of things on one stream: replies first, then storing. Knows the ports and the exchange's
vocabulary; knows nothing of gRPC, of the wire format, or of what an exchange decides.
"""

import asyncio
import logging
import traceback
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Protocol

from router_extproc.base.refusals import Failure, Uncached, Verified, Waited
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.caching.marks import Marks
from router_extproc.exchange.effects import (
    Analyse,
    CacheSkipped,
    CacheVerified,
    Close,
    Compare,
    Effect,
    ImmediateReply,
    Join,
    Land,
    LookupExact,
    LookupSimilar,
    Note,
    Progress,
    Question,
    Remember,
    Reply,
    ScreenAnswer,
    Store,
    StoreAsked,
    TextsCompared,
    Verify,
)
from router_extproc.exchange.events import (
    Alone,
    AnalysisFailed,
    AnalysisReady,
    Compared,
    CompareFailed,
    Event,
    Landed,
    Leads,
    LookupDone,
    LookupFailed,
    Message,
    PeerClosed,
    Result,
)
from router_extproc.ports import Analyst, Clock, Deed, PortError, Telemetry, Unwatched, Witness
from router_extproc.ports import Store as StorePort
from router_extproc.routing.performance import Ticket
from router_extproc.routing.world import World
from router_extproc.server.flights import Flight, Flights
from router_extproc.server.pool import Pool

log = logging.getLogger(__name__)


class Exchange(Protocol):
    """One HTTP exchange: a pure state machine."""

    def receive(self, event: Event, at: float) -> Sequence[Effect]:
        """What to do about `event`, which happened at `at` (Unix seconds)."""
        ...


Landing = Callable[[Candidate | None], None]
"""Gives those who wait for a request its answer, or None. Calling it again changes nothing."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What effects are run on.

    `fill` offers an entry to the bounded queue of cache writes, `verify` a pair of answers to that of
    comparisons, `screen` an answer to that of those to be read before they are kept, which lands whoever
    waits for it; all return at once, and False says that the queue is full. `marks` are those in force.
    `pool` is what was learned of the models. `witness` makes one for each stream, which is told how
    it goes.
    """

    analyst: Analyst
    store: StorePort
    fill: Callable[[Entry], bool]
    verify: Callable[[Verify], bool]
    screen: Callable[[ScreenAnswer, Landing], bool]
    marks: Callable[[], Marks]
    flights: Flights
    telemetry: Telemetry
    clock: Clock
    pool: Pool = field(default_factory=Pool)
    witness: Callable[[], Witness] = Unwatched


async def drive(
    exchange: Exchange, messages: AsyncIterator[Message], ports: Ports
) -> AsyncGenerator[Reply | ImmediateReply, None]:
    """Replies in the order Envoy is to get them. Ends after Close or ImmediateReply, or with `messages`.

    Unless the exchange itself ended the stream, it is told PeerClosed exactly once, last, however the
    stream ends: a finished iterator, an exception from it, cancellation, or `aclose()`. Exceptions pass.
    Close the generator (`contextlib.aclosing`): a stream that is cancelled while a reply is being sent
    leaves it suspended, with entries still to be stored.
    """
    stream = _Stream(exchange, ports)
    try:
        async for message in messages:
            effects = deque(exchange.receive(message, ports.clock.now()))
            del message  # megabytes perhaps, and the next one may be minutes away
            try:
                while effects:
                    effect = effects.popleft()
                    if isinstance(effect, Reply | ImmediateReply):
                        stream.replying(effect)
                        yield effect
                    elif isinstance(effect, Question):
                        effects.extend(await stream.go_on(effect))
                    elif isinstance(effect, Close):
                        stream.ended = True
                    elif isinstance(effect, Progress):
                        stream.progress(effect)
                    else:
                        stream.later.append(effect)
                    del effect  # for the same reason: a reply has the body too
            finally:
                stream.settle(effects)
            if stream.ended:
                return
    finally:
        stream.finish()


class _Stream:
    """What the driver holds for one exchange. `later`: what is done after a turn's replies."""

    __slots__ = ("_exchange", "_flight", "_ports", "_ticket", "_witness", "ended", "later")

    def __init__(self, exchange: Exchange, ports: Ports) -> None:
        self._exchange = exchange
        self._ports = ports
        self._flight: Flight | None = None
        self._ticket: Ticket | None = None
        self._witness = ports.witness()
        self.ended = False
        self.later: list[Effect] = []

    def replying(self, reply: Reply | ImmediateReply) -> None:
        """`reply` is on its way."""
        if isinstance(reply, ImmediateReply):
            self.ended = True
            self._witness.replied(reply.status)

    async def go_on(self, question: Question) -> Sequence[Effect]:
        """Ask, and what the exchange makes of the answer."""
        clock = self._ports.clock
        began = clock.now()
        result = await self._ask(question)
        ended = clock.now()
        effects = self._exchange.receive(result, ended)
        self._witness.did(type(question), _status(result), began, ended, clock.now())
        return effects

    async def _ask(self, question: Question) -> Result:
        """What the port says before the deadline. Every failure becomes an event, so that the exchange
        decides what it means; an exception that a port must not raise is logged as the bug it is."""
        if isinstance(question, Join):
            return await self._join(question)
        began = self._ports.clock.now()
        try:
            async with asyncio.timeout(question.timeout):
                result = await _answer(question, self._ports)
        except TimeoutError:
            reason = Failure.TIMEOUT
        except PortError as error:
            reason = error.reason
        except Exception as error:
            log_bug(type(question).__name__, error)
            reason = Failure.INVALID
        else:
            self._timed(
                question, "hit" if isinstance(result, LookupDone) and result.candidates else "miss", began
            )
            return result
        self._timed(question, "error", began)
        if isinstance(question, Analyse):
            return AnalysisFailed(reason, _world(question, self._ports))
        if isinstance(question, Compare):
            return CompareFailed(reason, self._ports.marks())
        return LookupFailed(reason, self._ports.marks())

    def _timed(self, question: Question, status: str, began: float) -> None:
        operation = {LookupExact: "get_by_id", LookupSimilar: "find_similar"}.get(type(question))
        seconds = max(0.0, self._ports.clock.now() - began)
        if operation is not None:
            self._note(StoreAsked(operation, status, seconds))
        elif isinstance(question, Compare) and status != "error":
            self._note(TextsCompared(seconds))

    def _note(self, note: Note) -> None:
        self._ports.telemetry.note(note)
        self._witness.saw(note, self._ports.clock.now())

    async def _join(self, question: Join) -> Result:
        """Lead, or wait for who leads. An exchange leads once; asked again, it goes on alone."""
        flight = self._ports.flights.under_way(question.entry_id)
        if flight is None:
            if self._flight is None:
                self._flight = self._ports.flights.lead(question.entry_id)
            return Leads()
        try:
            async with asyncio.timeout(question.timeout):
                candidate = await flight.landing()
        except TimeoutError:
            return Alone(Waited.TIMEOUT)
        if candidate is None:
            return Alone(Waited.LEADER_GAVE_UP)
        return Landed(candidate, self._ports.marks())

    def progress(self, effect: Progress) -> None:
        """Takes note at once of how the request to a model goes: others are deciding meanwhile."""
        self._ticket = self._ports.pool.progress(self._ticket, effect, self._ports.telemetry)

    def settle(self, effects: Iterable[Effect]) -> None:
        """Does what needs no peer, after the turn's replies, and the same of an interrupted turn.

        An entry is settled even if the peer vanished while the last reply was on its way: the exchange had
        seen the whole answer when it asked for the entry to be stored.
        """
        later = [*self.later, *effects]
        self.later.clear()
        try:
            for effect in later:
                self._do(effect)
        except Exception as error:
            # Raising here would take the place of a cancellation, which grpc.aio has to see.
            log_bug("settle", error)

    def _do(self, effect: Effect) -> None:
        ports = self._ports
        if isinstance(effect, Land):
            if self._flight is not None:
                self._flight.land(effect.candidate)
        elif isinstance(effect, Store):
            self._handed(Store, effect.entry, ports.fill(effect.entry))
        elif isinstance(effect, ScreenAnswer):
            land = self._hand_over()
            taken = ports.screen(effect, land)
            if not taken:
                land(None)
            self._handed(ScreenAnswer, effect.entry, taken)
        elif isinstance(effect, Verify):
            if not ports.verify(effect):
                entry = effect.hit.entry
                self._note(CacheVerified(Verified.UNDECIDED, entry.category, entry.id))
        elif isinstance(effect, Progress):
            self.progress(effect)
        elif isinstance(effect, Remember):
            ports.pool.remember(effect.session, effect.model, ports.clock.now())
        elif isinstance(effect, Note):
            self._note(effect)

    def _handed(self, deed: Deed, entry: Entry, taken: bool) -> None:
        """To a queue, which may have been full."""
        at = self._ports.clock.now()
        if not taken:
            self._note(CacheSkipped(Uncached.QUEUE_FULL, storing=True))
        status = "done" if taken else Uncached.QUEUE_FULL.value
        self._witness.did(deed, status, at, at, at, entry.id)

    def _hand_over(self) -> Landing:
        """Those who wait for this request are somebody else's from now on: the stream may end before."""
        flight, self._flight = self._flight, None
        return _nobody_waits if flight is None else flight.land

    def finish(self) -> None:
        """Frees those who wait, and lets the exchange note how it ended, if it did not end by itself. Nothing
        else can be done any more, so nothing else is run."""
        if self._flight is not None:
            self._flight.land(None)
        if self._ticket is not None:
            self._ports.pool.left(self._ticket, self._ports.clock.now(), self._ports.telemetry)
            self._ticket = None
        try:
            if not self.ended:
                for effect in self._exchange.receive(PeerClosed(), self._ports.clock.now()):
                    if isinstance(effect, Note):
                        self._note(effect)
            self._witness.over(self._ports.clock.now())
        except Exception as error:
            # As in settle: the cancellation that brought us here has to stay visible.
            log_bug("peer_closed", error)


async def _answer(question: Analyse | Compare | LookupExact | LookupSimilar, ports: Ports) -> Result:
    if isinstance(question, Analyse):
        analysis = await ports.analyst.analyse(question.text, question.needs, question.others)
        return AnalysisReady(analysis, _world(question, ports))
    if isinstance(question, Compare):
        return Compared(await ports.analyst.same(question.text, question.other), ports.marks())
    at, store = ports.clock.now() - question.grace, ports.store
    if isinstance(question, LookupExact):
        entry = await store.get(question.partition, question.entry_id, at, question.timeout)
        return LookupDone(() if entry is None else (Candidate(entry, similarity=1.0),), ports.marks())
    candidates = await store.nearest(
        question.partition, question.vector, question.limit, at, question.timeout
    )
    return LookupDone(candidates, ports.marks())


def _status(result: Result) -> str:
    """A word for what a port brought back."""
    if isinstance(result, AnalysisFailed | CompareFailed | LookupFailed | Alone):
        return result.reason.value
    if isinstance(result, LookupDone):
        return "hit" if result.candidates else "miss"
    return "done"


def _nobody_waits(_: Candidate | None) -> None:
    """The `Landing` of a request that leads nobody."""


def keep(entry: Entry, fill: Callable[[Entry], bool], telemetry: Telemetry) -> None:
    """Hand `entry` to the cache, and note it where there is no room."""
    if not fill(entry):
        telemetry.note(CacheSkipped(Uncached.QUEUE_FULL, storing=True))


def _world(question: Analyse, ports: Ports) -> World:
    return ports.pool.world(question.session, ports.clock.now())


def log_bug(doing: str, error: BaseException) -> None:
    """Logs where `error` was raised. Its message is left out: it may quote a prompt or an answer."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " > ".join(f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    log.error("bug: %s in %s at %s", type(error).__qualname__, doing, where)
