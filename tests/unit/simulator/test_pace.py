import pytest

from router_extproc.simulator.pace import Pace


def test_tokens_are_due_at_fixed_times_after_the_start() -> None:
    pace = Pace(start=100.0, time_to_first_token=0.5, tokens_per_second=10.0)
    assert [pace.due(step) for step in (0, 1, 10)] == pytest.approx([100.5, 100.6, 101.5])
