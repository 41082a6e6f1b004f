"""What the models of the pool are found to be like, from how their requests went. Bounded, without a clock.

It counts what is under way, measures each model by itself, and says when a model is left alone. Which model
is preferred is not its affair.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from router_extproc.routing.breaks import Breaks
from router_extproc.routing.circuit import Circuit, Limits, State
from router_extproc.routing.measured import Measured, Shift
from router_extproc.routing.silence import Silence
from router_extproc.routing.world import Condition

MAX_ADJUSTMENTS = 256
"""Adjustments kept until they are drained; the oldest go first."""
MAX_UNDER_WAY = 10_000
"""Requests counted per model; beyond it the oldest is taken for lost."""
LOST_SECONDS = 3600.0
"""A request that has not ended after this long is taken for lost."""
MEMORY_HALF_LIVES = 6.0
"""How long the circuit remembers an outcome."""
RECHECK_HALF_LIVES = 0.1
"""How long after its last answer a model that is slow, or not known yet, may be tried again."""
RECHECK_FAILING = 0.03
"""The same for one that fails, which costs nobody's time: that it no longer does takes several answers."""
WAIT_HALF_LIVES = 1.0
"""How long a request that finds out keeps others from it: its answer may be a very long one."""
AWAITED = 0.01
"""Samples of a model of which nothing is known, but an answer is on its way."""
BREAKING_HALF_LIVES = 0.5
"""How long no answer must have come to its end before a model is left for breaking them off."""
STALE_HALF_LIVES = 4.0
"""How long after its last answer a model that was well may be tried again."""


@dataclass(frozen=True, slots=True)
class FeedbackOptions:
    """`models`: the pool; others are ignored. A model is left after `failures` failed answers in a row, or a
    share of `error_rate` in [0, 1] of the recent ones, and tried again after `retry_seconds`, doubling up to
    `max_retry_seconds`. What was measured loses half of its weight in `half_life_seconds`. An answer of
    `typical_tokens` is what models are compared by. A model is left too when nothing was heard of it for
    `silence_seconds` while `failures` requests waited. Not `enabled`: nothing is measured or left."""

    models: tuple[str, ...]
    enabled: bool = True
    failures: int = 3
    error_rate: float = 0.5
    retry_seconds: float = 2.0
    max_retry_seconds: float = 30.0
    half_life_seconds: float = 10.0
    typical_tokens: int = 200
    silence_seconds: float = 120.0


class Failed(StrEnum):
    """Why an answer counts as the model's failure."""

    SERVER_ERROR = "server_error"
    """A status of 500 and above."""
    TIMEOUT = "timeout"
    RESET = "reset"
    """The connection was refused, or broke before the answer was complete."""
    CUT = "cut"
    """The answer ended without what every complete one has."""


class AdjustmentKind(StrEnum):
    """What changed: `OPENED`, `HALF_OPEN` and `CLOSED` are whether the model gets requests at all."""

    OPENED = "opened"
    HALF_OPEN = "half_open"
    CLOSED = "closed"
    SLOWER = "slower"
    """Its answers take twice as long as at their best."""
    FASTER = "faster"
    """Its answers take less than 1.3 times as long as at their best again."""
    FAILING = "failing"
    """One in ten answers fails."""
    STEADY = "steady"
    """Less than one in twenty does again."""


@dataclass(frozen=True, slots=True)
class Adjustment:
    """`at` in seconds, on the caller's clock."""

    model: str
    kind: AdjustmentKind
    at: float


@dataclass(frozen=True, slots=True)
class Ticket:
    """One request under way; given back once, by any way of ending. Giving it back again does nothing."""

    model: str
    number: int
    sent_at: float


@dataclass(slots=True)
class _UnderWay:
    """A request that has not ended. `began`: its answer has, by its headers; `first_at`: a token came;
    `heard`: anything of its content did."""

    sent_at: float
    began: bool = False
    first_at: float | None = None
    heard: bool = False


class _Model:
    """One model's measurements, circuit, silence, breaks and requests under way, by number."""

    __slots__ = ("breaks", "circuit", "measured", "silence", "under_way")

    def __init__(self, measured: Measured, circuit: Circuit) -> None:
        self.measured = measured
        self.circuit = circuit
        self.silence = Silence()
        self.breaks = Breaks()
        self.under_way: dict[int, _UnderWay] = {}

    def heard(self, at: float) -> None:
        self.silence.heard(at, others=bool(self.under_way))

    def waiting(self) -> int:
        """Requests that got nothing so far."""
        return sum(not request.heard for request in self.under_way.values())

    def forget_lost(self, at: float) -> None:
        """The dictionary is in the order of sending."""
        while self.under_way:
            oldest = next(iter(self.under_way))
            if len(self.under_way) <= MAX_UNDER_WAY and at - self.under_way[oldest].sent_at < LOST_SECONDS:
                return
            del self.under_way[oldest]
            self.circuit.undecided(oldest)


