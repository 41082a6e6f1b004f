"""`GET /api/v1/overview`: how the router does, at a glance. Names, counts and times; nothing of any request.

What `router-extproc status`, `top` and the page show. Knows the window of the last minutes. Anybody may
poll it, so what it says of the window is made seldom and served for a while.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from router_extproc.ports import Clock
from router_extproc.routing.world import Condition
from router_extproc.server.api.cache_shapes import Count
from router_extproc.server.api.route import Route, Shape
from router_extproc.server.pool import Pool
from router_extproc.telemetry.spending import Price
from router_extproc.telemetry.window import SLOT_SECONDS, Durations, Recent, Tally, Window

TAG: Final = "status"

FRESH_SECONDS: Final = 1.0
"""A reading of the window is served this long at most."""

READINGS: Final = 4
"""Of the window in FRESH_SECONDS, however many ask. Few pollers see every request at once."""

Millis = Annotated[float, Meta(ge=0)] | None
Rate = Annotated[float, Meta(ge=0, le=1)] | None
Counts = dict[str, Count]


class RequestCounts(Shape, frozen=True):
    """Chat completions, counted when they are over. `total` since the start, `in_window` in the window,
    `per_second` of the last 10 to 15 s; `history` is per second too, a number for each complete sample."""

    total: Count
    in_window: Count
    per_second: Annotated[float, Meta(ge=0)]
    history: list[float]


class AddedLatency(Shape, frozen=True):
    """What the router itself took, from a request's first message until it went to a model or was answered
    from the cache: waiting for an identical request counts, and so does waiting for the request's body.
    `history` is the 95th percentile of each sample. Null where nothing was."""

    p50: Millis
    p95: Millis
    p99: Millis
    history: list[Millis]


class CacheOverview(Shape, frozen=True):
    """`hit_rate` of the lookups; null where there was none. `hits` by how they were found (`exact`,
    `semantic`, `coalesced`, and `stale`, which are in no rate), `misses` and `skipped` (not looked up) by
    reason."""

    hit_rate: Rate
    hits: Counts
    misses: Counts
    skipped: Counts
    history: list[Rate]


class FlowCount(Shape, frozen=True):
    """`category` is null where nobody read it, as of an exact hit, or where none was sure enough; `decision`
    where none held; `model` where none was asked. `answered_by` is `model`, `cache`, or `router`: a refusal.
    256 ways are told apart in a window; requests that took yet another are one entry, in which all four are
    `other`."""

    category: str | None
    decision: str | None
    model: str | None
    answered_by: str
    count: Count


class ModelLatency(Shape, frozen=True):
    """Of complete answers, from the request's first message to the answer's end."""

    p50: Millis
    p95: Millis


class ModelPrice(Shape, frozen=True):
    """Of a million tokens each."""

    currency: str
    prompt_per_1m: float
    completion_per_1m: float


class ModelOverview(Shape, frozen=True):
    """`healthy` is false while the model is left alone after failures, and null where nothing is learned of
    the pool; so is `in_flight`. `requests` and `failed` (status 500 and above) are the window's."""

    name: str
    healthy: bool | None
    in_flight: Count | None
    requests: Count
    failed: Count
    error_rate: Rate
    latency_ms: ModelLatency
    price: ModelPrice | None


class ConfigurationOverview(Shape, frozen=True):
    """`generation` counts the configurations served with since the start, `policy` is the digest of the one
    in force; `last_error` says why a changed file was refused."""

    generation: Count
    policy: str
    last_error: str | None


class Overview(Shape, frozen=True):
    """The last `window_s` seconds, in samples of `sample_s` each, oldest first; since the start where that is
    less. What it says of requests and times is at most 1 s old. `failures` of the router's own parts by
    name: `analyst`, `verifier`, `store`."""

    window_s: float
    sample_s: float
    uptime_s: float
    generation: Count
    requests: RequestCounts
    added_latency_ms: AddedLatency
    cache: CacheOverview
    flows: list[FlowCount]
    models: list[ModelOverview]
    refusals: Counts
    failures: Counts
    configuration: ConfigurationOverview


@dataclass(frozen=True, slots=True)
class Served:
    """What is served with now: the configuration's number and digest, why a change of it was refused, and
    every model of the pool with its price, None where it has none."""

    number: int
    policy: str
    problem: str | None
    prices: Mapping[str, Price | None]


@dataclass(frozen=True, slots=True)
class _OfModel:
    requests: int
    failed: int
    latency: ModelLatency


