"""What several workers answer to one question, as one answer. JSON in, JSON out; knows no HTTP.

Counts add up. A percentile of several is at most the largest of theirs, which is told: no worker knows the
others' times. A model is healthy while any worker uses it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final

Document = dict[str, Any]
Numbers = Sequence[float | None]

STALE: Final = "stale"
"""Hits that are in no rate."""


def overview(said: Sequence[Document]) -> Document:
    """Of `/api/v1/overview`."""
    first, models = said[0], [model["name"] for model in said[0]["models"]]
    requests, added, cache = (
        [each[key] for each in said] for key in ("requests", "added_latency_ms", "cache")
    )
    hits, misses = _counts(each["hits"] for each in cache), _counts(each["misses"] for each in cache)
    found = sum(hits.values()) - hits.get(STALE, 0)
    looked_up = found + sum(misses.values())
    return {
        **first,
        "window_s": max(each["window_s"] for each in said),
        "uptime_s": max(each["uptime_s"] for each in said),
        "requests": {
            "total": sum(each["total"] for each in requests),
            "in_window": sum(each["in_window"] for each in requests),
            "per_second": round(sum(each["per_second"] for each in requests), 3),
            "history": _curve([each["history"] for each in requests], sum),
        },
        "added_latency_ms": {key: _most(each[key] for each in added) for key in ("p50", "p95", "p99")}
        | {"history": _curve([each["history"] for each in added], max)},
        "cache": {
            "hit_rate": round(found / looked_up, 4) if looked_up else None,
            "hits": hits,
            "misses": misses,
            "skipped": _counts(each["skipped"] for each in cache),
            "history": _curve([each["history"] for each in cache], _mean),
        },
        "flows": _flows(flow for each in said for flow in each["flows"]),
        "models": [_model(name, said) for name in models],
        "refusals": _counts(each["refusals"] for each in said),
        "failures": _counts(each["failures"] for each in said),
    }


def decisions(said: Sequence[Document], limit: int, after: str | None) -> Document:
    """Of `/api/v1/decisions`: the latest `limit` of all, after the request `after` where it is there."""
    listed = sorted((each for one in said for each in one["decisions"]), key=_time, reverse=True)
    place = next((index for index, each in enumerate(listed) if each["request_id"] == after), None)
    return {"decisions": listed[:place][:limit]}


def pool(said: Sequence[Document]) -> Document:
    """Of `/api/v1/pool`."""
    names = dict.fromkeys(name for each in said for name in each["models"])
    return {"models": {name: _condition([each["models"].get(name) for each in said]) for name in names}}


def stats(said: Sequence[Document]) -> Document:
    """Of the cache. What lies in a worker's memory is its own; a store behind is one and the same."""
    tiers = [
        tier if tier["backend"] != "memory" else _memory([each["tiers"][index] for each in said])
        for index, tier in enumerate(said[0]["tiers"])
    ]
    counters = Counter[str]()
    for each in said:
        counters.update(each["counters"])
    return {**said[0], "tiers": tiers, "counters": dict(counters)}


def entries(said: Sequence[Document], limit: int) -> Document:
    """Of the cache's list: each entry once, the newest first."""
    unique = {(each["partition"], each["id"]): each for one in said for each in one["entries"]}
    listed = sorted(unique.values(), key=lambda each: -float(each["created_at"]))
    more = any(one["more"] for one in said) or len(listed) > limit
    return {"entries": listed[:limit], "more": more}


def _time(record: Document) -> str:
    return str(record["time"])


def _counts(said: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The most frequent first."""
    total = Counter[str]()
    for each in said:
        total.update(each)
    return dict(total.most_common())


def _most(values: Iterable[float | None]) -> float | None:
    return max((each for each in values if each is not None), default=None)


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)


def _curve(curves: Sequence[Numbers], of: Callable[[list[float]], float]) -> list[float | None]:
    """The newest samples stand last, and of a worker that began later there are fewer."""
    aligned = zip_longest(*(reversed(each) for each in curves))
    known = [[value for value in column if value is not None] for column in aligned]
    return [of(column) if column else None for column in reversed(known)]


def _flows(flows: Iterable[Document]) -> list[Document]:
    total = Counter[tuple[Any, ...]]()
    keys = ("category", "decision", "model", "answered_by")
    for flow in flows:
        total[tuple(flow[key] for key in keys)] += flow["count"]
    return [{**dict(zip(keys, way, strict=True)), "count": count} for way, count in total.most_common()]


def _model(name: str, said: Sequence[Document]) -> Document:
    seen = [model for each in said for model in each["models"] if model["name"] == name]
    known = [model["healthy"] for model in seen if model["healthy"] is not None]
    flying = [model["in_flight"] for model in seen if model["in_flight"] is not None]
    return {
        **seen[0],
        "healthy": any(known) if known else None,
        "in_flight": sum(flying) if flying else None,
        "requests": sum(model["requests"] for model in seen),
        "failed": sum(model["failed"] for model in seen),
        "error_rate": _most(model["error_rate"] for model in seen),
        "latency_ms": {key: _most(model["latency_ms"][key] for model in seen) for key in ("p50", "p95")},
    }


def _condition(seen: Sequence[Document | None]) -> Document:
    """Of a model: what most was measured of is told, with the requests in flight of all."""
    known = [each for each in seen if each is not None]
    best = max(known, key=lambda each: float(each["samples"]))
    return {
        **best,
        "available": any(each["available"] for each in known),
        "in_flight": sum(each["in_flight"] for each in known),
        "samples": sum(each["samples"] for each in known),
    }


def _memory(tiers: Sequence[Document]) -> Document:
    bounds = {key: [tier[key] for tier in tiers if tier[key] is not None] for key in ("bytes", "capacity")}
    return {
        **tiers[0],
        "entries": sum(tier["entries"] for tier in tiers),
        **{key: sum(values) if values else None for key, values in bounds.items()},
        "is_up": all(tier["is_up"] for tier in tiers),
    }
