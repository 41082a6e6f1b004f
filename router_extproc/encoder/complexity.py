"""The complexity head: does a text need the strong model?

Owns the gated head over the sentence vector, its file format and its validation. Knows nothing of how the
vector was made nor of which model is the strong one.

Three kinds of text behave differently. Of plain requests nearly none needs the strong model, of long
assignments nearly all do, and of questions with one right answer it depends on the subject. So a gate (a
linear classifier) says which kind a text is, and each kind has a small expert (Jacobs et al. 1991). One
linear classifier for all three ranks questions worse than an expert that saw only them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from router_extproc.base.errors import ModelError
from router_extproc.base.vector import Vector
from router_extproc.encoder.heads import Reads

COMPLEXITY_WEIGHTS = Path(__file__).parent / "weights" / "complexity.safetensors"
"""The shipped head. `training/reports/complexity.md` says how it was fitted and what it reaches."""

STRONG, WEAK = "strong", "weak"
LABELS = (STRONG, WEAK)
KINDS = ("request", "question", "assignment")
"""The rows of the gate."""


@dataclass(frozen=True, slots=True)
class GatedHead:
    """P(strong) = g[0] floor + g[1] e + g[2] (ceiling - span (1 - e)), where e is
    sigmoid(expert @ read + offset), g is softmax((gate @ read + bias) / temperature) in the order of KINDS,
    and `read` is the part of the states that it `reads`. The expert has a say among assignments too: of two
    of them, one is the harder.

    P(strong) is the probability that the strong model's answer is the better one, equally good ones counting
    half. `gate` is (3, width of that part), `bias` (3,), `expert` (width,), all float32; `floor`, `ceiling -
    span` and `ceiling` ascend in [0, 1]. `base_revision` names the encoder's weights the head was fitted on.
    """

    gate: NDArray[np.float32] = field(repr=False)
    bias: NDArray[np.float32] = field(repr=False)
    expert: NDArray[np.float32] = field(repr=False)
    offset: float
    temperature: float
    floor: float
    ceiling: float
    span: float
    base_revision: str
    dimension: int
    reads: Reads = Reads.SENTENCE

    @property
    def labels(self) -> tuple[str, ...]:
        return LABELS

    def probabilities(self, states: Vector) -> Mapping[str, float]:
        """`strong` and `weak`; in [0, 1], summing to 1."""
        strong = float(self.strong(states[np.newaxis])[0])
        return {STRONG: strong, WEAK: 1.0 - strong}

    def strong(self, states: NDArray[np.float32]) -> NDArray[np.float64]:
        """P(strong) of many: (n, width of the states) to (n,)."""
        read = self.reads.of(states, self.dimension)
        logits = (read @ self.gate.T + self.bias).astype(np.float64) / self.temperature
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares = powers / powers.sum(axis=1, keepdims=True)
        question = (read @ self.expert).astype(np.float64) + self.offset
        # tanh is the sigmoid that cannot overflow.
        expert = 0.5 * (1.0 + np.tanh(0.5 * question))
        experts = (self.floor, expert, self.ceiling - self.span * (1.0 - expert))
        mixed: NDArray[np.float64] = sum(shares[:, i] * each for i, each in enumerate(experts))
        return mixed

    def as_bytes(self) -> bytes:
        """Everything that decides what the head says: equal heads have equal bytes."""
        numbers = repr((self.offset, self.temperature, self.floor, self.ceiling, self.span)).encode()
        return b"\0".join((numbers, self.gate.tobytes(), self.bias.tobytes(), self.expert.tobytes()))


def save_complexity(head: GatedHead, path: Path) -> None:
    """Write `head` in the form `load_complexity` reads; equal heads give equal bytes."""
    numbers = {
        "offset": head.offset,
        "temperature": head.temperature,
        "floor": head.floor,
        "ceiling": head.ceiling,
        "span": head.span,
    }
    metadata = {
        "numbers": json.dumps(numbers),
        "base_revision": head.base_revision,
        "reads": head.reads.value,
    }
    tensors = {"gate": head.gate, "bias": head.bias, "expert": head.expert}
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    path.write_bytes(safetensors.numpy.save(contiguous, metadata=metadata))


def load_complexity(path: Path, base_revision: str, dimension: int) -> GatedHead:
    """The head in `path`, if it fits the encoder. Raises ModelError naming the file and what is wrong."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
            gate, bias, expert = (file.get_tensor(name) for name in ("gate", "bias", "expert"))
        numbers = json.loads(metadata["numbers"])
        head = GatedHead(
            gate=gate,
            bias=bias,
            expert=expert,
            offset=float(numbers["offset"]),
            temperature=float(numbers["temperature"]),
            floor=float(numbers["floor"]),
            ceiling=float(numbers["ceiling"]),
            span=float(numbers["span"]),
            base_revision=metadata["base_revision"],
            dimension=dimension,
            reads=Reads(metadata.get("reads", Reads.SENTENCE)),
        )
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError(
            f"{path}: not a complexity head's weights ({error}); install the package again"
        ) from None
    if problem := _problem(head, base_revision, dimension):
        raise ModelError(f"{path}: {problem}; fit it again with `python -m training.complexity`")
    return head


def _problem(head: GatedHead, base_revision: str, dimension: int) -> str:
    """What is wrong with `head`, or an empty string."""
    tensors = (head.gate, head.bias, head.expert)
    kinds = len(KINDS)
    width = head.reads.width(dimension)
    if tuple(tensor.shape for tensor in tensors) != ((kinds, width), (kinds,), (width,)):
        return f"the shapes are not those of {kinds} kinds of text in {dimension} dimensions"
    if any(tensor.dtype != np.float32 for tensor in tensors):
        return "the weights are not float32"
    if not (all(np.isfinite(tensor).all() for tensor in tensors) and np.isfinite(head.offset)):
        return "a weight is not finite"
    if not (np.isfinite(head.temperature) and head.temperature > 0):
        return "the temperature is not positive"
    if not 0 <= head.floor < head.ceiling - head.span <= head.ceiling <= 1:
        return "the floor and the ceiling less the span are not two probabilities in ascending order"
    if head.base_revision != base_revision:
        return f"fitted on encoder revision {head.base_revision}, but the bundle has {base_revision}"
    return ""
