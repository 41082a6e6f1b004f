"""A model that dies, errs or hangs is left for the next one of the same decision, and asked again when it is
back: real Envoy, real router, simulated models."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import wait_until
from tests.support.routed import (
    Load,
    Routed,
    decision,
    document,
    load_on,
    question,
    routed,
)
from tests.support.tuned import TunedModel

LISTED = {"first": ("a", "b"), "second": ("b", "c"), "third": ("c", "a")}
TEXTS = ("alpha", "beta", "gamma")
RATE = 50.0
LEFT_SECONDS = 10.0
BACK_SECONDS = 20.0


def content(ports: Mapping[str, int], **feedback: Any) -> dict[str, Any]:
    """Three decisions; each model is the first of one and the second of another."""
    pairs = [decision(name, text, *LISTED[name]) for name, text in zip(LISTED, TEXTS, strict=True)]
    return document(
        ports,
        signals={"keywords": [signal for signal, _ in pairs]},
        decisions=[each for _, each in pairs],
        selection={"feedback": {"retry_seconds": 1.0, "max_retry_seconds": 4.0, **feedback}},
    )


@asynccontextmanager
async def three(folder: Path, **feedback: Any) -> AsyncIterator[tuple[Routed, TunedModel]]:
    """The router before three models, and the one called b."""
    async with AsyncExitStack() as stack:
        models = [TunedModel(name) for name in "abc"]
        for model in models:
            await stack.enter_async_context(model)
        ports = {model.name: model.port for model in models}
        yield await stack.enter_async_context(routed(folder, content(ports, **feedback))), models[1]


async def available(router: Routed, model: str) -> bool:
    return bool((await router.pool())[model]["available"])


async def left(router: Routed, model: str, within: float = LEFT_SECONDS) -> None:
    async def gone() -> bool:
        return not await available(router, model)

    await wait_until(gone, f"{model} to be left", within)


async def answers_again(so_far: Load, model: str) -> None:
    await so_far.until(lambda by: by[model] >= 5, f"{model} to answer again", deadline=BACK_SECONDS)


def only_listed(so_far: Load) -> bool:
    return all(each.model in LISTED[each.decision] for each in so_far.outcomes if not each.problem)


async def test_a_model_killed_under_load_costs_at_most_one_request_in_two_hundred(tmp_path: Path) -> None:
    async with three(tmp_path) as (router, b), load_on(router, TEXTS, rate=RATE, clients=6) as so_far:
        await so_far.until(lambda by: set(by) == {"a", "b", "c"}, "all to answer")
        await so_far.more(300)
        await b.kill()
        await left(router, "b")
        before = await so_far.more(300)
        # Its own decision goes on with the next of the list; the one that listed it second never needed it.
        assert so_far.since(before)["b"] == 0
        assert {each.model for each in so_far.outcomes[before:] if each.decision == "second"} <= {"c", ""}
        await b.start()
        await answers_again(so_far, "b")
        await wait_until(lambda: len(so_far.outcomes) >= 2000, "2000 requests", 180.0)
    assert only_listed(so_far)
    assert len(so_far.failures) <= 0.005 * len(so_far.outcomes), so_far.failures


async def test_a_model_that_errs_is_left_and_asked_again(tmp_path: Path) -> None:
    async with three(tmp_path) as (router, b), load_on(router, TEXTS, rate=20.0) as so_far:
        await so_far.until(lambda by: set(by) == {"a", "b", "c"}, "all to answer")
        b.failing = 10
        await left(router, "b")
        before = await so_far.more(30)
        assert so_far.since(before)["b"] == 0
        b.failing = 0
        await answers_again(so_far, "b")
        opened = 'router_model_adjustments_total{kind="opened",model="b"}'
        closed = 'router_model_adjustments_total{kind="closed",model="b"}'
        metrics = await router.metrics()
        assert metrics[opened] >= 1.0
        assert metrics[closed] >= 1.0
    assert only_listed(so_far)


@pytest.mark.parametrize("how", ["reset", "cut"])
async def test_a_model_that_breaks_off_its_streams_is_left_and_asked_again(tmp_path: Path, how: str) -> None:
    async with (
        three(tmp_path) as (router, b),
        load_on(router, TEXTS, rate=20.0, stream=True) as so_far,
    ):
        await so_far.until(lambda by: set(by) == {"a", "b", "c"}, "all to answer")
        b.breaks = how
        await left(router, "b")
        asked = b.requests
        await so_far.more(60)
        assert b.requests - asked <= 3  # one at a time, to find out
        b.breaks = ""
        await answers_again(so_far, "b")
    assert only_listed(so_far)


async def test_clients_that_leave_streams_do_not_put_a_model_out_of_service(tmp_path: Path) -> None:
    """More than enough of them leave; one other client stays until the end."""
    async with three(tmp_path) as (router, b), load_on(router, ["beta"], rate=2.0, stream=True) as so_far:
        await so_far.until(lambda by: by["b"] > 0, "b to answer", last=1)
        url, asked = f"{router.envoy.url}/v1/chat/completions", b.requests
        b.seconds = 0.05
        for number in range(120):
            stream = question(f"beta and leave {number}", stream=True, max_tokens=200)
            async with router.session.post(url, json=stream) as response:
                await response.content.readline()
                response.close()
            assert await available(router, "b")
        assert b.requests - asked >= 120
    assert so_far.failures == []
    assert set(so_far.since(0)) == {"b"}


async def test_a_model_that_hangs_is_left_and_asked_again(tmp_path: Path) -> None:
    """Connections to it succeed, and no request is ever answered."""
    async with (
        three(tmp_path, silence_seconds=3.0) as (router, b),
        load_on(router, TEXTS, rate=20.0, clients=40) as so_far,
    ):
        await so_far.until(lambda by: set(by) == {"a", "b", "c"}, "all to answer")
        b.hang()
        await left(router, "b")
        before = await so_far.more(30)
        assert {each.model for each in so_far.outcomes[before:] if each.decision == "second"} <= {"c", ""}
        assert so_far.since(before)["b"] == 0
        b.resume()
        await answers_again(so_far, "b")
    # Those who waited have got their answers after all.
    assert so_far.failures == []
    assert only_listed(so_far)
