"""How the last minutes went: requests, cache, added time, models, flows. What a status page shows.

Made of stories, so of notes and times only. Its memory is bounded: slots of time, each with counts by names
of the configuration and with durations in a fixed number of bins. Reading it is cheap: what is complete is
summed up as it is completed and taken off as it gets too old, so that only the slot that is being filled is
added at a reading.
"""

import math
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from typing import Final, NamedTuple, TypeVar

from router_extproc.exchange.effects import (
    Answered,
    CacheHit,
    CacheMiss,
    CacheSkipped,
    HitKind,
    PortFailed,
    Rejected,
    Routed,
)
from router_extproc.exchange.notes import AnswerEnded, Judged
from router_extproc.telemetry.story import Story

SLOT_SECONDS: Final = 5.0
SLOTS: Final = 60
"""Complete ones that are kept, beside the one that is being filled."""

RATE_SLOTS: Final = 2
"""Complete slots that the present rate goes by, with the one that is being filled."""

MAX_FLOWS: Final = 256
"""Different ways in the window that are told apart. Requests that take yet another count as OTHER, until ways
that nobody took lately have left the window."""

FINEST_MS: Final = 0.01
STEP: Final = 1.05
LAST_BIN: Final = 378
"""Up to a thousand seconds."""

N = TypeVar("N")


class AnsweredBy(StrEnum):
    """Who gave the answer; the router gives refusals. OTHER is any of them, of the ways not told apart."""

    MODEL = "model"
    CACHE = "cache"
    ROUTER = "router"
    OTHER = "other"


class Flow(NamedTuple):
    """One way that requests take; "" for what there was not: a word-for-word hit is answered before anybody
    reads its category. A tuple, because sums over ways hash it, and a dataclass hashes slowly."""

    category: str
    decision: str
    model: str
    answered_by: AnsweredBy


OTHER: Final = Flow("other", "other", "other", AnsweredBy.OTHER)
"""All ways beyond MAX_FLOWS together."""


class Durations:
    """Milliseconds in bins that grow by a twentieth: a percentile is exact within that."""

    __slots__ = ("_bins",)

    def __init__(self) -> None:
        self._bins: Counter[int] = Counter()

    def __len__(self) -> int:
        return self._bins.total()

    def add(self, seconds: float) -> None:
        milliseconds = max(FINEST_MS, 1000 * seconds)
        self._bins[min(LAST_BIN, round(math.log(milliseconds / FINEST_MS, STEP)))] += 1

    def take(self, other: "Durations") -> None:
        """Add all of `other`."""
        self._bins.update(other._bins)

    def drop(self, other: "Durations") -> None:
        """Take back all of `other`, which was taken before."""
        _subtract(self._bins, other._bins)

    def percentile(self, share: float) -> float | None:
        """Milliseconds that `share`, in (0, 1], of them do not exceed; None of nothing."""
        return self.percentiles(share)[0]

    def percentiles(self, *shares: float) -> tuple[float | None, ...]:
        """That of each of `shares`: the bins are sorted once."""
        if not self._bins:
            return (None,) * len(shares)
        numbers = sorted(self._bins)
        seen = list(accumulate(self._bins[number] for number in numbers))
        places = (bisect_left(seen, share * seen[-1]) for share in shares)
        return tuple(round(FINEST_MS * STEP ** numbers[place], 3) for place in places)


@dataclass(slots=True)
class Tally:
    """What happened in one slot, or in several. `hits` by kind; `misses`, `skipped` and `refusals` by reason;
    `asked`, `failed` and `took` by model."""

    requests: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    misses: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    flows: Counter[Flow] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    added: Durations = field(default_factory=Durations)
    took: dict[str, Durations] = field(default_factory=dict)

    @property
    def hit_rate(self) -> float | None:
        """Of the lookups, those that brought an answer; None where there was none."""
        hits, misses = self.hits.total() - self.hits[HitKind.STALE.value], self.misses.total()
        return hits / (hits + misses) if hits + misses else None

    def count(self, story: Story) -> None:
        """One request more; all of it but its way."""
        hit, routed, rejected = story.first(CacheHit), story.first(Routed), story.first(Rejected)
        missed = story.first(CacheMiss)
        self.requests += 1
        if hit is not None:
            self.hits[hit.kind.value] += 1
        if missed is not None:
            self.misses[missed.reason.value] += 1
        self.skipped.update(each.reason.value for each in story.all(CacheSkipped) if not each.storing)
        self.failures.update(each.port for each in story.all(PortFailed))
        if rejected is not None:
            self.refusals[rejected.reason.value] += 1
        if routed is not None:
            self._count_model(routed, story)
        decided = routed or hit
        if decided is not None:
            self.added.add(decided.seconds)

    def _count_model(self, routed: Routed, story: Story) -> None:
        answered, ended = story.first(Answered), story.first(AnswerEnded)
        self.asked[routed.model] += 1
        if answered is not None and answered.status >= 500:
            self.failed[routed.model] += 1
        if ended is not None and ended.complete:
            self.took.setdefault(routed.model, Durations()).add(ended.seconds)

    def take(self, other: "Tally") -> None:
        """Add all of `other`."""
        self.requests += other.requests
        for mine, more in zip(self._by_name(), other._by_name(), strict=True):
            mine.update(more)
        self.flows.update(other.flows)
        self.added.take(other.added)
        for model, durations in other.took.items():
            self.took.setdefault(model, Durations()).take(durations)

    def drop(self, other: "Tally") -> None:
        """Take back all of `other`, which was taken before."""
        self.requests -= other.requests
        for mine, less in zip(self._by_name(), other._by_name(), strict=True):
            _subtract(mine, less)
        _subtract(self.flows, other.flows)
        self.added.drop(other.added)
        for model, durations in other.took.items():
            self.took[model].drop(durations)
            if not self.took[model]:
                del self.took[model]

    def _by_name(self) -> tuple[Counter[str], ...]:
        return self.hits, self.misses, self.skipped, self.refusals, self.failures, self.asked, self.failed


