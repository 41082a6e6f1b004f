"""What a soak makes of its samples."""

from collections import Counter

import pytest

from bench.soak import MAX_MORE_DESCRIPTORS, MAX_SLOPE, Report, Sample
from bench.soak_load import KINDS, Tally
from bench.soak_stack import MAX_BYTES, MAX_ENTRIES

INFINITE = float("inf")


def sample(requests: int, **changes: int) -> Sample:
    given = {"resident": 300_000_000, "descriptors": 20, "entries": 10, "held": 1_000, "streams": 0} | changes
    lags = (
        (0.01, 8.0 * requests),
        (0.05, 9.0 * requests),
        (0.25, 10.0 * requests),
        (INFINITE, 10.0 * requests),
    )
    return Sample(requests, **given, lags=lags)


def report(samples: list[Sample], outcomes: dict[tuple[str, str], int] | None = None) -> Report:
    return Report(60.0, Tally(Counter(outcomes or {("new", "200"): 400})), 1, 0, samples)


def steady(**last: int) -> list[Sample]:
    return [*(sample(number * 100) for number in range(1, 40)), sample(4000, **last)]


def test_a_router_that_stays_as_it_was_has_no_problem() -> None:
    assert report(steady()).problems() == []


def test_memory_that_grows_with_the_requests_is_told_by_its_slope() -> None:
    growing = [sample(number * 100, resident=300_000_000 + 20_000 * number) for number in range(1, 41)]
    assert report(growing).slope == pytest.approx(2_000_000)
    assert report(growing).problems() == ["resident memory grows by 2000000 bytes in 10,000 requests"]
    assert MAX_SLOPE < 2_000_000


def test_one_sample_that_is_out_of_line_moves_no_slope() -> None:
    samples = steady()
    samples[30] = sample(3100, resident=900_000_000)
    assert report(samples).slope == 0


def test_what_happens_while_it_warms_up_is_not_judged() -> None:
    samples = [
        sample(number * 100, resident=100_000_000 * min(number, 10), descriptors=min(number, 10))
        for number in range(1, 41)
    ]
    assert report(samples).problems() == []


def test_descriptors_that_stay_open_are_a_problem() -> None:
    leaking = [sample(number * 100, descriptors=20 + number) for number in range(1, 41)]
    assert report(leaking).more_descriptors > MAX_MORE_DESCRIPTORS
    assert len(report(leaking).problems()) == 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"entries": MAX_ENTRIES + 1}, f"{MAX_ENTRIES + 1} entries in memory, more than {MAX_ENTRIES}"),
        ({"held": MAX_BYTES + 1}, f"{MAX_BYTES + 1} bytes of entries in memory, more than {MAX_BYTES}"),
        ({"streams": 2}, "2 streams are open 20 s after the load"),
    ],
)
def test_a_bound_that_is_broken_once_is_a_problem(changes: dict[str, int], problem: str) -> None:
    assert report(steady(**changes)).problems() == [problem]


def test_an_outcome_is_wrong_for_one_kind_of_client_and_right_for_another() -> None:
    seen = {("new", "503"): 2, ("refused", "503"): 5, ("attack", "200"): 1, ("attack", "blocked"): 9}
    assert report(steady(), seen).problems() == ["1 of attack: 200", "2 of new: 503"]


def test_lateness_is_that_of_the_turns_after_the_warm_up() -> None:
    assert report(steady()).late(0.01) == pytest.approx(0.2)
    assert report(steady()).late(0.25) == 0


def test_every_kind_of_client_expects_something_and_has_a_name_of_its_own() -> None:
    assert len({each.name for each in KINDS}) == len(KINDS)
    assert all(each.expected and each.weight > 0 for each in KINDS)
