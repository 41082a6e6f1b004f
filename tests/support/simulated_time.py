"""A pool of models in simulated time: requests come at random, the selection decides, the models answer.

Only `Performance` and `select` are the real thing; the models' answers follow a schedule of states.
Everything is drawn from a seeded generator, so that a run can be repeated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count, pairwise
from math import log
from random import Random

from router_extproc.routing.performance import Adjustment, Failed, FeedbackOptions, Performance, Ticket
from router_extproc.routing.policy import Route
from router_extproc.routing.select import Algorithm, select
from router_extproc.routing.world import World


@dataclass(frozen=True, slots=True)
class Doing:
    """How a model does for a while: times are `slowness` times as long, `failing` in [0, 1] is its share of
    errors; a `dead` one refuses every request, and resets those under way when it dies."""

    slowness: float = 1.0
    failing: float = 0.0
    dead: bool = False


Schedule = Mapping[str, Sequence[tuple[float, Doing]]]
"""By model: from which second on it does how. Sound before the first."""


@dataclass(frozen=True, slots=True)
class Load:
    """`rate` in requests per second, for `seconds`. `noise` is the deviation of the logarithm of times,
    `streamed` the share of streams. `retry`: a failed request is sent to the next in the order, once."""

    rate: float
    seconds: float
    noise: float = 0.3
    streamed: float = 0.5
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One client's request: when it came, which model it went to first, and whether it was answered."""

    at: float
    model: str
    explored: bool
    answered: bool


@dataclass(slots=True)
class Run:
    """What came of a run."""

    asked: list[Asked] = field(default_factory=list)
    adjustments: list[Adjustment] = field(default_factory=list)
    most_under_way: int = 0
    under_way_after: int = 0

    def majority(self, window: float = 10.0) -> list[str]:
        """The model with most requests, per window of seconds."""
        counts: dict[int, dict[str, int]] = {}
        for one in self.asked:
            inner = counts.setdefault(int(one.at / window), {})
            inner[one.model] = inner.get(one.model, 0) + 1
        return [max(inner, key=lambda name: inner[name]) for _, inner in sorted(counts.items())]

    def switches(self) -> int:
        """How often the majority of a window of ten seconds is another than before."""
        leaders = self.majority()
        return sum(one != other for one, other in pairwise(leaders))

    def share(self, model: str, start: float, end: float) -> float:
        """Of the requests that came in these seconds."""
        chosen = [one.model for one in self.asked if start <= one.at < end]
        return chosen.count(model) / len(chosen)

    def lost(self) -> float:
        """The share of requests without an answer."""
        return sum(not one.answered for one in self.asked) / len(self.asked)


@dataclass(slots=True)
class _Sent:
    """A request at a model."""

    ticket: Ticket
    came_at: float
    first_model: str
    explored: bool
    spare: tuple[str, ...]


class _Simulation:
    def __init__(
        self, routes: Sequence[Route], algorithm: Algorithm, options: FeedbackOptions, load: Load, seed: int
    ) -> None:
        self.performance = Performance(options)
        self.run = Run()
        self._routes, self._algorithm, self._load = routes, algorithm, load
        self._random = Random(seed)
        self._order = count()
        self._events: list[tuple[float, int, str, _Sent | None, int | None]] = []
        self._under_way: dict[int, _Sent] = {}
        self._doing = {route.model: Doing() for route in routes}

    def play(self, schedule: Schedule) -> Run:
        changes = sorted((at, name, doing) for name, states in schedule.items() for at, doing in states)
        self._push(self._random.expovariate(self._load.rate), "arrive", None)
        while self._events:
            at, _, kind, sent, tokens = heappop(self._events)
            while changes and changes[0][0] <= at:
                self._change(*changes.pop(0))
            if kind == "arrive":
                self._arrive(at)
            elif sent is not None and sent.ticket.number in self._under_way:
                self._progress(at, kind, sent, tokens)
            self.run.adjustments.extend(self.performance.adjustments())
        conditions = self.performance.conditions(self._load.seconds)
        self.run.under_way_after = sum(condition.in_flight for condition in conditions.values())
        self.run.asked.sort(key=lambda one: one.at)
        return self.run

    def _push(self, at: float, kind: str, sent: _Sent | None, tokens: int | None = None) -> None:
        heappush(self._events, (at, next(self._order), kind, sent, tokens))

    def _change(self, at: float, name: str, doing: Doing) -> None:
        self._doing[name] = doing
        if doing.dead:
            for sent in [sent for sent in self._under_way.values() if sent.ticket.model == name]:
                self._fail(at, sent)

    def _arrive(self, at: float) -> None:
        following = at + self._random.expovariate(self._load.rate)
        if following < self._load.seconds:
            self._push(following, "arrive", None)
        conditions = self.performance.conditions(at)
        chosen = select(self._algorithm, self._routes, World(conditions, chance=self._random.random()))
        names = [self._routes[place].model for place in chosen.order]
        under_way = sum(condition.in_flight for condition in conditions.values())
        self.run.most_under_way = max(self.run.most_under_way, under_way)
        self._send(at, at, names[0], tuple(names[1:]), names[0], chosen.explored)

    def _send(
        self, at: float, came_at: float, model: str, spare: tuple[str, ...], first_model: str, explored: bool
    ) -> None:
        sent = _Sent(self.performance.sent(model, at), came_at, first_model, explored, spare)
        self._under_way[sent.ticket.number] = sent
        doing, noise = self._doing[model], self._load.noise
        if doing.dead or self._random.random() < doing.failing:
            self._push(at + 0.01, "fail", sent)
            return
        tokens = max(1, round(self._random.lognormvariate(log(60.0), 0.8)))
        first = doing.slowness * self._random.lognormvariate(log(0.2), noise)
        whole = first + doing.slowness * tokens * self._random.lognormvariate(log(0.01), noise)
        if self._random.random() < self._load.streamed:
            self._push(at + first, "first", sent)
        self._push(at + whole, "end", sent, tokens)

    def _progress(self, at: float, kind: str, sent: _Sent, tokens: int | None) -> None:
        if kind == "first":
            self.performance.first_token(sent.ticket, at)
        elif kind == "fail":
            self._fail(at, sent)
        else:
            del self._under_way[sent.ticket.number]
            self.performance.finished(sent.ticket, at, 200, tokens)
            self._note(sent, answered=True)

    def _fail(self, at: float, sent: _Sent) -> None:
        del self._under_way[sent.ticket.number]
        self.performance.failed(sent.ticket, at, Failed.RESET)
        if self._load.retry and sent.spare:
            self._send(at, sent.came_at, sent.spare[0], (), sent.first_model, sent.explored)
        else:
            self._note(sent, answered=False)

    def _note(self, sent: _Sent, *, answered: bool) -> None:
        self.run.asked.append(Asked(sent.came_at, sent.first_model, sent.explored, answered))


def simulate(
    routes: Sequence[Route],
    algorithm: Algorithm,
    options: FeedbackOptions,
    load: Load,
    schedule: Schedule,
    seed: int,
) -> Run:
    """Requests come for `load.seconds`; then those under way are answered."""
    return _Simulation(routes, algorithm, options, load, seed).play(schedule)
