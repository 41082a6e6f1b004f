"""The trunk's file is written and read whole, and one that does not fit the base is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from router_extproc.base.errors import ModelError
from router_extproc.encoder.adapter import DOWN, UP
from router_extproc.encoder.fetch import BASE_REVISION
from router_extproc.encoder.graph import TAGGER_BIAS, TAGGER_WEIGHT
from router_extproc.encoder.trunk import TRUNK_WEIGHTS, Trunk, load_trunk, save_trunk
from router_extproc.screening.spans import PII_TYPES
from tests.unit.encoder.tiny import SHAPE, tiny_weights

DENSE = "encoder.layer.0.output.dense"
BASE = {name: value for name, value in tiny_weights(1).items() if name not in (TAGGER_WEIGHT, TAGGER_BIAS)}
GENERATOR = np.random.default_rng(2)
TRUNK = Trunk(
    base_revision="r1",
    scale=2.0,
    types=("AGE", "PERSON"),
    temperature=0.5,
    fitted_on="some texts",
    factors={
        DENSE + DOWN: GENERATOR.normal(size=(3, 16)).astype(np.float16),
        DENSE + UP: GENERATOR.normal(size=(8, 3)).astype(np.float16),
    },
    whole={
        TAGGER_WEIGHT: GENERATOR.normal(size=(5, SHAPE.dimension)).astype(np.float32),
        TAGGER_BIAS: np.arange(5, dtype=np.float32),
    },
)


def test_a_trunk_survives_its_file(tmp_path: Path) -> None:
    save_trunk(TRUNK, tmp_path / "a")
    save_trunk(TRUNK, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    found = load_trunk(tmp_path / "a", "r1")
    assert (found.types, found.scale, found.temperature) == (TRUNK.types, TRUNK.scale, TRUNK.temperature)
    merged, expected = found.weights(BASE), TRUNK.weights(BASE)
    assert merged.keys() == expected.keys()
    assert all(np.array_equal(merged[name], expected[name]) for name in expected)


def test_the_changes_are_added_and_the_tags_are_scaled() -> None:
    merged = TRUNK.weights(BASE)
    down, up = (TRUNK.factors[DENSE + part].astype(np.float64) for part in (DOWN, UP))
    assert np.allclose(merged[DENSE + ".weight"], BASE[DENSE + ".weight"] + 2.0 * up @ down, atol=1e-5)
    assert np.array_equal(merged[TAGGER_BIAS], TRUNK.whole[TAGGER_BIAS] * 2)
    unchanged = set(BASE) - {DENSE + ".weight"}
    assert all(merged[name] is BASE[name] for name in unchanged)


@pytest.mark.parametrize(
    ("trunk", "message"),
    [
        (replace(TRUNK, base_revision="r2"), "fitted on encoder revision r2"),
        (replace(TRUNK, types=("AGE",)), "has not the 3 rows of 1 types"),
        (replace(TRUNK, whole={TAGGER_BIAS: TRUNK.whole[TAGGER_BIAS]}), "tagger's unit is missing"),
        (replace(TRUNK, factors={DENSE + UP: TRUNK.factors[DENSE + UP]}), "in pairs"),
        (replace(TRUNK, temperature=0.0), "temperature is out of range"),
        (replace(TRUNK, whole={**TRUNK.whole, "x": np.array([np.nan], np.float32)}), "not finite"),
    ],
)
def test_a_trunk_that_does_not_fit_is_refused(tmp_path: Path, trunk: Trunk, message: str) -> None:
    save_trunk(trunk, tmp_path / "t")
    with pytest.raises(ModelError, match=message):
        load_trunk(tmp_path / "t", "r1")


def test_a_change_of_what_the_base_does_not_have_is_refused() -> None:
    other = replace(
        TRUNK, factors={name.replace("layer.0", "layer.7"): f for name, f in TRUNK.factors.items()}
    )
    with pytest.raises(ModelError, match=r"layer\.7\.output\.dense is not a matrix of the base"):
        other.weights(BASE)


@pytest.mark.parametrize("content", [b"", b"\x02\0\0\0\0\0\0\0{}"])
def test_what_is_no_trunk_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(ModelError, match="not a trunk's weights"):
        load_trunk(tmp_path / "t", "r1")


def test_the_shipped_trunk_knows_every_type() -> None:
    assert load_trunk(TRUNK_WEIGHTS, BASE_REVISION).types == tuple(sorted(PII_TYPES))
