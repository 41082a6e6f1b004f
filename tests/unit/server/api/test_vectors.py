"""Cosines and their order."""

import numpy as np

from router_extproc.server.api.vectors import Match, best, cosine, embedding_of
from tests.support.play import analysis, vector


def match(index: int, similarity: float) -> Match:
    return Match(index=index, similarity=similarity, text=str(index))


def test_the_best_come_first_and_of_equals_the_earlier() -> None:
    matches = [match(0, 0.1), match(1, 0.9), match(2, 0.9), match(3, -0.5)]
    assert [each.index for each in best(matches, 0)] == [1, 2, 0, 3]
    assert [each.index for each in best(matches, 2)] == [1, 2]
    assert [each.index for each in best(matches, 100)] == [1, 2, 0, 3]


def test_a_cosine_is_never_outside_its_range() -> None:
    long = np.array([1.0000001, 0.0, 0.0], np.float32)
    assert (cosine(long, long), cosine(long, -long)) == (1.0, -1.0)
    assert cosine(vector(1.0), vector(0.0)) == 0.0


def test_an_embedding_is_the_analysis_own_vector() -> None:
    said = embedding_of("x", analysis(), 2.0)
    assert (said.embedding, said.dimension, said.model_used) == ([1.0, 0.0, 0.0], 3, "e1")
