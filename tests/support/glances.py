"""What a router says of itself, for tests of what is made of it."""

from typing import Any

ADDRESS = "http://127.0.0.1:8080"


def overview(**changes: Any) -> dict[str, Any]:
    """The body of `GET /api/v1/overview` of a router with traffic, with which all is well."""
    models: list[dict[str, Any]] = [
        model("qwen3-32b", True, 3, 210, p50=1200.0, p95=3400.0),
        model("qwen3-8b", True, 0, 4, failed=4),
        model("phi4", None, None, 0),
    ]
    found: dict[str, Any] = {
        "window_s": 300.0,
        "sample_s": 5.0,
        "uptime_s": 7512.2,
        "generation": 2,
        "requests": {"total": 12034, "in_window": 415, "per_second": 4.13, "history": [0.0, 4.0, 8.0]},
        "added_latency_ms": {"p50": 5.1, "p95": 14.23, "p99": 31.0, "history": [None, 7.0, 14.0]},
        "cache": {
            "hit_rate": 0.4333,
            "hits": {"exact": 120, "semantic": 80, "coalesced": 2},
            "misses": {"nothing_similar": 210, "guard": 12},
            "skipped": {"no_tenant": 3},
            "history": [None, 0.5, 1.0],
        },
        "flows": [
            flow("math", None, "qwen3-32b", "model", 210),
            flow(None, None, None, "cache", 202),
            flow("law", "legal", None, "router", 3),
        ],
        "models": models,
        "refusals": {"jailbreak": 3},
        "failures": {},
        "configuration": {"generation": 2, "policy": "1f2e3d4c5b6a7988", "last_error": None},
    }
    return found | changes


def model(
    name: str,
    healthy: bool | None,
    in_flight: int | None,
    requests: int,
    *,
    failed: int = 0,
    p50: float | None = None,
    p95: float | None = None,
) -> dict[str, Any]:
    return {
        "name": name,
        "healthy": healthy,
        "in_flight": in_flight,
        "requests": requests,
        "failed": failed,
        "error_rate": None if healthy is None else 0.0,
        "latency_ms": {"p50": p50, "p95": p95},
        "price": None,
    }


def flow(
    category: str | None, decision: str | None, model: str | None, answered_by: str, count: int
) -> dict[str, Any]:
    return {
        "category": category,
        "decision": decision,
        "model": model,
        "answered_by": answered_by,
        "count": count,
    }


def record(at: str, **fields: Any) -> dict[str, Any]:
    """One of `GET /api/v1/decisions`, with the fields of it that are shown and one that is not."""
    found: dict[str, Any] = {
        "time": f"2026-11-23T{at}.123+00:00",
        "request_id": "0" * 32,
        "category": None,
        "decision": None,
        "model": None,
        "answered_by": None,
        "status": None,
        "rejected": None,
        "cancelled": False,
        "cache": {"action": "none", "kind": None},
        "milliseconds": {"decided_after": None, "total": 1.2},
    }
    return found | fields


LEFT_ALONE: list[dict[str, Any]] = [model("qwen3-32b", True, 0, 1), model("qwen3-8b", False, 0, 4, failed=4)]
"""Models of a router that is degraded."""

READY: dict[str, Any] = {"status": "ready", "checks": {"envoy": True}, "configuration": {}}
NOT_READY: dict[str, Any] = {"status": "not ready", "checks": {"envoy": False}, "configuration": {}}
DECISIONS: dict[str, Any] = {
    "decisions": [
        record(
            "09:20:01",
            category="math",
            model="qwen3-32b",
            answered_by="model",
            status=200,
            milliseconds={"decided_after": 5.2, "total": 1300.2},
        ),
        record(
            "09:20:00",
            model="qwen3-32b",
            answered_by="cache",
            status=200,
            cache={"action": "hit", "kind": "exact"},
            milliseconds={"decided_after": 0.4, "total": 1.2},
        ),
        record(
            "09:19:59",
            category="law",
            decision="legal",
            answered_by="router",
            status=403,
            rejected="jailbreak",
        ),
        record("09:19:58", cancelled=True),
    ]
}
