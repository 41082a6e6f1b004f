"""What may stand under `signals`, `decisions`, `selection`, `session` and `tools` of `config/router.yaml`.

A signal looks at one thing of a request and has a name; a decision combines signals by name and lists the
models that may answer. Names follow vLLM Semantic Router's where it has one for the same thing.
"""

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, NonNegativeInt, PositiveInt, Tag, model_validator

from router_extproc.settings.guard_schema import Threshold
from router_extproc.settings.strict import Label, Name, Share, Strict

Text = Annotated[str, Field(min_length=1, max_length=4096)]
Effort = Literal["low", "medium", "high"]


class KeywordSignal(Strict):
    """Whole words or phrases of the last user turn. `NOR` matches where none of them occurs. Each keyword is
    matched literally, never as a regular expression."""

    name: Label
    operator: Literal["AND", "OR", "NOR"] = "OR"
    keywords: Annotated[list[Text], Field(min_length=1, max_length=1000)]
    case_sensitive: bool = False


class EmbeddingSignal(Strict):
    """How near the last user turn is to any of the `candidates`, or to their mean similarity."""

    name: Label
    threshold: Share = 0.6
    candidates: Annotated[list[Text], Field(min_length=1, max_length=1000)]
    aggregation_method: Literal["max", "mean", "any"] = "max"


class DomainSignal(Strict):
    """The domain head says one of `mmlu_categories`, or the domain called `name` where none are given, with
    at least `threshold` (by default `classifier.category_model.threshold`)."""

    name: Label
    mmlu_categories: list[Label] = []
    threshold: Share | None = None


class ComplexitySignal(Strict):
    """`hard`, `medium` or `easy`, referred to as `NAME:hard` and so on. Without candidates the complexity
    head decides: its probability that a strong model is needed, at least `hard_above` is hard, at most
    `easy_below` easy. With candidates, the mean similarity to the hard ones less that to the easy ones, above
    `threshold` hard, below its negative easy."""

    name: Label
    hard_above: Share = 0.6
    easy_below: Share = 0.4
    threshold: Share = 0.1
    hard_candidates: list[Text] = []
    easy_candidates: list[Text] = []


class LanguageSignal(Strict):
    """The language of the last user turn (ISO 639-1 codes), if it is recognised with `threshold`."""

    name: Label
    languages: Annotated[list[Annotated[str, Field(pattern=r"^[a-z]{2}$")]], Field(min_length=1)]
    threshold: Share = 0.5


class ContextSignal(Strict):
    """The estimated prompt tokens of the whole request lie in `min_tokens..max_tokens`. Numbers, or "4K",
    "1M" (thousands and millions)."""

    name: Label
    min_tokens: NonNegativeInt | Annotated[str, Field(pattern=r"^\d+(\.\d+)?[KkMm]?$")] = 0
    max_tokens: NonNegativeInt | Annotated[str, Field(pattern=r"^\d+(\.\d+)?[KkMm]?$")] | None = None


class Predicate(Strict):
    """All the bounds given hold. At least one is given."""

    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None
    eq: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("give at least one of gt, gte, lt, lte, eq")
        return self


class StructureSignal(Strict):
    """The form of the last user turn: a count or share compared with `predicate`."""

    name: Label
    feature: Literal[
        "characters", "words", "lines", "question_marks", "numbers", "urls", "code_blocks", "list_items",
        "json", "table_rows", "uppercase_share", "math_symbols",
    ]  # fmt: skip
    predicate: Predicate


class ConversationSignal(Strict):
    """The shape of the conversation: a count compared with `predicate`."""

    name: Label
    feature: Literal[
        "messages", "user_turns", "assistant_turns", "system_messages", "tool_messages", "tool_calls",
        "tools", "images",
    ]  # fmt: skip
    predicate: Predicate


class ClassifierSignal(Strict):
    """The classifier named `classifier` (under `classifiers`) says one of `labels` with at least
    `threshold`."""

    name: Label
    classifier: Label
    labels: Annotated[list[Label], Field(min_length=1)]
    threshold: Share = 0.5


