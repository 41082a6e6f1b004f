"""The digest of everything that decides routing, and of nothing else.

Cached answers are kept apart by it: what changes it makes all of them unreachable, so a port is not in it,
nor a description, nor a signal that no rule uses.
"""

import json
from collections.abc import Iterable
from typing import Any

from router_extproc.base.digest import digest
from router_extproc.routing.rules import leaves
from router_extproc.routing.signals import Key
from router_extproc.settings.routing import rule_tree
from router_extproc.settings.schema import Settings
from router_extproc.settings.screening import compile_screening, screening_document
from router_extproc.settings.thinking import is_unsettled

ROUTING_KEYS: dict[str, Any] = {
    "auto_model_name": True,
    "categories": {"__all__": {"name", "model_scores", "system_prompt"}},
    "classifier": {"category_model"},
    "default_model": True,
    "default_reasoning_effort": True,
    "decisions": {
        "__all__": {"name", "priority", "rules", "modelRefs", "algorithm", "system_prompt", "tool_selection"}
    },
    "model_aliases": True,
    "models": {"__all__": {"reasoning_family", "quality", "context_window", "capabilities", "loras"}},
    "reasoning_families": True,
    "selection": {"algorithm"},
    "session": {"policy"},
}
"""The settings that always decide routing, as pydantic's `include`."""

_PLURALS = {
    "keyword": "keywords",
    "embedding": "embeddings",
    "domain": "domains",
    "classifier": "classifiers",
}
"""Kinds of signals whose list has another name than they have."""


def generation_of(settings: Settings, heads: str, tools_db: bytes = b"") -> str:
    """`heads` identifies the weights of heads and classifiers; `tools_db` is the tools' file as it was
    read."""
    document = settings.model_dump(mode="json", include=ROUTING_KEYS)
    for model in document["models"].values():
        model["loras"] = [lora["name"] for lora in model["loras"]]
    used = _used(settings)
    document["signals"] = [_signal(settings, key) for key in sorted(used)]
    document["classifiers"] = _classifiers(settings, used)
    # An exact hit repeats a request that passed the guards, so it must have passed these.
    document["screening"] = screening_document(compile_screening(settings))
    if settings.entropy_reasoning.enabled:
        document["entropy_reasoning"] = settings.entropy_reasoning.model_dump(mode="json")
        # A ref without `use_reasoning` looks like one with `false` above.
        document["unsettled"] = [
            [is_unsettled(ref, settings) for ref in decision.modelRefs] for decision in settings.decisions
        ]
    if settings.tools.enabled:
        document["tools"] = settings.tools.model_dump(mode="json", exclude={"tools_db_path"})
    if _weighs_cost(settings):
        document["prices"] = {
            name: model.pricing and model.pricing.model_dump(mode="json", exclude={"currency"})
            for name, model in settings.models.items()
        }
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    tools = tools_db if settings.tools.enabled else b""
    return digest("generation", (canonical.encode(), heads.encode(), tools))


def _used(settings: Settings) -> set[Key]:
    return {key for decision in settings.decisions for key in leaves(rule_tree(decision.rules))}


def _signal(settings: Settings, key: Key) -> object:
    """The signal's own settings; of a domain that is only named, its name."""
    kind, name = key
    base = name.rpartition(":")[0] if kind == "complexity" else name
    for signal in getattr(settings.signals, _PLURALS.get(kind, kind)):
        if signal.name == base:
            return [kind, name, signal.model_dump(mode="json")]
    return [kind, name]


def _classifiers(settings: Settings, used: Iterable[Key]) -> list[object]:
    """Those that a used signal asks, or that stand in for the domain head. Where a folder lies does not
    matter; what is in it is in `heads`."""
    names = {name for kind, name in used if kind == "classifier"}
    asked = {signal.classifier for signal in settings.signals.classifiers if signal.name in names}
    return [
        classifier.model_dump(mode="json", exclude={"path"})
        for classifier in settings.classifiers
        if classifier.name in asked or classifier.use_as_domain
    ]


def _weighs_cost(settings: Settings) -> bool:
    """Whether any choice looks at prices."""
    given = [decision.algorithm for decision in settings.decisions if decision.algorithm]
    return any(
        algorithm.type in ("multi_factor", "adaptive") and algorithm.weights.cost > 0
        for algorithm in (settings.selection.algorithm, *given)
    )
