"""The verifier's weights: low-rank changes of the encoder's own, and a linear unit.

Owns the file format, its validation and how the changes are added to the base weights. Knows nothing of
graphs or texts. A matrix W of the base becomes W + scale * B A with B and A of `rank` (Hu et al. 2021, LoRA),
which takes 2 % of the space; biases, layer norms and the linear unit are stored whole.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from router_extproc.base.errors import ModelError
from router_extproc.encoder.graph import HEAD_BIAS, HEAD_WEIGHT, Weights

VERIFIER_WEIGHTS = Path(__file__).parent / "weights" / "verifier.safetensors"
"""The shipped verifier. `training/README.md` says how it was fitted."""

DOWN, UP = ".lora_A", ".lora_B"
"""Suffixes of a matrix's two factors: A is (rank, in), B is (out, rank)."""

FACTS = ("base_revision", "scale", "temperature", "shift", "threshold", "fitted_on")
"""What the file says beside the tensors."""

AGAIN = "fit it again with `python -m training.verifier`"


@dataclass(frozen=True, slots=True)
class Adapter:
    """What turns the base weights into the verifier's.

    `factors` are float16, named after the matrix they change and `DOWN` or `UP`; `whole` are float32 and take
    the place of the base's tensors of the same name, with the linear unit among them. A probability is
    logistic(unit / `temperature` + `shift`), both fitted on held-out pairs. `threshold` is the least
    probability that the router ships with; `fitted_on` names the sets, for people.
    """

    base_revision: str
    scale: float
    temperature: float
    shift: float
    threshold: float
    fitted_on: str
    factors: Mapping[str, NDArray[np.float16]] = field(repr=False)
    whole: Mapping[str, NDArray[np.float32]] = field(repr=False)

    def weights(self, base: Weights) -> dict[str, NDArray[np.float32]]:
        """The verifier's weights, `build_verifier`'s input. Raises ModelError where a tensor does not fit."""
        own = (HEAD_WEIGHT, HEAD_BIAS)
        merged = changed(base, self.factors, self.whole, self.scale, own, f"verifier weights; {AGAIN}")
        merged[HEAD_WEIGHT] = (self.whole[HEAD_WEIGHT] / self.temperature).astype(np.float32)
        merged[HEAD_BIAS] = (self.whole[HEAD_BIAS] / self.temperature + self.shift).astype(np.float32)
        return merged


def changed(
    base: Weights,
    factors: Mapping[str, NDArray[np.float16]],
    whole: Mapping[str, NDArray[np.float32]],
    scale: float,
    own: Collection[str],
    cure: str,
) -> dict[str, NDArray[np.float32]]:
    """`base` with the low-rank changes added and the whole tensors in place; those called `own` are new.

    The products are summed in a fixed order with nothing but elementwise arithmetic, so that the result has
    the same bytes on every machine. Raises ModelError with `cure` where a tensor does not fit.
    """
    merged = dict(base)
    for name in sorted(each.removesuffix(DOWN) for each in factors if each.endswith(DOWN)):
        down, up = (factors[name + part].astype(np.float64) for part in (DOWN, UP))
        matrix = merged.get(name + ".weight")
        if matrix is None or matrix.shape != (up.shape[0], down.shape[1]):
            raise ModelError(f"{name} is not a matrix of the base model: {cure}")
        change = np.zeros(matrix.shape)
        for column, row in zip(up.T, down, strict=True):
            change += column[:, np.newaxis] * row
        merged[name + ".weight"] = (matrix + scale * change).astype(np.float32)
    for name, value in whole.items():
        if name not in own and (name not in base or base[name].shape != value.shape):
            raise ModelError(f"{name} is not of the base model: {cure}")
        merged[name] = value
    return merged


def save_adapter(adapter: Adapter, path: Path) -> None:
    """Write `adapter` in the form `load_adapter` reads; equal adapters give equal bytes."""
    facts = {name: getattr(adapter, name) for name in FACTS}
    # In one string: the library writes several in an order of its own, another one each time.
    metadata = {"verifier": json.dumps(facts, sort_keys=True)}
    tensors = {**adapter.factors, **adapter.whole}
    ordered = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    path.write_bytes(safetensors.numpy.save(ordered, metadata=metadata))


def load_adapter(path: Path, base_revision: str) -> Adapter:
    """The adapter in `path`, if it was fitted on this base. Raises ModelError naming the file and what is
    wrong."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {})["verifier"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        adapter = Adapter(
            base_revision=facts["base_revision"],
            scale=float(facts["scale"]),
            temperature=float(facts["temperature"]),
            shift=float(facts["shift"]),
            threshold=float(facts["threshold"]),
            fitted_on=facts["fitted_on"],
            factors={name: value for name, value in tensors.items() if name.endswith((DOWN, UP))},
            whole={name: value for name, value in tensors.items() if not name.endswith((DOWN, UP))},
        )
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: not a verifier's weights ({error}); install the package again") from None
    if problem := _problem(adapter, base_revision):
        raise ModelError(f"{path}: {problem}; {AGAIN}")
    return adapter


def adapter_id(path: Path) -> str:
    """Identity of the verifier's weights: a bundle made from other ones is out of date. Raises ModelError."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); install the package again") from None


def _problem(adapter: Adapter, base_revision: str) -> str:
    """What is wrong with `adapter`, or an empty string."""
    if adapter.base_revision != base_revision:
        return f"fitted on encoder revision {adapter.base_revision}, but the base model is {base_revision}"
    if not {HEAD_WEIGHT, HEAD_BIAS} <= adapter.whole.keys():
        return "the linear unit is missing"
    if problem := unpaired(adapter.factors):
        return problem
    numbers = (adapter.scale, adapter.temperature, adapter.shift, adapter.threshold)
    if not np.isfinite(numbers).all() or adapter.temperature <= 0 or not 0 < adapter.threshold <= 1:
        return "the scale, temperature, shift or threshold is out of range"
    if not finite(adapter.factors, adapter.whole):
        return "a weight is not finite"
    return ""


def unpaired(factors: Mapping[str, NDArray[np.float16]]) -> str:
    """What is wrong with the factors as pairs, or an empty string."""
    downs = {name.removesuffix(DOWN) for name in factors if name.endswith(DOWN)}
    ups = {name.removesuffix(UP) for name in factors if name.endswith(UP)}
    if not downs or downs != ups:
        return "the factors do not come in pairs"
    if any(factors[n + DOWN].shape[0] != factors[n + UP].shape[1] for n in downs):
        return "two factors do not have the same rank"
    return ""


def finite(*parts: Mapping[str, NDArray[Any]]) -> bool:
    return all(bool(np.isfinite(tensor).all()) for part in parts for tensor in part.values())
