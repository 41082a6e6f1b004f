"""What a routing policy is made of: the models of the pool, and how one of them is asked."""

from dataclasses import dataclass, field
from typing import Literal

DECISION_KEY = "decision:"
"""Before a decision's name, where the cache tells decisions from categories."""


@dataclass(frozen=True, slots=True)
class Route:
    """How one model is asked.

    `model` is the pool's name, which Envoy routes by; `adapter` is the LoRA that takes its place in the
    request. `effort` counts when `reasoning` is on. `unsettled`: the configuration does not say whether it
    thinks, so that the request's uncertainty may. `quality` in [0, 1] is what the model is worth here.
    `cost` is the price of a million prompt tokens and a million completion tokens together, None when
    unknown.
    """

    model: str
    adapter: str | None = None
    reasoning: bool = False
    effort: str = "medium"
    quality: float = 0.5
    cost: float | None = None
    unsettled: bool = False

    @property
    def name(self) -> str:
        """What the request's `model` says."""
        return self.adapter or self.model


@dataclass(frozen=True, slots=True)
class ReasoningFamily:
    """How a model's thinking is switched in a request (vLLM's and OpenAI's fields). `name` is the
    configuration's, for whoever reads metrics."""

    type: Literal["chat_template_kwargs", "reasoning_effort"]
    parameter: str
    name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Model:
    """What a model of the pool can do. `context_window` in tokens, None: any length. `family` is None where
    thinking cannot be switched. `quality` in [0, 1] compares models across decisions."""

    context_window: int | None = None
    vision: bool = False
    tools: bool = True
    family: ReasoningFamily | None = None
    quality: float = 0.5


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    """`insert` puts `text` before the request's own system message, `replace` in its place."""

    text: str
    mode: Literal["insert", "replace"] = "replace"


def reasoning_fields(family: ReasoningFamily | None, route: Route) -> tuple[str, str | None, object] | None:
    """The request field that switches thinking on or off: (field, key inside it or None, value).

    "Off" is written out: a model of these families thinks by default when the field is missing.
    """
    if family is None:
        return None
    if family.type == "chat_template_kwargs":
        return ("chat_template_kwargs", family.parameter, route.reasoning)
    return (family.parameter, None, route.effort if route.reasoning else "low")
