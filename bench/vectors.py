"""Made-up embeddings that are as hard to search as those of questions from people, and queries of which most
have an answer.

Independent random vectors would be no test: all are equally far from each other, and nothing is near a query.
These come in clusters, as the same question is asked in several ways, and vary more along some axes than
along others. With the exponent below, an HNSW graph over 10,000 of them needs the same effort for the same
recall as over the encoder's vectors of 10,000 questions from Quora's pairs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

DIMENSION = 384
PER_CLUSTER = 5
DECAY = 0.45
"""The standard deviation along axis i is i to the power of minus this."""
RELATED = 0.8
"""Share of the queries that are near a stored vector."""
HIT = 0.8
"""Cosine from which a stored vector may answer at all: the least similarity threshold in use."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Unit vectors, a row each. `best[i]` is the highest cosine that any row of `stored` has with query i."""

    stored: Matrix
    queries: Matrix
    best: Matrix


def sample(count: int, queries: int, seed: int = 1) -> Sample:
    """Two vectors of a cluster have a cosine of about 0.7 to 0.98. Related queries have 0.85 to 0.97 with a
    stored vector; the others belong to clusters of their own."""
    random = np.random.default_rng(seed)
    clusters = _random(random, max(1, count // PER_CLUSTER))
    stored = _near(clusters[random.integers(0, len(clusters), count)], (0.84, 0.99), random)
    related = int(RELATED * queries)
    near = _near(stored[random.integers(0, count, related)], (0.85, 0.97), random)
    far = _near(_random(random, queries - related), (0.84, 0.99), random)
    asked = random.permutation(np.concatenate([near, far]))
    return Sample(stored, asked, (asked @ stored.T).max(axis=1))


def _random(random: np.random.Generator, count: int) -> Matrix:
    spread = np.arange(1, DIMENSION + 1) ** -DECAY
    return _unit(random.standard_normal((count, DIMENSION)) * spread)


def _near(start: Matrix, cosines: tuple[float, float], random: np.random.Generator) -> Matrix:
    """Each row turned some random way until its cosine with what it was is a random one of the range."""
    end = _random(random, len(start))
    cosine = random.uniform(*cosines, (len(start), 1))
    across = _unit(end - (start * end).sum(axis=1, keepdims=True) * start)
    return _unit(cosine * start + np.sqrt(1 - cosine**2) * across)


def _unit(rows: NDArray[np.floating]) -> Matrix:
    unit: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit
