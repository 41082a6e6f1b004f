"""A guard's figures against their definitions, on any labels and scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.evaluation.guard import area, evaluate_guard

SCORES = st.lists(st.sampled_from((0.0, 0.25, 0.5, 0.75, 1.0)), min_size=1, max_size=20)


@given(SCORES, SCORES)
def test_the_area_is_the_share_of_pairs_won(attacks: list[float], innocent: list[float]) -> None:
    won = sum((a > b) + (a == b) / 2 for a in attacks for b in innocent)
    assert area(np.array(attacks), np.array(innocent)) == pytest.approx(won / len(attacks) / len(innocent))


@given(SCORES, SCORES)
def test_a_budgets_threshold_keeps_it_and_catches_most(attacks: list[float], innocent: list[float]) -> None:
    report = evaluate_guard(
        [True] * len(attacks) + [False] * len(innocent), [*attacks, *innocent], threshold=0.5
    )
    for budget in report.budgets:
        cuts = [
            cut
            for cut in attacks
            if sum(score >= cut for score in innocent) <= budget.allowed * len(innocent)
        ]
        best = max((sum(score >= cut for score in attacks) for cut in cuts), default=0)
        assert budget.recall == pytest.approx(best / len(attacks))
        assert (budget.threshold is None) == (not cuts)
