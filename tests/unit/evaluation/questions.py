"""Questions whose similarity a test chooses, and a cache's policy for them."""

from collections.abc import Mapping
from math import sqrt

import numpy as np

from router_extproc.caching.policy import CachePolicy, CategoryPolicy, Mode
from router_extproc.caching.scope import Tenancy
from router_extproc.evaluation.judge import Question


def policy(
    threshold: float = 0.85, categories: Mapping[str, tuple[Mode, float]] | None = None
) -> CachePolicy:
    """`categories` have a mode and a threshold of their own."""
    return CachePolicy(
        enabled=True,
        tenancy=Tenancy(),
        default=CategoryPolicy(Mode.SEMANTIC, threshold, ttl=60.0),
        max_answer_bytes=1000,
        lookup_timeout=1.0,
        categories={
            name: CategoryPolicy(mode, own, ttl=60.0) for name, (mode, own) in (categories or {}).items()
        },
    )


def question(text: str, cosine: float = 1.0, category: str = "", *, truncated: bool = False) -> Question:
    """A question whose vector has `cosine` with that of a question of cosine 1."""
    vector = np.array([cosine, sqrt(1 - cosine * cosine)], dtype=np.float32)
    return Question(text, vector, category, truncated)
