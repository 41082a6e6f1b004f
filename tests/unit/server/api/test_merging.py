"""What several workers say of themselves, as one answer."""

from typing import Any

import msgspec

from router_extproc.server.api import merging
from router_extproc.server.api.overview import Overview, Served, overview_of
from router_extproc.telemetry.window import Recent, Tally

CONDITION = {
    "available": True, "latency": 1.0, "time_to_first_token": 0.1, "time_per_token": 0.01,
    "error_rate": 0.0, "in_flight": 2, "samples": 3.0,
}  # fmt: skip


def an_overview(total: int, rate: float, **more: Any) -> dict[str, Any]:
    """That of a worker that has just begun, with what is given."""
    recent = Recent(10.0, 20.0, total, rate, Tally(), ())
    document: dict[str, Any] = msgspec.to_builtins(overview_of(recent, Served(1, "p", None, {"m": None}), {}))
    return {**document, **more}


def test_counts_add_up_and_the_answer_keeps_its_form() -> None:
    cache = {
        "hit_rate": 1.0,
        "hits": {"exact": 3, "stale": 5},
        "misses": {},
        "skipped": {"off": 1},
        "history": [1.0],
    }
    other = {"hit_rate": 0.0, "hits": {}, "misses": {"none": 1}, "skipped": {"off": 2}, "history": [0.0, 0.5]}
    flow = {"category": None, "decision": "d", "model": "m", "answered_by": "model"}
    merged = merging.overview(
        [
            an_overview(4, 1.5, cache=cache, flows=[{**flow, "count": 2}], failures={"store": 1}),
            an_overview(6, 2.0, cache=other, flows=[{**flow, "count": 3}]),
        ]
    )
    said = msgspec.convert(merged, Overview)
    assert (said.requests.total, said.requests.per_second) == (10, 3.5)
    # Stale hits are in no rate: 3 of 4 lookups.
    assert (said.cache.hit_rate, said.cache.skipped, said.failures) == (0.75, {"off": 3}, {"store": 1})
    assert [(each.decision, each.count) for each in said.flows] == [("d", 5)]


def test_curves_are_aligned_at_their_newest_sample() -> None:
    young, old = {"history": [4.0]}, {"history": [1.0, 2.0, 3.0]}
    merged = merging.overview(
        [
            an_overview(1, 1.0) | {"requests": {"total": 1, "in_window": 1, "per_second": 1.0, **young}},
            an_overview(1, 1.0) | {"requests": {"total": 1, "in_window": 1, "per_second": 1.0, **old}},
        ]
    )
    assert merged["requests"]["history"] == [1.0, 2.0, 7.0]


def test_a_percentile_is_the_largest_and_a_model_is_healthy_while_anybody_uses_it() -> None:
    added: list[dict[str, Any]] = [
        {"p50": 1.0, "p95": 9.0, "p99": None, "history": []},
        {"p50": 2.0, "p95": 3.0, "p99": None, "history": []},
    ]
    model = {
        "name": "m", "healthy": False, "in_flight": 2, "requests": 1, "failed": 1, "error_rate": 1.0,
        "latency_ms": {"p50": 5.0, "p95": 6.0}, "price": None,
    }  # fmt: skip
    better = model | {"healthy": True, "in_flight": 1, "failed": 0, "error_rate": 0.0}
    merged = merging.overview(
        [
            an_overview(1, 1.0, added_latency_ms=added[0], models=[model]),
            an_overview(1, 1.0, added_latency_ms=added[1], models=[better]),
        ]
    )
    assert merged["added_latency_ms"] == {"p50": 2.0, "p95": 9.0, "p99": None, "history": []}
    (said,) = merged["models"]
    assert (said["healthy"], said["in_flight"], said["requests"], said["failed"]) == (True, 3, 2, 1)


def record(name: str, time: str) -> dict[str, str]:
    return {"request_id": name, "time": time}


def test_decisions_are_the_latest_of_all_and_those_after_one() -> None:
    said = [
        {"decisions": [record("c", "3"), record("a", "1")]},
        {"decisions": [record("d", "4"), record("b", "2")]},
    ]
    assert [each["request_id"] for each in merging.decisions(said, 3, None)["decisions"]] == ["d", "c", "b"]
    assert [each["request_id"] for each in merging.decisions(said, 9, "b")["decisions"]] == ["d", "c"]
    assert len(merging.decisions(said, 9, "gone")["decisions"]) == 4


def test_the_pool_is_told_by_who_measured_most() -> None:
    merged = merging.pool(
        [{"models": {"m": CONDITION}}, {"models": {"m": CONDITION | {"samples": 9.0, "latency": 7.0}}}]
    )
    assert merged["models"]["m"] == CONDITION | {"latency": 7.0, "samples": 12.0, "in_flight": 4}


def test_memory_adds_up_and_a_shared_store_is_told_once() -> None:
    memory = {"backend": "memory", "entries": 2, "bytes": 10, "capacity": 100, "is_up": True}
    milvus = {"backend": "milvus", "entries": 7, "bytes": None, "capacity": None, "is_up": True}
    said = {"backend": "hybrid", "tiers": [memory, milvus], "counters": {"hits": 1.0}}
    merged = merging.stats([said, said])
    assert merged["tiers"] == [memory | {"entries": 4, "bytes": 20, "capacity": 200}, milvus]
    assert merged["counters"] == {"hits": 2.0}


def test_an_entry_of_both_is_listed_once() -> None:
    one = {"id": "1", "partition": "p", "created_at": 1.0}
    two = {"id": "2", "partition": "p", "created_at": 2.0}
    said = [{"entries": [one], "more": False}, {"entries": [two, one], "more": False}]
    assert merging.entries(said, 5) == {"entries": [two, one], "more": False}
    assert merging.entries(said, 1) == {"entries": [two], "more": True}
