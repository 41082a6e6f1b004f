"""Cache entries for tests: every field has a value, the ones that matter are named by the test."""

import itertools

import numpy as np

from router_extproc.base.completion import Completion, Usage
from router_extproc.base.digest import digest
from router_extproc.base.vector import Vector
from router_extproc.caching.entry import Entry

DIMENSION = 16
NOW = 1_700_000_000.25
"""Unix seconds; exact in binary."""
SOON = 5.0
"""Seconds within which a lookup is wanted, where the test does not care."""


def a_vector(seed: int, dimension: int = DIMENSION) -> Vector:
    """A unit vector; different seeds give nearly orthogonal ones at the encoder's dimension."""
    values = np.random.default_rng(seed).standard_normal(dimension)
    return (values / np.linalg.norm(values)).astype(np.float32)


def between(start: Vector, end: Vector, cosine: float) -> Vector:
    """The unit vector between two unit vectors that has the given cosine with `start`."""
    across = end - np.dot(start, end) * start
    across /= np.linalg.norm(across)
    mixed: Vector = (cosine * start + np.sqrt(1 - cosine**2) * across).astype(np.float32)
    return mixed / np.float32(np.linalg.norm(mixed))


def a_partition(name: object) -> str:
    return digest("partition", [str(name).encode()])


_UNIQUE = itertools.count()


def new_partition() -> str:
    """One that no other call in this process got."""
    return a_partition(f"unique {next(_UNIQUE)}")


def an_entry(
    partition: str,
    text: str = "What is the capital of France?",
    *,
    vector: Vector | None = None,
    content: str = "Paris.",
    completion: Completion | None = None,
    created_at: float = NOW,
    expires_at: float = NOW + 3600.0,
    tenant: str = "tenant",
    model: str = "qwen3-8b",
    category: str = "history",
    exact_only: bool = False,
) -> Entry:
    """The id is the digest of partition and text, as in production: the same question is the same entry."""
    return Entry(
        id=digest("entry", [partition.encode(), text.encode("utf-8", "surrogatepass")]),
        partition=partition,
        tenant=tenant,
        text=text,
        vector=a_vector(hash(text) % 2**32) if vector is None else vector,
        completion=completion or a_completion(content),
        model=model,
        category=category,
        reasoning=False,
        created_at=created_at,
        expires_at=expires_at,
        exact_only=exact_only,
    )


def a_completion(content: str) -> Completion:
    return Completion(
        model="qwen3-8b",
        content=content,
        finish_reason="stop",
        usage=Usage(prompt_tokens=7, completion_tokens=3),
    )
