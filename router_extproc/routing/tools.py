"""Which tools go with a question: the ones whose description is nearest to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from router_extproc.base.vector import Vector

Tool = Mapping[str, Any]
"""`{"type": "function", "function": {...}}`, as OpenAI's API has it."""


@dataclass(frozen=True, slots=True)
class ToolBox:
    """`vectors` are those of the tools' descriptions, (n, dimension), unit length. A tool of a similarity
    under `threshold` in [0, 1] is not offered; of the others, the `top_k` most similar ones are. Where none
    is left, none is offered (`fallback_to_empty`), else all of them are."""

    tools: tuple[Tool, ...]
    vectors: NDArray[np.float32] = field(repr=False)
    top_k: int
    threshold: float
    fallback_to_empty: bool = True

    def select(self, question: Vector) -> tuple[Tool, ...]:
        """The tools to offer, the most similar first; of equal ones the first written."""
        if not self.tools:
            return ()
        scores = self.vectors @ question
        order = np.argsort(-scores, kind="stable")[: self.top_k]
        chosen = tuple(self.tools[place] for place in order.tolist() if scores[place] >= self.threshold)
        return chosen or (() if self.fallback_to_empty else self.tools)
