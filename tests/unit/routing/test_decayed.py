"""The decaying mean: slots, forgetting, and leaps."""

import pytest

from router_extproc.routing.decayed import SHIFTED, Decayed


def test_nothing_is_known_before_the_first_value() -> None:
    mean = Decayed(1.0, 10.0)
    assert mean.mean() is None
    assert mean.weight(5.0) == 0.0
    assert mean.total(5.0) == 0.0


def test_a_slot_counts_once_however_many_values_it_holds() -> None:
    busy, idle = Decayed(1.0, 10.0), Decayed(1.0, 10.0)
    for number in range(50):
        busy.add(number / 100, 4.0)
    idle.add(0.3, 4.0)
    for mean in (busy, idle):
        mean.add(1.5, 2.0)
    assert busy.mean() == pytest.approx(idle.mean())
    assert busy.weight(1.5) == pytest.approx(idle.weight(1.5))
    assert busy.slots == idle.slots == 2


def test_a_slot_is_worth_half_after_the_half_life() -> None:
    mean = Decayed(1.0, 10.0)
    mean.add(0.0, 1.0)
    assert mean.weight(10.0) == pytest.approx(0.5)
    assert mean.total(10.0) == pytest.approx(0.5)
    mean.add(10.0, 0.0)
    assert mean.mean() == pytest.approx(1.0 / 3.0)


def test_time_alone_does_not_change_the_mean() -> None:
    mean = Decayed(1.0, 10.0, floor=1.0)
    mean.add(0.0, 3.0)
    mean.roll(1e6)
    assert mean.mean() == pytest.approx(3.0)


def test_the_floor_keeps_what_is_known_in_the_balance() -> None:
    mean = Decayed(1.0, 10.0, floor=1.0)
    for second in range(20):
        mean.add(float(second), 1.0)
    mean.add(10_000.0, 3.0)
    assert mean.mean() == pytest.approx(2.0)
    assert mean.weight(10_000.0) == pytest.approx(2.0)


def test_a_value_of_little_weight_counts_little() -> None:
    mean = Decayed(1.0, 10.0)
    mean.add(0.0, 1.0, weight=0.25)
    assert mean.weight(0.5) == 0.25
    mean.add(1.0, 0.0)
    assert mean.mean() == pytest.approx(0.25 * 0.5**0.1 / (1.0 + 0.25 * 0.5**0.1))


def test_time_that_goes_backwards_counts_as_the_last_one() -> None:
    mean = Decayed(1.0, 10.0)
    mean.add(100.0, 1.0)
    mean.add(3.0, 3.0)
    assert mean.mean() == pytest.approx(2.0)
    assert mean.slots == 1


@pytest.mark.parametrize("level", [-2.0, 2.0])
def test_slots_far_off_on_the_same_side_are_a_new_state(level: float) -> None:
    mean = Decayed(1.0, 10.0, leap=1.0)
    for second in range(30):
        mean.add(float(second), 0.0)
    for second in range(30, 30 + SHIFTED):
        mean.add(float(second), level)
    mean.roll(40.0)
    assert mean.mean() == pytest.approx(level)


def test_slots_far_off_on_both_sides_are_noise() -> None:
    mean = Decayed(1.0, 10.0, leap=1.0)
    for second in range(30):
        mean.add(float(second), 0.0)
    for second in range(30, 60):
        mean.add(float(second), 2.0 if second % 2 else -2.0)
    value = mean.mean()
    assert value is not None
    assert abs(value) < 0.2