_OPENS = {
    State.OPEN: AdjustmentKind.OPENED,
    State.HALF_OPEN: AdjustmentKind.HALF_OPEN,
    State.CLOSED: AdjustmentKind.CLOSED,
}
_NOTHING = Condition()


class Performance:
    """Fed by the response path: `sent`, then `began`, `first_token` for streams, and `flows` now and then,
    then one of `finished`, `failed` and `cancelled`. All times are seconds on one clock that need not be the
    wall's. Not thread-safe."""

    def __init__(self, options: FeedbackOptions) -> None:
        self._options = options
        self._adjustments: deque[Adjustment] = deque(maxlen=MAX_ADJUSTMENTS)
        self._number = 0
        self._models: dict[str, _Model] = {}
        self.configure(options)

    def configure(self, options: FeedbackOptions) -> None:
        """Go on with another configuration: models that stay keep what is known of them, unless the time
        scale changed or nothing is to be learned any more."""
        old, known = self._options, self._models
        self._options = options
        same = (old.half_life_seconds, old.typical_tokens) == (
            options.half_life_seconds,
            options.typical_tokens,
        )
        self._models = {}
        for name in options.models if options.enabled else ():
            model = known.get(name) if same else None
            if model is None:
                model = self._fresh(name)
            model.circuit.limits = self._limits()
            self._models[name] = model

    def sent(self, model: str, at: float) -> Ticket:
        """A request goes to `model` now."""
        self._number += 1
        ticket = Ticket(model, self._number, at)
        known = self._models.get(model)
        if known is not None:
            known.under_way[ticket.number] = _UnderWay(at)
            known.forget_lost(at)
            known.circuit.sent(ticket.number, at)
            known.silence.sent(at)
        return ticket

    def began(self, ticket: Ticket) -> None:
        """The headers of a good answer arrived. A server may send them before it knows that it can answer, so
        the model is not heard by that."""
        _, request = self._request(ticket)
        if request is not None:
            request.began = True

    def flows(self, ticket: Ticket, at: float) -> None:
        """More of the answer arrived: whoever delivers is not silent."""
        model, request = self._request(ticket)
        if model is not None and request is not None:
            request.began = request.heard = True
            model.heard(at)

    def first_token(self, ticket: Ticket, at: float) -> None:
        """The first piece of a streamed answer arrived, of a good status. It also shows that a model which
        was left alone is back: a long answer need not end for that."""
        model, request = self._request(ticket)
        if model is None or request is None or request.first_at is not None:
            return
        request.began = request.heard = True
        request.first_at = at
        model.heard(at)
        model.measured.first_token(at, max(at - ticket.sent_at, 0.0))
        # One that breaks off its answers begins them well: then only an answer's end shows that it is back.
        if model.circuit.state is State.HALF_OPEN and not model.breaks.beginnings_prove_nothing:
            model.circuit.succeeded(ticket.number, ticket.sent_at, at)
        self._refresh(ticket.model, model, at)

    def finished(
        self, ticket: Ticket, at: float, status: int, tokens: int | None = None, *, complete: bool = True
    ) -> None:
        """The answer came to its end; not `complete`: something was lacking there. `tokens`: its output
        tokens, None where they are not known. A status of 500 and above is a failure, so is an answer that
        is not complete; one of 4xx (429 too: it is about a client's key or share) says nothing about it."""
        if status >= 500 or (200 <= status < 300 and not complete):
            self.failed(ticket, at, Failed.SERVER_ERROR if status >= 500 else Failed.CUT)
            return
        closed = self._close(ticket, at)
        if closed is None:
            return
        model, request = closed
        model.heard(at)
        if not 200 <= status < 400:
            model.circuit.undecided(ticket.number)
            return
        model.breaks.ended()
        first = None if request.first_at is None else max(request.first_at - ticket.sent_at, 0.0)
        model.measured.answered(at, max(at - ticket.sent_at, 0.0), first, tokens)
        model.circuit.succeeded(ticket.number, ticket.sent_at, at)
        self._refresh(ticket.model, model, at)

    def failed(self, ticket: Ticket, at: float, reason: Failed) -> None:
        """The model gave no answer or only part of one. Every reason weighs the same."""
        closed = self._close(ticket, at)
        if closed is None:
            return
        model = closed[0]
        model.heard(at)
        if reason is Failed.CUT:
            model.breaks.cut()
        model.measured.failed(at)
        model.circuit.failed(ticket.number, ticket.sent_at, at)
        self._refresh(ticket.model, model, at)

    def cancelled(self, ticket: Ticket, at: float) -> None:
        """The request ended in a way that says nothing about the model by itself: the client left, or the
        model broke off. See `Breaks` for when it does say something."""
        closed = self._close(ticket, at)
        if closed is None:
            return
        model, request = closed
        if not request.heard:
            model.silence.left(at - ticket.sent_at)
        if request.began:
            model.breaks.broke(at)
            if model.breaks.many and model.circuit.state is State.HALF_OPEN:
                model.circuit.failed(ticket.number, ticket.sent_at, at)
                return
        model.circuit.undecided(ticket.number)
        if model.breaks.lasted(at, BREAKING_HALF_LIVES * self._options.half_life_seconds):
            model.circuit.silent(at)

    def condition(self, model: str, at: float) -> Condition:
        """`samples` is 0 when nothing was heard for so long that one request may find out how it does."""
        known = self._models.get(model)
        if known is None:
            return _NOTHING
        known.forget_lost(at)
        self._listen(known, at)
        self._refresh(model, known, at)
        measured = known.measured
        return Condition(
            available=known.circuit.available(at),
            latency=measured.latency,
            time_to_first_token=measured.time_to_first_token,
            time_per_token=measured.time_per_token,
            error_rate=measured.error_rate,
            in_flight=len(known.under_way),
            samples=0.0 if self._due(known, at) else max(measured.samples(at), AWAITED),
        )

    def conditions(self, at: float) -> Mapping[str, Condition]:
        """Of every model of the pool; empty where nothing is to be learned."""
        return {name: self.condition(name, at) for name in self._models}

    def states(self, at: float) -> Mapping[str, State]:
        """Whether each model gets requests, for metrics."""
        for model in self._models.values():
            self._listen(model, at)
            model.circuit.available(at)
        return {name: model.circuit.state for name, model in self._models.items()}

    def adjustments(self) -> tuple[Adjustment, ...]:
        """What changed since the last call, in order; at most MAX_ADJUSTMENTS, the latest."""
        drained = tuple(self._adjustments)
        self._adjustments.clear()
        return drained

    def _fresh(self, name: str) -> _Model:
        options = self._options

        def note(state: State, at: float) -> None:
            self._adjustments.append(Adjustment(name, _OPENS[state], at))

        return _Model(
            Measured(options.half_life_seconds, options.typical_tokens), Circuit(self._limits(), note)
        )

    def _limits(self) -> Limits:
        options = self._options
        return Limits(
            failures=options.failures,
            error_rate=options.error_rate,
            retry_seconds=options.retry_seconds,
            max_retry_seconds=max(options.max_retry_seconds, options.retry_seconds),
            memory_seconds=options.half_life_seconds * MEMORY_HALF_LIVES,
        )

    def _request(self, ticket: Ticket) -> tuple[_Model | None, _UnderWay | None]:
        """None for a model that is not of the pool; for a ticket that was given back or lost before."""
        model = self._models.get(ticket.model)
        return model, None if model is None else model.under_way.get(ticket.number)

    def _close(self, ticket: Ticket, at: float) -> tuple[_Model, _UnderWay] | None:
        """None if the ticket was given back or lost before."""
        model, request = self._request(ticket)
        if model is None or request is None:
            return None
        del model.under_way[ticket.number]
        return model, request

    def _listen(self, model: _Model, at: float) -> None:
        """Leave a model that hangs. Requests are counted only in a silence: there may be thousands."""
        if not model.silence.lasted(at, self._options.silence_seconds):
            return
        finding_out = model.circuit.state is State.HALF_OPEN
        if model.silence.victims(model.waiting()) >= (1 if finding_out else self._options.failures):
            model.silence.forget()
            model.circuit.silent(at)

    def _refresh(self, name: str, model: _Model, at: float) -> None:
        for shift in model.measured.refresh(at):
            self._adjustments.append(Adjustment(name, _SHIFTS[shift], at))

    def _due(self, model: _Model, at: float) -> bool:
        if model.circuit.state is not State.CLOSED:
            return True
        measured = model.measured
        half_life = self._options.half_life_seconds
        if model.under_way:
            newest = next(reversed(model.under_way.values()))
            if at - newest.sent_at < WAIT_HALF_LIVES * half_life:
                return False
        if measured.heard_at is None:
            return True
        if measured.failing:
            wait = RECHECK_FAILING
        else:
            wait = RECHECK_HALF_LIVES if measured.slow or not measured.known else STALE_HALF_LIVES
        return at - measured.heard_at >= wait * half_life


_SHIFTS = {
    Shift.SLOWER: AdjustmentKind.SLOWER,
    Shift.FASTER: AdjustmentKind.FASTER,
    Shift.FAILING: AdjustmentKind.FAILING,
    Shift.STEADY: AdjustmentKind.STEADY,
}
