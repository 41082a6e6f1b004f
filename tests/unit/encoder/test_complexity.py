"""The gated head is a mixture of three experts, and a file that does not fit the encoder is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from router_extproc.base.errors import ModelError
from router_extproc.encoder.complexity import GatedHead, load_complexity, save_complexity

HEAD = GatedHead(
    gate=np.array([[1, 0], [0, 1], [-1, -1]], np.float32),
    bias=np.array([0, 0, 0.5], np.float32),
    expert=np.array([2, -1], np.float32),
    offset=0.25,
    temperature=0.5,
    floor=0.1,
    ceiling=0.9,
    span=0.2,
    base_revision="r1",
    dimension=2,
)


def test_the_probability_is_the_mean_of_the_experts_weighted_by_the_gate() -> None:
    gate = np.exp(np.array([0.6, 0.8, -0.9]) / 0.5)
    gate /= gate.sum()
    question = 1 / (1 + np.exp(-(2 * 0.6 - 0.8 + 0.25)))
    found = HEAD.probabilities(np.array([0.6, 0.8], np.float32))
    assert list(found) == ["strong", "weak"]
    assert found["strong"] == pytest.approx(
        gate[0] * 0.1 + gate[1] * question + gate[2] * (0.9 - 0.2 * (1 - question))
    )
    assert found["weak"] == pytest.approx(1 - found["strong"])


def test_many_at_once_are_as_one_by_one() -> None:
    vectors = np.array([[0.6, 0.8], [-1, 0], [0, -1]], np.float32)
    alone = [HEAD.probabilities(vector)["strong"] for vector in vectors]
    assert HEAD.strong(vectors).tolist() == pytest.approx(alone)


def test_large_logits_do_not_overflow() -> None:
    head = replace(HEAD, gate=HEAD.gate * 1e4, expert=HEAD.expert * 1e4)
    assert head.probabilities(np.array([1, 0], np.float32))["strong"] == pytest.approx(0.1)
    assert head.probabilities(np.array([0, 1], np.float32))["strong"] == pytest.approx(0.0)


def test_a_head_survives_its_file(tmp_path: Path) -> None:
    save_complexity(replace(HEAD, gate=np.asfortranarray(HEAD.gate)), tmp_path / "h")
    head = load_complexity(tmp_path / "h", base_revision="r1", dimension=2)
    assert head.as_bytes() == HEAD.as_bytes()
    assert head.base_revision == "r1"


def test_heads_that_differ_have_other_bytes() -> None:
    others = (replace(HEAD, offset=0.5), replace(HEAD, floor=0.2), replace(HEAD, expert=HEAD.expert * 2))
    assert len({head.as_bytes() for head in (HEAD, *others)}) == 4


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (replace(HEAD, base_revision="r2"), "fitted on encoder revision r2, but the bundle has r1"),
        (replace(HEAD, gate=HEAD.gate[:2]), "shapes"),
        (replace(HEAD, expert=np.ones(3, np.float32)), "shapes"),
        (replace(HEAD, bias=HEAD.bias.astype(np.float64)), "float32"),
        (replace(HEAD, expert=HEAD.expert * np.float32("nan")), "not finite"),
        (replace(HEAD, offset=float("inf")), "not finite"),
        (replace(HEAD, temperature=0.0), "temperature"),
        (replace(HEAD, floor=0.9), "ascending"),
        (replace(HEAD, ceiling=1.1), "ascending"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(tmp_path: Path, head: GatedHead, message: str) -> None:
    save_complexity(head, tmp_path / "h")
    with pytest.raises(ModelError, match=message):
        load_complexity(tmp_path / "h", base_revision="r1", dimension=2)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a complexity head's weights"):
        load_complexity(tmp_path / "absent", base_revision="r1", dimension=2)
