"""From validated settings to the routing policy: signals, rules, candidates. Phrases become vectors here."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from router_extproc.routing.compiled import DOMAIN, Listing, RoutingPolicy, Ruled
from router_extproc.routing.policy import DECISION_KEY, Model, ReasoningFamily, Route, SystemPrompt
from router_extproc.routing.rules import Leaf, Tree, leaves
from router_extproc.routing.select import Algorithm, Weights
from router_extproc.routing.session import SessionPolicy
from router_extproc.routing.signals import (
    Bounds,
    ComplexitySignal,
    ContextSignal,
    ConversationSignal,
    EmbeddingSignal,
    Key,
    Keyword,
    KeywordSignal,
    LabelSignal,
    Level,
    Prototypes,
    Signal,
    StructureSignal,
)
from router_extproc.settings import routing_schema as schema
from router_extproc.settings.schema import Category, ModelScore, Settings
from router_extproc.settings.thinking import compile_thinking, is_unsettled

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to unit vectors, (n, dimension)."""

LEVELS: tuple[Level, ...] = get_args(Level)

_UNITS = {"K": 1_000, "M": 1_000_000}


def compile_routing(settings: Settings, embed: Embed) -> RoutingPolicy:
    """`embed` is asked for the phrases of signals that some rule uses, and for nothing else. A name that
    `check_settings` would refuse raises KeyError."""
    decisions = tuple(_ruled(decision, settings) for decision in settings.decisions)
    used = {key for ruled in decisions for key in leaves(ruled.rule)}
    return RoutingPolicy(
        models=_models(settings),
        default=Listing((_default_route(settings),), _algorithm(settings.selection.algorithm)),
        decisions=decisions,
        signals=_Signals(settings, embed).of(used),
        categories={category.name: _category(category, settings) for category in settings.categories},
        threshold=settings.classifier.category_model.threshold,
        domain=domain_head(settings),
        adapters={lora.name: name for name, model in settings.models.items() for lora in model.loras},
        session=SessionPolicy(settings.session.policy),
        tool_selection=settings.tools.enabled,
        thinking=compile_thinking(settings),
    )


def domain_head(settings: Settings) -> str:
    """The head whose labels are the categories."""
    return next((each.name for each in settings.classifiers if each.use_as_domain), DOMAIN)


def decision_cache_key(decision: schema.Decision) -> str:
    """The name of the decision's cache policy, which no category has."""
    return DECISION_KEY + decision.name


def _models(settings: Settings) -> dict[str, Model]:
    families = {
        name: ReasoningFamily(family.type, family.parameter, name)
        for name, family in settings.reasoning_families.items()
    }
    return {
        name: Model(
            context_window=model.context_window,
            vision="vision" in model.capabilities,
            tools="tools" in model.capabilities,
            family=families[model.reasoning_family] if model.reasoning_family else None,
            quality=model.quality,
        )
        for name, model in settings.models.items()
    }


def _ruled(decision: schema.Decision, settings: Settings) -> Ruled:
    candidates = tuple(_listed_route(settings, ref, ref.quality) for ref in decision.modelRefs)
    listing = Listing(
        candidates,
        _algorithm(decision.algorithm or settings.selection.algorithm),
        _system_prompt(decision.system_prompt),
        decision.tool_selection,
        decision_cache_key(decision),
    )
    return Ruled(decision.name, decision.priority, rule_tree(decision.rules), listing)


def rule_tree(rule: schema.Rule) -> Tree:
    """A rule as the core knows it."""
    return Tree(
        rule.operator,
        tuple(
            rule_tree(part) if isinstance(part, schema.Rule) else Leaf(part.type, part.name)
            for part in rule.conditions
        ),
    )


def _category(category: Category, settings: Settings) -> Listing:
    """The highest score comes first; of equal scores, the first written."""
    scores = sorted(category.model_scores, key=lambda score: -score.score)
    return Listing(
        tuple(_listed_route(settings, score, score.score) for score in scores),
        _algorithm(settings.selection.algorithm),
        _system_prompt(category.system_prompt),
    )


def _listed_route(settings: Settings, ref: schema.ModelRef | ModelScore, quality: float | None) -> Route:
    effort = ref.reasoning_effort or settings.default_reasoning_effort
    route = _route(settings, ref.model, ref.lora_name, ref.use_reasoning, effort, quality)
    return replace(route, unsettled=is_unsettled(ref, settings))


def _default_route(settings: Settings) -> Route:
    route = _route(settings, settings.default_model, effort=settings.default_reasoning_effort)
    return replace(route, unsettled=settings.entropy_reasoning.enabled)


def _route(
    settings: Settings,
    name: str,
    adapter: str | None = None,
    reasoning: bool = False,
    effort: str = "medium",
    quality: float | None = None,
) -> Route:
    model = settings.models[name]
    price = model.pricing
    return Route(
        model=name,
        adapter=adapter,
        reasoning=reasoning,
        effort=effort,
        quality=model.quality if quality is None else quality,
        cost=price.prompt_per_1m + price.completion_per_1m if price else None,
    )


