"""The routing policy of one configuration: compiled once, immutable, and all that a decision goes by."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from router_extproc.routing.policy import Model, Route, SystemPrompt
from router_extproc.routing.rules import Tree
from router_extproc.routing.select import Algorithm
from router_extproc.routing.session import SessionPolicy
from router_extproc.routing.signals import Key, Signal
from router_extproc.routing.uncertainty import ThinkingPolicy

DOMAIN = "domain"
"""The name of the head whose labels are the routing policy's categories, unless a classifier stands in."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Who may answer, in the order of preference, and how the choice is made. `cache_key` names the cache's
    policy for it, "": the category's."""

    candidates: tuple[Route, ...]
    algorithm: Algorithm
    system_prompt: SystemPrompt | None = None
    tool_selection: bool = True
    cache_key: str = ""


@dataclass(frozen=True, slots=True)
class Ruled:
    """A decision of the configuration."""

    name: str
    priority: int
    rule: Tree
    listing: Listing


@dataclass(frozen=True, slots=True)
class Needs:
    """What of an analysis is read: the vector, heads by name, and what the guards find in all texts."""

    vector: bool = False
    heads: frozenset[str] = frozenset()
    guard: bool = False
    pii: bool = False

    @property
    def analysis(self) -> bool:
        """Whether there is any use in running the encoder."""
        return self.vector or bool(self.heads) or self.guard or self.pii


@dataclass(frozen=True, slots=True)
class RoutingPolicy:
    """`decisions` as written. `signals` holds those that a rule uses and no others.

    `categories` are by the label of the head `domain`; a category without candidates of its own has those of
    `default`, which has exactly one. `threshold` in [0, 1] is the least probability of a category that
    decides. `models` is the whole pool, `adapters` gives the model that each LoRA belongs to.
    `tool_selection`: whether tools may be added to requests at all. `thinking` is for routes that are
    `unsettled`; None: they stay as they are.
    """

    models: Mapping[str, Model]
    default: Listing
    decisions: tuple[Ruled, ...] = ()
    signals: Mapping[Key, Signal] = field(default_factory=dict)
    categories: Mapping[str, Listing] = field(default_factory=dict)
    threshold: float = 0.5
    domain: str = DOMAIN
    adapters: Mapping[str, str] = field(default_factory=dict)
    session: SessionPolicy = SessionPolicy.NONE
    tool_selection: bool = False
    thinking: ThinkingPolicy | None = None

    @property
    def needs(self) -> Needs:
        heads = {signal.head for signal in self.signals.values() if signal.head is not None}
        if self.categories or self.thinking is not None:
            heads.add(self.domain)
        vector = self.tool_selection or any(signal.reads_vector for signal in self.signals.values())
        return Needs(vector, frozenset(heads))

    def knows(self, name: str) -> bool:
        """Whether the pool has a model or an adapter of this name."""
        return name in self.models or name in self.adapters
