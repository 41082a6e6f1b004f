"""How the last minutes went: requests, cache, added time, models, flows. What a status page shows.

Made of stories, so of notes and times only. Its memory is bounded: slots of time, each with counts by names
of the configuration and with durations in a fixed number of bins.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

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

MAX_FLOWS: Final = 1024
"""Different ways that requests took in one slot. The configuration bounds them; this bounds a bug."""

FINEST_MS: Final = 0.01
STEP: Final = 1.05
LAST_BIN: Final = 378
"""Up to a thousand seconds."""


class AnsweredBy(StrEnum):
    """Who gave the answer; the router gives refusals."""

    MODEL = "model"
    CACHE = "cache"
    ROUTER = "router"


@dataclass(frozen=True, slots=True)
class Flow:
    """One way that requests take; "" for what there was not: a word-for-word hit is answered before anybody
    reads its category."""

    category: str
    decision: str
    model: str
    answered_by: AnsweredBy


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

    def percentile(self, share: float) -> float | None:
        """Milliseconds that `share`, in (0, 1], of them do not exceed; None of nothing."""
        wanted, seen = share * len(self), 0
        for number, count in sorted(self._bins.items()):
            seen += count
            if seen >= wanted:
                return round(FINEST_MS * STEP**number, 3)
        return None


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
        """One request more."""
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
        flow = flow_of(story)
        if flow is not None and (flow in self.flows or len(self.flows) < MAX_FLOWS):
            self.flows[flow] += 1

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
        for mine, more in (
            (self.hits, other.hits),
            (self.misses, other.misses),
            (self.skipped, other.skipped),
            (self.refusals, other.refusals),
            (self.failures, other.failures),
            (self.asked, other.asked),
            (self.failed, other.failed),
        ):
            mine.update(more)
        self.flows.update(other.flows)
        self.added.take(other.added)
        for model, durations in other.took.items():
            self.took.setdefault(model, Durations()).take(durations)


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


class Window:
    """One for the life of a router, since `started` (Unix seconds, as all times here). Not thread-safe. A
    request counts when its exchange is over. Where the clock goes back, what comes counts as now."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._total = 0
        self._slots: deque[tuple[int, Tally]] = deque([(_slot(started), Tally())], maxlen=SLOTS + 1)

    def tell(self, story: Story) -> None:
        """Implements `story.Teller`."""
        self._total += 1
        newest, tally = self._slots[-1]
        number = _slot(story.ended)
        if number > newest:
            tally = Tally()
            self._slots.append((number, tally))
        tally.count(story)

    def read(self, now: float) -> Recent:
        """The last minutes."""
        current = max(_slot(now), self._slots[-1][0])
        first = max(_slot(self._started), current - SLOTS)
        tallies = {number: tally for number, tally in self._slots if number >= first}
        since = max(self._started, first * SLOT_SECONDS)
        return Recent(
            seconds=max(0.0, now - since),
            uptime=max(0.0, now - self._started),
            total=self._total,
            per_second=self._rate(tallies, current, now),
            tally=_sum(tallies.values()),
            history=tuple(_moment(tallies.get(number)) for number in range(first, current)),
        )

    def _rate(self, tallies: Mapping[int, Tally], current: int, now: float) -> float:
        first = current - RATE_SLOTS
        requests = sum(tally.requests for number, tally in tallies.items() if number >= first)
        # Of a slot that has just begun, and of a router that has, at least a second is looked at.
        return requests / max(1.0, now - max(self._started, first * SLOT_SECONDS))


def _slot(at: float) -> int:
    return int(at // SLOT_SECONDS)


def _sum(tallies: Iterable[Tally]) -> Tally:
    total = Tally()
    for each in tallies:
        total.take(each)
    return total


def _moment(tally: Tally | None) -> Moment:
    if tally is None:
        return Moment(0.0, None, None)
    return Moment(tally.requests / SLOT_SECONDS, tally.hit_rate, tally.added.percentile(0.95))
