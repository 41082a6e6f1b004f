"""Classes by examples: the nearest example counts, and what is like none of them is none of them."""

from math import exp

import numpy as np
import pytest
from numpy.typing import NDArray

from router_extproc.encoder.prototypes import NONE, NONE_SIMILARITY, TEMPERATURE, PrototypeHead

AXES = np.eye(4, dtype=np.float32)
HEAD = PrototypeHead({"refund": AXES[:2], "bug": AXES[2:3]})


def test_probabilities_are_the_softmax_of_the_nearest_similarities_and_of_none() -> None:
    found = HEAD.probabilities(np.array([0.5, 0.1, 0.7, 0.5], np.float32))
    powers = [exp(similarity / TEMPERATURE) for similarity in (0.5, 0.7, NONE_SIMILARITY)]
    assert list(found) == ["refund", "bug", NONE] == list(HEAD.labels)
    assert list(found.values()) == pytest.approx([power / sum(powers) for power in powers])


def test_an_example_of_a_class_is_of_that_class() -> None:
    assert HEAD.probabilities(AXES[1])["refund"] > 0.99
    assert HEAD.probabilities(AXES[2])["bug"] > 0.99


def test_what_is_like_no_example_reaches_no_threshold() -> None:
    found = HEAD.probabilities(AXES[3])
    assert found[NONE] > 0.99
    assert max(found["refund"], found["bug"]) < 0.01


def test_more_examples_of_another_kind_take_nothing_away() -> None:
    narrow = PrototypeHead({"refund": AXES[:1], "bug": AXES[2:3]})
    assert HEAD.probabilities(AXES[0]) == pytest.approx(narrow.probabilities(AXES[0]))


def test_heads_that_differ_have_other_bytes() -> None:
    others = [{"refund": AXES[:1], "bug": AXES[1:3]}, {"money": AXES[:2], "bug": AXES[2:3]}]
    assert len({HEAD.as_bytes(), *(PrototypeHead(each).as_bytes() for each in others)}) == 3


@pytest.mark.parametrize("classes", [{}, {"a": AXES[:0]}, {NONE: AXES}])
def test_classes_without_names_or_examples_are_refused(classes: dict[str, NDArray[np.float32]]) -> None:
    with pytest.raises(ValueError, match="names and examples"):
        PrototypeHead(classes)
