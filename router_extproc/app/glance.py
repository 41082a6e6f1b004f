"""What a running router says of itself, as `status` and `top` read it. Pure: documents in, values out.

Reads what it shows and passes over the rest, so that a router of a later version can be looked at too;
`server.api.overview` and `telemetry.record` say what each field means.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

import msgspec

from router_extproc.app.figures import ranked
from router_extproc.base.errors import OperatorError

STALE: Final = "stale"


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    """Unknown fields are passed over."""


class Requests(_Read, frozen=True):
    total: int
    in_window: int
    per_second: float
    history: tuple[float, ...]


class Added(_Read, frozen=True):
    """Milliseconds; `history` is the 95th percentile of each sample."""

    p50: float | None
    p95: float | None
    p99: float | None
    history: tuple[float | None, ...]


class CacheUse(_Read, frozen=True):
    """`stale` hits are in no rate."""

    hit_rate: float | None
    hits: dict[str, int]
    misses: dict[str, int]
    skipped: dict[str, int]
    history: tuple[float | None, ...]

    @property
    def rates(self) -> dict[str, float]:
        """Of the lookups, the share that each kind of hit answered; they add up to `hit_rate`."""
        rated = {kind: count for kind, count in self.hits.items() if kind != STALE}
        lookups = sum(rated.values()) + sum(self.misses.values())
        return {kind: count / lookups for kind, count in rated.items() if lookups}


class Way(_Read, frozen=True):
    """Category, decision and model of requests that were answered alike."""

    category: str | None
    decision: str | None
    model: str | None
    answered_by: str
    count: int


class Latency(_Read, frozen=True):
    p50: float | None
    p95: float | None


class PoolModel(_Read, frozen=True):
    name: str
    healthy: bool | None
    in_flight: int | None
    requests: int
    failed: int
    error_rate: float | None
    latency_ms: Latency


class InForce(_Read, frozen=True):
    generation: int
    policy: str
    last_error: str | None


class Overview(_Read, frozen=True):
    window_s: float
    sample_s: float
    uptime_s: float
    requests: Requests
    added_latency_ms: Added
    cache: CacheUse
    flows: tuple[Way, ...]
    models: tuple[PoolModel, ...]
    refusals: dict[str, int]
    failures: dict[str, int]
    configuration: InForce


class RecordedCache(_Read, frozen=True):
    kind: str | None = None


class RecordedTimes(_Read, frozen=True):
    """Milliseconds; `decided_after` is null where nothing was decided."""

    decided_after: float | None = None
    total: float | None = None


class Recorded(_Read, frozen=True):
    """One record of `GET /api/v1/decisions`; what a record has not is null."""

    time: str
    category: str | None = None
    decision: str | None = None
    model: str | None = None
    answered_by: str | None = None
    status: int | None = None
    rejected: str | None = None
    cancelled: bool = False
    cache: RecordedCache = RecordedCache()
    milliseconds: RecordedTimes = RecordedTimes()


@dataclass(frozen=True, slots=True)
class Readiness:
    """`reasons` why not; none where it is ready."""

    ready: bool
    reasons: tuple[str, ...]


class State(Enum):
    """DEGRADED: it serves, and something of it does not work as it was set up."""

    READY = "ready"
    DEGRADED = "degraded"
    NOT_READY = "not ready"


@dataclass(frozen=True, slots=True)
class Glance:
    """One look at the router at `address`. `decisions`, the latest first, or why there are none to see."""

    address: str
    readiness: Readiness
    overview: Overview
    decisions: tuple[Recorded, ...] | str

    @property
    def state(self) -> State:
        if not self.readiness.ready:
            return State.NOT_READY
        return State.DEGRADED if worries(self.overview) else State.READY


MEANINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "envoy": "no request through Envoy reaches this router; is Envoy running?",
        "accepting": "it takes no streams: it starts, or it is about to end",
    }
)
"""What a check that does not hold means, by its name in `/ready`."""


def read_readiness(status: int, document: Mapping[str, Any]) -> Readiness:
    """Of the status and the body of `GET /ready`."""
    checks = document.get("checks")
    if isinstance(checks, dict):
        failed = tuple(name for name, holds in checks.items() if holds is not True)
        reasons = tuple(f"{name}: {MEANINGS.get(name, 'this check does not hold')}" for name in failed)
        if status == 200 and not failed:
            return Readiness(True, ())
        return Readiness(False, reasons or (f"the router says so (status {status})",))
    return Readiness(False, (message_of(document) or f"no readiness (status {status})",))


def worries(overview: Overview) -> tuple[str, ...]:
    """What does not work as it was set up, though requests are served."""
    found = []
    left_alone = [model.name for model in overview.models if model.healthy is False]
    if left_alone:
        found.append(f"left alone after failures: {', '.join(left_alone)}")
    if overview.failures:
        found.append(f"failed in this window: {ranked(overview.failures)}")
    if overview.configuration.last_error is not None:
        found.append(f"a changed configuration was refused: {overview.configuration.last_error}")
    return tuple(found)


def message_of(document: Mapping[str, Any]) -> str:
    """Of an error of the API; "" where it has none."""
    error = document.get("error")
    return str(error.get("message", "")) if isinstance(error, dict) else ""


def read_overview(document: object, address: str) -> Overview:
    """Of the body of `GET /api/v1/overview`. Raises OperatorError."""
    found: Overview = _read(document, Overview, address, "overview")
    return found


def read_decisions(document: Mapping[str, Any], address: str) -> tuple[Recorded, ...]:
    """Of the body of `GET /api/v1/decisions`. Raises OperatorError."""
    found: tuple[Recorded, ...] = _read(
        document.get("decisions"), tuple[Recorded, ...], address, "list of decisions"
    )
    return found


def _read(document: object, kind: Any, address: str, what: str) -> Any:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise OperatorError(
            f"{address}: this is no {what} that this command can read ({error}); use the router-extproc "
            "of the router's own version"
        ) from error
