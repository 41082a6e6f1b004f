"""The self-test refuses every encoder whose vectors are impossible or mean nothing."""

from collections.abc import Callable

import numpy as np
import pytest

from router_extproc.base.errors import ModelError
from router_extproc.base.vector import Vector
from router_extproc.encoder.session import LOOKALIKE, PARAPHRASE, QUESTION, UNRELATED, check_vectors

SOUND = {
    QUESTION: np.array([1, 0, 0], np.float32),
    PARAPHRASE: np.array([0.8, 0.6, 0], np.float32),
    LOOKALIKE: np.array([0.6, 0.8, 0], np.float32),
    UNRELATED: np.array([0, 0, 1], np.float32),
}


def _nearest_by_words(text: str) -> Vector:
    return SOUND[{PARAPHRASE: LOOKALIKE, LOOKALIKE: PARAPHRASE}.get(text, text)]


def _broken(text: str) -> Vector:
    raise ValueError("secret")


def test_a_sound_encoder_passes() -> None:
    check_vectors(SOUND.__getitem__, 3)


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (lambda text: SOUND[QUESTION], "same vector for different sentences"),
        (lambda text: SOUND[text] * np.float32("nan"), "not finite"),
        (lambda text: SOUND[text] + np.float32("inf"), "not finite"),
        (lambda text: SOUND[text] * 2, "length 2.000, expected 1"),
        (lambda text: SOUND[text] * 0, "length 0.000, expected 1"),
        (lambda text: SOUND[text][:2], r"shape \(2,\), expected \(3,\)"),
        (lambda text: SOUND[text][np.newaxis], r"shape \(1, 3\), expected \(3,\)"),
        (_nearest_by_words, "a paraphrase no closer"),
        (_broken, r"cannot run \(ValueError\)$"),
    ],
)
def test_a_broken_encoder_is_refused(encode: Callable[[str], Vector], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_vectors(encode, 3)
