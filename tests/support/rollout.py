"""Several routers behind one real Envoy, restarted while clients keep asking."""

import asyncio
import itertools
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from router_extproc.app.configuration import Configuration, load, processes_of, topology_of
from router_extproc.app.mind import Mind
from router_extproc.app.serve import serve_until
from router_extproc.app.stopping import Stop
from router_extproc.envoyconf.render import render_envoy
from router_extproc.envoyconf.topology import HostPort
from tests.support.envoy import EnvoyProcess
from tests.support.processes import wait_until

READY_SECONDS = 30.0
CHECK_SECONDS = 0.2
"""Between two health checks of the tests' Envoy, in the place of one second."""


def checked_often(text: str) -> str:
    """The rendered configuration with CHECK_SECONDS."""
    document = yaml.load(text, Loader=yaml.CSafeLoader)
    (cluster,) = (each for each in document["static_resources"]["clusters"] if each["name"] == "ext_proc")
    for check in cluster["health_checks"]:
        assert check["interval"] == check["no_traffic_interval"] == "1s"
        check["interval"] = check["no_traffic_interval"] = f"{CHECK_SECONDS}s"
    return yaml.safe_dump(document, sort_keys=False)


@dataclass
class Replica:
    """One router in this process, served and ended as `serve` does it."""

    configuration: Configuration
    mind: Mind
    stop: Stop | None = None
    task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.stop = Stop()
        self.task = asyncio.create_task(serve_until(self.stop, self.configuration, self.mind))

    async def end(self, number: int = signal.SIGTERM) -> None:
        """As the signal does; returns when the router has ended."""
        assert self.stop is not None
        assert self.task is not None
        self.stop.ask(number)
        async with asyncio.timeout(READY_SECONDS):
            await self.task
        self.stop = self.task = None


@dataclass(frozen=True, slots=True)
class Fleet:
    replicas: Sequence[Replica]
    envoy: EnvoyProcess

    async def healthy(self, count: int) -> None:
        """Returns when Envoy has so many for healthy."""

        async def reached() -> bool:
            for replica in self.replicas:
                if replica.task is not None and replica.task.done():
                    replica.task.result()
            return await self.envoy.stat("cluster.ext_proc.membership_healthy") == count

        await wait_until(reached, f"{count} healthy routers", READY_SECONDS)


@asynccontextmanager
async def fleet(documents: Sequence[dict[str, Any]], folder: Path, mind: Mind) -> AsyncIterator[Fleet]:
    """A router for each of `documents`, whose pools are the same, and Envoy before them; all serving."""
    replicas = []
    for number, document in enumerate(documents):
        path = folder / f"router-{number}.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        configuration = load(path)
        replicas.append(Replica(configuration, mind.prepared(configuration)))
    first, *others = (processes_of(each.configuration)[0] for each in replicas)
    if not others and isinstance(first, HostPort):
        first = HostPort("localhost", first.port)  # behind a name there may be several
    topology = replace(topology_of(replicas[0].configuration), ext_proc=first, more_ext_proc=tuple(others))
    for replica in replicas:
        replica.start()
    try:
        async with EnvoyProcess(checked_often(render_envoy(topology))) as envoy:
            running = Fleet(replicas, envoy)
            await running.healthy(len(replicas))
            yield running
    finally:
        for replica in replicas:
            if replica.task is not None:
                await replica.end(signal.SIGINT)


@dataclass
class Crowd:
    """What became of the clients' requests. A request that passed unread counts as a failure: nobody routed
    it. `kinds` counts the others by how they were asked and answered."""

    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    decisions: list[tuple[str, str]] = field(default_factory=list)
    """The decision that each answer names, and the model that gave it."""

    @property
    def answered(self) -> int:
        return self.kinds.total()

    async def more(self, count: int, deadline: float = 60.0) -> None:
        """Wait for `count` further answers."""
        before = self.answered
        await wait_until(
            lambda: self.answered >= before + count or bool(self.failures), f"{count} answers", deadline
        )


Ask = Callable[[int], tuple[str, dict[str, Any]]]
"""A word for what is asked, and the body of the request."""


@asynccontextmanager
async def crowd(url: str, ask: Ask, clients: int = 6) -> AsyncIterator[Crowd]:
    """`clients` who ask one question after the other until the context is left; then the last ones end."""
    seen, over, numbers = Crowd(), asyncio.Event(), itertools.count()
    timeout = aiohttp.ClientTimeout(total=30)
    async with (
        aiohttp.ClientSession(timeout=timeout, headers={"authorization": "Bearer k1"}) as session,
        asyncio.TaskGroup() as group,
    ):

        async def client() -> None:
            while not over.is_set():
                word, body = ask(next(numbers))
                await _one(session, url, word, body, seen)

        for _ in range(clients):
            group.create_task(client())
        try:
            yield seen
        finally:
            over.set()


async def _one(session: aiohttp.ClientSession, url: str, word: str, body: Any, seen: Crowd) -> None:
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            text = await response.text()
            headers = response.headers
            whole = text.endswith("data: [DONE]\n\n") if body.get("stream") else text.endswith("}")
            if response.status != 200 or not whole:
                seen.failures.append(f"{word}: {response.status} {text[-200:]}")
            elif "x-vsr-selected-model" not in headers:
                seen.failures.append(f"{word}: nobody routed it")
            else:
                hit = headers.get("x-vsr-cache-hit") == "true"
                seen.kinds[f"{word}, {'hit' if hit else 'miss'}"] += 1
                model = text.partition('"model":"')[2].partition('"')[0]
                seen.decisions.append((headers.get("x-vsr-selected-decision", ""), model))
    except (aiohttp.ClientError, TimeoutError) as error:
        seen.failures.append(f"{word}: {error!r}")
