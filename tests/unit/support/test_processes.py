import pytest

from tests.support.processes import wait_until


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
