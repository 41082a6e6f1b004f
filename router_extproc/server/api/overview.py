"""`GET /api/v1/overview`: how the router does, at a glance. Names, counts and times; nothing of any request.

What `router-extproc status`, `top` and the page show. Knows the window of the last minutes.
"""

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
    where none held; `model` where none was asked. `answered_by` is `model`, `cache`, or `router`: a
    refusal."""

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
    less. `failures` of the router's own parts by name: `analyst`, `verifier`, `store`."""

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


def overview_routes(window: Window, pool: Pool, served: Callable[[], Served], clock: Clock) -> tuple[Route]:
    async def overview(_: None) -> Overview:
        now = clock.now()
        return overview_of(window.read(now), served(), pool.conditions(now))

    return (
        Route(
            "GET", "/api/v1/overview", TAG, "The last minutes at a glance: rates, cache, flows, models",
            {200: Overview}, overview,
        ),
    )  # fmt: skip


def overview_of(recent: Recent, served: Served, conditions: Mapping[str, Condition]) -> Overview:
    tally = recent.tally
    return Overview(
        window_s=round(recent.seconds, 1),
        sample_s=SLOT_SECONDS,
        uptime_s=round(recent.uptime, 1),
        generation=served.number,
        requests=RequestCounts(
            total=recent.total,
            in_window=tally.requests,
            per_second=round(recent.per_second, 3),
            history=[each.per_second for each in recent.history],
        ),
        added_latency_ms=AddedLatency(
            p50=tally.added.percentile(0.50),
            p95=tally.added.percentile(0.95),
            p99=tally.added.percentile(0.99),
            history=[each.added_p95 for each in recent.history],
        ),
        cache=CacheOverview(
            hit_rate=_rounded(tally.hit_rate),
            hits=_ranked(tally.hits),
            misses=_ranked(tally.misses),
            skipped=_ranked(tally.skipped),
            history=[_rounded(each.hit_rate) for each in recent.history],
        ),
        flows=_flows(tally),
        models=[_model(name, price, tally, conditions.get(name)) for name, price in served.prices.items()],
        refusals=_ranked(tally.refusals),
        failures=_ranked(tally.failures),
        configuration=ConfigurationOverview(
            generation=served.number, policy=served.policy, last_error=served.problem
        ),
    )


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


def _model(name: str, price: Price | None, tally: Tally, condition: Condition | None) -> ModelOverview:
    took = tally.took.get(name, Durations())
    return ModelOverview(
        name=name,
        healthy=None if condition is None else condition.available,
        in_flight=None if condition is None else condition.in_flight,
        requests=tally.asked[name],
        failed=tally.failed[name],
        error_rate=None if condition is None else _rounded(condition.error_rate),
        latency_ms=ModelLatency(p50=took.percentile(0.50), p95=took.percentile(0.95)),
        price=None if price is None else ModelPrice(
            currency=price.currency, prompt_per_1m=price.prompt, completion_per_1m=price.completion
        ),
    )  # fmt: skip


def _ranked(counts: Mapping[str, int]) -> dict[str, int]:
    """Those that there were, the most frequent first."""
    return {name: count for name, count in sorted(counts.items(), key=lambda each: -each[1]) if count}


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(min(1.0, max(0.0, share)), 4)
