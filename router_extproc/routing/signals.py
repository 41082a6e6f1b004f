"""Signals: each looks at one thing of a request and says whether it is so, and how surely.

A signal knows its own configuration and nothing of rules or models. Signals that read what the encoder said
do not match when it said nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from router_extproc.base.vector import Vector
from router_extproc.routing.analysis import Analysis
from router_extproc.routing.facts import Facts
from router_extproc.routing.structure import FEATURES
from router_extproc.routing.words import Vocabulary, normal, words_of

Key = tuple[str, str]
"""A signal's kind and name, as a condition writes them."""

COMPLEXITY = "complexity"
STRONG = "strong"
"""The complexity head's label for prompts that need the strong model; the other one is `weak`."""

EDGE = 65_536
"""Characters read of each end of a text: what lies between them in a longer one is left out, so that no
prompt can keep the router busy."""

_NO_ANALYSIS = "no analysis"


class Reading:
    """One request, prepared as far as signals ask for it. Lives for one decision."""

    __slots__ = ("_vocabularies", "analysis", "facts", "text")

    def __init__(self, facts: Facts, analysis: Analysis | None) -> None:
        self.facts = facts
        self.analysis = analysis
        text = facts.text
        self.text = text if len(text) <= 2 * EDGE else f"{text[:EDGE]}\n{text[-EDGE:]}"
        self._vocabularies: dict[bool, Vocabulary] = {}

    def vocabulary(self, *, case_sensitive: bool) -> Vocabulary:
        found = self._vocabularies.get(case_sensitive)
        if found is None:
            found = Vocabulary(self.text, case_sensitive=case_sensitive)
            self._vocabularies[case_sensitive] = found
        return found

    @property
    def vector(self) -> Vector | None:
        analysis = self.analysis
        return None if analysis is None or not analysis.encoded else analysis.vector

    def head(self, name: str) -> Mapping[str, float] | None:
        """What a head said; None where there is no such head or no analysis."""
        return None if self.analysis is None else self.analysis.heads.get(name)


@dataclass(frozen=True, slots=True)
class Evidence:
    """`confidence` in [0, 1]. `detail` is for people: numbers and names of the configuration, nothing of the
    prompt."""

    matched: bool
    confidence: float
    detail: str = ""


class Signal(Protocol):
    """`head` is the head of the analysis it reads, `reads_vector` whether it compares the vector."""

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def head(self) -> str | None: ...

    @property
    def reads_vector(self) -> bool: ...

    def evaluate(self, reading: Reading) -> Evidence: ...


@dataclass(frozen=True, slots=True)
class Keyword:
    """A literal word or phrase, made normal, with its words."""

    text: str
    words: tuple[str, ...]

    @classmethod
    def of(cls, text: str, *, case_sensitive: bool) -> "Keyword":
        text = normal(text, case_sensitive=case_sensitive)
        return cls(text, tuple(words_of(text)))


@dataclass(frozen=True, slots=True)
class KeywordSignal:
    """Confidence grows from 0.5 to 1 with the share of the keywords that occur; the absence of all is 1."""

    name: str
    operator: Literal["AND", "OR", "NOR"]
    keywords: tuple[Keyword, ...]
    case_sensitive: bool = False
    kind: Literal["keyword"] = "keyword"
    head: None = None
    reads_vector: Literal[False] = False

    def evaluate(self, reading: Reading) -> Evidence:
        vocabulary = reading.vocabulary(case_sensitive=self.case_sensitive)
        found = sum(vocabulary.has(keyword.text, keyword.words) for keyword in self.keywords)
        count = len(self.keywords)
        detail = f"{found} of {count} keywords"
        if self.operator == "NOR":
            return Evidence(found == 0, float(found == 0), detail)
        matched = found == count if self.operator == "AND" else found > 0
        return Evidence(matched, 0.5 + 0.5 * found / count if matched else 0.0, detail)


@dataclass(frozen=True, slots=True)
class EmbeddingSignal:
    """`candidates` are unit vectors, (n, dimension). The cosine is the confidence, 0 where it is negative."""

    name: str
    threshold: float
    candidates: NDArray[np.float32] = field(repr=False)
    aggregation: Literal["max", "mean", "any"] = "max"
    kind: Literal["embedding"] = "embedding"
    head: None = None
    reads_vector: Literal[True] = True

    def evaluate(self, reading: Reading) -> Evidence:
        if reading.vector is None:
            return Evidence(False, 0.0, _NO_ANALYSIS)
        cosines = self.candidates @ reading.vector
        if self.aggregation == "mean":
            value = float(cosines.mean())
            detail = f"mean of {len(cosines)} candidates {value:.4f}"
        else:
            best = int(cosines.argmax())
            value = float(cosines[best])
            detail = f"candidate {best + 1} of {len(cosines)} {value:.4f}"
        return Evidence(value >= self.threshold, _share(value), detail)


