"""A changed `router.yaml` is taken over by a running router and its Envoy, under load and with no failed
request; a wrong one changes nothing."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.processes import wait_until
from tests.support.routed import Routed, document, load_on, question, routed
from tests.support.tuned import TunedModel

PATIENCE = aiohttp.ClientTimeout(total=90)
TAKEN_SECONDS = 30.0


def only(name: str, model: str) -> list[dict[str, Any]]:
    """The decision `name` for everything."""
    return [{"name": name, "modelRefs": [{"model": model}]}]


async def counted(router: Routed, outcome: str, times: float = 1.0) -> None:
    name = f'router_configuration_reloads_total{{outcome="{outcome}"}}'

    async def told() -> bool:
        return (await router.metrics()).get(name, 0.0) == times

    await wait_until(told, f"{times:g} reloads {outcome}", TAKEN_SECONDS)


async def generation(router: Routed) -> float:
    return (await router.metrics())["router_configuration_generation"]


def changed(content: Mapping[str, Any], port: int) -> dict[str, Any]:
    """Another decision, and another pool: `new` in the place of `old`."""
    other = document({"new": port}, decisions=only("second", "new"))
    return {**content, **{key: other[key] for key in other if key != "listeners"}}


@asynccontextmanager
async def slow_stream(router: Routed, text: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """An answer whose first token has arrived."""
    url = f"{router.envoy.url}/v1/chat/completions"
    asked = question(text, stream=True)
    async with router.session.post(url, json=asked, timeout=PATIENCE) as response:
        assert response.status == 200
        assert b'"model":"old"' in await response.content.readuntil(b"\n\n")
        yield response


async def test_a_changed_pool_and_policy_are_taken_over_under_load(tmp_path: Path) -> None:
    async with TunedModel("old") as old, TunedModel("new") as new:
        content = document({"old": old.port}, decisions=only("first", "old"))
        async with routed(tmp_path, content) as router:
            assert await generation(router) == 1.0
            old.flowing.clear()
            async with slow_stream(router, "in flight") as stream:
                async with load_on(router, ["hello"], rate=30.0, clients=10) as so_far:
                    await so_far.until(lambda by: set(by) == {"old"}, "the old one to answer", last=20)
                    router.rewrite(changed(content, new.port))
                    await so_far.until(
                        lambda by: set(by) == {"new"},
                        "the new one to answer",
                        last=20,
                        deadline=TAKEN_SECONDS,
                    )
                    await so_far.more(60)
                assert so_far.failures == []
                # None was told one thing and served by another.
                pairs = {(each.decision, each.model) for each in so_far.outcomes}
                assert pairs == {("first", "old"), ("second", "new")}
                await counted(router, "taken")
                assert await generation(router) == 2.0
                status, ready = await router.ready()
                assert status == 200
                assert ready["configuration"]["generation"] == 2
                assert ready["configuration"]["problem"] is None
                assert (await router.trace("hello"))["generation"] == ready["configuration"]["policy"]
                # What was under way ends as it would have, and is told of by the generation it began with.
                old.flowing.set()
                async with asyncio.timeout(20):
                    rest = await stream.content.read()
                assert stream.headers["x-vsr-selected-decision"] == "first"
                assert b'"model":"old"' in rest
                assert rest.endswith(b"data: [DONE]\n\n")


async def test_a_wrong_configuration_is_refused_and_the_last_good_one_stays(tmp_path: Path) -> None:
    async with TunedModel("old") as old:
        content = document({"old": old.port}, decisions=only("first", "old"))
        async with (
            routed(tmp_path, content) as router,
            load_on(router, ["hello"], rate=20.0) as so_far,
        ):
            await so_far.more(10)
            elsewhere = document({"old": old.port}, decisions=only("first", "old"))
            wrong: list[tuple[Mapping[str, Any], str]] = [
                ({**content, "decisions": only("first", "nobody")}, "nobody"),
                ({**content, "defualt_model": "old"}, "defualt_model"),
                ({**content, "listeners": elsewhere["listeners"]}, "listeners"),
            ]
            for number, (refused, named) in enumerate(wrong, 1):
                router.rewrite(refused)
                await counted(router, "refused", float(number))
                status, ready = await router.ready()
                assert status == 200
                assert ready["configuration"]["generation"] == 1
                assert named in ready["configuration"]["problem"]
                assert await generation(router) == 1.0
            router.rewrite(content)
            await counted(router, "unchanged")
            assert (await router.ready())[1]["configuration"]["problem"] is None
            router.rewrite({**content, "decisions": only("better", "old")})
            await counted(router, "taken")
            assert await generation(router) == 2.0
            await so_far.more(20)
    assert so_far.failures == []
    assert {each.decision for each in so_far.outcomes} == {"first", "better"}
