"""Categories, keyword rules and embedding rules of vLLM Semantic Router, as signals and decisions.

There the first keyword rule that matches names the category, else the best embedding rule, else the
classifier; the category's models answer. Here each rule is a decision: keyword rules above embedding rules,
those among themselves by confidence, and both above the domains.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from router_extproc.settings.dialects_draft import REMOVED, Draft
from router_extproc.settings.dialects_guards import GUARD_KEYS
from router_extproc.settings.problem import Loc
from router_extproc.settings.schema import Category, CategoryName

DOMAINS: Final = frozenset(get_args(CategoryName))

EMBEDDING_PRIORITY: Final = 1000
"""Of all decisions made of embedding rules. Those of keyword rules count upwards from here, the first rule
highest: the first that matches wins. Those made of categories have 0."""

CATEGORY_KEYS: Final = frozenset(
    (
        *Category.model_fields,
        *"mmlu_categories system_prompt_enabled system_prompt_mode".split(),
        *"semantic_cache_enabled semantic_cache_similarity_threshold".split(),
    )
)
KEYWORD_KEYS: Final = frozenset("name category operator keywords case_sensitive".split())
EMBEDDING_KEYS: Final = frozenset("name category threshold keywords candidates aggregation_method".split())


def place_categories(source: Mapping[str, Any], draft: Draft) -> None:
    """Each category as what it is here: one of the 14 domains with its models, a signal over some of them, or
    a name that a rule leads to."""
    categories = source.get("categories")
    if categories is None:
        return
    if not isinstance(categories, list):
        draft.put(("categories",), categories, ("categories",))
        return
    led_to = {name for _, rule in _rules(source) if isinstance(name := _category_of(rule), str)}
    for index, category in enumerate(categories):
        if category is REMOVED:
            continue
        if not isinstance(category, dict) or not isinstance(category.get("name"), str):
            draft.append(("categories",), category, ("categories", index))
            continue
        _place_category(category, index, source, draft, led_to)


def place_rules(source: Mapping[str, Any], draft: Draft) -> None:
    """Keyword and embedding rules as signals. A decision for each, unless the source has its own."""
    for section in ("keyword_rules", "embedding_rules"):
        rules = source.get(section)
        if rules is not None and not isinstance(rules, list):
            draft.put(("signals", SIGNALS[section]), rules, (section,))
    rules = list(_rules(source))
    for position, (origin, rule) in enumerate(rules):
        if not isinstance(rule, dict):
            draft.append(("signals", SIGNALS[str(origin[0])]), rule, origin)
            continue
        name = _place_signal(rule, origin, draft)
        if "decisions" not in source and name is not None:
            keyword = origin[0] == "keyword_rules"
            priority = EMBEDDING_PRIORITY + (len(rules) - position if keyword else 0)
            _place_rule_decision(rule, name, priority, origin, source, draft)


SIGNALS: Final[Mapping[str, str]] = {"keyword_rules": "keywords", "embedding_rules": "embeddings"}
KINDS: Final[Mapping[str, str]] = {"keyword_rules": "keyword", "embedding_rules": "embedding"}


def category_policy(category: Mapping[str, Any], loc: Loc, draft: Draft) -> Iterator[tuple[Loc, Any, Loc]]:
    """The system prompt, the use of the cache and the guards, each as (place below what it belongs to, value,
    origin)."""
    text, enabled = category.get("system_prompt"), draft.flag(category, "system_prompt_enabled", loc)
    if isinstance(text, Mapping):
        yield ("system_prompt",), text, (*loc, "system_prompt")
    elif text is not None and enabled is not False:
        yield ("system_prompt", "text"), text, (*loc, "system_prompt")
        if "system_prompt_mode" in category:
            yield ("system_prompt", "mode"), category["system_prompt_mode"], (*loc, "system_prompt_mode")
    elif text is not None:
        draft.warn((*loc, "system_prompt"), "is switched off by system_prompt_enabled: false")
    elif "system_prompt_mode" in category:
        draft.warn((*loc, "system_prompt_mode"), "has no effect without system_prompt")
    own = category.get("semantic_cache")
    if own is not None:
        yield ("semantic_cache",), own, (*loc, "semantic_cache")
    if draft.flag(category, "semantic_cache_enabled", loc) is False:
        yield ("semantic_cache", "mode"), "off", (*loc, "semantic_cache_enabled")
    key = "semantic_cache_similarity_threshold"
    if key in category:
        yield ("semantic_cache", "similarity_threshold"), category[key], (*loc, key)
    for key in GUARD_KEYS:
        if key in category:
            yield (key,), category[key], (*loc, key)


def references(scores: object, loc: Loc) -> list[tuple[Any, Loc]]:
    """`model_scores` as `modelRefs`, the best first; equal ones as they were written."""
    if not isinstance(scores, list):
        return []
    placed = [(score, (*loc, index)) for index, score in enumerate(scores) if score is not REMOVED]
    return [(_reference(score), origin) for score, origin in sorted(placed, key=lambda pair: -worth(pair[0]))]


def worth(score: object) -> float:
    """The score of an entry of `model_scores`; 0 of what is none."""
    given = score.get("score", 1.0) if isinstance(score, Mapping) else 0.0
    return float(given) if isinstance(given, int | float) else 0.0


def _reference(score: Any) -> Any:
    if not isinstance(score, Mapping):
        return score
    return {("quality" if key == "score" else key): value for key, value in score.items()}


def _place_category(
    category: Mapping[str, Any], index: int, source: Mapping[str, Any], draft: Draft, led_to: set[str]
) -> None:
    loc: Loc = ("categories", index)
    draft.only(category, loc, CATEGORY_KEYS)
    name, domain = category["name"], category["name"].lower()
    members = category.get("mmlu_categories")
    if domain in DOMAINS and (members is None or members == [name] or members == [domain]):
        _place_domain(category, domain, loc, draft)
    elif members is not None:
        signal = draft.append(("signals", "domains"), {"name": name}, loc)
        draft.put((*signal, "mmlu_categories"), _lower(members), (*loc, "mmlu_categories"))
        _mapped_twice(members, index, source, draft)
        if "decisions" not in source or "model_scores" in category:
            rules = {"operator": "AND", "conditions": [{"type": "domain", "name": name}]}
            document = {"name": _free(draft, f"{name} (domain)"), "priority": 0, "rules": rules}
            _place_decision(document, category, loc, loc, source, draft)
    elif name not in led_to or "decisions" in source:
        draft.warn(
            loc,
            f"no question is ever in {name!r}, which is none of the 14 domains: no rule leads to it, and it "
            "has no mmlu_categories",
        )


def _place_domain(category: Mapping[str, Any], domain: str, loc: Loc, draft: Draft) -> None:
    """One of the 14. With nothing but its name it is a mention, which has no place here."""
    parts = [*category_policy(category, loc, draft)]
    if "model_scores" in category:
        parts.insert(0, (("model_scores",), category["model_scores"], (*loc, "model_scores")))
    if not parts:
        return
    place = draft.append(("categories",), {"name": domain}, loc)
    for below, value, origin in parts:
        draft.put((*place, *below), value, origin)


def _mapped_twice(members: object, index: int, source: Mapping[str, Any], draft: Draft) -> None:
    """A domain of two categories would go to the one or the other by accident."""
    mine = _words(members)
    for other, category in enumerate(source["categories"][:index]):
        if isinstance(category, Mapping):
            for both in sorted(mine & _words(category.get("mmlu_categories", [category.get("name")]))):
                draft.refuse(
                    ("categories", index, "mmlu_categories"),
                    f"{both!r} is in categories[{other}] already; take it out of one of them",
                )


def _words(members: object) -> set[str]:
    return {each for each in _lower(members) if isinstance(each, str)} if isinstance(members, list) else set()


def _lower(members: Any) -> Any:
    if not isinstance(members, list):
        return members
    return [
        member.lower() if isinstance(member, str) else member for member in members if member is not REMOVED
    ]


def _rules(source: Mapping[str, Any]) -> Iterator[tuple[Loc, Any]]:
    for section in ("keyword_rules", "embedding_rules"):
        for index, rule in enumerate(_listed(source, section)):
            if rule is not REMOVED:
                yield (section, index), rule


def _listed(document: Mapping[str, Any], key: str) -> list[Any]:
    """A list; nothing where something else stands, which is refused elsewhere."""
    items = document.get(key)
    return items if isinstance(items, list) else []


def _category_of(rule: Any) -> Any:
    return rule.get("category", rule.get("name")) if isinstance(rule, Mapping) else None


def _place_signal(rule: Mapping[str, Any], loc: Loc, draft: Draft) -> str | None:
    """Returns the signal's name, None when the rule has none: then it is refused for that."""
    section = str(loc[0])
    draft.only(rule, loc, KEYWORD_KEYS if section == "keyword_rules" else EMBEDDING_KEYS)
    place = draft.append(("signals", SIGNALS[section]), {}, loc)
    spellings = {"category": "name"} | ({"keywords": "candidates"} if section == "embedding_rules" else {})
    for key, value in rule.items():
        to = spellings.get(key, key)
        if to != key and to in rule:
            draft.refuse((*loc, key), f"is another word for {to}; remove one of them")
        elif key in (KEYWORD_KEYS if section == "keyword_rules" else EMBEDDING_KEYS):
            draft.put((*place, to), value, (*loc, key))
    name = _category_of(rule)
    if not isinstance(name, str):
        return None
    if "category" in rule:
        # Several rules may name one category; a signal's name is its own.
        signals = draft.document["signals"]
        placed = _listed(signals, SIGNALS[section]) if isinstance(signals, dict) else []
        name = _numbered(name, _names(placed[:-1]))
        draft.put((*place, "name"), name, (*loc, "category"))
    return name


