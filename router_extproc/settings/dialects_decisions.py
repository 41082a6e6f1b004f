"""Decisions of vLLM Semantic Router 0.1: their plugins become keys, and what no signal here can tell is
refused, because a decision that silently never holds, or always does, routes wrongly."""

from collections.abc import Mapping
from typing import Any, Final, get_args

from router_extproc.settings.dialects_draft import REMOVED, Draft
from router_extproc.settings.dialects_guards import place_guard_plugin
from router_extproc.settings.dialects_inert import PLUGINS, misfits
from router_extproc.settings.dialects_rules import DOMAINS
from router_extproc.settings.problem import Loc, nearest
from router_extproc.settings.routing_schema import ConditionType

KINDS: Final = frozenset(get_args(ConditionType))

FOREIGN: Final = frozenset(
    "fact_check user_feedback preference reask latency modality authz jailbreak pii kb event metadata".split()
)
"""Kinds of signal that only the other router has."""

SYSTEM_PROMPT_KEYS: Final = frozenset("enabled system_prompt mode".split())
CACHE_KEYS: Final = frozenset("enabled similarity_threshold ttl_seconds".split())


def place_decisions(source: Mapping[str, Any], draft: Draft) -> None:
    """The decisions as they are written, but for plugins and a strategy."""
    by_confidence = _by_confidence(source, draft)
    decisions = source.get("decisions")
    if not isinstance(decisions, list):
        if decisions is not None:
            draft.put(("decisions",), decisions, ("decisions",))
        return
    named = _domain_signals(source)
    for index, decision in enumerate(decisions):
        if decision is REMOVED:
            continue
        loc: Loc = ("decisions", index)
        if not isinstance(decision, dict):
            draft.append(("decisions",), decision, loc)
            continue
        rest = {key: value for key, value in decision.items() if key != "plugins"}
        if by_confidence and rest.pop("priority", None) is not None:
            draft.warn((*loc, "priority"), "has no effect with `strategy: confidence`")
        if "rules" in rest:
            rest["rules"] = _rules(rest["rules"], (*loc, "rules"), named, draft)
        place = draft.append(("decisions",), rest, loc)
        if "modelRefs" not in rest:
            refs = [{"model": source.get("default_model")}]
            draft.put((*place, "modelRefs"), refs, ("default_model",))
        _place_plugins(decision.get("plugins"), (*loc, "plugins"), place, draft)


def place_signals(source: Mapping[str, Any], draft: Draft) -> None:
    """Rules about languages and lengths, which have the same shape here or nearly."""
    for section, signals in (("language_rules", "language"), ("context_rules", "context")):
        rules = source.get(section)
        if rules is not None and not isinstance(rules, list):
            draft.put(("signals", signals), rules, (section,))
            continue
        for index, rule in enumerate(rules or ()):
            if rule is REMOVED:
                continue
            place = draft.append(("signals", signals), rule, (section, index))
            if signals == "language" and isinstance(rule, dict) and "languages" not in rule:
                draft.put((*place, "languages"), [rule.get("name")], (section, index, "name"))


def _by_confidence(source: Mapping[str, Any], draft: Draft) -> bool:
    strategy = source.get("strategy", "priority")
    if strategy not in ("priority", "confidence"):
        draft.refuse(("strategy",), "input should be 'priority' or 'confidence'")
    return bool(strategy == "confidence")


def _domain_signals(source: Mapping[str, Any]) -> set[str]:
    """The names that conditions on domains may mean besides the domains themselves."""
    categories = source.get("categories")
    return {
        str(category.get("name"))
        for category in (categories if isinstance(categories, list) else ())
        if isinstance(category, Mapping) and "mmlu_categories" in category
    }


