import numpy as np

from tests.support.phrases import DIMENSION, embed


def test_equal_phrases_have_equal_unit_vectors_and_others_are_far() -> None:
    vectors = embed(["a", "b", "a"])
    assert vectors.shape == (3, DIMENSION)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert vectors[0] @ vectors[2] > 0.999
    assert abs(vectors[0] @ vectors[1]) < 0.3
