"""The router with a real Envoy that follows it, and clients that keep asking it."""

import asyncio
import functools
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from router_extproc.app.configuration import load, topology_of
from router_extproc.app.envoy_folder import write_envoy
from router_extproc.app.mind import Mind
from router_extproc.app.proxy import EnvoyFolder
from router_extproc.app.router import running
from router_extproc.encoder.loading import Heads
from router_extproc.ports import Clock
from tests.support.encoder import real_bundle, real_encoder, real_screener
from tests.support.envoy import EnvoyProcess
from tests.support.processes import free_port, wait_until

START_SECONDS = 30.0
ANSWER_TOKENS = 5


def document(ports: Mapping[str, int], **more: Any) -> dict[str, Any]:
    """A configuration of models by name on ports of this machine, without a cache. `more` are other keys."""
    listeners = ("envoy", "ext_proc", "api", "metrics")
    return {
        "listeners": {name: {"address": "127.0.0.1", "port": free_port()} for name in listeners},
        "default_model": next(iter(ports)),
        "vllm_endpoints": [
            {"name": f"at-{name}", "address": "127.0.0.1", "port": port} for name, port in ports.items()
        ],
        "model_config": {name: {"preferred_endpoints": [f"at-{name}"]} for name in ports},
        "semantic_cache": {"enabled": False},
        **more,
    }


def decision(name: str, keyword: str, *models: str, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The signal, and the decision that goes by it."""
    rules = {"conditions": [{"type": "keyword", "name": keyword}]}
    refs = [{"model": model} for model in models]
    return {"name": keyword, "keywords": [keyword]}, {"name": name, "rules": rules, "modelRefs": refs, **more}


@dataclass(frozen=True, slots=True)
class Routed:
    """A running router and its Envoy. `config` is the file it follows."""

    config: Path
    envoy: EnvoyProcess
    session: aiohttp.ClientSession
    ports: Mapping[str, int]

    async def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics`, by name and labels as written there."""
        async with self.session.get(f"http://127.0.0.1:{self.ports['metrics']}/metrics") as response:
            lines = (await response.text()).splitlines()
        return {name: float(value) for name, value in (x.rsplit(" ", 1) for x in lines if x[0] != "#")}

    async def ready(self) -> tuple[int, dict[str, Any]]:
        async with self.session.get(f"http://127.0.0.1:{self.ports['api']}/ready") as response:
            return response.status, await response.json()

    async def pool(self) -> dict[str, dict[str, Any]]:
        """How each model does, as the API says."""
        async with self.session.get(f"http://127.0.0.1:{self.ports['api']}/api/v1/pool") as response:
            models: dict[str, dict[str, Any]] = (await response.json())["models"]
            return models

    async def trace(self, text: str) -> dict[str, Any]:
        """What would be decided for `text`."""
        url = f"http://127.0.0.1:{self.ports['api']}/api/v1/eval"
        async with self.session.post(url, json=question(text)) as response:
            assert response.status == 200
            found: dict[str, Any] = await response.json()
            return found

    def rewrite(self, changed: Mapping[str, Any]) -> None:
        """Put another configuration in place, at once."""
        new = self.config.with_suffix(".new")
        new.write_text(yaml.safe_dump(dict(changed), sort_keys=False))
        new.replace(self.config)


@functools.cache
def shared_mind() -> Mind:
    """One encoder for all routers of a test run."""
    return Mind(real_bundle().base_revision, real_encoder(), None, Heads({}, {}), real_screener())


@asynccontextmanager
async def routed(
    folder: Path, content: Mapping[str, Any], clock: Clock | None = None
) -> AsyncIterator[Routed]:
    """The router on `content`, with an Envoy that follows it, ready for requests. `clock` is the wall's."""
    config = folder / "router.yaml"
    config.write_text(yaml.safe_dump(dict(content), sort_keys=False))
    configuration = load(config)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        proxy = EnvoyFolder(folder / "e")
        stack.push_async_callback(proxy.close)
        await enter(running(configuration, shared_mind().prepared(configuration), proxy, clock=clock))
        await write_envoy(topology_of(configuration), folder / "e")
        envoy = await enter(EnvoyProcess(folder / "e"))
        connector = aiohttp.TCPConnector(limit=0)
        session = await enter(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20), connector=connector)
        )
        ports = {name: at["port"] for name, at in content["listeners"].items()}
        router = Routed(config, envoy, session, ports)

        async def is_ready() -> bool:
            return (await router.ready())[0] == 200

        await wait_until(is_ready, "the router to be ready", START_SECONDS)
        yield router


def question(text: str, **more: Any) -> dict[str, Any]:
    return {
        "model": "auto",
        "messages": [{"role": "user", "content": text}],
        "max_tokens": ANSWER_TOKENS,
        **more,
    }


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request went. `model` is who answered, by its own word; "" where nobody did."""

    decision: str
    model: str
    problem: str = ""


@dataclass
class Load:
    """What became of the requests so far."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        return [each.problem for each in self.outcomes if each.problem]

    def since(self, start: int) -> Counter[str]:
        """Answers by model, from the `start`th request on."""
        return Counter(each.model for each in self.outcomes[start:] if not each.problem)

    async def more(self, count: int, deadline: float = 60.0) -> int:
        """Wait for `count` further requests to end; how many there were before."""
        before = len(self.outcomes)
        await wait_until(lambda: len(self.outcomes) >= before + count, f"{count} more requests", deadline)
        return before

    async def until(
        self, holds: Callable[[Counter[str]], bool], what: str, *, last: int = 30, deadline: float = 30.0
    ) -> float:
        """Wait until the answers of the latest `last` requests, all ended from now on, are as wanted; how
        many seconds that took."""
        began, start = time.monotonic(), len(self.outcomes)

        def reached() -> bool:
            now = len(self.outcomes)
            return now - start >= last and holds(self.since(now - last))

        await wait_until(reached, f"{what}; the latest: {self.since(-last)}", deadline)
        return time.monotonic() - began


@asynccontextmanager
async def load_on(
    router: Routed, texts: Sequence[str], *, rate: float, clients: int = 8, stream: bool = False
) -> AsyncIterator[Load]:
    """`clients` that ask `texts` in turn, `rate` requests a second together while they keep up. Every request
    differs."""
    so_far, over, numbers = Load(), asyncio.Event(), itertools.count()
    began = time.monotonic()

    async def one() -> None:
        while not over.is_set():
            number = next(numbers)
            pause = began + number / rate - time.monotonic()
            if pause > 0:  # the pace of the load
                await asyncio.sleep(pause)
            text = f"{texts[number % len(texts)]} number {number}"
            so_far.outcomes.append(await outcome(router, question(text, stream=stream)))

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(one())
        try:
            yield so_far
        finally:
            over.set()


async def outcome(router: Routed, asked: Mapping[str, Any]) -> Outcome:
    """Ask once."""
    url = f"{router.envoy.url}/v1/chat/completions"
    try:
        async with router.session.post(url, json=asked) as response:
            body = await response.text()
            chosen = response.headers.get("x-vsr-selected-decision", "")
            if response.status != 200:
                return Outcome(chosen, "", f"{response.status} {body[:200]}")
            model = body.partition('"model":"')[2].partition('"')[0]
            return Outcome(chosen, model)
    except (aiohttp.ClientError, TimeoutError) as error:
        return Outcome("", "", repr(error))