class Signals(Strict):
    """By kind. A name is unique within its kind; a condition names kind and name."""

    keywords: list[KeywordSignal] = []
    embeddings: list[EmbeddingSignal] = []
    domains: list[DomainSignal] = []
    complexity: list[ComplexitySignal] = []
    language: list[LanguageSignal] = []
    context: list[ContextSignal] = []
    structure: list[StructureSignal] = []
    conversation: list[ConversationSignal] = []
    classifiers: list[ClassifierSignal] = []


ConditionType = Literal[
    "keyword", "embedding", "domain", "complexity", "language", "context", "structure", "conversation",
    "classifier",
]  # fmt: skip


class Condition(Strict):
    """A leaf: the signal `name` of kind `type` matches. `type: domain` may name one of the 14 domains without
    a signal of that name."""

    type: ConditionType
    name: Label


def _leaf_or_tree(part: object) -> str:
    """What a part of a rule was meant to be, so that errors are about that."""
    if isinstance(part, dict):
        return "rule" if {"operator", "conditions"} & part.keys() else "condition"
    return "rule" if isinstance(part, Rule) else "condition"


Part = Annotated[
    Annotated[Condition, Tag("condition")] | Annotated["Rule", Tag("rule")], Discriminator(_leaf_or_tree)
]


class Rule(Strict):
    """`AND` holds when all conditions do, `OR` when any does, `NOT` when its one condition does not. Without
    conditions `AND` always holds: a decision for everything else."""

    operator: Literal["AND", "OR", "NOT"] = "AND"
    conditions: Annotated[list[Part], Field(max_length=100)] = []

    @model_validator(mode="after")
    def _shaped(self) -> Self:
        if self.operator == "NOT" and len(self.conditions) != 1:
            raise ValueError("NOT takes exactly one condition")
        if self.operator == "OR" and not self.conditions:
            raise ValueError("OR needs at least one condition")
        return self


class ModelRef(Strict):
    """A model that may answer. `quality` in [0, 1] is what it is worth for this decision; by default the
    model's own `quality`. `lora_name` is one of the model's `loras` and takes the model's place in the
    request."""

    model: Name
    lora_name: Name | None = None
    quality: Share | None = None
    use_reasoning: bool = False
    reasoning_effort: Effort | None = None


class Weights(Strict):
    """What counts for `multi_factor`, each in [0, 1], relative to one another."""

    quality: Share = 0.4
    latency: Share = 0.3
    cost: Share = 0.2
    load: Share = 0.1


class Algorithm(Strict):
    """How a model is chosen among the refs that can answer. `static`: the first. `latency_aware`: the
    fastest by what was measured. `multi_factor`: the best weighted sum. `adaptive`: as `multi_factor`, and
    `exploration` of the requests at most go to another, less as more is known."""

    type: Literal["static", "latency_aware", "multi_factor", "adaptive"] = "static"
    weights: Weights = Weights()
    exploration: Annotated[float, Field(ge=0.0, le=0.2)] = 0.05
    min_quality: Share = 0.0


class SystemPrompt(Strict):
    """`insert` puts `text` before what the request's system message says, `replace` in its place; a request
    without one gets one."""

    text: Annotated[str, Field(min_length=1, max_length=65_536)]
    mode: Literal["insert", "replace"] = "replace"


class DecisionCache(Strict):
    """How questions of one decision use the semantic cache; what is not given is as for all others."""

    mode: Literal["off", "exact", "semantic"] | None = None
    similarity_threshold: Share | None = None
    ttl_seconds: PositiveInt | None = None


