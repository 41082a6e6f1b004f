import os
from pathlib import Path

import pytest

from tests.support.processes import wait_until, with_words


async def test_the_first_true_value_is_returned() -> None:
    values = iter([0, "", 7, 8])
    assert await wait_until(lambda: next(values), "a value") == 7


async def test_a_condition_may_be_asynchronous() -> None:
    async def ready() -> str:
        return "yes"

    assert await wait_until(ready, "readiness") == "yes"


async def test_the_deadline_names_what_was_waited_for() -> None:
    times = iter([0.0, 4.9, 5.0])
    with pytest.raises(TimeoutError, match="waited 5 s for the end"):
        await wait_until(lambda: False, "the end", deadline=5.0, clock=lambda: next(times))


async def test_an_error_of_the_condition_is_not_waited_out() -> None:
    def fail() -> bool:
        raise RuntimeError("ended")

    with pytest.raises(RuntimeError, match="ended"):
        await wait_until(fail, "anything")


def test_a_process_is_found_by_words_of_its_command() -> None:
    words = Path("/proc/self/cmdline").read_text().rstrip("\0").split("\0")
    assert os.getpid() in with_words(*words)
    assert with_words(*words, "a-word-that-no-command-has") == []
