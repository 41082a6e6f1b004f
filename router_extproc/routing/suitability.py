"""Whether a model can answer a request at all."""

from router_extproc.routing.facts import Facts
from router_extproc.routing.policy import Model
from router_extproc.routing.reasons import Dropped


def lacking(model: Model, facts: Facts) -> tuple[Dropped, ...]:
    """What the request needs and `model` does not have; empty where it suits."""
    lacks: list[Dropped] = []
    if model.context_window is not None and facts.needed_window > model.context_window:
        lacks.append(Dropped.CONTEXT_WINDOW)
    if facts.needs_vision and not model.vision:
        lacks.append(Dropped.VISION)
    if facts.needs_tools and not model.tools:
        lacks.append(Dropped.TOOLS)
    return tuple(lacks)


def without(model: Model, facts: Facts, *, barred: bool) -> tuple[Dropped, ...]:
    """Why `model` is never asked, empty where it may be. `barred`: it must not see what the request holds."""
    return (*lacking(model, facts), *((Dropped.PII,) if barred else ()))


def explain_lack(lacks: frozenset[Dropped], facts: Facts) -> str:
    """A sentence for the client: what no model that may answer has. Nothing the client wrote is in it."""
    needs = {
        Dropped.CONTEXT_WINDOW: f"a context window of about {facts.needed_window} tokens",
        Dropped.VISION: "image input",
        Dropped.TOOLS: "tool calling",
    }
    said = " and ".join(text for reason, text in needs.items() if reason in lacks)
    return f"No model that may answer this request has {said}."