@dataclass(frozen=True, slots=True)
class LabelSignal:
    """A head gives one of `labels` at least `threshold`; the highest of their probabilities is the
    confidence. Domain, language and classifier signals are of this kind."""

    kind: Literal["domain", "language", "classifier"]
    name: str
    head: str
    labels: tuple[str, ...]
    threshold: float
    reads_vector: Literal[False] = False

    def evaluate(self, reading: Reading) -> Evidence:
        shares = reading.head(self.head)
        if shares is None:
            return Evidence(False, 0.0, _missing(reading, self.head))
        label = max(self.labels, key=lambda label: shares.get(label, 0.0))
        share = shares.get(label, 0.0)
        return Evidence(share >= self.threshold, _share(share), f"{label} {share:.4f}")


@dataclass(frozen=True, slots=True)
class Prototypes:
    """Unit vectors of examples, (n, dimension) each. The margin is the mean cosine with the hard ones less
    that with the easy ones; above `threshold` is hard, below its negative easy."""

    hard: NDArray[np.float32] = field(repr=False)
    easy: NDArray[np.float32] = field(repr=False)
    threshold: float

    def margin(self, vector: Vector) -> float:
        """In [-2, 2]."""
        sides = [float((side @ vector).mean()) if len(side) else 0.0 for side in (self.hard, self.easy)]
        return sides[0] - sides[1]


Level = Literal["hard", "medium", "easy"]


@dataclass(frozen=True, slots=True)
class ComplexitySignal:
    """One level of a complexity signal. Without `prototypes` the complexity head decides: the probability of
    STRONG is hard from `hard_above` on, easy up to `easy_below`, and medium between."""

    name: str
    level: Level
    hard_above: float
    easy_below: float
    prototypes: Prototypes | None = None
    kind: Literal["complexity"] = "complexity"

    @property
    def head(self) -> str | None:
        return None if self.prototypes else COMPLEXITY

    @property
    def reads_vector(self) -> bool:
        return self.prototypes is not None

    def evaluate(self, reading: Reading) -> Evidence:
        judged = self._by_head(reading) if self.prototypes is None else self._by_margin(reading)
        if judged is None:
            return Evidence(False, 0.0, _missing(reading, COMPLEXITY))
        level, need, detail = judged
        confidence = {"hard": need, "easy": 1 - need, "medium": 1 - abs(2 * need - 1)}[self.level]
        return Evidence(level == self.level, _share(confidence), f"{level}, {detail}")

    def _by_head(self, reading: Reading) -> tuple[Level, float, str] | None:
        """The level, the need of a strong model in [0, 1], and the number behind them."""
        shares = reading.head(COMPLEXITY)
        if shares is None:
            return None
        need = shares.get(STRONG, 0.0)
        level: Level = "hard" if need >= self.hard_above else "easy" if need <= self.easy_below else "medium"
        return level, need, f"needs a strong model {need:.4f}"

    def _by_margin(self, reading: Reading) -> tuple[Level, float, str] | None:
        prototypes, vector = self.prototypes, reading.vector
        if prototypes is None or vector is None:
            return None
        margin, threshold = prototypes.margin(vector), prototypes.threshold
        level: Level = "hard" if margin > threshold else "easy" if margin < -threshold else "medium"
        return level, _share((1 + margin) / 2), f"margin {margin:.4f}"


@dataclass(frozen=True, slots=True)
class ContextSignal:
    """The estimated prompt tokens lie in `least..most`, both included; `most` None: no limit."""

    name: str
    least: int
    most: int | None
    kind: Literal["context"] = "context"
    head: None = None
    reads_vector: Literal[False] = False

    def evaluate(self, reading: Reading) -> Evidence:
        tokens = reading.facts.prompt_tokens
        matched = self.least <= tokens and (self.most is None or tokens <= self.most)
        return Evidence(matched, float(matched), f"{tokens} tokens")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Holds where every bound that is given does."""

    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None
    eq: float | None = None

    def hold(self, value: float) -> bool:
        return (
            (self.gt is None or value > self.gt)
            and (self.gte is None or value >= self.gte)
            and (self.lt is None or value < self.lt)
            and (self.lte is None or value <= self.lte)
            and (self.eq is None or value == self.eq)
        )


@dataclass(frozen=True, slots=True)
class StructureSignal:
    """A feature of the text's form is within `bounds`. `feature` is one of `structure.FEATURES`."""

    name: str
    feature: str
    bounds: Bounds
    kind: Literal["structure"] = "structure"
    head: None = None
    reads_vector: Literal[False] = False

    def evaluate(self, reading: Reading) -> Evidence:
        # A length costs nothing, so it is that of the whole text.
        text = reading.facts.text if self.feature == "characters" else reading.text
        value = FEATURES[self.feature](text)
        matched = self.bounds.hold(value)
        return Evidence(matched, float(matched), f"{self.feature} {value:g}")


@dataclass(frozen=True, slots=True)
class ConversationSignal:
    """A count of the conversation is within `bounds`. `feature` is a field of `Facts` that counts."""

    name: str
    feature: str
    bounds: Bounds
    kind: Literal["conversation"] = "conversation"
    head: None = None
    reads_vector: Literal[False] = False

    def evaluate(self, reading: Reading) -> Evidence:
        value: int = getattr(reading.facts, self.feature)
        matched = self.bounds.hold(value)
        return Evidence(matched, float(matched), f"{self.feature} {value}")


def _missing(reading: Reading, head: str) -> str:
    if reading.analysis is None:
        return _NO_ANALYSIS
    return f"the {head} head failed" if head in reading.analysis.failed else f"no {head} head"


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)
