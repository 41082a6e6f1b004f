"""What requests report, and what is told of the models."""

from dataclasses import replace

import pytest

from router_extproc.routing.breaks import MANY
from router_extproc.routing.circuit import State
from router_extproc.routing.performance import (
    LOST_SECONDS,
    AdjustmentKind,
    Failed,
    FeedbackOptions,
    Performance,
)
from router_extproc.routing.world import Condition

OPTIONS = FeedbackOptions(("a", "b"), silence_seconds=30.0)


def down(performance: Performance, at: float) -> None:
    for _ in range(OPTIONS.failures):
        performance.failed(performance.sent("a", at), at, Failed.RESET)


def kinds(performance: Performance) -> list[AdjustmentKind]:
    return [adjustment.kind for adjustment in performance.adjustments()]


def test_requests_under_way_are_counted() -> None:
    performance = Performance(OPTIONS)
    tickets = [performance.sent("a", 1.0) for _ in range(3)]
    assert performance.condition("a", 1.0).in_flight == 3
    performance.finished(tickets[0], 2.0, 200, 10)
    performance.failed(tickets[1], 2.0, Failed.TIMEOUT)
    performance.cancelled(tickets[2], 2.0)
    assert performance.condition("a", 2.0).in_flight == 0


def test_a_ticket_given_back_twice_counts_once() -> None:
    performance = Performance(OPTIONS)
    ticket, other = performance.sent("a", 1.0), performance.sent("a", 1.0)
    performance.finished(ticket, 2.0, 200, 10)
    for _ in range(5):
        performance.failed(ticket, 2.0, Failed.RESET)
        performance.finished(ticket, 2.0, 500)
        performance.cancelled(ticket, 2.0)
    condition = performance.condition("a", 2.0)
    assert (condition.in_flight, condition.error_rate, condition.available) == (1, 0.0, True)
    performance.cancelled(other, 3.0)
    assert performance.condition("a", 3.0).in_flight == 0


def test_models_outside_the_pool_are_ignored() -> None:
    performance = Performance(OPTIONS)
    ticket = performance.sent("x", 1.0)
    performance.first_token(ticket, 2.0)
    performance.finished(ticket, 3.0, 500)
    assert performance.condition("x", 3.0) == Condition()
    assert set(performance.conditions(3.0)) == {"a", "b"}


@pytest.mark.parametrize("status", [400, 404, 429, 0, 101])
def test_a_status_that_says_nothing_of_the_model_only_ends_the_request(status: int) -> None:
    performance = Performance(OPTIONS)
    for _ in range(20):
        performance.finished(performance.sent("a", 1.0), 2.0, status)
    condition = performance.condition("a", 2.0)
    assert condition == Condition(samples=condition.samples)
    assert condition.samples == 0.0


@pytest.mark.parametrize("status", [500, 503, 504])
def test_server_errors_are_failures(status: int) -> None:
    performance = Performance(OPTIONS)
    for _ in range(3):
        performance.finished(performance.sent("a", 1.0), 2.0, status)
    assert not performance.condition("a", 2.0).available
    assert performance.condition("b", 2.0).available
    assert performance.states(2.0) == {"a": State.OPEN, "b": State.CLOSED}


def test_failures_are_no_fast_answers() -> None:
    performance = Performance(OPTIONS)
    for second in range(20):
        performance.finished(performance.sent("a", second), second + 1.0, 200, 200)
        performance.failed(performance.sent("a", second), second + 0.01, Failed.SERVER_ERROR)
    assert performance.condition("a", 20.0).latency == pytest.approx(1.0, rel=0.1)


def test_the_first_token_of_a_probe_closes_the_circuit() -> None:
    performance = Performance(OPTIONS)
    down(performance, 1.0)
    assert performance.condition("a", 3.0).available
    ticket = performance.sent("a", 3.0)
    assert not performance.condition("a", 3.1).available
    performance.first_token(ticket, 3.5)
    performance.first_token(ticket, 9.5)
    condition = performance.condition("a", 10.0)
    assert condition.available
    assert condition.time_to_first_token == pytest.approx(0.5)
    assert condition.in_flight == 1
    assert kinds(performance)[-1] is AdjustmentKind.CLOSED


def test_every_change_is_told_once() -> None:
    performance = Performance(OPTIONS)
    down(performance, 1.0)
    performance.condition("a", 3.0)
    performance.finished(performance.sent("a", 3.0), 4.0, 200, 10)
    assert [kind for kind in kinds(performance) if kind is not AdjustmentKind.FAILING] == [
        AdjustmentKind.OPENED,
        AdjustmentKind.HALF_OPEN,
        AdjustmentKind.CLOSED,
    ]
    assert performance.adjustments() == ()