def flow_of(story: Story) -> Flow | None:
    """The way of one request; None where its client left before there was an answer."""
    hit, routed, judged = story.first(CacheHit), story.first(Routed), story.first(Judged)
    category = judged.trace.outcome.category if judged else ""
    decision = judged.trace.outcome.decision if judged else ""
    if hit is not None:
        return Flow(category, decision, "", AnsweredBy.CACHE)
    if routed is not None:
        return Flow(category, decision, routed.model, AnsweredBy.MODEL)
    if story.first(Rejected) is not None:
        return Flow(category, decision, "", AnsweredBy.ROUTER)
    return None


@dataclass(frozen=True, slots=True)
class Moment:
    """One complete slot: requests per second, and what else a curve shows; None where nothing was."""

    per_second: float
    hit_rate: float | None
    added_p95: float | None


NOTHING: Final = Moment(0.0, None, None)
"""That of a slot without a request."""


@dataclass(frozen=True, slots=True)
class Recent:
    """The window as it is read. `seconds` it covers, `total` requests since the start, `history` from the
    oldest complete slot to the newest, of SLOT_SECONDS each."""

    seconds: float
    uptime: float
    total: int
    per_second: float
    tally: Tally
    history: tuple[Moment, ...]


@dataclass(frozen=True, slots=True)
class _Slot:
    """A complete one in which there was a request. Nothing changes it."""

    number: int
    tally: Tally
    moment: Moment


class Window:
    """One for the life of a router, since `started`. Not thread-safe. A request counts when its exchange is
    over, by `clock`: seconds of any origin, monotonic, so that a correction of the wall clock moves nothing.
    Without one, it counts at its end as the story says. `started` and what is read are of the same clock. A
    time before the latest one counts as that."""

    def __init__(self, started: float, clock: Callable[[], float] | None = None) -> None:
        self._started = self._latest = started
        self._clock = clock
        self._total = 0
        self._complete: deque[_Slot] = deque()
        """SLOTS at most, which `_advance` sees to: one that a bound pushed out would stay in `_sum`."""
        self._sum = Tally()
        """Of `_complete`."""
        self._number = _slot(started)
        self._filling = Tally()
        self._new_flows = 0
        """Ways in `_filling` that `_sum` has not."""

    @property
    def total(self) -> int:
        """Requests since the start."""
        return self._total

    def at(self, told: float) -> float:
        """When by the window's clock something is that happens now, and at `told` by the teller's clock."""
        return told if self._clock is None else self._clock()

    def tell(self, story: Story) -> None:
        """Implements `story.Teller`."""
        self._advance(self.at(story.ended))
        self._total += 1
        self._filling.count(story)
        flow = flow_of(story)
        if flow is not None:
            self._filling.flows[self._told_apart(flow)] += 1

    def read(self, now: float) -> Recent:
        """The last minutes. What it gives is the caller's own."""
        self._advance(now)
        first = max(_slot(self._started), self._number - SLOTS)
        since = max(self._started, first * SLOT_SECONDS)
        tally = Tally()
        tally.take(self._sum)
        tally.take(self._filling)
        moments = {slot.number: slot.moment for slot in self._complete}
        return Recent(
            seconds=self._latest - since,
            uptime=self._latest - self._started,
            total=self._total,
            per_second=self._rate(),
            tally=tally,
            history=tuple(moments.get(number, NOTHING) for number in range(first, self._number)),
        )

    def _advance(self, at: float) -> None:
        """Close the slot that is over, and take off what is too old: each slot is added once, and taken off
        once."""
        self._latest = max(self._latest, at)
        number = _slot(self._latest)
        if number == self._number:
            return
        if self._filling.requests:
            self._sum.take(self._filling)
            self._complete.append(_Slot(self._number, self._filling, _moment(self._filling)))
        self._number, self._filling, self._new_flows = number, Tally(), 0
        oldest = number - SLOTS
        if self._complete and self._complete[-1].number < oldest:
            self._complete.clear()
            self._sum = Tally()
        while self._complete and self._complete[0].number < oldest:
            self._sum.drop(self._complete.popleft().tally)

    def _told_apart(self, flow: Flow) -> Flow:
        """`flow`, or OTHER where the window has as many as it may have."""
        if flow in self._filling.flows or flow in self._sum.flows:
            return flow
        if len(self._sum.flows) - (OTHER in self._sum.flows) + self._new_flows >= MAX_FLOWS:
            return OTHER
        self._new_flows += 1
        return flow

    def _rate(self) -> float:
        first = self._number - RATE_SLOTS
        requests = sum(slot.tally.requests for slot in self._complete if slot.number >= first)
        # Of a slot that has just begun, and of a router that has, at least a second is looked at.
        seconds = max(1.0, self._latest - max(self._started, first * SLOT_SECONDS))
        return (requests + self._filling.requests) / seconds


def _slot(at: float) -> int:
    return int(at // SLOT_SECONDS)


def _moment(tally: Tally) -> Moment:
    return Moment(tally.requests / SLOT_SECONDS, tally.hit_rate, tally.added.percentile(0.95))


def _subtract(counts: Counter[N], less: Mapping[N, int]) -> None:
    """Counter.subtract, but what there is no more of goes."""
    for name, count in less.items():
        counts[name] -= count
        if not counts[name]:
            del counts[name]
