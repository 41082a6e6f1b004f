"""Small routing policies for tests, and what goes into a decision."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from router_extproc.routing.analysis import Analysis
from router_extproc.routing.compiled import Listing, RoutingPolicy, Ruled
from router_extproc.routing.policy import Model, Route
from router_extproc.routing.rules import Condition, Tree
from router_extproc.routing.select import Algorithm
from router_extproc.routing.signals import Evidence, Key, Reading
from router_extproc.routing.world import Condition as State
from router_extproc.routing.world import World

POOL = {
    "small": Model(context_window=4096, quality=0.3),
    "medium": Model(quality=0.5),
    "large": Model(vision=True, quality=0.9),
    "bare": Model(tools=False, quality=0.5),
}


class Said:
    """A signal that gives the evidence it is told to, and counts how often it is asked."""

    def __init__(self, key: Key, evidence: Evidence) -> None:
        self.kind, self.name = key
        self.head: str | None = None
        self.reads_vector = False
        self.asked = 0
        self._evidence = evidence

    def evaluate(self, reading: Reading) -> Evidence:
        self.asked += 1
        return self._evidence


def listing(*models: str | Route, **changes: Any) -> Listing:
    """Candidates by name; `changes` are other fields of the listing."""
    routes = tuple(
        Route(model, quality=POOL[model].quality) if isinstance(model, str) else model for model in models
    )
    return Listing(routes, **({"algorithm": Algorithm()} | changes))


def ruled(
    name: str, rule: Tree | Condition, *models: str | Route, priority: int = 0, **changes: Any
) -> Ruled:
    tree = rule if isinstance(rule, Tree) else Tree("AND", (rule,))
    return Ruled(name, priority, tree, listing(*models, **changes))


def policy(*decisions: Ruled, **changes: Any) -> RoutingPolicy:
    """Over POOL, with `medium` as the default model and a category `math` that `large` answers."""
    fields: dict[str, Any] = {
        "models": POOL,
        "default": listing("medium"),
        "decisions": decisions,
        "categories": {"math": listing("large", "small"), "law": Listing((), Algorithm())},
        "adapters": {"lawyer": "small"},
    }
    return RoutingPolicy(**(fields | changes))


def analysis(
    heads: Mapping[str, Mapping[str, float]] | None = None, vector: Sequence[float] = (1, 0)
) -> Analysis:
    """What the encoder said; without `heads`, that this is mathematics."""
    given = {"domain": {"math": 0.8, "law": 0.2}} if heads is None else heads
    return Analysis(np.array(vector, np.float32), given, "e1", 5)


def world(*down: str, session: str | None = None, chance: float = 0.0, **states: State) -> World:
    """`down` are left alone after failures."""
    left = {model: State(available=False) for model in down}
    return World({**states, **left}, session, chance)
