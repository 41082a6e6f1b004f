"""When a model counts as one that breaks off its answers."""

from router_extproc.routing.breaks import MANY, Breaks


def test_many_in_a_row_over_a_while_say_something() -> None:
    breaks = Breaks()
    for second in range(MANY - 1):
        breaks.broke(float(second))
    assert not breaks.many
    breaks.broke(float(MANY))
    assert breaks.many
    assert breaks.lasted(float(MANY), 5.0)


def test_many_at_once_say_nothing_yet() -> None:
    breaks = Breaks()
    for _ in range(10 * MANY):
        breaks.broke(3.0)
    assert not breaks.lasted(3.0, 5.0)
    assert breaks.lasted(8.0, 5.0)


def test_one_end_and_it_begins_anew() -> None:
    breaks = Breaks()
    for second in range(MANY):
        breaks.broke(float(second))
    breaks.ended()
    assert not breaks.many
    for _ in range(MANY):
        breaks.broke(100.0)
    assert not breaks.lasted(104.9, 5.0)
