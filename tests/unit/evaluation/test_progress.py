"""How far it is, on a terminal and in a log."""

import io

from router_extproc.evaluation.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Hands:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def test_a_log_gets_a_line_every_few_seconds_and_one_at_the_end() -> None:
    clock, log = Hands(), io.StringIO()
    progress = Progress(320, "texts", log, clock)
    for done in range(1, 321):
        clock.at += 0.0625
        progress(done)
    progress.end()
    assert log.getvalue().splitlines() == [
        "  80 of 320 texts, 16/s, 15 s left",
        "  160 of 320 texts, 16/s, 10 s left",
        "  240 of 320 texts, 16/s, 5 s left",
        "  320 of 320 texts, 16/s, 0 s left",
        "  320 texts in 20 s, 16/s",
    ]


def test_a_terminal_has_one_line_that_changes() -> None:
    clock, screen = Hands(), Terminal()
    progress = Progress(1000, "texts", screen, clock)
    clock.at += 1
    progress(10)
    clock.at += 0.01
    progress(11)
    progress.end()
    assert screen.getvalue() == (
        "\r  10 of 1000 texts, 10/s, 1 min 39 s left\x1b[K\r  1000 texts in 1 s, 990/s\x1b[K\n"
    )


def test_nothing_done_and_no_time_passed_are_no_error() -> None:
    clock, log = Hands(), io.StringIO()
    progress = Progress(0, "texts", log, clock)
    clock.at += 60
    progress(0)
    progress.end()
    assert log.getvalue() == "  0 texts in 1 min 00 s, 0/s\n"