def _place_rule_decision(
    rule: Mapping[str, Any], name: str, priority: int, loc: Loc, source: Mapping[str, Any], draft: Draft
) -> None:
    kind, wanted = KINDS[str(loc[0])], _category_of(rule)
    found = [
        (("categories", index), category)
        for index, category in enumerate(_listed(source, "categories"))
        if isinstance(category, Mapping) and category.get("name") == wanted
    ]
    if not found:
        draft.warn(
            loc, f"there is no category {wanted!r}, so what matches goes to default_model", inert=False
        )
    origin, category = found[0] if found else (loc, {})
    rules = {"operator": "AND", "conditions": [{"type": kind, "name": name}]}
    document = {"name": _free(draft, f"{wanted} ({kind})"), "priority": priority, "rules": rules}
    _place_decision(document, category, origin, loc, source, draft)


def _place_decision(
    document: Mapping[str, Any],
    category: Mapping[str, Any],
    category_loc: Loc,
    origin: Loc,
    source: Mapping[str, Any],
    draft: Draft,
) -> None:
    """The decision `document` with the models and policies of `category`."""
    place = draft.append(("decisions",), {**document, "modelRefs": []}, origin)
    for reference, where in references(category.get("model_scores"), (*category_loc, "model_scores")):
        draft.append((*place, "modelRefs"), reference, where)
    if not category.get("model_scores"):
        draft.append((*place, "modelRefs"), {"model": source.get("default_model")}, ("default_model",))
    for below, value, where in category_policy(category, category_loc, draft):
        draft.put((*place, *below), value, where)


def _free(draft: Draft, name: str) -> str:
    return _numbered(name, _names(_listed(draft.document, "decisions")))


def _names(items: list[Any]) -> set[str]:
    named = (item.get("name") for item in items if isinstance(item, dict))
    return {name for name in named if isinstance(name, str)}


def _numbered(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} {number}"
    return free
