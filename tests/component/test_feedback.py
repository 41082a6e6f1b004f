"""The selection follows what is measured of the models, through the whole stack: real Envoy, real router, two
simulated models of equal quality."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.processes import wait_until
from tests.support.routed import Load, Routed, document, load_on, routed
from tests.support.tuned import TunedModel

USUAL, SLOW = 0.1, 0.5
"""Seconds of an answer."""
FOLLOWS_SECONDS = 30.0
RATE = 20.0


@asynccontextmanager
async def two(folder: Path, **feedback: Any) -> AsyncIterator[tuple[Routed, TunedModel, Load]]:
    """Under load: the router before models x and y, and x, which is listed first."""
    async with TunedModel("x", USUAL) as x, TunedModel("y", USUAL) as y:
        refs = [{"model": "x"}, {"model": "y"}]
        content = document(
            {"x": x.port, "y": y.port},
            decisions=[{"name": "all", "modelRefs": refs, "algorithm": {"type": "latency_aware"}}],
            selection={"feedback": {"half_life_seconds": 2.0, **feedback}},
        )
        async with (
            routed(folder, content) as router,
            load_on(router, ["hello"], rate=RATE, clients=12) as so_far,
        ):
            yield router, x, so_far


def most(model: str) -> Callable[[Counter[str]], bool]:
    return lambda by: by[model] > 0.5 * by.total() and by.total() > 0


async def adjusted(router: Routed, kind: str, model: str = "x") -> None:
    name = f'router_model_adjustments_total{{kind="{kind}",model="{model}"}}'

    async def counted() -> bool:
        return (await router.metrics()).get(name, 0.0) >= 1.0

    await wait_until(counted, f"{model} to be counted as {kind}", FOLLOWS_SECONDS)


async def scores(router: Routed) -> tuple[dict[str, float], dict[str, Any]]:
    """Of each candidate, and how one of them was selected, by the trace of a decision."""
    trace = (await router.trace("hello"))["trace"]
    return {each["model"]: each["score"] for each in trace["candidates"]}, trace["selection"]


async def test_the_majority_leaves_a_model_that_slows_down_or_fails_and_comes_back(tmp_path: Path) -> None:
    async with two(tmp_path) as (router, x, so_far):
        await so_far.until(most("x"), "the first listed to have the traffic")

        x.seconds = SLOW
        await so_far.until(most("y"), "the slow one to be left", deadline=FOLLOWS_SECONDS)
        await adjusted(router, "slower")
        by, selection = await scores(router)
        assert by["x"] < by["y"]
        assert "times as long" in selection["reason"]
        assert not selection["explored"]
        measured = await router.pool()
        assert measured["x"]["latency"] > 1.5 * measured["y"]["latency"]

        x.seconds = USUAL
        await so_far.until(most("x"), "the recovered one to be back", deadline=FOLLOWS_SECONDS)
        await adjusted(router, "faster")
        assert so_far.failures == []

        x.failing = 2
        await so_far.until(most("y"), "the failing one to be left", deadline=FOLLOWS_SECONDS)
        await adjusted(router, "failing")
        by, selection = await scores(router)
        assert by["x"] < by["y"]
        assert "of its answers" in selection["reason"]

        x.failing = 0
        await so_far.until(most("x"), "the steady one to be back", deadline=FOLLOWS_SECONDS)
        await adjusted(router, "steady")
        start = await so_far.more(30)
        assert len([each for each in so_far.outcomes[start:] if each.problem]) == 0


async def test_nothing_moves_where_feedback_is_off(tmp_path: Path) -> None:
    async with two(tmp_path, enabled=False) as (router, x, so_far):
        x.seconds, x.failing = SLOW, 2
        await so_far.more(80)
        assert set(so_far.since(0)) == {"x"}
        assert len(so_far.failures) >= 8
        assert await router.pool() == {}
        assert not [name for name in await router.metrics() if name.startswith("router_model_adjustments_t")]