def _rules(node: Any, loc: Loc, named: set[str], draft: Draft) -> Any:
    """A copy with the domains' own spelling; conditions that cannot be told are refused."""
    if not isinstance(node, Mapping):
        return node
    if "conditions" in node and isinstance(node["conditions"], list):
        conditions = [
            _rules(item, (*loc, "conditions", index), named, draft)
            for index, item in enumerate(node["conditions"])
        ]
        return {**node, "conditions": conditions}
    kind, name = node.get("type"), node.get("name")
    if isinstance(kind, str) and kind not in KINDS:
        what = "needs a signal that this router does not have" if kind in FOREIGN else "is no kind of signal"
        draft.refuse(
            (*loc, "type"),
            f"{kind!r} {what}{nearest(kind, KINDS)}; without it the decision would hold for other questions "
            f"than meant: remove the decision, or say it with one of {', '.join(sorted(KINDS))}",
        )
        return {**node, "type": "domain"}
    if kind == "domain" and isinstance(name, str) and name not in named and name.lower() in DOMAINS:
        return {**node, "name": name.lower()}
    return node


def _place_plugins(plugins: Any, loc: Loc, place: Loc, draft: Draft) -> None:
    if plugins is None:
        return
    if not isinstance(plugins, list):
        draft.refuse(loc, "input should be a valid list")
        return
    seen: set[str] = set()
    for index, plugin in enumerate(plugins):
        here = (*loc, index)
        if plugin is REMOVED:
            continue
        if not isinstance(plugin, Mapping) or not isinstance(kind := plugin.get("type"), str):
            draft.refuse(here, "a plugin has a `type` and a `configuration`")
            continue
        draft.only(plugin, here, ("type", "configuration"))
        configuration = plugin.get("configuration", {})
        if not isinstance(configuration, Mapping):
            draft.refuse((*here, "configuration"), "must hold keys and values")
        elif kind in seen:
            draft.warn(here, f"has no effect: another {kind} plugin stands before it")
        else:
            _place_plugin(kind, configuration, here, place, draft)
        seen.add(kind)


def _place_plugin(kind: str, configuration: Mapping[str, Any], loc: Loc, place: Loc, draft: Draft) -> None:
    inside = (*loc, "configuration")
    if whole := PLUGINS.get(kind):
        draft.problems.extend(misfits(configuration, inside, whole))
        draft.warn(loc, f"{kind}: {whole.reason}")
    elif kind == "system_prompt":
        _place_system_prompt(configuration, inside, place, draft)
    elif kind == "semantic-cache":
        _place_cache(configuration, inside, place, draft)
    elif kind in ("jailbreak", "pii"):
        place_guard_plugin(kind, configuration, inside, place, draft)
    else:
        known = (*PLUGINS, "system_prompt", "semantic-cache", "jailbreak", "pii")
        say = f"; known plugins are {', '.join(sorted(known))}"
        draft.refuse((*loc, "type"), f"unknown plugin{nearest(kind, known, else_say=say)}")


def _place_system_prompt(configuration: Mapping[str, Any], loc: Loc, place: Loc, draft: Draft) -> None:
    draft.only(configuration, loc, SYSTEM_PROMPT_KEYS)
    if draft.flag(configuration, "enabled", loc) is False:
        draft.warn(loc, "the system prompt is switched off by enabled: false")
    elif "system_prompt" not in configuration:
        draft.warn(loc, "has no effect without system_prompt")
    else:
        for key, to in (("system_prompt", "text"), ("mode", "mode")):
            if key in configuration:
                draft.put((*place, "system_prompt", to), configuration[key], (*loc, key))


def _place_cache(configuration: Mapping[str, Any], loc: Loc, place: Loc, draft: Draft) -> None:
    """A plugin without `enabled: true` switches the cache off for its decision, as it does there."""
    draft.only(configuration, loc, CACHE_KEYS)
    if not draft.flag(configuration, "enabled", loc):
        draft.put((*place, "semantic_cache", "mode"), "off", (*loc, "enabled"))
    for key in ("similarity_threshold", "ttl_seconds"):
        if key in configuration:
            draft.put((*place, "semantic_cache", key), configuration[key], (*loc, key))
