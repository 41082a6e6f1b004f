"""The forms a configuration may have, and the way from each to our own: plain data in, plain data out.

Besides our own form there are two of vLLM Semantic Router: that of late 2025, with models under categories,
and that of its version 0.1, with decisions. A file may mix them with keys of our own form. What keeps its
name and meaning is passed on as it is; ranges and types are the schema's business.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from router_extproc.settings.dialects_decisions import (
    CACHE_KEYS,
    SYSTEM_PROMPT_KEYS,
    place_decisions,
    place_signals,
)
from router_extproc.settings.dialects_draft import REMOVED, Draft, without
from router_extproc.settings.dialects_guards import (
    GUARD_KEYS,
    PII_KEYS,
    adapt_thresholds,
    complete_policies,
    leave_out_no_pii,
)
from router_extproc.settings.dialects_inert import inert_names, strip
from router_extproc.settings.dialects_milvus import translate_milvus
from router_extproc.settings.dialects_rules import (
    CATEGORY_KEYS,
    EMBEDDING_KEYS,
    KEYWORD_KEYS,
    place_categories,
    place_rules,
    worth,
)
from router_extproc.settings.problem import Loc
from router_extproc.settings.refused import SECTIONS

OTHER_ENCODER: Final = (
    "was chosen for another encoder's vectors and is taken as it is; look at its effect with {command}"
)


class Form(StrEnum):
    """How a configuration is written; the value is for people."""

    CANONICAL = "our own form"
    VSR_2025 = "the form of vLLM Semantic Router of late 2025"
    VSR_V01 = "the form of vLLM Semantic Router 0.1"


TRANSLATED: Final = frozenset(
    "categories keyword_rules embedding_rules language_rules context_rules decisions strategy "
    "config_source".split()
)
"""Top-level keys that are not passed on as they are."""

ONLY_V01: Final = frozenset(
    "strategy config_source mom_registry response_api hallucination_mitigation feedback_detector "
    "language_rules context_rules fact_check_rules user_feedback_rules preference_rules".split()
)
ONLY_VSR: Final = ONLY_V01 | {"keyword_rules", "embedding_rules"}


def form_of(raw: Mapping[str, Any]) -> Form:
    """Our own form unless a key is only the others'; of those, 0.1 where a key or plugin is only its own."""
    _, notices, _ = strip(raw)
    plugins = any("plugins" in decision for decision in _mappings(raw, "decisions"))
    flat = any(
        not CATEGORY_KEYS.isdisjoint(category.keys() - OWN_CATEGORY_KEYS)
        or isinstance(category.get("system_prompt"), str)
        for category in _mappings(raw, "categories")
    )
    if not (notices or plugins or flat or ONLY_VSR & raw.keys()):
        return Form.CANONICAL
    return Form.VSR_V01 if plugins or "decisions" in raw or ONLY_V01 & raw.keys() else Form.VSR_2025


OWN_CATEGORY_KEYS: Final = frozenset(("name", "model_scores", "semantic_cache", "system_prompt", *GUARD_KEYS))


def translate(raw: Mapping[str, Any], form: Form, removed: frozenset[Loc] = frozenset()) -> Draft:
    """The document in our own form. `removed` are places in `raw` to do without."""
    draft = Draft()
    if form is Form.CANONICAL:
        for key, value in raw.items():
            draft.put((key,), value, (key,))
        return draft
    stripped, notices, problems = strip(raw)
    draft.notices.extend(notices)
    draft.problems.extend(problems)
    source: dict[str, Any] = without(stripped, removed)
    adapt_thresholds(source, draft)
    leave_out_no_pii(source, draft)
    complete_policies(raw, source, by_model=form is Form.VSR_2025, draft=draft)
    for key, value in source.items():
        if key not in TRANSLATED:
            draft.put((key,), value, (key,))
    _complete(source, draft)
    place_decisions(source, draft)
    place_categories(source, draft)
    place_rules(source, draft)
    place_signals(source, draft)
    if form is Form.VSR_2025:
        _complete_thinking(draft)
    return draft


def names_at(pattern: str) -> Iterator[str]:
    """The keys that a section has in the other forms, besides those it has in ours."""
    yield from inert_names(pattern)
    yield from TRANSLATED_NAMES.get(pattern, ())


TRANSLATED_NAMES: Final[Mapping[str, frozenset[str]]] = {
    "": TRANSLATED,
    "semantic_cache.milvus": SECTIONS,
    "semantic_cache.milvus.connection.auth": frozenset({"password"}),
    "categories.*": CATEGORY_KEYS,
    "keyword_rules.*": KEYWORD_KEYS,
    "embedding_rules.*": EMBEDDING_KEYS,
    "decisions.*": frozenset({"plugins"}),
    "decisions.*.plugins.*": frozenset({"type", "configuration"}),
    "decisions.*.plugins.*.configuration": SYSTEM_PROMPT_KEYS | CACHE_KEYS | PII_KEYS,
}


