import pytest

from router_extproc.page.sessions import HELD_SECONDS, MOST, MOST_TICKETS, TICKET_SECONDS, Sessions


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def signed_in(sessions: Sessions, browser: str) -> str:
    """The name that this browser has afterwards."""
    return sessions.enter(browser, sessions.of(browser).ticket("word"))


def test_a_browser_stays_signed_in_and_another_is_not() -> None:
    sessions = Sessions(Hand())
    name = signed_in(sessions, "a")
    assert sessions.of(name).token() == "word"
    assert sessions.of("b").token() == ""


def test_signing_in_gives_the_browser_a_name_that_nobody_knew_before() -> None:
    sessions = Sessions(Hand())
    before = sessions.of("planted")
    before.next_theme()
    name = signed_in(sessions, "planted")
    assert name not in ("", "planted")
    assert (before.token(), sessions.of("planted").token()) == ("", "")
    assert (sessions.of(name).token(), sessions.of(name).theme) == ("word", "light")
    again = signed_in(sessions, name)
    assert again != name
    assert sessions.of(name).token() == ""


def test_a_ticket_is_for_one_use_at_its_browser_and_soon() -> None:
    clock = Hand()
    sessions = Sessions(clock)
    ticket = sessions.of("a").ticket("word")
    assert sessions.enter("b", ticket) == ""
    assert sessions.enter("a", "") == ""
    assert sessions.enter("a", ticket)
    assert sessions.enter("a", ticket) == ""
    late = sessions.of("a").ticket("word")
    clock.at += TICKET_SECONDS + 1
    assert sessions.enter("a", late) == ""


def test_tickets_are_bounded() -> None:
    sessions = Sessions(Hand())
    first = sessions.of("a").ticket("word")
    for _ in range(MOST_TICKETS):
        sessions.of("a").ticket("word")
    assert sessions.enter("a", first) == ""


def test_a_view_that_stays_open_loses_its_token_when_nobody_used_it_for_long() -> None:
    clock = Hand()
    sessions = Sessions(clock)
    person = sessions.of(signed_in(sessions, "a"))
    clock.at += HELD_SECONDS
    assert person.token() == "word"
    clock.at += HELD_SECONDS
    assert person.token() == "word", "to use it is to keep it"
    clock.at += HELD_SECONDS + 1
    assert person.token() == ""


def test_a_token_is_forgotten_though_its_browser_never_comes_back() -> None:
    clock = Hand()
    sessions = Sessions(clock)
    signed_in(sessions, "a")
    clock.at += HELD_SECONDS + 1
    sessions.sweep()
    assert len(sessions) == 0


def test_who_signs_out_is_signed_out_in_every_tab() -> None:
    sessions = Sessions(Hand())
    name = signed_in(sessions, "a")
    one, other = sessions.of(name), sessions.of(name)
    one.sign_out()
    assert other.token() == ""
    assert len(sessions) == 0


def test_visits_are_not_remembered() -> None:
    sessions = Sessions(Hand())
    for number in range(2 * MOST):
        assert sessions.of(str(number)).token() == ""
    assert len(sessions) == 0


def test_strangers_never_take_the_place_of_who_is_signed_in() -> None:
    sessions = Sessions(Hand())
    names = [signed_in(sessions, str(number)) for number in range(MOST - 1)]
    for number in range(2 * MOST):
        sessions.of(f"stranger {number}").next_theme()
    assert len(sessions) == MOST
    names.append(signed_in(sessions, "one more"))
    sessions.of("too late").next_theme()
    assert len(sessions) == MOST
    assert all(sessions.of(name).token() == "word" for name in names)
    assert sessions.of("too late").theme == "auto"


def test_of_too_many_who_are_signed_in_the_one_away_for_longest_goes() -> None:
    sessions = Sessions(Hand())
    names = [signed_in(sessions, str(number)) for number in range(MOST)]
    assert sessions.of(names[0]).token() == "word"
    last = signed_in(sessions, "one more")
    assert len(sessions) == MOST
    assert [bool(sessions.of(each).token()) for each in (names[0], names[1], last)] == [True, False, True]


def test_colours_go_round_and_a_token_is_never_printed() -> None:
    sessions = Sessions(Hand())
    person = sessions.of(signed_in(sessions, "a"))
    assert [person.next_theme() for _ in range(3)] == ["light", "dark", "auto"]
    assert "word" not in f"{person!r} {sessions._held!r}"


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_a_visit_keeps_the_colours(seconds: float) -> None:
    clock = Hand()
    sessions = Sessions(clock)
    sessions.of("a").next_theme()
    clock.at += seconds
    assert sessions.of("a").theme == "light"
