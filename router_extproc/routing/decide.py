"""Which model answers, and whether it reasons: a pure function of what is known about a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from router_extproc.routing.analysis import Analysis

DOMAIN = "domain"
"""The name of the head whose labels are the routing policy's categories."""


class Rule(StrEnum):
    """What decided; the `reason_code` of VSR's metrics where it has one for the same thing."""

    CATEGORY = "auto_routing"
    BELOW_THRESHOLD = "below_threshold"
    NO_ROUTE = "no_route"
    NO_ANALYSIS = "no_analysis"
    REQUESTED = "model_specified"


@dataclass(frozen=True, slots=True)
class ReasoningFamily:
    """How a model's thinking is switched in a request (vLLM's and OpenAI's fields)."""

    type: Literal["chat_template_kwargs", "reasoning_effort"]
    parameter: str


@dataclass(frozen=True, slots=True)
class Route:
    """Where a category goes. `effort` is used when `reasoning` is on."""

    model: str
    reasoning: bool = False
    effort: str = "medium"


@dataclass(frozen=True, slots=True)
class RoutingPolicy:
    """Compiled once from the configuration.

    `threshold` in [0, 1] is the least probability of a category that decides; below it, and for
    categories without a route, `default` answers. `families` has every model of the pool, None for
    models whose thinking cannot be switched.
    """

    routes: Mapping[str, Route]
    threshold: float
    default: Route
    families: Mapping[str, ReasoningFamily | None]


@dataclass(frozen=True, slots=True)
class Decision:
    """`category` is empty when no domain was confident enough. `probabilities` are the domain head's,
    most likely first: the evidence, for the trace."""

    route: Route
    rule: Rule
    category: str = ""
    confidence: float = 0.0
    probabilities: tuple[tuple[str, float], ...] = ()


def decide(policy: RoutingPolicy, requested: str | None, analysis: Analysis | None) -> Decision:
    """`requested` is the concrete model a client named, None for automatic choice. A concrete model is
    honoured as it is; its category is still reported."""
    if analysis is None:
        if requested is not None:
            return Decision(Route(requested), Rule.REQUESTED)
        return Decision(policy.default, Rule.NO_ANALYSIS)
    ranked = tuple(sorted(analysis.heads[DOMAIN].items(), key=lambda item: -item[1]))
    label, confidence = ranked[0]
    confident = confidence >= policy.threshold
    category = label if confident else ""
    if requested is not None:
        return Decision(Route(requested), Rule.REQUESTED, category, confidence, ranked)
    if not confident:
        return Decision(policy.default, Rule.BELOW_THRESHOLD, category, confidence, ranked)
    route = policy.routes.get(label)
    if route is None:
        return Decision(policy.default, Rule.NO_ROUTE, category, confidence, ranked)
    return Decision(route, Rule.CATEGORY, category, confidence, ranked)


def reasoning_fields(family: ReasoningFamily | None, route: Route) -> tuple[str, str | None, object] | None:
    """The request field that switches thinking on or off: (field, key inside it or None, value).

    "Off" is written out: a model of these families thinks by default when the field is missing.
    """
    if family is None:
        return None
    if family.type == "chat_template_kwargs":
        return ("chat_template_kwargs", family.parameter, route.reasoning)
    return (family.parameter, None, route.effort if route.reasoning else "low")
