"""When a model counts as silent."""

from router_extproc.routing.silence import IMPATIENT_SECONDS, Silence


def test_it_lasts_from_the_first_request_that_got_nothing() -> None:
    silence = Silence()
    assert not silence.lasted(1000.0, 5.0)
    silence.sent(10.0)
    silence.sent(13.0)
    assert not silence.lasted(14.9, 5.0)
    assert silence.lasted(15.0, 5.0)


def test_anything_heard_ends_it_and_those_who_still_wait_begin_another() -> None:
    silence = Silence()
    silence.sent(10.0)
    silence.heard(14.0, others=True)
    assert not silence.lasted(18.0, 5.0)
    assert silence.lasted(19.0, 5.0)
    silence.heard(19.0, others=False)
    assert not silence.lasted(1000.0, 5.0)


def test_a_client_that_left_counts_if_it_had_waited() -> None:
    silence = Silence()
    silence.sent(0.0)
    silence.left(IMPATIENT_SECONDS / 2)
    assert silence.victims(2) == 2
    silence.left(IMPATIENT_SECONDS)
    assert silence.victims(2) == 3
    silence.heard(2.0, others=True)
    assert silence.victims(2) == 2


def test_a_conclusion_is_drawn_once() -> None:
    silence = Silence()
    silence.sent(0.0)
    silence.left(5.0)
    silence.forget()
    assert not silence.lasted(1000.0, 5.0)
    assert silence.victims(0) == 0
