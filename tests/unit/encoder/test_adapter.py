"""The verifier's weights: what they make of the base, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from router_extproc.base.errors import ModelError
from router_extproc.encoder.adapter import (
    DOWN,
    UP,
    VERIFIER_WEIGHTS,
    Adapter,
    adapter_id,
    load_adapter,
    save_adapter,
)
from router_extproc.encoder.fetch import BASE_REVISION
from router_extproc.encoder.graph import HEAD_BIAS, HEAD_WEIGHT
from router_extproc.settings.cache_schema import PairVerifier
from tests.unit.encoder.tiny import INNER, SHAPE, tiny_weights

MATRIX = "encoder.layer.0.output.dense"
"""(dimension, inner): not square, so that a transposed product would not fit."""


def an_adapter(**changes: Any) -> Adapter:
    generator = np.random.default_rng(5)
    made = Adapter(
        base_revision="r1",
        scale=2.0,
        temperature=4.0,
        shift=0.5,
        threshold=0.8,
        fitted_on="made up",
        factors={
            MATRIX + DOWN: generator.normal(size=(3, INNER)).astype(np.float16),
            MATRIX + UP: generator.normal(size=(SHAPE.dimension, 3)).astype(np.float16),
        },
        whole={
            MATRIX + ".bias": np.full(SHAPE.dimension, 7, np.float32),
            HEAD_WEIGHT: np.full(SHAPE.dimension, 2, np.float32),
            HEAD_BIAS: np.full(1, 8, np.float32),
        },
    )
    return replace(made, **changes)


def test_low_rank_changes_are_added_and_whole_tensors_take_their_place() -> None:
    adapter, base = an_adapter(), tiny_weights(1)
    made = adapter.weights(base)
    up, down = (adapter.factors[MATRIX + part].astype(np.float64) for part in (UP, DOWN))
    assert np.allclose(made[MATRIX + ".weight"], base[MATRIX + ".weight"] + 2 * up @ down, atol=1e-6)
    assert (made[MATRIX + ".bias"] == 7).all()
    untouched = set(base) - {MATRIX + ".weight", MATRIX + ".bias"}
    assert all(made[name] is base[name] for name in untouched)
    assert made[MATRIX + ".weight"].dtype == np.float32


def test_the_calibration_is_part_of_the_linear_unit() -> None:
    made = an_adapter().weights(tiny_weights(1))
    assert (made[HEAD_WEIGHT] == 2 / 4).all()
    assert made[HEAD_BIAS] == 8 / 4 + 0.5


def test_what_is_saved_is_loaded_and_equal_adapters_have_equal_files(tmp_path: Path) -> None:
    files = [tmp_path / name for name in "abc"]
    for file, scale in zip(files, (2.0, 2.0, 3.0), strict=True):
        save_adapter(an_adapter(scale=scale), file)
    found = load_adapter(files[0], "r1")
    assert (found.scale, found.temperature, found.shift, found.threshold) == (2.0, 4.0, 0.5, 0.8)
    assert found.factors[MATRIX + UP].dtype == np.float16
    assert found.whole[HEAD_BIAS] == [8]
    assert adapter_id(files[0]) == adapter_id(files[1]) != adapter_id(files[2])


def without(tensors: str, name: str) -> dict[str, Any]:
    kept = {key: value for key, value in getattr(an_adapter(), tensors).items() if key != name}
    return {tensors: kept}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_revision": "r2"}, "fitted on encoder revision r2, but the base model is r1"),
        (without("whole", HEAD_WEIGHT), "the linear unit is missing"),
        (without("factors", MATRIX + UP), "the factors do not come in pairs"),
        ({"factors": {}}, "the factors do not come in pairs"),
        ({"temperature": 0.0}, "out of range"),
        ({"threshold": 1.01}, "out of range"),
        ({"scale": float("nan")}, "out of range"),
        (
            {"whole": {**an_adapter().whole, HEAD_BIAS: np.array([np.inf], np.float32)}},
            "a weight is not finite",
        ),
        (
            {"factors": {**an_adapter().factors, MATRIX + UP: np.zeros((SHAPE.dimension, 2), np.float16)}},
            "two factors do not have the same rank",
        ),
    ],
)
def test_weights_that_cannot_be_right_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    save_adapter(an_adapter(**changes), tmp_path / "v")
    with pytest.raises(ModelError, match=message) as caught:
        load_adapter(tmp_path / "v", "r1")
    assert "python -m training.verifier" in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {
            "factors": {
                "other" + DOWN: np.zeros((1, 2), np.float16),
                "other" + UP: np.zeros((2, 1), np.float16),
            }
        },
        {
            "factors": {
                MATRIX + DOWN: np.zeros((1, 2), np.float16),
                MATRIX + UP: np.zeros((2, 1), np.float16),
            }
        },
        {"whole": {**an_adapter().whole, "other": np.zeros(1, np.float32)}},
        {"whole": {**an_adapter().whole, MATRIX + ".bias": np.zeros(3, np.float32)}},
    ],
)
def test_weights_of_another_model_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="of the base model"):
        an_adapter(**changes).weights(tiny_weights(1))


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "v").write_bytes(b"nonsense")
    for path in (tmp_path / "v", tmp_path / "absent"):
        with pytest.raises(ModelError, match="not a verifier's weights"):
            load_adapter(path, "r1")
    with pytest.raises(ModelError, match="cannot be read"):
        adapter_id(tmp_path / "absent")


def test_the_shipped_weights_fit_the_shipped_settings() -> None:
    shipped = load_adapter(VERIFIER_WEIGHTS, BASE_REVISION)
    assert shipped.threshold == PairVerifier().threshold
