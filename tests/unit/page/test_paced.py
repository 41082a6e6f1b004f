from collections.abc import Callable

from router_extproc.page.paced import STEP_SECONDS, Paced


class Call:
    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self.seconds = seconds
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def paced() -> tuple[Paced, list[str], list[Call]]:
    shown: list[str] = []
    calls: list[Call] = []

    def later(seconds: float, call: Callable[[], None]) -> Call:
        calls.append(Call(seconds, call))
        return calls[-1]

    return Paced(shown.append, later), shown, calls


def test_the_first_piece_is_shown_at_once_and_the_next_ones_together() -> None:
    text, shown, calls = paced()
    for piece in "abc":
        text.add(piece)
    assert shown == ["a"]
    assert [each.seconds for each in calls] == [STEP_SECONDS]
    calls[0].call()
    assert shown == ["a", "abc"]


def test_nothing_is_shown_where_nothing_came_and_the_next_piece_does_not_wait() -> None:
    text, shown, calls = paced()
    text.add("a")
    calls[0].call()
    assert (shown, len(calls)) == (["a"], 1)
    text.add("b")
    assert shown == ["a", "ab"]


def test_the_end_shows_what_is_left_and_nothing_comes_after_it() -> None:
    text, shown, calls = paced()
    text.add("a")
    text.add("b")
    assert text.end() == "ab"
    assert shown == ["a", "ab"]
    assert calls[0].cancelled
    assert text.end() == "ab"
    assert len(shown) == 2
