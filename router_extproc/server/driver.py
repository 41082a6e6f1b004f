"""Runs the effects of one exchange and feeds the results back to it.

Owns the order of things on one stream: replies first, then storing. Knows the ports and the exchange's
vocabulary; knows nothing of gRPC, of the wire format, or of what an exchange decides.
"""

import asyncio
import logging
import traceback
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol

from router_extproc.base.refusals import Failure, Uncached
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.exchange.effects import (
    Analyse,
    CacheSkipped,
    Close,
    Effect,
    ImmediateReply,
    LookupExact,
    LookupSimilar,
    Note,
    Reply,
    Store,
)
from router_extproc.exchange.events import (
    AnalysisFailed,
    AnalysisReady,
    Event,
    LookupDone,
    LookupFailed,
    Message,
    PeerClosed,
    Result,
)
from router_extproc.ports import Analyst, Clock, PortError, Telemetry
from router_extproc.ports import Store as StorePort

log = logging.getLogger(__name__)

Question = Analyse | LookupExact | LookupSimilar


class Exchange(Protocol):
    """One HTTP exchange: a pure state machine."""

    def receive(self, event: Event, at: float) -> Sequence[Effect]:
        """What to do about `event`, which happened at `at` (Unix seconds)."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """What effects are run on.

    `fill` offers an entry to the bounded queue of cache writes; it returns at once, and False says that
    the queue is full.
    """

    analyst: Analyst
    store: StorePort
    fill: Callable[[Entry], bool]
    telemetry: Telemetry
    clock: Clock


async def drive(
    exchange: Exchange, messages: AsyncIterator[Message], ports: Ports
) -> AsyncGenerator[Reply | ImmediateReply, None]:
    """Replies in the order Envoy is to get them. Ends after Close or ImmediateReply, or with `messages`.

    Unless the exchange itself ended the stream, it is told PeerClosed exactly once, last, however the
    stream ends: a finished iterator, an exception from it, cancellation, or `aclose()`. Exceptions pass.
    Close the generator (`contextlib.aclosing`): a stream that is cancelled while a reply is being sent
    leaves it suspended, with entries still to be stored.
    """
    ended = False
    try:
        async for message in messages:
            effects = deque(exchange.receive(message, ports.clock.now()))
            entries: list[Entry] = []
            try:
                while effects:
                    effect = effects.popleft()
                    if isinstance(effect, Reply | ImmediateReply):
                        ended = ended or isinstance(effect, ImmediateReply)
                        yield effect
                    elif isinstance(effect, Question):
                        result = await _ask(effect, ports)
                        effects.extend(exchange.receive(result, ports.clock.now()))
                    elif isinstance(effect, Store):
                        entries.append(effect.entry)
                    elif isinstance(effect, Close):
                        ended = True
                    else:
                        ports.telemetry.note(effect)
            finally:
                _settle(effects, entries, ports)
            if ended:
                return
    finally:
        if not ended:
            _tell_peer_closed(exchange, ports)


async def _ask(question: Question, ports: Ports) -> Result:
    """What the port says before the deadline. Every failure becomes an event, so that the exchange decides
    what it means; an exception that a port must not raise is logged as the bug it is."""
    try:
        async with asyncio.timeout(question.timeout):
            return await _answer(question, ports)
    except TimeoutError:
        reason = Failure.TIMEOUT
    except PortError as error:
        reason = error.reason
    except Exception as error:
        log_bug(type(question).__name__, error)
        reason = Failure.INVALID
    return AnalysisFailed(reason) if isinstance(question, Analyse) else LookupFailed(reason)


async def _answer(question: Question, ports: Ports) -> Result:
    if isinstance(question, Analyse):
        return AnalysisReady(await ports.analyst.analyse(question.text))
    at = ports.clock.now()
    if isinstance(question, LookupExact):
        entry = await ports.store.get(question.partition, question.entry_id, at)
        return LookupDone(() if entry is None else (Candidate(entry, similarity=1.0),))
    return LookupDone(await ports.store.nearest(question.partition, question.vector, question.limit, at))


def _settle(effects: Iterable[Effect], entries: list[Entry], ports: Ports) -> None:
    """Does what needs no peer, after the turn's replies: stores, and the notes of an interrupted turn.

    An entry is settled even if the peer vanished while the last reply was on its way: the exchange had
    seen the whole answer when it asked for the entry to be stored.
    """
    try:
        for effect in effects:
            if isinstance(effect, Store):
                entries.append(effect.entry)
            elif isinstance(effect, Note):
                ports.telemetry.note(effect)
        for entry in entries:
            if not ports.fill(entry):
                ports.telemetry.note(CacheSkipped(Uncached.QUEUE_FULL, storing=True))
    except Exception as error:
        # Raising here would take the place of a cancellation, which grpc.aio has to see.
        log_bug("settle", error)


def _tell_peer_closed(exchange: Exchange, ports: Ports) -> None:
    """Lets the exchange note how it ended. Nothing else can be done any more, so nothing else is run."""
    try:
        for effect in exchange.receive(PeerClosed(), ports.clock.now()):
            if isinstance(effect, Note):
                ports.telemetry.note(effect)
    except Exception as error:
        # As in _settle: the cancellation that brought us here has to stay visible.
        log_bug("peer_closed", error)


def log_bug(doing: str, error: BaseException) -> None:
    """Logs where `error` was raised. Its message is left out: it may quote a prompt or an answer."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " > ".join(f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    log.error("bug: %s in %s at %s", type(error).__qualname__, doing, where)
