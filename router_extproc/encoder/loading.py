"""Which heads a policy needs, loaded: those on the sentence vector and those on the text itself.

Knows every kind of head there is. Takes plain options; what they come from is not its business.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from router_extproc.base.errors import ModelError
from router_extproc.base.vector import Vector
from router_extproc.encoder.classifier import ClassifierOptions, open_classifier
from router_extproc.encoder.complexity import COMPLEXITY_WEIGHTS, LABELS, load_complexity
from router_extproc.encoder.heads import DOMAIN_WEIGHTS, load_head
from router_extproc.encoder.language import LanguageHead
from router_extproc.encoder.prototypes import PrototypeHead

DOMAIN: Final = "domain"
COMPLEXITY: Final = "complexity"
LANGUAGE: Final = "language"

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to unit vectors, (n, dimension)."""


class VectorHead(Protocol):
    """A judgement of a pass's states, the sentence vector and what follows it: microseconds."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    def probabilities(self, states: Vector, /) -> Mapping[str, float]: ...

    def as_bytes(self) -> bytes: ...


class TextHead(Protocol):
    """A judgement of the text itself: up to a model's run. Called from the worker thread."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    def probabilities(self, text: str) -> Mapping[str, float]: ...

    def as_bytes(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class ByExamples:
    """A classifier whose classes are defined by example sentences, one or more each."""

    name: str
    classes: Mapping[str, Sequence[str]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ByModel:
    """A classifier that is a model in a folder."""

    name: str
    folder: Path
    options: ClassifierOptions


@dataclass(frozen=True, slots=True)
class Base:
    """The encoder's side of the heads: its weights' revision, its dimension, and how it embeds texts."""

    revision: str
    dimension: int
    embed: Embed


@dataclass(frozen=True, slots=True)
class Heads:
    """By name. No name is in both."""

    on_vector: Mapping[str, VectorHead]
    on_text: Mapping[str, TextHead]

    def as_bytes(self) -> Iterator[bytes]:
        """What decides the judgements, in the order of the names."""
        everything: dict[str, VectorHead | TextHead] = {**self.on_vector, **self.on_text}
        for name in sorted(everything):
            yield name.encode()
            yield everything[name].as_bytes()


def load_heads(needs: Collection[str], classifiers: Sequence[ByExamples | ByModel], base: Base) -> Heads:
    """The heads called `needs`: DOMAIN, COMPLEXITY, LANGUAGE and classifiers by name; a classifier nobody
    needs is not loaded. Takes up to seconds for each. Raises ModelError, also for a name that there is
    not."""
    on_vector: dict[str, VectorHead] = {}
    on_text: dict[str, TextHead] = {}
    named = {each.name: each for each in classifiers}
    for name in sorted(needs):
        match named.get(name, name):
            case ByExamples() as examples:
                on_vector[name] = PrototypeHead(
                    {label: base.embed(texts) for label, texts in examples.classes.items()}
                )
            case ByModel() as model:
                on_text[name] = open_classifier(model.folder, model.options)
            case "domain":
                on_vector[name] = load_head(DOMAIN_WEIGHTS, base.revision, base.dimension)
            case "complexity":
                on_vector[name] = load_complexity(COMPLEXITY_WEIGHTS, base.revision, base.dimension)
            case "language":
                on_text[name] = LanguageHead().load()
            case _:
                raise ModelError(f"classifiers: there is none called {name!r}; add it, or correct the name")
    if COMPLEXITY in on_text:
        _check_complexity(named[COMPLEXITY], on_text[COMPLEXITY].labels)
    return Heads(on_vector, on_text)


def _check_complexity(given: ByExamples | ByModel, labels: Sequence[str]) -> None:
    if isinstance(given, ByModel) and not set(LABELS) <= set(labels):
        raise ModelError(
            f"{given.folder}: the labels {', '.join(labels)} are not {' and '.join(LABELS)}, by which the "
            "complexity is told; map them with `labels` of the classifier"
        )
