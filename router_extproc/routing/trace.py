"""How a decision came about, as plain data: names, labels and numbers, nothing of what the client wrote."""

from dataclasses import dataclass
from typing import Any

import msgspec

from router_extproc.routing.reasons import Adjusted, Dropped, Rule
from router_extproc.routing.rules import Outcome
from router_extproc.routing.uncertainty import Uncertainty


@dataclass(frozen=True, slots=True)
class SignalTrace:
    """What one signal said; `confidence` in [0, 1]."""

    kind: str
    name: str
    matched: bool
    confidence: float
    detail: str


@dataclass(frozen=True, slots=True)
class DecisionTrace:
    """What became of one decision's rules."""

    name: str
    priority: int
    matched: bool
    confidence: float
    rules: Outcome


@dataclass(frozen=True, slots=True)
class CandidateTrace:
    """One model that was listed, in the order of the list. `score` is the selection's, None where it was not
    asked; `dropped` says why the candidate could not answer or was left aside."""

    model: str
    adapter: str | None
    reasoning: bool
    quality: float
    cost: float | None
    score: float | None
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, slots=True)
class SelectionTrace:
    """How one of the candidates was chosen. `explored`: not the best one, to learn how it does."""

    algorithm: str
    reason: str
    explored: bool


@dataclass(frozen=True, slots=True)
class Needed:
    """What the request asks of a model."""

    context_window: int
    vision: bool
    tools: bool


@dataclass(frozen=True, slots=True)
class Chosen:
    """What came out. `model` is None where nothing suits; then `lacking` says what is missing."""

    model: str | None
    adapter: str | None
    reasoning: bool
    rule: Rule
    decision: str
    category: str
    lacking: tuple[Dropped, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """`domain` are the domain head's probabilities, most likely first. `requested`: the model the client
    named, or None. `failed` names the heads that should have judged the request and did not. `sensitive` are
    the types of personal data found in it that count here, in alphabetical order. `uncertainty` is None where
    thinking does not go by it."""

    requested: str | None
    needed: Needed
    domain: tuple[tuple[str, float], ...]
    signals: tuple[SignalTrace, ...]
    decisions: tuple[DecisionTrace, ...]
    candidates: tuple[CandidateTrace, ...]
    selection: SelectionTrace | None
    adjusted: tuple[Adjusted, ...]
    outcome: Chosen
    failed: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    uncertainty: Uncertainty | None = None

    def as_json(self) -> dict[str, Any]:
        """The same as values that `json` can write; `domain` by label."""
        document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return document | {"domain": dict(self.domain)}
