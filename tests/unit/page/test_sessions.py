import pytest

from router_extproc.page.sessions import HELD_SECONDS, MOST, Sessions


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_a_browser_stays_signed_in_and_another_is_not() -> None:
    sessions = Sessions(Hand())
    sessions.of("a").token = "word"
    assert sessions.of("a").token == "word"
    assert sessions.of("b").token == ""


def test_who_has_not_been_here_for_long_signs_in_again() -> None:
    clock = Hand()
    sessions = Sessions(clock)
    sessions.of("a").token = "word"
    clock.at += HELD_SECONDS
    assert sessions.of("a").token == "word"
    clock.at += HELD_SECONDS + 1
    assert sessions.of("a").token == ""


def test_browsers_are_bounded_and_the_one_away_for_longest_goes_first() -> None:
    sessions = Sessions(Hand())
    sessions.of("first").token = "word"
    sessions.of("second").token = "word"
    for number in range(MOST - 2):
        sessions.of(str(number))
    sessions.of("first")
    sessions.of("one more")
    assert len(sessions) == MOST
    assert sessions.of("first").token == "word"
    assert sessions.of("second").token == ""


def test_colours_go_round_and_a_token_is_never_printed() -> None:
    person = Sessions(Hand()).of("a")
    person.token = "word"
    assert [person.next_theme() for _ in range(3)] == ["light", "dark", "auto"]
    assert "word" not in repr(person)


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_a_visit_keeps_the_colours(seconds: float) -> None:
    clock = Hand()
    sessions = Sessions(clock)
    sessions.of("a").next_theme()
    clock.at += seconds
    assert sessions.of("a").theme == "light"
