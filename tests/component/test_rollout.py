"""Routers restarted, and their configuration changed, under load and behind one real Envoy: no client
notices, and every request is routed."""

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from router_extproc.server.http import probe
from tests.support.processes import wait_until
from tests.support.rollout import Fleet, crowd, fleet
from tests.support.routed import document, question, shared_mind
from tests.support.tuned import TunedModel

RESTARTS = 10
DRAIN_SECONDS = 1.2
RELOADS = 10
CACHE: dict[str, Any] = {"enabled": True, "backend_type": "memory", "verifier": {"enabled": False}}


def asked(number: int) -> tuple[str, dict[str, Any]]:
    """Of four requests one was asked before and one more is; half are streams; one has a slow model."""
    stream = number % 2 == 0
    word = "stream" if stream else "plain"
    match number % 8:
        case 0 | 3 | 5:
            text = f"what is asked again and again {number % 8}"
            return word, question(text, stream=stream, temperature=0, max_tokens=400)
        case 6:
            return "slow stream", question(f"take your time {number}", stream=True) | {"model": "slow"}
        case _:
            return word, question(f"never asked before {number}", stream=stream)


async def test_ten_restarts_under_load_lose_nothing(tmp_path: Path) -> None:
    async with TunedModel("fast") as fast, TunedModel("slow", seconds=0.4) as slow:
        more = {
            "semantic_cache": CACHE,
            "shutdown": {"drain_seconds": DRAIN_SECONDS, "grace_seconds": 10.0},
        }
        pool = {"fast": fast.port, "slow": slow.port}
        documents = [document(pool, **more) for _ in range(2)]
        async with (
            fleet(documents, tmp_path, shared_mind()) as routers,
            crowd(routers.envoy.url, asked) as clients,
        ):
            await clients.more(50)
            for turn in range(RESTARTS):
                leaving = routers.replicas[turn % 2]
                await leaving.end()
                await clients.more(5)
                leaving.start()
                await routers.healthy(2)
                await clients.more(10)
            stat = routers.envoy.stat
            refused = {
                name: await stat(f"cluster.ext_proc.{name}")
                for name in (
                    "upstream_cx_connect_fail",
                    "upstream_rq_retry",
                    "upstream_rq_pending_failure_eject",
                )
            }
            passed = await stat("http.router.ext_proc.failure_mode_allowed")
    assert clients.failures == []
    # Envoy had turned away each time before anything was refused: no retry had to mend it.
    assert (passed, refused) == (0, dict.fromkeys(refused, 0))
    assert set(clients.kinds) == {
        "plain, hit", "plain, miss", "stream, hit", "stream, miss", "slow stream, miss",
    }  # fmt: skip


def mapped(number: int) -> dict[str, Any]:
    """The `number`th mapping of everything to one of two models, by a decision that names both."""
    model = ("one", "other")[number % 2]
    return {"decisions": [{"name": f"mapping-{number}-{model}", "modelRefs": [{"model": model}]}]}


def fresh(number: int) -> tuple[str, dict[str, Any]]:
    stream = number % 2 == 0
    return ("stream" if stream else "plain"), question(f"mapped how {number}", stream=stream)


async def generations(routers: Fleet, session: aiohttp.ClientSession) -> list[int]:
    """What each router serves with, and no change was refused."""
    found = []
    for replica in routers.replicas:
        port = replica.configuration.settings.listeners.api.port
        async with session.get(f"http://127.0.0.1:{port}/ready") as response:
            configuration = (await response.json())["configuration"]
            assert configuration["problem"] is None
            found.append(configuration["generation"])
    return found


async def test_ten_reloads_under_load_lose_nothing(tmp_path: Path) -> None:
    async with TunedModel("one") as one, TunedModel("other") as other, aiohttp.ClientSession() as session:
        pool = {"one": one.port, "other": other.port}
        documents = [document(pool) for _ in range(2)]
        async with (
            fleet([{**each, **mapped(0)} for each in documents], tmp_path, shared_mind()) as routers,
            crowd(routers.envoy.url, fresh) as clients,
        ):
            await clients.more(20)
            for number in range(1, RELOADS + 1):
                for replica, each in zip(routers.replicas, documents, strict=True):
                    path = replica.configuration.path
                    new = path.with_suffix(".new")
                    new.write_text(yaml.safe_dump({**each, **mapped(number)}))
                    new.replace(path)

                async def taken(number: int = number) -> bool:
                    return await generations(routers, session) == [number + 1] * 2

                await wait_until(taken, f"generation {number + 1}", 30.0)
                await clients.more(10)
    assert clients.failures == []
    # Every answer is one generation's: the decision's name tells the model that gave it.
    assert {decision.split("-")[2] == model for decision, model in clients.decisions} == {True}
    assert {int(decision.split("-")[1]) for decision, _ in clients.decisions} == set(range(RELOADS + 1))


@contextlib.asynccontextmanager
async def one_router(folder: Path, **shutdown: float) -> Any:
    """A router behind an Envoy of its own, with a model whose streams stop after the first token."""
    async with TunedModel("fast") as model:
        content = document({"fast": model.port}, shutdown=shutdown)
        async with fleet([content], folder, shared_mind()) as routers:
            yield routers, model


async def open_stream(session: aiohttp.ClientSession, url: str) -> aiohttp.ClientResponse:
    """An answer whose first token has arrived."""
    response = await session.post(f"{url}/v1/chat/completions", json=question("held", stream=True))
    assert response.headers["x-vsr-selected-model"] == "fast"
    await response.content.readuntil(b"\n\n")
    return response


async def test_readiness_goes_first_and_what_comes_meanwhile_is_served(tmp_path: Path) -> None:
    async with one_router(tmp_path, drain_seconds=60.0, grace_seconds=10.0) as (routers, _):
        (router,) = routers.replicas
        api = f"http://127.0.0.1:{router.configuration.settings.listeners.api.port}"
        ready, alive = probe(f"{api}/ready", 5.0), probe(f"{api}/health", 5.0)
        await wait_until(ready, "readiness", 10.0)
        leaving = asyncio.create_task(router.end(signal.SIGTERM))
        # The only router there is: held for dead, it is asked all the same, and it serves.
        await routers.healthy(0)
        assert not await ready()
        assert await alive()
        async with crowd(routers.envoy.url, fresh) as clients:
            await clients.more(20)
        assert clients.failures == []
        assert not leaving.done()
        assert router.stop is not None
        router.stop.ask(signal.SIGTERM)  # a second one hurries
        async with asyncio.timeout(20):
            await leaving


async def test_a_stream_may_end_within_the_grace_and_a_second_signal_hurries(tmp_path: Path) -> None:
    async with (
        one_router(tmp_path, drain_seconds=0.0, grace_seconds=60.0) as (routers, model),
        aiohttp.ClientSession() as session,
    ):
        (router,) = routers.replicas
        for hurried in (False, True):
            model.flowing.clear()
            held = await open_stream(session, routers.envoy.url)
            leaving = asyncio.create_task(router.end(signal.SIGTERM))
            await routers.healthy(0)
            await routers.envoy.admin("/ready")
            assert not leaving.done()
            if hurried:
                assert router.stop is not None
                router.stop.ask(signal.SIGINT)
                async with asyncio.timeout(20):
                    await leaving
            model.flowing.set()
            async with asyncio.timeout(20):
                rest = await held.read()
                await leaving
            # Ended by the router or not, the client has the whole answer.
            assert rest.endswith(b"data: [DONE]\n\n")
            if not hurried:
                router.start()
                await routers.healthy(1)
