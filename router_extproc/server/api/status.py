"""`/health` and `/ready`, for whoever starts, stops and balances routers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal

from router_extproc.server.api.route import Answer, Route, Shape

TAG: Final = "status"

Check = Callable[[], Awaitable[bool]]
"""One condition of readiness. Bounded in time by whoever makes it; must not raise."""


class Health(Shape, frozen=True):
    status: Literal["healthy"]
    service: str


class Readiness(Shape, frozen=True):
    """`configuration` is the one served with: its number, its digest, and why a changed one was refused."""

    status: Literal["ready", "not ready"]
    checks: dict[str, bool]
    configuration: dict[str, Any]


def status_routes(
    checks: Mapping[str, Check], configuration: Callable[[], Mapping[str, object]] = dict
) -> tuple[Route, ...]:
    async def health(_: None) -> Health:
        return Health(status="healthy", service="router-extproc")

    async def ready(_: None) -> Answer:
        results = await asyncio.gather(*(check() for check in checks.values()))
        ok = all(results)
        named = dict(zip(checks, results, strict=True))
        body = Readiness(
            status="ready" if ok else "not ready", checks=named, configuration=dict(configuration())
        )
        return Answer(200 if ok else 503, body)

    return (
        Route("GET", "/health", TAG, "The process runs", {200: Health}, health),
        Route(
            "GET", "/ready", TAG, "Every check holds: requests through Envoy reach this router",
            {200: Readiness, 503: Readiness}, ready,
        ),
    )  # fmt: skip
