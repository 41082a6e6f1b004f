"""Who looks for attacks and personal data: the heads on the encoder's pass, or a model of the user's own.

Knows both kinds. What is read of a text, and what is done about a find, is not its business.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from router_extproc.base.errors import ModelError
from router_extproc.encoder.classifier import ClassifierOptions, SequenceClassifier, open_classifier
from router_extproc.encoder.heads import LinearHead
from router_extproc.encoder.labels import JAILBREAK, attacks_of
from router_extproc.encoder.passage import Passage
from router_extproc.encoder.screener import AttackHead, Tagger
from router_extproc.encoder.tagger import spans_of
from router_extproc.encoder.token_classifier import TokenOptions, open_token_classifier
from router_extproc.screening.spans import PiiSpan


class TrunkAttacks:
    """The guard that reads the encoder's states."""

    def __init__(self, head: LinearHead) -> None:
        """`head` has the label `jailbreak`."""
        self._head = head
        self._column = head.labels.index(JAILBREAK)

    def attack(self, passage: Passage) -> float:
        states = np.stack([reading.states for _, reading in passage.windows])
        return float(self._head.rows(states)[:, self._column].max())

    def as_bytes(self) -> bytes:
        return self._head.as_bytes()


class TrunkTagger:
    """The tags that come with the encoder's pass."""

    def __init__(self, types: Sequence[str]) -> None:
        """`types` are the tagger's, in the order of its rows."""
        self._types = tuple(types)

    def spans(self, passage: Passage) -> Iterator[PiiSpan]:
        for window, reading in passage.windows:
            yield from spans_of(passage.text, passage.start, window, reading.tags, self._types)

    def as_bytes(self) -> bytes:
        return repr(self._types).encode()


@dataclass(frozen=True, slots=True)
class ClassifierAttacks:
    """A sequence classifier in a folder. `attacks` says which of its labels are: a window's probability is
    their sum, or the highest where several may hold."""

    classifier: SequenceClassifier
    attacks: tuple[bool, ...]

    def attack(self, passage: Passage) -> float:
        shares = self.classifier.rows(passage.text)[:, self.attacks]
        each = shares.max(axis=1) if self.classifier.multi_label else shares.sum(axis=1)
        return min(1.0, float(each.max()))

    def as_bytes(self) -> bytes:
        return self.classifier.as_bytes() + repr(self.attacks).encode()


@dataclass(frozen=True, slots=True)
class GuardModel:
    """A folder that stands in for a guard's head. `labels` says what its labels mean, beyond what `labels`
    knows."""

    folder: Path
    max_tokens: int = 256
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GuardModels:
    """What stands in for which head; None: nothing does."""

    attacks: GuardModel | None = None
    pii: GuardModel | None = None


def open_attacks(given: GuardModel, threads: int = 1) -> AttackHead:
    """Load and test it. Takes up to seconds. Raises ModelError naming the folder and the cure."""
    classifier = open_classifier(given.folder, ClassifierOptions(given.max_tokens, threads=threads))
    try:
        attacks = attacks_of(classifier.labels, given.labels)
    except ModelError as error:
        raise ModelError(f"{given.folder}: {error}") from None
    return ClassifierAttacks(classifier, attacks)


def open_tagger(given: GuardModel, threads: int = 1) -> Tagger:
    """As `open_attacks`."""
    return open_token_classifier(given.folder, TokenOptions(given.max_tokens, given.labels, threads))
