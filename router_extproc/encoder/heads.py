"""Heads: small linear classifiers over the sentence vector.

Owns the weights' file format, its validation and the softmax. Knows nothing of how the vector was made
nor of what the labels lead to. A head costs a few microseconds, so one encoder pass may feed many.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from router_extproc.base.errors import ModelError
from router_extproc.base.vector import Vector
from router_extproc.encoder.graph import READ
from router_extproc.encoder.words import WIDTH

DOMAIN_WEIGHTS = Path(__file__).parent / "weights" / "domain.safetensors"
"""The shipped domain head: 14 categories of MMLU-Pro. `training/README.md` says how it was fitted."""


GUARD_WEIGHTS = Path(__file__).parent / "weights" / "guard.safetensors"
"""The shipped guard: innocent texts and attacks on an assistant's instructions."""


class Reads(StrEnum):
    """Which part of `session.Reading.states` a head reads."""

    SENTENCE = "sentence"
    FEATURES = "features"
    TOPIC = "topic"
    """The features, and after them what the words say."""

    def of(self, states: NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
        """The columns of (..., width)."""
        first = 0 if self is Reads.SENTENCE else dimension
        return states[..., first : first + self.width(dimension)]

    def width(self, dimension: int) -> int:
        features = (len(READ) + 1) * dimension
        return {Reads.SENTENCE: dimension, Reads.FEATURES: features, Reads.TOPIC: features + WIDTH}[self]


@dataclass(frozen=True, slots=True)
class LinearHead:
    """softmax((weight @ read + bias) / temperature), where `read` is the part of the states that it `reads`.

    `weight` is (labels, width of that part), `bias` (labels,), both float32; `dimension` is the sentence
    vector's. `temperature` was fitted on held-out folds so that a probability means what it says (Guo et al.
    2017). `base_revision` names the encoder's weights the head was fitted on.
    """

    labels: tuple[str, ...]
    weight: NDArray[np.float32] = field(repr=False)
    bias: NDArray[np.float32] = field(repr=False)
    temperature: float
    base_revision: str
    dimension: int
    reads: Reads = Reads.SENTENCE

    def probabilities(self, states: Vector) -> Mapping[str, float]:
        """Label to probability, in the order of `labels`; in [0, 1], summing to 1."""
        return dict(zip(self.labels, self.rows(states[np.newaxis])[0].tolist(), strict=True))

    def as_bytes(self) -> bytes:
        """Everything that decides what the head says: equal heads have equal bytes."""
        temperature = repr(self.temperature).encode()
        return b"\0".join(
            (json.dumps(self.labels).encode(), temperature, self.weight.tobytes(), self.bias.tobytes())
        )

    def rows(self, states: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities of many: (n, width of the states) to (n, labels)."""
        read = self.reads.of(states, self.dimension)
        logits = (read @ self.weight.T + self.bias).astype(np.float64) / self.temperature
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return result


def save_head(head: LinearHead, path: Path) -> None:
    """Write `head` in the form `load_head` reads; equal heads give equal bytes."""
    metadata = {
        "labels": json.dumps(head.labels),
        "temperature": repr(head.temperature),
        "base_revision": head.base_revision,
        "reads": head.reads.value,
    }
    # The library writes an array's memory as it lies, and scikit-learn's weights lie column by column.
    tensors = {"bias": np.ascontiguousarray(head.bias), "weight": np.ascontiguousarray(head.weight)}
    path.write_bytes(safetensors.numpy.save(tensors, metadata=metadata))


def load_head(path: Path, base_revision: str, dimension: int) -> LinearHead:
    """The head in `path`, if it fits the encoder. Raises ModelError naming the file and what is wrong."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
            weight, bias = file.get_tensor("weight"), file.get_tensor("bias")
        head = LinearHead(
            labels=tuple(json.loads(metadata["labels"])),
            weight=weight,
            bias=bias,
            temperature=float(metadata["temperature"]),
            base_revision=metadata["base_revision"],
            dimension=dimension,
            reads=Reads(metadata.get("reads", Reads.SENTENCE)),
        )
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: not a head's weights ({error}); install the package again") from None
    if problem := _problem(head, base_revision, dimension):
        raise ModelError(f"{path}: {problem}; fit it again with `make train`")
    return head


def _problem(head: LinearHead, base_revision: str, dimension: int) -> str:
    """What is wrong with `head`, or an empty string."""
    count = len(head.labels)
    if count < 2 or len(set(head.labels)) != count or not all(isinstance(x, str) and x for x in head.labels):
        return "the labels are not two or more different names"
    width = head.reads.width(dimension)
    if head.weight.shape != (count, width) or head.bias.shape != (count,):
        return f"the shapes {head.weight.shape} and {head.bias.shape} are not those of {count} labels"
    if head.weight.dtype != np.float32 or head.bias.dtype != np.float32:
        return "the weights are not float32"
    if not (np.isfinite(head.weight).all() and np.isfinite(head.bias).all()):
        return "a weight is not finite"
    if not (np.isfinite(head.temperature) and head.temperature > 0):
        return "the temperature is not positive"
    if head.base_revision != base_revision:
        return f"fitted on encoder revision {head.base_revision}, but the bundle has {base_revision}"
    return ""
