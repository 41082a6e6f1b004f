"""The wall's clock jumps by hours while requests are under way: what is left alone comes back, what is kept
has its time, and nobody notices."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.support.processes import wait_until
from tests.support.routed import Routed, decision, document, question, routed
from tests.support.stack import Answer, ask
from tests.support.tuned import TunedModel

HOURS = 6 * 3600.0
BACK_SECONDS = 20.0


class SetClock:
    """A wall's clock that somebody sets."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead


async def asked(router: Routed, text: str) -> Answer:
    """With room for the whole answer: what is cut off is not kept."""
    return await ask(router.session, router.envoy.url, question(text, max_tokens=2000))


def answered_by(answer: Answer, model: str) -> bool:
    return answer.status == 200 and answer.headers["x-vsr-selected-model"] == model


@pytest.mark.parametrize("jump", [HOURS, -HOURS], ids=["forward", "back"])
async def test_a_clock_that_jumps_by_hours_changes_nothing_that_lasts(tmp_path: Path, jump: float) -> None:
    signal, first = decision("first", "alpha", "a", "b")
    clock = SetClock()
    async with TunedModel("a") as a, TunedModel("b") as b:
        content = document(
            {"a": a.port, "b": b.port},
            signals={"keywords": [signal]},
            decisions=[first],
            selection={"feedback": {"retry_seconds": 1.0, "max_retry_seconds": 4.0}},
            semantic_cache={"enabled": True, "backend_type": "memory", "mode": "exact", "ttl_seconds": 3600},
        )
        async with routed(tmp_path, content, clock) as router:
            assert answered_by(await asked(router, "alpha, keep this"), "a")
            await wait_until(lambda: is_hit(router, "alpha, keep this"), "a hit")

            # A stream is under way, and one model is left alone.
            a.flowing.clear()
            stream = asyncio.create_task(
                ask(router.session, router.envoy.url, question("alpha", stream=True))
            )
            await wait_until(lambda: a.requests >= 2, "the stream to begin")
            a.failing = 10
            await wait_until(lambda: is_left(router, "a"), "a to be left", 20.0)
            clock.ahead += jump
            assert answered_by(await asked(router, "alpha, just after"), "b")
            a.flowing.set()
            assert (await stream).body.endswith(b"data: [DONE]\n\n")

            # It is asked again after seconds, not hours.
            a.failing = 0
            await wait_until(lambda: is_back(router, "a"), "a to answer again", BACK_SECONDS)

            # What was kept is too old by now, or from the future. A fresh answer takes its place.
            answer = await asked(router, "alpha, keep this")
            assert (answer.status, answer.is_hit) == (200, False)
            await wait_until(lambda: is_hit(router, "alpha, keep this"), "a hit again")
            age = (await asked(router, "alpha, keep this")).headers["age"]
            assert 0 <= int(age) < 60

            samples = await router.metrics()
            assert all(value >= 0.0 for name, value in samples.items() if "_sum" in name)
            assert samples['router_model_adjustments_total{kind="opened",model="a"}'] >= 1.0
            assert samples.get('router_model_adjustments_total{kind="opened",model="b"}', 0.0) == 0.0


async def is_hit(router: Routed, text: str) -> bool:
    return (await asked(router, text)).is_hit


async def is_left(router: Routed, model: str) -> bool:
    """Asks, so that there is something to learn."""
    await asked(router, f"alpha {time.monotonic_ns()}")
    return not (await router.pool())[model]["available"]


async def is_back(router: Routed, model: str) -> bool:
    return answered_by(await asked(router, f"alpha {time.monotonic_ns()}"), model)
