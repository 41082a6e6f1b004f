"""An encoder for tests that compile phrases: no model, equal texts have equal vectors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from router_extproc.base.digest import digest

DIMENSION = 384


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors, (n, DIMENSION); those of different texts are nearly orthogonal."""
    rows = []
    for text in texts:
        seed = int(digest("phrase", (text.encode(),))[:16], 16)
        row = np.random.default_rng(seed).normal(size=DIMENSION)
        rows.append(row / np.linalg.norm(row))
    return np.array(rows, np.float32).reshape(-1, DIMENSION)
