"""The encoder for calls: few at a time, in time, and every failure a code of its own."""

import pytest

from router_extproc.base.refusals import Failure
from router_extproc.ports import PortError
from router_extproc.server.api.reading import NO_DRAW, Reader
from router_extproc.server.pool import Pool
from router_extproc.server.replies import Code, RefusedError
from tests.support.play import PLAN
from tests.support.ports import FakeAnalyst, FakeClock


def reader(analyst: FakeAnalyst | None = None, most: int = 4) -> Reader:
    return Reader(analyst or FakeAnalyst(), lambda: PLAN, Pool(), FakeClock(), most)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Failure.OVERLOADED, Code.OVERLOADED),
        (Failure.TIMEOUT, Code.DEADLINE_EXCEEDED),
        (Failure.UNAVAILABLE, Code.CLASSIFICATION_ERROR),
        (Failure.INVALID, Code.CLASSIFICATION_ERROR),
    ],
)
async def test_every_failure_of_the_encoder_has_its_code(reason: Failure, code: Code) -> None:
    with pytest.raises(RefusedError) as raised:
        await reader(FakeAnalyst(trouble=PortError(reason))).read("secret text")
    assert raised.value.code is code
    assert "secret" not in raised.value.message


async def test_one_call_more_than_may_is_refused_and_the_next_after_it_is_not() -> None:
    few = reader(most=2)
    async with few.turn(), few.turn():
        with pytest.raises(RefusedError) as raised:
            async with few.turn():
                pass
        assert raised.value.code is Code.TOO_MANY_REQUESTS
    async with few.turn() as watch:
        assert watch.millis >= 0.0


def test_a_decision_that_is_shown_explores_nothing() -> None:
    assert reader().world.chance == NO_DRAW
