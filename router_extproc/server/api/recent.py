"""`GET /api/v1/decisions`: the records of the latest decisions. Needs the token: they tell of all tenants.

Knows no exchanges: who keeps the records is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Protocol

from msgspec import Meta

from router_extproc.server.api.route import ID_FORM, Access, Route, Shape
from router_extproc.telemetry.decision import DecisionRecord

TAG: Final = "decisions"

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 1000


class LatestDecisions(Protocol):
    def latest(self, limit: int, after: str | None = None) -> Sequence[DecisionRecord]:
        """Up to `limit`, the latest first; with `after`, those that ended later than that request, or as
        without it where nobody knows that one any more."""
        ...


class DecisionsQuery(Shape, frozen=True):
    """`after`: only those that ended later than this request. Of an id that is not kept any more, the latest,
    as without it."""

    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    after: Annotated[str, Meta(pattern=ID_FORM, description="A `request_id`.")] | None = None


class DecisionsReply(Shape, frozen=True):
    """The latest first."""

    decisions: list[DecisionRecord]


def recent_routes(decisions: LatestDecisions) -> tuple[Route, ...]:
    calls = _Calls(decisions)
    return (
        Route(
            "GET", "/api/v1/decisions", TAG, "The records of the latest decisions",
            {200: DecisionsReply}, calls.latest, takes=DecisionsQuery, access=Access.TOKEN,
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Calls:
    decisions: LatestDecisions

    async def latest(self, asked: DecisionsQuery) -> DecisionsReply:
        return DecisionsReply(decisions=list(self.decisions.latest(asked.limit, asked.after)))
