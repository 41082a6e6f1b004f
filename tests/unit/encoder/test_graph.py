"""Quantisation keeps its bounds; the graph's bytes depend on the weights alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from router_extproc.base.errors import ModelError
from router_extproc.encoder.graph import (
    HEAD_BIAS,
    HEAD_WEIGHT,
    WEIGHT_LEVELS,
    Precision,
    Shape,
    build,
    build_verifier,
    quantise,
)
from tests.unit.encoder.tiny import SHAPE, tiny_weights


@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e4))
def test_a_quantised_value_is_off_by_at_most_half_a_step(seed: int, size: float) -> None:
    matrix = (np.random.default_rng(seed).normal(size=(7, 5)) * size).astype(np.float32)
    levels, scale = quantise(matrix, axis=0, levels=WEIGHT_LEVELS)
    assert scale.shape == (1, 5)
    assert np.abs(levels).max() <= WEIGHT_LEVELS
    assert (np.abs(levels * scale - matrix) <= 0.501 * scale).all()


def test_quantised_weights_cannot_saturate_a_pair_of_products() -> None:
    levels, _ = quantise(np.full((4, 1), 3.0, np.float32), axis=0, levels=WEIGHT_LEVELS)
    assert 2 * 255 * int(np.abs(levels.astype(int)).max()) <= np.iinfo(np.int16).max


def test_a_column_of_zeros_stays_zero() -> None:
    levels, scale = quantise(np.zeros((3, 2), np.float32), axis=0, levels=127)
    assert not levels.any()
    assert (scale == 1).all()


def test_a_weight_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ModelError, match="not finite"):
        quantise(np.array([[np.nan]], np.float32), axis=0, levels=127)


@pytest.mark.parametrize("precision", list(Precision))
def test_equal_weights_give_equal_bytes(precision: Precision) -> None:
    for make, weights in ((build, tiny_weights), (build_verifier, with_head)):
        graphs = [
            make(weights(seed), SHAPE, precision).SerializeToString(deterministic=True) for seed in (1, 1, 2)
        ]
        assert graphs[0] == graphs[1]
        assert graphs[0] != graphs[2]


def with_head(seed: int) -> dict[str, NDArray[np.float32]]:
    head = {HEAD_WEIGHT: np.ones(SHAPE.dimension, np.float32), HEAD_BIAS: np.zeros(1, np.float32)}
    return tiny_weights(seed) | head


def test_a_verifier_needs_its_linear_unit() -> None:
    with pytest.raises(ModelError, match=r"tensor head\.weight is missing"):
        build_verifier(tiny_weights(1), SHAPE, Precision.FP32)


def test_a_missing_tensor_is_named() -> None:
    weights = tiny_weights(1)
    del weights["encoder.layer.0.output.dense.bias"]
    with pytest.raises(ModelError, match=r"tensor encoder\.layer\.0\.output\.dense\.bias is missing"):
        build(weights, Shape(dimension=8, layers=1, attention_heads=2, epsilon=1e-12), Precision.FP32)
