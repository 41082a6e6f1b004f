"""A verifier that cannot be trusted is refused when it is loaded."""

from collections.abc import Callable

import pytest

from router_extproc.base.errors import ModelError
from router_extproc.encoder.session import LOOKALIKE, PARAPHRASE
from router_extproc.encoder.verifier import check_verifier


def test_one_that_tells_a_paraphrase_from_a_lookalike_is_taken() -> None:
    check_verifier(lambda text, other: 0.9 if other == PARAPHRASE else 0.1)


def fails(text: str, other: str) -> float:
    raise ValueError("the graph")


@pytest.mark.parametrize(
    ("same", "message"),
    [
        (lambda text, other: 0.9, "took a lookalike for a paraphrase"),
        (lambda text, other: 0.1, "took a lookalike for a paraphrase"),
        (lambda text, other: 0.9 if other in (PARAPHRASE, LOOKALIKE) else 0.1, "took a lookalike"),
        (lambda text, other: float("nan"), "not a probability"),
        (lambda text, other: 1.1, "not a probability"),
        (lambda text, other: None, "not a probability"),
        (fails, r"cannot run \(ValueError\)"),
    ],
)
def test_others_are_refused(same: Callable[[str, str], float | None], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_verifier(same)
