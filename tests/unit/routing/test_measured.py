"""How fast and how reliable one model is found to be."""

import pytest

from router_extproc.routing.measured import FAILING, STEADY, Measured, Shift


def answers(
    measured: Measured, start: int, seconds: int, whole: float, tokens: int | None = 100
) -> list[Shift]:
    """One answer a second, not streamed."""
    shifts: list[Shift] = []
    for second in range(start, start + seconds):
        measured.answered(float(second), whole, None, tokens)
        shifts.extend(measured.refresh(float(second)))
    return shifts


def test_nothing_is_told_before_three_slots() -> None:
    measured = Measured(10.0, 100)
    answers(measured, 0, 2, 1.0)
    assert measured.latency is None
    answers(measured, 2, 1, 1.0)
    assert measured.latency == pytest.approx(1.0)


def test_a_long_answer_is_not_a_slow_one() -> None:
    measured = Measured(10.0, 100)
    for second in range(10):
        tokens = 20 if second % 2 else 2000
        measured.answered(float(second), 0.01 * (tokens + 20), None, tokens)
        measured.refresh(float(second))
    assert measured.latency == pytest.approx(1.2)


def test_streams_show_the_parts() -> None:
    measured = Measured(10.0, 100)
    for second in range(5):
        measured.first_token(float(second), 0.5)
        measured.answered(float(second), 0.5 + 99 * 0.02, 0.5, 100)
        measured.refresh(float(second))
    assert measured.time_to_first_token == pytest.approx(0.5)
    assert measured.time_per_token == pytest.approx(0.02)
    assert measured.latency == pytest.approx(0.5 + 100 * 0.02)


def test_what_is_not_streamed_is_split_in_the_ratio_of_streams() -> None:
    measured = Measured(10.0, 100)
    for second in range(5):
        measured.first_token(float(second), 0.5)
        measured.answered(float(second), 0.5 + 99 * 0.01, 0.5, 100)
    answers(measured, 5, 5, 0.5 + 300 * 0.01, tokens=300)
    assert measured.time_to_first_token == pytest.approx(0.5)
    assert measured.time_per_token == pytest.approx(0.01)


def test_an_answer_of_unknown_length_counts_as_a_typical_one() -> None:
    measured = Measured(10.0, 100)
    answers(measured, 0, 5, 2.0, tokens=None)
    assert measured.latency == pytest.approx(2.0)


def test_one_answer_that_hung_hardly_counts() -> None:
    measured = Measured(10.0, 100)
    answers(measured, 0, 20, 1.0)
    answers(measured, 20, 1, 1000.0)
    assert measured.latency is not None
    assert measured.latency < 1.25


def test_noise_does_not_change_what_is_told() -> None:
    measured = Measured(10.0, 100)
    answers(measured, 0, 10, 1.0)
    told = measured.latency
    for second in range(10, 60):
        answers(measured, second, 1, 1.2 if second % 2 else 0.9)
        assert measured.latency == told


def test_five_times_slower_is_told_and_so_is_recovery() -> None:
    measured = Measured(10.0, 100)
    answers(measured, 0, 20, 1.0)
    assert answers(measured, 20, 10, 5.0) == [Shift.SLOWER]
    assert measured.latency == pytest.approx(5.0, rel=0.2)
    assert answers(measured, 30, 10, 1.0) == [Shift.FASTER]
    assert measured.latency == pytest.approx(1.0, rel=0.2)


def test_one_failure_is_no_failing_and_one_in_five_is() -> None:
    measured = Measured(10.0, 100)
    answers(measured, 0, 20, 1.0)
    measured.failed(20.0)
    assert measured.refresh(20.0) == ()
    assert 0.0 < measured.error_rate < 0.1
    shifts: list[Shift] = []
    for second in range(21, 51):
        if second % 5:
            shifts += answers(measured, second, 1, 1.0)
        else:
            measured.failed(float(second))
            shifts += measured.refresh(float(second))
    assert shifts == [Shift.FAILING]
    assert 0.1 < measured.error_rate < 0.3
    assert answers(measured, 51, 40, 1.0) == [Shift.STEADY]
    assert measured.error_rate < 0.05


def test_a_relapse_is_believed_sooner() -> None:
    fresh, suspected = Measured(10.0, 100), Measured(10.0, 100)
    for second in range(5):
        suspected.failed(float(second))
        suspected.refresh(float(second))
    answers(suspected, 5, 15, 1.0)
    assert not suspected.failing
    for measured in (fresh, suspected):
        answers(measured, 85, 3, 1.0)
        measured.failed(88.0)
        measured.refresh(88.0)
    assert suspected.error_rate == FAILING
    assert fresh.error_rate <= STEADY
