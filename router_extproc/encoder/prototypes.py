"""Classes defined by example sentences: nothing is trained.

Owns how similarities become probabilities, and when a text is of none of the classes. Knows nothing of how
vectors are made.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from router_extproc.base.vector import Vector

NONE = ""
"""The label of a text that is like no example. The configuration's names are not empty, so no class has
it."""

NONE_SIMILARITY = 0.4
TEMPERATURE = 0.055
"""Of least cross-entropy on CLINC150's requests (four intents of three or six examples each against requests
of all other intents): 0.38 and 0.05 with three examples, 0.42 and 0.06 with six. With three, 85 % of the
requests of a class reach 0.5 for it, and 8 % of the others reach 0.5 for some class. In this encoder's space,
sentences that have nothing in common have cosines of 0 to 0.2."""


@dataclass(frozen=True, slots=True)
class PrototypeHead:
    """softmax(similarity / TEMPERATURE) over the classes and "none of these", whose similarity is
    NONE_SIMILARITY. A class is as similar as its nearest example: examples may differ as much as they like.

    `classes` has each class's examples as unit vectors, (n, dimension), n at least 1. Equal vectors in one
    class change nothing.
    """

    classes: Mapping[str, NDArray[np.float32]] = field(repr=False)

    def __post_init__(self) -> None:
        if NONE in self.classes or not self.classes or any(not len(each) for each in self.classes.values()):
            raise ValueError("classes must have names and examples")

    @property
    def labels(self) -> tuple[str, ...]:
        return (*self.classes, NONE)

    def probabilities(self, states: Vector) -> Mapping[str, float]:
        """Class to probability, in the order of `classes`, then NONE; in [0, 1], summing to 1. The sentence
        vector comes first in `states`, and nothing else is read."""
        nearest = [
            float((examples @ states[: examples.shape[1]]).max()) for examples in self.classes.values()
        ]
        logits = np.array([*nearest, NONE_SIMILARITY], dtype=np.float64) / TEMPERATURE
        powers = np.exp(logits - logits.max())
        return dict(zip(self.labels, (powers / powers.sum()).tolist(), strict=True))

    def as_bytes(self) -> bytes:
        """Everything that decides what the head says: equal heads have equal bytes."""
        numbers = (NONE_SIMILARITY, TEMPERATURE, [(name, len(each)) for name, each in self.classes.items()])
        return b"\0".join((json.dumps(numbers).encode(), *(each.tobytes() for each in self.classes.values())))
