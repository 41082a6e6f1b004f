"""A router in a process of its own, behind real Envoys, that a test kills, freezes and starts again.

Every model is one scripted upstream whose behaviour the question chooses. Knows nothing of what is tested.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
import yaml

from router_extproc.app.configuration import Configuration, load, topology_of
from router_extproc.app.envoy_folder import write_envoy
from router_extproc.app.token import admin_token
from router_extproc.envoyconf.topology import Away
from tests.support.envoy import EnvoyProcess
from tests.support.processes import wait_until
from tests.support.stack import ROOT, Answer, ask, command
from tests.support.upstream import ScriptedUpstream

START_SECONDS = 120.0
STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Held:
    """What a process has: resident bytes, and open file descriptors."""

    resident: int
    descriptors: int

    @classmethod
    def by(cls, pid: int) -> "Held":
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return cls(pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(f"/proc/{pid}/fd")))


@dataclass
class RouterProcess:
    """`router-extproc serve` on `config`. What it writes is in `log`."""

    config: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> Path:
        return self.config.with_suffix(".log")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self) -> None:
        """The process; it is not ready yet."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command("serve", "--config", str(self.config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **self.environment},
            )

    async def kill(self) -> None:
        """At once, as a crash would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """As its operator does; whatever state it is in."""
        if self.process is not None and self.process.returncode is None:
            self.thaw()
            await self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Connections stay and are made, and nothing is answered any more."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def _end(self, number: int) -> None:
        process = self.process
        assert process is not None
        with suppress(ProcessLookupError):  # it has just ended by itself
            process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@dataclass(frozen=True, slots=True)
class Faulted:
    """`envoy` is rendered from the router's configuration; `opened` as if the configuration had no guard, so
    that it lets pass what the router does not judge."""

    router: RouterProcess
    upstream: ScriptedUpstream
    envoy: EnvoyProcess
    opened: EnvoyProcess
    session: aiohttp.ClientSession
    configuration: Configuration

    async def ask(
        self,
        text: str,
        *,
        token: str = "k1",
        through: EnvoyProcess | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        **more: Any,
    ) -> Answer:
        """A chat completion of one user turn; `more` are fields of the request."""
        document = {"model": "auto", "messages": [{"role": "user", "content": text}], **more}
        return await ask(self.session, (through or self.envoy).url, document, token, headers)

    async def post(self, path: str, *, through: EnvoyProcess | None = None) -> Answer:
        """Something else than a chat completion."""
        url = f"{(through or self.envoy).url}{path}"
        async with self.session.post(url, json={"model": "auto", "input": "x"}) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, *, through: EnvoyProcess | None = None) -> Answer:
        url = f"{(through or self.envoy).url}{path}"
        async with self.session.get(url) as response:
            return Answer(response.status, response.headers, await response.read())

    async def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics`, by name and labels as written there."""
        port = self.configuration.settings.listeners.metrics.port
        async with self.session.get(f"http://127.0.0.1:{port}/metrics") as response:
            lines = (await response.text()).splitlines()
        return {name: float(value) for name, value in (x.rsplit(" ", 1) for x in lines if x[0] != "#")}

    async def metric(self, name: str) -> float:
        """One sample; 0 while nothing was counted."""
        return (await self.metrics()).get(name, 0.0)

    async def reaches(self, name: str, least: float, deadline: float = 20.0) -> None:
        """Waits until that sample is at least `least`."""

        async def told() -> bool:
            return await self.metric(name) >= least

        await wait_until(told, f"{name} to be {least:g}", deadline)

    async def stat(self, name: str, through: EnvoyProcess | None = None) -> int:
        """A statistic of Envoy's ext_proc filter."""
        return await (through or self.envoy).stat(f"http.router.ext_proc.{name}")

    async def quiet(self, deadline: float = 20.0) -> None:
        """Waits until no stream is open."""

        async def none() -> bool:
            return await self.metric("router_streams") == 0.0

        await wait_until(none, "every stream to be gone", deadline)

    async def api(self, method: str, path: str, document: object = None) -> Any:
        """The JSON body of a call of the router's API that succeeds."""
        settings = self.configuration.settings
        token = admin_token(self.configuration.path, settings)
        url = f"http://127.0.0.1:{settings.listeners.api.port}{path}"
        headers = {"authorization": f"Bearer {token}"}
        async with self.session.request(method, url, json=document, headers=headers) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def entries(self) -> int:
        """How many answers the cache holds."""
        return len((await self.api("GET", "/api/v1/response-cache/entries"))["entries"])

    def held(self) -> Held:
        return Held.by(self.router.pid)

    async def again(self) -> None:
        """Starts the router where it does not run; returns when it is ready."""
        process = self.router.process
        if process is None or process.returncode is not None:
            await self.router.start()
        await self.ready()

    async def ready(self) -> None:
        """Waits until requests pass through the router."""
        url = f"http://127.0.0.1:{self.configuration.settings.listeners.api.port}/ready"

        async def is_ready() -> bool:
            process = self.router.process
            if process is not None and process.returncode is not None:
                raise RuntimeError(f"serve ended with {process.returncode}: {self.router.log.read_text()}")
            with suppress(aiohttp.ClientError):  # it does not listen yet
                async with self.session.get(url) as response:
                    return response.status == 200
            return False

        await wait_until(is_ready, "the router to be ready", START_SECONDS)


@asynccontextmanager
async def faulted(
    folder: Path,
    content: Mapping[str, Any],
    upstream: ScriptedUpstream,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Faulted]:
    """The stack for the configuration `content`, ready. `upstream` runs already."""
    config = folder / "router.yaml"
    config.write_text(yaml.safe_dump(dict(content), sort_keys=False))
    configuration = load(config)
    topology = topology_of(configuration)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        router = RouterProcess(config, environment)
        stack.push_async_callback(router.stop)
        await router.start()
        await write_envoy(topology, folder / "e")
        envoy = await enter(EnvoyProcess(folder / "e"))
        opened = await enter(EnvoyProcess(replace(topology, away=Away.PASS)))
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=60)
        session = await enter(aiohttp.ClientSession(timeout=timeout, connector=connector))
        running = Faulted(router, upstream, envoy, opened, session, configuration)
        await running.ready()
        yield running
