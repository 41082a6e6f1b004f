"""What the semantic cache would answer to a question: by its own rule, as configured and for every threshold.

Owns how a question of an evaluation becomes a request and an entry of the cache. Whether an entry may answer
is asked of `caching.policy`, so that nothing is measured that is not what runs. Knows no store and no model:
the verifier is a function.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from router_extproc.base.completion import Completion
from router_extproc.base.vector import Vector
from router_extproc.caching.control import FREE
from router_extproc.caching.entry import Candidate, Entry
from router_extproc.caching.guard import Difference
from router_extproc.caching.identity import Identity, identify
from router_extproc.caching.marks import Marks
from router_extproc.caching.policy import (
    Bounds,
    CachePolicy,
    CacheUse,
    CategoryPolicy,
    Choice,
    Mode,
    by_meaning,
    choose,
    exact_only,
    judged,
    may_use,
)

LOWEST = 0.5
"""The least threshold that is looked at: below, sentences have little in common, and the verifier need not be
asked."""

Same = Callable[[str, str], float | None]
"""The verifier: (text, other) to the probability that an answer to `other` serves `text`."""

TENANT = "evaluation"
BOUNDS = Bounds(Marks(), at=0.0)

EXACT = inf
"""The similarity of a text to itself: it reaches every threshold, as an exact match needs none."""


@dataclass(frozen=True, slots=True)
class Question:
    """A text as the router sees it. `truncated`: it is longer than the encoder's window."""

    text: str = field(repr=False)
    vector: Vector = field(repr=False)
    category: str
    truncated: bool


@dataclass(frozen=True, slots=True)
class Nearest:
    """What answers at every threshold up to `similarity`: a cosine, EXACT, or -inf when nothing does."""

    similarity: float
    answer: str | None


NOTHING = Nearest(-inf, None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`shipped` is what the configured cache answers, None for nothing, and `refused` the differences for
    which candidates were held back there. `guarded` and `bare` hold for one threshold for every category,
    with guard and verifier and without both."""

    shipped: str | None
    refused: Mapping[Difference, int]
    guarded: Nearest
    bare: Nearest


SILENT = Verdict(None, {}, NOTHING, NOTHING)


class Judge:
    """The cache's rule for first turns without a system message, tools or parameters."""

    def __init__(self, policy: CachePolicy, same: Same | None = None) -> None:
        """`policy` need not be enabled: what is measured is what it would do. `same` may be called from
        several threads; ValueError without it where `policy` has a verifier."""
        if same is None and policy.verifier is not None:
            raise ValueError("a policy with a verifier cannot be judged without one")
        self.policy = replace(policy, enabled=True)
        self._same = same
        lowest = -1.0 if policy.verifier is None else min(LOWEST, policy.default.threshold)
        everything = CategoryPolicy(Mode.SEMANTIC, threshold=lowest, ttl=inf)
        self._anything = replace(self.policy, default=everything, categories={})

    def identity(self, text: str) -> Identity:
        """The place of `text` in the one partition of an evaluation."""
        return identify(
            tenant=TENANT,
            model="auto",
            query="",
            context=(),
            frame=b"",
            params={},
            text=text,
            encoder=TENANT,
            generation=TENANT,
        )

    def may_use(self, text: str) -> bool:
        """Whether the router would ask the cache about `text` at all, or keep its answer."""
        return may_use(self.policy, TENANT, text, {}) is None

    def entry(self, question: Question, answer: str) -> Entry:
        """What the cache holds once `answer` was given to `question`; it never expires."""
        use = self.use(question)
        return Entry(
            id=use.identity.entry_id,
            partition=use.identity.partition,
            tenant=TENANT,
            text=question.text,
            vector=question.vector,
            completion=Completion(model="", content=answer, finish_reason="stop"),
            model="",
            category=question.category,
            reasoning=False,
            created_at=BOUNDS.at,
            expires_at=inf,
            exact_only=by_meaning(use, Mode.SEMANTIC, truncated=question.truncated) is not None,
        )

    def verdict(self, question: Question, candidates: Sequence[Candidate]) -> Verdict:
        """`candidates` are the entries a store proposes for `question`, the exact one among them if it is
        there. The guard is the rule's own; without it the most similar entry answers that may."""
        if not self.may_use(question.text):
            return SILENT
        use, own = self.use(question), self.policy.of(question.category)
        exact = [each for each in candidates if each.entry.text == question.text]
        anything = exact or (
            candidates if by_meaning(use, Mode.SEMANTIC, truncated=question.truncated) is None else []
        )
        allowed = exact or (anything if own.mode is Mode.SEMANTIC else [])
        said: dict[str, float | None] = {}
        shipped = self._settled(choose(self.policy, use, question.category, allowed, BOUNDS), use, said)
        guarded = self._settled(choose(self._anything, use, "", anything, BOUNDS), use, said).hit
        open_to_meaning = [each for each in anything if exact or not each.entry.exact_only]
        bare = max(open_to_meaning, key=lambda each: each.similarity, default=None)
        return Verdict(
            shipped=shipped.hit.entry.completion.content if shipped.hit else None,
            refused=shipped.refused,
            guarded=_nearest(question, guarded),
            bare=_nearest(question, bare),
        )

    def use(self, question: Question) -> CacheUse:
        """What a request with `question` may do with the cache, by what is known before it is analysed."""
        return CacheUse(self.identity(question.text), FREE, exact_only(question.text, {}, later=False))

    def _settled(self, choice: Choice, use: CacheUse, said: dict[str, float | None]) -> Choice:
        """`choice` once the verifier was asked where it is in doubt. `said` keeps its answers to this use."""
        refused = Counter(choice.refused)
        for doubtful in choice.doubtful:
            other = doubtful.candidate.entry.text
            if other not in said and self._same is not None:
                said[other] = self._same(use.identity.text, other)
            difference = judged(doubtful, said[other])
            if difference is None:
                return Choice(doubtful.candidate, refused)
            refused[difference] += 1
        return Choice(choice.hit, refused)


def _nearest(question: Question, candidate: Candidate | None) -> Nearest:
    if candidate is None:
        return NOTHING
    similarity = EXACT if candidate.entry.text == question.text else candidate.similarity
    return Nearest(similarity, candidate.entry.completion.content)