def test_a_request_that_never_ends_is_taken_for_lost() -> None:
    performance = Performance(OPTIONS)
    ticket = performance.sent("a", 1.0)
    assert performance.condition("a", LOST_SECONDS).in_flight == 1
    assert performance.condition("a", LOST_SECONDS + 1.0).in_flight == 0
    performance.failed(ticket, LOST_SECONDS + 2.0, Failed.TIMEOUT)
    assert performance.condition("a", LOST_SECONDS + 2.0).in_flight == 0


def test_one_request_may_find_out_when_nothing_was_heard_for_long() -> None:
    performance = Performance(OPTIONS)
    assert performance.condition("a", 0.0).samples == 0.0
    for second in range(5):
        performance.finished(performance.sent("a", second), second + 0.5, 200, 10)
    assert performance.condition("a", 10.0).samples > 0.0
    assert performance.condition("a", 60.0).samples == 0.0
    assert performance.condition("a", 60.0).latency is not None


def test_a_model_in_trouble_may_be_tried_sooner() -> None:
    performance = Performance(OPTIONS)
    for second in range(20):
        performance.finished(performance.sent("a", second), second + (0.5 if second < 10 else 5.0), 200, 10)
    assert kinds(performance) == [AdjustmentKind.SLOWER]
    assert performance.condition("a", 24.9).samples > 0.0
    assert performance.condition("a", 26.0).samples == 0.0


def test_nobody_else_finds_out_while_one_does_unless_that_takes_very_long() -> None:
    performance = Performance(OPTIONS)
    performance.sent("a", 0.0)
    assert performance.condition("a", 9.9).samples > 0.0
    assert performance.condition("a", 10.0).samples == 0.0


def test_without_feedback_nothing_is_known_and_nothing_is_left() -> None:
    performance = Performance(replace(OPTIONS, enabled=False))
    down(performance, 1.0)
    assert performance.condition("a", 1.0) == Condition()
    assert performance.conditions(1.0) == {}
    assert performance.adjustments() == ()


def test_another_configuration_keeps_what_is_known_of_the_models_that_stay() -> None:
    performance = Performance(OPTIONS)
    ticket = performance.sent("b", 1.0)
    down(performance, 1.0)
    performance.configure(replace(OPTIONS, models=("a", "c"), retry_seconds=5.0))
    assert not performance.condition("a", 1.5).available
    assert set(performance.conditions(1.5)) == {"a", "c"}
    performance.finished(ticket, 2.0, 200, 10)
    performance.configure(OPTIONS)
    assert performance.condition("b", 2.0).in_flight == 0


def hung(at: float = 0.0, count: int = OPTIONS.failures) -> Performance:
    """`count` requests sent to `a` that get nothing."""
    performance = Performance(OPTIONS)
    for _ in range(count):
        performance.sent("a", at)
    return performance


def test_a_model_that_says_nothing_to_several_is_left() -> None:
    performance = hung()
    assert performance.condition("a", OPTIONS.silence_seconds - 0.1).available
    assert not performance.condition("a", OPTIONS.silence_seconds).available
    assert performance.condition("b", OPTIONS.silence_seconds).available
    assert kinds(performance) == [AdjustmentKind.OPENED]


def test_one_long_answer_is_no_silence() -> None:
    performance = hung(count=OPTIONS.failures - 1)
    assert performance.condition("a", 10 * OPTIONS.silence_seconds).available


@pytest.mark.parametrize("status", [200, 404, 429])
def test_any_answer_ends_the_silence(status: int) -> None:
    performance, end = hung(), OPTIONS.silence_seconds
    performance.finished(performance.sent("a", 1.0), end - 1.0, status, 5)
    assert performance.condition("a", end + 1.0).available
    assert not performance.condition("a", 2 * end - 1.0).available


def test_a_first_token_ends_the_silence() -> None:
    performance, end = hung(), OPTIONS.silence_seconds
    performance.first_token(performance.sent("a", 1.0), end - 1.0)
    assert performance.condition("a", end + 1.0).available


def test_streams_under_way_wait_for_nothing() -> None:
    performance = Performance(OPTIONS)
    for _ in range(OPTIONS.failures):
        performance.first_token(performance.sent("a", 0.0), 1.0)
    assert performance.condition("a", 10 * OPTIONS.silence_seconds).available