def _system_prompt(prompt: schema.SystemPrompt | None) -> SystemPrompt | None:
    return None if prompt is None else SystemPrompt(prompt.text, prompt.mode)


def _algorithm(algorithm: schema.Algorithm) -> Algorithm:
    weights = algorithm.weights
    return Algorithm(
        name=algorithm.type,
        weights=Weights(weights.quality, weights.latency, weights.cost, weights.load),
        exploration=algorithm.exploration,
        min_quality=algorithm.min_quality,
    )


class _HasName(Protocol):
    @property
    def name(self) -> str: ...


Named = TypeVar("Named", bound=_HasName)


class _Signals:
    """Compiles signals by the key that a condition refers to."""

    def __init__(self, settings: Settings, embed: Embed) -> None:
        self._settings = settings
        self._embed = embed
        self._prototypes: dict[str, Prototypes | None] = {}

    def of(self, used: Iterable[Key]) -> dict[Key, Signal]:
        return {key: self._signal(*key) for key in sorted(used)}

    def _signal(self, kind: str, name: str) -> Signal:
        given = self._settings.signals
        match kind:
            case "keyword":
                return _keyword(_named(given.keywords, name))
            case "embedding":
                return self._embedding(_named(given.embeddings, name))
            case "domain":
                return self._domain(name)
            case "complexity":
                return self._complexity(name)
            case "language":
                language = _named(given.language, name)
                labels = tuple(language.languages)
                return LabelSignal("language", name, "language", labels, language.threshold)
            case "classifier":
                classifier = _named(given.classifiers, name)
                labels = tuple(classifier.labels)
                return LabelSignal("classifier", name, classifier.classifier, labels, classifier.threshold)
            case "context":
                return _context(_named(given.context, name))
            case "structure":
                structure = _named(given.structure, name)
                return StructureSignal(name, structure.feature, _bounds(structure.predicate))
            case _:
                conversation = _named(given.conversation, name)
                return ConversationSignal(name, conversation.feature, _bounds(conversation.predicate))

    def _embedding(self, signal: schema.EmbeddingSignal) -> EmbeddingSignal:
        vectors = self._embed(signal.candidates)
        return EmbeddingSignal(signal.name, signal.threshold, vectors, signal.aggregation_method)

    def _domain(self, name: str) -> LabelSignal:
        """A domain may be named without a signal of that name."""
        least = self._settings.classifier.category_model.threshold
        head = domain_head(self._settings)
        for signal in self._settings.signals.domains:
            if signal.name == name:
                threshold = least if signal.threshold is None else signal.threshold
                return LabelSignal("domain", name, head, tuple(signal.mmlu_categories) or (name,), threshold)
        return LabelSignal("domain", name, head, (name,), least)

    def _complexity(self, name: str) -> ComplexitySignal:
        """`name` is the signal's, a colon, and a level."""
        base, _, level = name.rpartition(":")
        signal = _named(self._settings.signals.complexity, base)
        return ComplexitySignal(
            name, _level(level), signal.hard_above, signal.easy_below, self._prototypes_of(signal)
        )

    def _prototypes_of(self, signal: schema.ComplexitySignal) -> Prototypes | None:
        """One set of vectors for all levels of a signal."""
        if not signal.hard_candidates and not signal.easy_candidates:
            return None
        found = self._prototypes.get(signal.name)
        if found is None:
            hard, easy = (self._embedded(side) for side in (signal.hard_candidates, signal.easy_candidates))
            found = Prototypes(hard, easy, signal.threshold)
            self._prototypes[signal.name] = found
        return found

    def _embedded(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._embed(texts) if texts else np.zeros((0, 0), np.float32)


def _named(signals: Sequence[Named], name: str) -> Named:
    for signal in signals:
        if signal.name == name:
            return signal
    raise KeyError(name)


def _keyword(signal: schema.KeywordSignal) -> KeywordSignal:
    sensitive = signal.case_sensitive
    keywords = tuple(Keyword.of(text, case_sensitive=sensitive) for text in signal.keywords)
    return KeywordSignal(signal.name, signal.operator, keywords, sensitive)


def _context(signal: schema.ContextSignal) -> ContextSignal:
    most = signal.max_tokens
    return ContextSignal(signal.name, tokens(signal.min_tokens), None if most is None else tokens(most))


def tokens(given: int | str) -> int:
    """4096, "4096", "4K" (thousands) or "1.5M" (millions)."""
    if isinstance(given, int):
        return given
    unit = _UNITS.get(given[-1].upper())
    return round(float(given)) if unit is None else round(float(given[:-1]) * unit)


def _bounds(predicate: schema.Predicate) -> Bounds:
    return Bounds(predicate.gt, predicate.gte, predicate.lt, predicate.lte, predicate.eq)


def _level(text: str) -> Level:
    for level in LEVELS:
        if level == text:
            return level
    raise KeyError(text)
