"""Rows by their confidence, beside how often they were right: a reliability diagram as a table
(Guo et al. 2017).

Pure numpy over figures that were computed elsewhere.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """The `rows` with a confidence in [low, high), of the last bin up to 1 included. `confidence` is their
    mean, `accuracy` the share of them that are right; both None without rows."""

    low: float
    high: float
    rows: int
    confidence: float | None
    accuracy: float | None


def reliability(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS
) -> tuple[Bin, ...]:
    """`bins` bins of equal width over [0, 1], empty ones too.

    Both arrays have one length; `confidence` is in [0, 1]. Otherwise ValueError.
    """
    if confidence.shape != right.shape or confidence.ndim != 1:
        raise ValueError("confidence and right must have the same length")
    if confidence.size and not (confidence.min() >= 0 and confidence.max() <= 1):
        raise ValueError("a confidence must be in [0, 1]")
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return tuple(_bin(at, bins, confidence[place == at], right[place == at]) for at in range(bins))


def _bin(at: int, bins: int, confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> Bin:
    return Bin(
        low=at / bins,
        high=(at + 1) / bins,
        rows=confidence.size,
        confidence=float(confidence.mean()) if confidence.size else None,
        accuracy=float(right.mean()) if right.size else None,
    )