def test_clients_that_gave_up_waiting_count_and_those_that_left_at_once_do_not() -> None:
    for waited, available in ((5.0, False), (0.1, True)):
        performance = Performance(OPTIONS)
        for number in range(OPTIONS.failures):
            performance.cancelled(performance.sent("a", 6.0 * number), 6.0 * number + waited)
        assert performance.condition("a", OPTIONS.silence_seconds).available is available


def test_a_silent_try_ends_as_a_failed_one_and_a_good_one_brings_the_model_back() -> None:
    performance, end = hung(), OPTIONS.silence_seconds
    assert not performance.condition("a", end).available
    tried = end + OPTIONS.retry_seconds
    assert performance.condition("a", tried).available
    performance.sent("a", tried)
    assert not performance.condition("a", tried + 1.0).available
    # Twice the pause from here on.
    assert not performance.condition("a", tried + end - 0.1).available
    assert performance.states(tried + end - 0.1)["a"] is State.HALF_OPEN
    assert performance.states(tried + end)["a"] is not State.HALF_OPEN
    again = tried + end + 2 * OPTIONS.retry_seconds
    performance.finished(performance.sent("a", again), again + 1.0, 200, 5)
    assert performance.states(again + 1.0)["a"] is State.CLOSED


def test_whoever_delivers_is_not_silent() -> None:
    performance, end = hung(), OPTIONS.silence_seconds
    stream = performance.sent("a", 0.0)
    performance.first_token(stream, 1.0)
    for second in range(2, int(4 * end), 10):
        performance.flows(stream, float(second))
        assert performance.condition("a", float(second)).available
    # Then it stops, and the others still have nothing.
    assert not performance.condition("a", 5 * end).available


def test_headers_alone_do_not_end_a_silence() -> None:
    performance = hung(count=OPTIONS.failures - 1)
    performance.began(performance.sent("a", 0.0))
    assert not performance.condition("a", OPTIONS.silence_seconds).available


def broken(performance: Performance, count: int, start: float) -> None:
    """Streams of `a` that begin and do not end, one a second."""
    for number in range(count):
        ticket = performance.sent("a", start + number)
        performance.began(ticket)
        performance.first_token(ticket, start + number + 0.2)
        performance.cancelled(ticket, start + number + 0.5)


def test_a_model_none_of_whose_answers_comes_to_its_end_is_left() -> None:
    performance = Performance(OPTIONS)
    broken(performance, MANY - 1, 0.0)
    assert performance.condition("a", 10.0).available
    broken(performance, 1, 10.0)
    assert not performance.condition("a", 10.5).available


def test_clients_that_leave_do_no_harm_where_another_gets_its_answer() -> None:
    performance = Performance(OPTIONS)
    for turn in range(20):
        broken(performance, MANY - 1, turn * 10.0)
        performance.finished(performance.sent("a", turn * 10.0), turn * 10.0 + 9.0, 200, 5)
        assert performance.condition("a", turn * 10.0 + 9.0).available
    for _ in range(1000):
        ticket = performance.sent("a", 300.0)
        performance.first_token(ticket, 300.1)
        performance.cancelled(ticket, 300.2)
    assert performance.condition("a", 300.2).available


def test_only_a_whole_answer_shows_that_a_model_breaks_off_no_more() -> None:
    performance = Performance(OPTIONS)
    broken(performance, MANY, 0.0)
    at = MANY - 0.5 + OPTIONS.retry_seconds
    assert performance.condition("a", at).available
    broken(performance, 1, at)
    assert not performance.condition("a", at + 1.0).available
    again = at + 0.5 + 2 * OPTIONS.retry_seconds
    assert performance.condition("a", again).available
    ticket = performance.sent("a", again)
    performance.first_token(ticket, again + 0.1)
    assert performance.states(again + 0.1)["a"] is State.HALF_OPEN
    performance.finished(ticket, again + 1.0, 200, 5)
    assert performance.states(again + 1.0)["a"] is State.CLOSED


def test_an_answer_that_is_not_complete_is_a_failure() -> None:
    performance = Performance(OPTIONS)
    for _ in range(OPTIONS.failures):
        performance.finished(performance.sent("a", 0.0), 1.0, 200, 5, complete=False)
    assert not performance.condition("a", 1.0).available
    at = 1.0 + OPTIONS.retry_seconds
    assert performance.condition("a", at).available
    performance.first_token(performance.sent("a", at), at + 0.1)
    assert performance.states(at + 0.1)["a"] is State.HALF_OPEN