def _complete(source: Mapping[str, Any], draft: Draft) -> None:
    """What an absent key means there and not here, and what needs a word."""
    document = draft.document
    if source.get("config_source", "file") != "file":
        draft.refuse(
            ("config_source",),
            "decisions in Kubernetes resources are not read; put them into this file and set `file`",
        )
    document.setdefault("include_config_models_in_list", False)
    cache = document.setdefault("semantic_cache", {})
    if isinstance(cache, dict) and "enabled" not in cache:
        cache["enabled"] = False
        draft.warn(
            ("semantic_cache", "enabled"), "is not given: the cache is off, as it is there", inert=False
        )
    if isinstance(cache, dict) and cache["enabled"] is False and "backend_config_path" in cache:
        draft.warn(
            ("semantic_cache", "backend_config_path"), "is not read while the cache is off", inert=False
        )
    translate_milvus(draft)
    _complete_models(source, draft)
    _warn_of_thresholds(source, draft)


def _complete_thinking(draft: Draft) -> None:
    """There entropy decides about thinking in every file of this form. It is left off where it would change
    nothing: no category thinks, or the default model cannot be switched."""
    document = draft.document
    models, default = document.get("model_config"), document.get("default_model")
    model = models.get(default) if isinstance(models, dict) and isinstance(default, str) else None
    switched = isinstance(model, dict) and model.get("reasoning_family") is not None
    if switched and "entropy_reasoning" not in document and any(_thinks(each) for each in _domains(document)):
        document["entropy_reasoning"] = {"enabled": True}
        draft.warn(
            ("entropy_reasoning",),
            "is not given: thinking goes by the uncertainty about the category, as it does there",
            inert=False,
        )


def _thinks(references: list[Mapping[str, Any]]) -> bool:
    return any(each.get("use_reasoning") is True for each in references)


def _domains(document: Mapping[str, Any]) -> Iterator[list[Mapping[str, Any]]]:
    """The models of what the domain alone leads to."""
    for category in _mappings(document, "categories"):
        scores = list(_mappings(category, "model_scores"))
        yield sorted(scores, key=lambda each: -worth(each))[:1]
    for decision in _mappings(document, "decisions"):
        rules = decision.get("rules")
        conditions = list(_mappings(rules, "conditions")) if isinstance(rules, Mapping) else []
        if [condition.get("type") for condition in conditions] == ["domain"]:
            yield list(_mappings(decision, "modelRefs"))[:1]


def _complete_models(source: Mapping[str, Any], draft: Draft) -> None:
    endpoints = list(_mappings(source, "vllm_endpoints"))
    models = draft.document.get("model_config")
    for name, model in models.items() if isinstance(models, dict) else ():
        if not isinstance(model, dict):
            continue
        if "preferred_endpoints" not in model and len(endpoints) == 1:
            model["preferred_endpoints"] = [endpoints[0].get("name")]
        pricing = model.get("pricing")
        if pricing == {}:
            del model["pricing"]
        elif isinstance(pricing, dict):
            pricing.setdefault("prompt_per_1m", 0.0)
            pricing.setdefault("completion_per_1m", 0.0)
        places = model.get("preferred_endpoints")
        weights = [
            endpoint.get("weight", 1)
            for endpoint in endpoints
            if isinstance(places, list) and endpoint.get("name") in places
        ]
        if any(weight != weights[0] for weight in weights):
            draft.warn(
                ("model_config", name, "preferred_endpoints"),
                "their weights share the requests; there the endpoint with the highest weight has them all",
                inert=False,
            )


def _warn_of_thresholds(source: Mapping[str, Any], draft: Draft) -> None:
    cache = OTHER_ENCODER.format(command="`router-extproc cache calibrate`")
    rules = OTHER_ENCODER.format(command="`router-extproc explain`")
    section = source.get("semantic_cache")
    if isinstance(section, Mapping) and section.get("enabled") and "similarity_threshold" in section:
        draft.warn(("semantic_cache", "similarity_threshold"), cache, inert=False)
    for name, key, text in (
        ("categories", "semantic_cache_similarity_threshold", cache),
        ("embedding_rules", "threshold", rules),
    ):
        items = source.get(name)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, Mapping) and key in item:
                draft.warn((name, index, key), text, inert=False)
    tools = source.get("tools")
    if isinstance(tools, Mapping) and tools.get("enabled") and "similarity_threshold" in tools:
        draft.warn(("tools", "similarity_threshold"), rules, inert=False)


def _mappings(document: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    items = document.get(key)
    for item in items if isinstance(items, list) else ():
        if item is not REMOVED and isinstance(item, Mapping):
            yield item
