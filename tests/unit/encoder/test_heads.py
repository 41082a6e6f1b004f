"""A head is a softmax, and a file that does not fit the encoder is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from router_extproc.base.errors import ModelError
from router_extproc.encoder.heads import LinearHead, load_head, save_head

HEAD = LinearHead(
    labels=("law", "math", "other"),
    weight=np.array([[1, 0], [0, 1], [-1, -1]], np.float32),
    bias=np.array([0, 0, 0.5], np.float32),
    temperature=0.5,
    base_revision="r1",
    dimension=2,
)


def test_probabilities_are_the_softmax_of_the_scaled_logits() -> None:
    logits = np.array([0.6, 0.8, -0.9]) / 0.5
    expected = np.exp(logits) / np.exp(logits).sum()
    found = HEAD.probabilities(np.array([0.6, 0.8], np.float32))
    assert list(found) == ["law", "math", "other"]
    assert list(found.values()) == pytest.approx(expected.tolist())
    assert sum(found.values()) == pytest.approx(1)


def test_large_logits_do_not_overflow() -> None:
    found = replace(HEAD, weight=HEAD.weight * 1e4).probabilities(np.array([1, 0], np.float32))
    assert found == pytest.approx({"law": 1.0, "math": 0.0, "other": 0.0})


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_head_survives_its_file_however_its_weights_lie(tmp_path: Path, order: Literal["C", "F"]) -> None:
    save_head(replace(HEAD, weight=np.array(HEAD.weight, order=order)), tmp_path / "h")
    head = load_head(tmp_path / "h", base_revision="r1", dimension=2)
    assert (head.labels, head.temperature) == (HEAD.labels, HEAD.temperature)
    assert np.array_equal(head.weight, HEAD.weight)
    assert np.array_equal(head.bias, HEAD.bias)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (replace(HEAD, base_revision="r2"), "fitted on encoder revision r2, but the bundle has r1"),
        (replace(HEAD, weight=HEAD.weight[:2]), "shapes"),
        (replace(HEAD, bias=HEAD.bias[:2]), "shapes"),
        (replace(HEAD, weight=np.ones((3, 3), np.float32)), "shapes"),
        (replace(HEAD, weight=HEAD.weight * np.float32("nan")), "not finite"),
        (replace(HEAD, labels=("law", "law", "math")), "labels"),
        (replace(HEAD, temperature=0.0), "temperature"),
        (replace(HEAD, temperature=float("nan")), "temperature"),
        (replace(HEAD, weight=HEAD.weight.astype(np.float16)), "float32"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(tmp_path: Path, head: LinearHead, message: str) -> None:
    save_head(head, tmp_path / "h")
    with pytest.raises(ModelError, match=message):
        load_head(tmp_path / "h", base_revision="r1", dimension=2)


@pytest.mark.parametrize("content", [b"", b"\x02\0\0\0\0\0\0\0{}"])
def test_a_file_without_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "h").write_bytes(content)
    with pytest.raises(ModelError, match="not a head's weights"):
        load_head(tmp_path / "h", base_revision="r1", dimension=2)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a head's weights"):
        load_head(tmp_path / "absent", base_revision="r1", dimension=2)
