"""The guards of vLLM Semantic Router: what an absent policy means there, and thresholds of other classifiers.

Works on a copy of the source, before anything of it is placed.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from router_extproc.settings.dialects_draft import REMOVED, Draft
from router_extproc.settings.problem import Loc

GUARD_KEYS: Final = tuple("jailbreak_enabled jailbreak_threshold pii_enabled pii_threshold".split())
"""Of a category, and here of a decision."""

JAILBREAK_KEYS: Final = frozenset("enabled threshold".split())
PII_KEYS: Final = JAILBREAK_KEYS | {"pii_types_allowed"}
"""Of the plugins of a decision."""

NO_PII: Final = "NO_PII"
"""There the label of words that are no personal data."""

OTHER_CLASSIFIER: Final = (
    "was chosen for another classifier's scores and is taken as it is; look at its effect with "
    "`router-extproc eval {what}`"
)
FAILS_CLOSED: Final = (
    "is not given: a request in which nobody could look for personal data does not pass (`block`); there it "
    "does"
)
SEES_NOTHING: Final = (
    "is not given: the model may see no personal data, as it is there, not a date or a city either; allow it "
    "all, or `pii_types_allowed: [QUASI_IDENTIFIERS]`"
)
ZERO: Final = "is 0, at which everything would count; our default counts"


def adapt_thresholds(source: dict[str, Any], draft: Draft) -> None:
    """Takes zeros out of `source`; tells of the others."""
    for section, key, loc, what in list(_thresholds(source)):
        value = section[key]
        if isinstance(value, int | float) and not isinstance(value, bool) and value == 0:
            del section[key]
            draft.warn(loc, ZERO)
        elif section.get("enabled") is not False:
            draft.warn(loc, OTHER_CLASSIFIER.format(what=what), inert=False)


def leave_out_no_pii(source: dict[str, Any], draft: Draft) -> None:
    """It is no type, so it can be neither allowed nor denied."""
    lists: list[tuple[Any, Loc]] = [
        (model.get("pii_policy"), ("model_config", name, "pii_policy"))
        for name, model in _items(source.get("model_config"))
        if isinstance(model, Mapping)
    ]
    lists += [(configuration, loc) for _, configuration, loc in _plugins(source)]
    for section, loc in lists:
        types = section.get("pii_types_allowed") if isinstance(section, dict) else None
        if not isinstance(types, list):
            continue
        for index, name in enumerate(types):
            if name == NO_PII:
                types[index] = REMOVED
                draft.warn((*loc, "pii_types_allowed", index), "is no type of personal data")


def complete_policies(
    raw: Mapping[str, Any], source: dict[str, Any], *, by_model: bool, draft: Draft
) -> None:
    """There personal data is looked for with a model and its mapping; where it is, a model of the pool
    without a policy may see none. `by_model`: whether policies are the models', not the decisions'."""
    looks = by_model and _has_pii_model(raw)
    denies = any(kind == "pii" and plugin.get("enabled") is True for kind, plugin, _ in _plugins(source))
    for name, model in _items(source.get("model_config")):
        if not isinstance(model, dict):
            continue
        loc: Loc = ("model_config", name, "pii_policy")
        policy = model.get("pii_policy")
        if policy is None and looks:
            model["pii_policy"] = {"allow_by_default": False}
            draft.warn(loc, SEES_NOTHING, inert=False)
        elif isinstance(policy, Mapping) and policy.get("allow_by_default") is not True and not looks:
            why = "no classifier looks for personal data" if by_model else "only plugins of decisions do"
            draft.warn(loc, f"counts here, and does not there, where {why}", inert=False)
        policy = model.get("pii_policy")
        denies |= isinstance(policy, Mapping) and policy.get("allow_by_default") is not True
    given = source.get("classifier", {})
    pii = given.get("pii_model", {}) if isinstance(given, Mapping) else {}
    if denies and isinstance(pii, Mapping) and "on_error" not in pii:
        draft.warn(("classifier", "pii_model", "on_error"), FAILS_CLOSED, inert=False)


def place_guard_plugin(
    kind: str, configuration: Mapping[str, Any], loc: Loc, place: Loc, draft: Draft
) -> None:
    """A plugin without `enabled: true` switches its guard off for the decision, as it does there. One that
    is on lets no type of personal data pass but those it names."""
    draft.only(configuration, loc, PII_KEYS if kind == "pii" else JAILBREAK_KEYS)
    enabled = bool(draft.flag(configuration, "enabled", loc))
    draft.put((*place, f"{kind}_enabled"), enabled, (*loc, "enabled") if "enabled" in configuration else loc)
    if "threshold" in configuration:
        draft.put((*place, f"{kind}_threshold"), configuration["threshold"], (*loc, "threshold"))
    if kind == "pii" and (enabled or "pii_types_allowed" in configuration):
        types = configuration.get("pii_types_allowed", [])
        draft.put((*place, "pii_types_allowed"), types, (*loc, "pii_types_allowed"))


def _thresholds(source: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str, Loc, str]]:
    """Those of guards, each with the section it is in and the command that shows its effect."""
    guard = source.get("prompt_guard")
    if isinstance(guard, dict) and "threshold" in guard:
        yield guard, "threshold", ("prompt_guard", "threshold"), "guard"
    classifier = source.get("classifier")
    pii = classifier.get("pii_model") if isinstance(classifier, Mapping) else None
    if isinstance(pii, dict) and "threshold" in pii:
        yield pii, "threshold", ("classifier", "pii_model", "threshold"), "pii"
    for index, category in _indexed(source.get("categories")):
        for key, what in (("jailbreak_threshold", "guard"), ("pii_threshold", "pii")):
            if key in category:
                yield category, key, ("categories", index, key), what
    for kind, configuration, loc in _plugins(source):
        if "threshold" in configuration:
            yield configuration, "threshold", (*loc, "threshold"), "pii" if kind == "pii" else "guard"


def _plugins(source: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], Loc]]:
    """The guards among the decisions' plugins."""
    for index, decision in _indexed(source.get("decisions")):
        for position, plugin in _indexed(decision.get("plugins")):
            kind, configuration = plugin.get("type"), plugin.get("configuration")
            if kind in ("jailbreak", "pii") and isinstance(configuration, dict):
                yield kind, configuration, ("decisions", index, "plugins", position, "configuration")


def _has_pii_model(raw: Mapping[str, Any]) -> bool:
    classifier = raw.get("classifier")
    model = classifier.get("pii_model") if isinstance(classifier, Mapping) else None
    return isinstance(model, Mapping) and bool(model.get("model_id")) and bool(model.get("pii_mapping_path"))


def _items(section: object) -> list[tuple[Any, Any]]:
    return [*section.items()] if isinstance(section, Mapping) else []


def _indexed(items: object) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield index, item