class Decision(Strict):
    """The first by priority (the highest first; then by confidence, then as written) whose `rules` hold
    decides. `modelRefs` are candidates in the order of preference. With `pii_types_allowed` no model may see
    other types of personal data here, whatever its own policy says."""

    name: Label
    description: str = ""
    priority: int = 0
    rules: Rule = Rule()
    modelRefs: Annotated[list[ModelRef], Field(min_length=1)]  # noqa: N815 - the peer's own name
    algorithm: Algorithm | None = None
    system_prompt: SystemPrompt | None = None
    semantic_cache: DecisionCache = DecisionCache()
    tool_selection: bool = True
    jailbreak_enabled: bool | None = None
    jailbreak_threshold: Threshold | None = None
    pii_enabled: bool | None = None
    pii_threshold: Threshold | None = None
    pii_types_allowed: list[str] | None = None


class Session(Strict):
    """`none`: every request is decided by itself. `pin`: a conversation stays with the model that answered it
    first. `escalate_only`: it may move to a model of higher quality, never to a lower one. The key is the
    request header `header`, else a digest of the credential and the first turns."""

    policy: Literal["none", "pin", "escalate_only"] = "none"
    header: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,126}$")] = "x-session-id"
    ttl_seconds: PositiveInt = 3600
    max_sessions: PositiveInt = 10_000


class EntropyReasoning(Strict):
    """Whether a model thinks, where the configuration does not say so: for `default_model`, and in decisions
    for refs without `use_reasoning`. With `enabled` it follows the category that reaches
    `classifier.category_model.threshold`; without such a category it is on if those categories whose models
    think have `threshold` of the probability together, or, with `very_high: think`, if the uncertainty is
    very high and they have any."""

    enabled: bool = False
    threshold: Share = 0.5
    very_high: Literal["think", "vote"] = "think"


class Feedback(Strict):
    """What is learned from answers. `enabled: false` makes every algorithm go by the configuration alone.
    A model is left after `failures` failed answers in a row or a share of `error_rate` of the recent ones,
    and tried again with one request after `retry_seconds`, doubling up to `max_retry_seconds`. It is left
    too when nothing was heard of it for `silence_seconds` while `failures` requests waited.
    Measurements lose half of their weight in `half_life_seconds`."""

    enabled: bool = True
    failures: PositiveInt = 3
    error_rate: Share = 0.5
    retry_seconds: Annotated[float, Field(gt=0, le=300)] = 2.0
    max_retry_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    silence_seconds: Annotated[float, Field(gt=0, le=3600)] = 120.0
    half_life_seconds: Annotated[float, Field(ge=1, le=3600)] = 10.0


class Selection(Strict):
    """For decisions without an `algorithm` of their own, and what all of them learn from."""

    algorithm: Algorithm = Algorithm()
    feedback: Feedback = Feedback()


class Tools(Strict):
    """Tools for requests with `tool_choice: auto` and no `tools` of their own: the `top_k` of `tools_db_path`
    (relative to the configuration) whose description is at least that similar to the last user turn."""

    enabled: bool = False
    top_k: Annotated[int, Field(ge=1, le=50)] = 3
    similarity_threshold: Share = 0.2
    tools_db_path: str | None = None
    fallback_to_empty: bool = True


class PrototypeClass(Strict):
    name: Label
    examples: Annotated[list[Text], Field(min_length=1, max_length=1000)]


class CustomClassifier(Strict):
    """Classes by example sentences (`classes`), or a Hugging Face sequence classification model in ONNX
    (`path`: a folder with config.json, the tokeniser's files and an .onnx, relative to the configuration),
    whose labels `labels` may give other names. `use_as_domain`: its labels stand in for the domain head's.
    `use_as_complexity`: its labels `strong` and `weak` stand in for the complexity head's."""

    name: Label
    classes: list[PrototypeClass] = []
    path: str | None = None
    max_tokens: Annotated[int, Field(ge=16, le=8192)] = 256
    labels: dict[str, Label] = {}
    use_as_domain: bool = False
    use_as_complexity: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.classes) == (self.path is not None):
            raise ValueError("give either `classes` or `path`")
        if self.classes and len(self.classes) < 2:
            raise ValueError("`classes` needs at least two classes")
        return self