UNASKED: Final = _OfModel(0, 0, ModelLatency(None, None))


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the window said, as it is answered."""

    seconds: float
    uptime: float
    requests: RequestCounts
    added: AddedLatency
    cache: CacheOverview
    flows: list[FlowCount]
    models: Mapping[str, _OfModel]
    refusals: Counts
    failures: Counts


class _Latest:
    """The window's reading. It is made anew after FRESH_SECONDS, and before where a request was counted since
    and fewer than READINGS were made."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._made: deque[float] = deque(maxlen=READINGS)
        self._total = 0
        self._reading: _Reading | None = None

    def at(self, now: float) -> _Reading:
        """`now` by the window's clock."""
        if self._reading is None or self._stale(now):
            self._reading = _reading(self._window.read(now))
            self._made.append(now)
            self._total = self._window.total
        return self._reading

    def _stale(self, now: float) -> bool:
        if not 0 <= now - self._made[-1] < FRESH_SECONDS:
            return True
        spent = len(self._made) == READINGS and now - self._made[0] < FRESH_SECONDS
        return self._total != self._window.total and not spent


def overview_routes(window: Window, pool: Pool, served: Callable[[], Served], clock: Clock) -> tuple[Route]:
    """`clock` is the pool's; the window may have its own."""
    latest = _Latest(window)

    async def overview(_: None) -> Overview:
        now = clock.now()
        return _overview(latest.at(window.at(now)), served(), pool.conditions(now))

    return (
        Route(
            "GET", "/api/v1/overview", TAG, "The last minutes at a glance: rates, cache, flows, models",
            {200: Overview}, overview,
        ),
    )  # fmt: skip


def overview_of(recent: Recent, served: Served, conditions: Mapping[str, Condition]) -> Overview:
    return _overview(_reading(recent), served, conditions)


def _overview(reading: _Reading, served: Served, conditions: Mapping[str, Condition]) -> Overview:
    return Overview(
        window_s=reading.seconds,
        sample_s=SLOT_SECONDS,
        uptime_s=reading.uptime,
        generation=served.number,
        requests=reading.requests,
        added_latency_ms=reading.added,
        cache=reading.cache,
        flows=reading.flows,
        models=[
            _model(name, price, reading.models.get(name, UNASKED), conditions.get(name))
            for name, price in served.prices.items()
        ],
        refusals=reading.refusals,
        failures=reading.failures,
        configuration=ConfigurationOverview(
            generation=served.number, policy=served.policy, last_error=served.problem
        ),
    )


def _reading(recent: Recent) -> _Reading:
    tally = recent.tally
    p50, p95, p99 = tally.added.percentiles(0.50, 0.95, 0.99)
    return _Reading(
        seconds=round(recent.seconds, 1),
        uptime=round(recent.uptime, 1),
        requests=RequestCounts(
            total=recent.total,
            in_window=tally.requests,
            per_second=round(recent.per_second, 3),
            history=[each.per_second for each in recent.history],
        ),
        added=AddedLatency(p50=p50, p95=p95, p99=p99, history=[each.added_p95 for each in recent.history]),
        cache=CacheOverview(
            hit_rate=_rounded(tally.hit_rate),
            hits=_ranked(tally.hits),
            misses=_ranked(tally.misses),
            skipped=_ranked(tally.skipped),
            history=[_rounded(each.hit_rate) for each in recent.history],
        ),
        flows=_flows(tally),
        models={name: _of_model(name, tally) for name in tally.asked},
        refusals=_ranked(tally.refusals),
        failures=_ranked(tally.failures),
    )


def _of_model(name: str, tally: Tally) -> _OfModel:
    p50, p95 = tally.took.get(name, Durations()).percentiles(0.50, 0.95)
    return _OfModel(tally.asked[name], tally.failed[name], ModelLatency(p50=p50, p95=p95))


def _flows(tally: Tally) -> list[FlowCount]:
    """The most travelled first."""
    return [
        FlowCount(
            category=flow.category or None,
            decision=flow.decision or None,
            model=flow.model or None,
            answered_by=flow.answered_by.value,
            count=count,
        )
        for flow, count in tally.flows.most_common()
    ]


def _model(name: str, price: Price | None, figures: _OfModel, condition: Condition | None) -> ModelOverview:
    return ModelOverview(
        name=name,
        healthy=None if condition is None else condition.available,
        in_flight=None if condition is None else condition.in_flight,
        requests=figures.requests,
        failed=figures.failed,
        error_rate=None if condition is None else _rounded(condition.error_rate),
        latency_ms=figures.latency,
        price=None if price is None else ModelPrice(
            currency=price.currency, prompt_per_1m=price.prompt, completion_per_1m=price.completion
        ),
    )  # fmt: skip


def _ranked(counts: Mapping[str, int]) -> dict[str, int]:
    """Those that there were, the most frequent first."""
    return {name: count for name, count in sorted(counts.items(), key=lambda each: -each[1]) if count}


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(min(1.0, max(0.0, share)), 4)
