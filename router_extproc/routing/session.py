"""Whether a conversation stays with the model that answered it before. Pure; who remembers is elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from router_extproc.routing.policy import Model, Route
from router_extproc.routing.reasons import Adjusted


class SessionPolicy(StrEnum):
    """`NONE`: every request is decided by itself. `PIN`: the model stays. `ESCALATE_ONLY`: it stays or gives
    way to one of higher quality."""

    NONE = "none"
    PIN = "pin"
    ESCALATE_ONLY = "escalate_only"

    @property
    def remembers(self) -> bool:
        """Whether it matters which model answered before."""
        return self is not SessionPolicy.NONE


@dataclass(frozen=True, slots=True)
class Stay:
    """Which of the candidates the session lets answer (their places), and why it could not have its way."""

    allowed: frozenset[int]
    adjusted: Adjusted | None = None


def stay(
    policy: SessionPolicy,
    session_model: str | None,
    models: Mapping[str, Model],
    listed: Sequence[Route],
    suited: Sequence[int],
    usable: Sequence[int],
) -> Stay:
    """`usable` are the places in `listed` of candidates that can answer now, `suited` of those that could if
    they were available. `allowed` is never empty unless `usable` is.

    Quality is the model's own, not what a decision says it is worth: else two decisions could hand a
    conversation down between them.
    """
    if not policy.remembers or session_model is None:
        return Stay(frozenset(usable))
    same = frozenset(place for place in usable if listed[place].model == session_model)
    if policy is SessionPolicy.PIN:
        if same:
            return Stay(same)
        return Stay(frozenset(usable), _absent(session_model, listed, suited))
    known = models.get(session_model)
    if known is None:
        return Stay(frozenset(usable), Adjusted.SESSION_NOT_LISTED)
    least = known.quality
    raised = same | {place for place in usable if models[listed[place].model].quality > least}
    if raised:
        return Stay(frozenset(raised))
    equal = frozenset(place for place in usable if models[listed[place].model].quality == least)
    if equal:
        return Stay(equal, _absent(session_model, listed, suited))
    return Stay(frozenset(usable), Adjusted.SESSION_LOWERED if usable else None)


def _absent(session_model: str, listed: Sequence[Route], suited: Sequence[int]) -> Adjusted:
    """Why the session's model cannot go on."""
    if all(route.model != session_model for route in listed):
        return Adjusted.SESSION_NOT_LISTED
    if all(listed[place].model != session_model for place in suited):
        return Adjusted.SESSION_UNSUITABLE
    return Adjusted.SESSION_UNAVAILABLE
