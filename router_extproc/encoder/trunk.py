"""The trunk's weights: low-rank changes of the encoder's own, and the tagger's linear unit.

Owns the file format and its validation. One trunk serves every judgement: the sentence vector of the cache,
the states that the heads read, and the tags of personal data. How the changes are added is `adapter`'s.
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
from router_extproc.encoder.adapter import DOWN, UP, changed, finite, unpaired
from router_extproc.encoder.graph import TAGGER_BIAS, TAGGER_WEIGHT, Weights

TRUNK_WEIGHTS = Path(__file__).parent / "weights" / "trunk.safetensors"
"""The shipped trunk. `training/README.md` says how it was fitted."""

AGAIN = "fit it again with `python -m training.trunk`"
FACTS = ("base_revision", "scale", "types", "temperature", "fitted_on")
"""What the file says beside the tensors."""


@dataclass(frozen=True, slots=True)
class Trunk:
    """What turns the base weights into the trunk's.

    `types` are the kinds of personal data that the tagger knows: row 0 of its unit is "none", rows 2t+1 and
    2t+2 begin and go on with the type t. Its logits are divided by `temperature`. `fitted_on` names the sets,
    for people.
    """

    base_revision: str
    scale: float
    types: tuple[str, ...]
    temperature: float
    fitted_on: str
    factors: Mapping[str, NDArray[np.float16]] = field(repr=False)
    whole: Mapping[str, NDArray[np.float32]] = field(repr=False)

    def weights(self, base: Weights) -> dict[str, NDArray[np.float32]]:
        """The trunk's weights, `graph.build`'s input. Raises ModelError where a tensor does not fit."""
        own = (TAGGER_WEIGHT, TAGGER_BIAS)
        merged = changed(base, self.factors, self.whole, self.scale, own, f"trunk weights; {AGAIN}")
        for name in (TAGGER_WEIGHT, TAGGER_BIAS):
            merged[name] = (self.whole[name] / self.temperature).astype(np.float32)
        return merged


def save_trunk(trunk: Trunk, path: Path) -> None:
    """Write `trunk` in the form `load_trunk` reads; equal trunks give equal bytes."""
    facts = {name: getattr(trunk, name) for name in FACTS}
    tensors = {**trunk.factors, **trunk.whole}
    ordered = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    path.write_bytes(safetensors.numpy.save(ordered, metadata={"trunk": json.dumps(facts, sort_keys=True)}))


def load_trunk(path: Path, base_revision: str) -> Trunk:
    """The trunk in `path`, if it was fitted on this base. Raises ModelError naming the file and what is
    wrong."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {})["trunk"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        trunk = Trunk(
            base_revision=facts["base_revision"],
            scale=float(facts["scale"]),
            types=tuple(facts["types"]),
            temperature=float(facts["temperature"]),
            fitted_on=facts["fitted_on"],
            factors={name: value for name, value in tensors.items() if name.endswith((DOWN, UP))},
            whole={name: value for name, value in tensors.items() if not name.endswith((DOWN, UP))},
        )
    except (OSError, safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: not a trunk's weights ({error}); install the package again") from None
    if problem := _problem(trunk, base_revision):
        raise ModelError(f"{path}: {problem}; {AGAIN}")
    return trunk


def _problem(trunk: Trunk, base_revision: str) -> str:
    """What is wrong with `trunk`, or an empty string."""
    if trunk.base_revision != base_revision:
        return f"fitted on encoder revision {trunk.base_revision}, but the base model is {base_revision}"
    if not {TAGGER_WEIGHT, TAGGER_BIAS} <= trunk.whole.keys():
        return "the tagger's unit is missing"
    rows = 2 * len(trunk.types) + 1
    if trunk.whole[TAGGER_WEIGHT].shape[0] != rows or trunk.whole[TAGGER_BIAS].shape != (rows,):
        return f"the tagger's unit has not the {rows} rows of {len(trunk.types)} types"
    if problem := unpaired(trunk.factors):
        return problem
    if not np.isfinite((trunk.scale, trunk.temperature)).all() or trunk.temperature <= 0:
        return "the scale or the temperature is out of range"
    return "" if finite(trunk.factors, trunk.whole) else "a weight is not finite"
