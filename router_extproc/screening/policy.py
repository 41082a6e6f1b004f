"""What may pass: the guards' policy of one configuration, and its one verdict.

Pure: the findings come as `Screening`, and what follows from a verdict is the exchange's business.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from router_extproc.base.refusals import Uncached
from router_extproc.screening.reading import Screening

GUARD, PII = "guard", "pii"
"""The guards' names in `Screening.failed` and in metrics."""


class OnError(StrEnum):
    """What happens to a request that a guard could not look at."""

    ALLOW = "allow"
    BLOCK = "block"


class Action(StrEnum):
    """What follows from an attack: a refusal, or a note in metrics and audit and nothing in the cache."""

    BLOCK = "block"
    OBSERVE = "observe"


class Beyond(StrEnum):
    """What happens to a request with a longer text than is read: a sample of it is, or it is refused."""

    SAMPLE = "sample"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Strictness:
    """`threshold` in (0, 1] is the least probability that counts; `enabled`: whether any does."""

    enabled: bool = False
    threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """Of attacks on the assistant's instructions. `overrides` are by the cache key of a decision or the name
    of a category, as `Decision.cache_key` has it."""

    default: Strictness = Strictness()
    overrides: Mapping[str, Strictness] = field(default_factory=dict)
    on_error: OnError = OnError.ALLOW
    action: Action = Action.BLOCK

    @property
    def enabled(self) -> bool:
        return self.default.enabled or any(each.enabled for each in self.overrides.values())

    @property
    def refuses(self) -> bool:
        """Whether any request may be refused for it."""
        return self.enabled and self.action is Action.BLOCK

    def of(self, key: str) -> Strictness:
        return self.overrides.get(key, self.default)


@dataclass(frozen=True, slots=True)
class ModelPii:
    """What personal data a model may see. With `allow_by_default` all, else the types in `allowed`."""

    allow_by_default: bool = True
    allowed: frozenset[str] = frozenset()

    def denies(self, types: frozenset[str]) -> frozenset[str]:
        return frozenset() if self.allow_by_default else types - self.allowed


@dataclass(frozen=True, slots=True)
class PiiPolicy:
    """`models` are those with a policy of their own, and their adapters; every other model may see
    everything. `decisions` are by cache key: what any model may see there at most; where there are some,
    `models` has the whole pool. `threshold` is the least score of a span that counts."""

    default: Strictness = Strictness()
    overrides: Mapping[str, Strictness] = field(default_factory=dict)
    models: Mapping[str, ModelPii] = field(default_factory=dict)
    decisions: Mapping[str, ModelPii] = field(default_factory=dict)
    on_error: OnError = OnError.ALLOW

    @property
    def enabled(self) -> bool:
        return self.default.enabled or any(each.enabled for each in self.overrides.values())

    def of(self, key: str) -> Strictness:
        return self.overrides.get(key, self.default)

    @property
    def refuses(self) -> bool:
        """Whether any request may be refused, or kept from a model, for it."""
        return self.enabled and bool(self.models or self.decisions or self.on_error is OnError.BLOCK)

    def denied(self, key: str, model: str, types: frozenset[str]) -> frozenset[str]:
        """Those of `types` that `model`, or the adapter of this name, may not see under the policy `key`."""
        policies = (self.models.get(model), self.decisions.get(key))
        return frozenset().union(*(policy.denies(types) for policy in policies if policy is not None))

    def allowed(self, key: str, types: frozenset[str]) -> Mapping[str, frozenset[str]]:
        """By the names of models and adapters that may not see all of `types` under the policy `key`, those
        that they may see."""
        seen = {model: types - self.denied(key, model, types) for model in self.models}
        return {model: kinds for model, kinds in seen.items() if kinds != types}


@dataclass(frozen=True, slots=True)
class Least:
    """The least probability that counts, in (0, 1]: `default`, or by the cache key of a decision or the name
    of a category."""

    default: float = 0.5
    overrides: Mapping[str, float] = field(default_factory=dict)

    def of(self, key: str) -> float:
        return self.overrides.get(key, self.default)


@dataclass(frozen=True, slots=True)
class AnswerPolicy:
    """What an answer must not hold to be kept in the cache: personal data of a type that is not `allowed`,
    from `pii` on, and an attack, from `guard` on. None: not looked for."""

    pii: Least | None = None
    guard: Least | None = None
    allowed: frozenset[str] = frozenset()

    @property
    def enabled(self) -> bool:
        return self.pii is not None or self.guard is not None


@dataclass(frozen=True, slots=True)
class ScreeningPolicy:
    """Both guards, and what they make of answers. `status` is the HTTP status of a block, 200 as vLLM
    Semantic Router answers, or 4xx. `max_tokens` bounds what is read of each text; `beyond`: what becomes of
    a request with a longer one, and whether an answer with one may be kept. `unread_paths` lead to the same
    models, and are open all the same."""

    guard: GuardPolicy = GuardPolicy()
    pii: PiiPolicy = PiiPolicy()
    status: int = 200
    max_tokens: int = 4096
    beyond: Beyond = Beyond.SAMPLE
    answers: AnswerPolicy = AnswerPolicy()
    unread_paths: frozenset[str] = frozenset()

    @property
    def refuses(self) -> bool:
        """Whether a guard stands between clients and models: then there must be no way around it."""
        return self.guard.refuses or self.pii.refuses

    @property
    def guarded(self) -> bool:
        """Whether requests are read."""
        return self.guard.enabled or self.pii.enabled


def is_attack(policy: GuardPolicy, key: str, found: Screening) -> bool:
    """Whether a request under the policy `key` is to be refused for what was found."""
    rule = policy.of(key)
    refuses = policy.action is Action.BLOCK and rule.enabled
    return refuses and found.attack is not None and found.attack >= rule.threshold


def sensitive(policy: PiiPolicy, key: str, found: Screening) -> frozenset[str]:
    """The types of personal data that count under the policy `key`."""
    rule = policy.of(key)
    if not rule.enabled:
        return frozenset()
    return frozenset(kind for kind, score in found.types.items() if score >= rule.threshold)


def personal(policy: AnswerPolicy, key: str, found: Screening) -> frozenset[str]:
    """The types of personal data for which an answer under the policy `key` is not kept."""
    if policy.pii is None:
        return frozenset()
    least = policy.pii.of(key)
    return frozenset(kind for kind, score in found.types.items() if score >= least) - policy.allowed


def unfit(policy: ScreeningPolicy, key: str, found: Screening) -> Uncached | None:
    """Why an answer under the policy `key` is not kept, None where nothing stands against it. What was found
    is a better reason than that somebody could not look, or not at all of it."""
    answers = policy.answers
    if answers.guard is not None and found.attack is not None and found.attack >= answers.guard.of(key):
        return Uncached.ATTACK
    if personal(answers, key, found):
        return Uncached.PERSONAL_DATA
    silent = answers.guard is not None and (found.attack is None or GUARD in found.failed)
    if silent or (answers.pii is not None and PII in found.failed):
        return Uncached.UNSCREENED
    return Uncached.UNREAD if found.skipped > 0 and policy.beyond is Beyond.REFUSE else None
