"""Pools of one model, and a client that asks Envoy for it: what the tests of providers share."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import aiohttp

from router_extproc.envoyconf.topology import Endpoint, HostPort, Model, Topology
from tests.support.envoy import EnvoyProcess
from tests.support.processes import free_port
from tests.support.upstream import Answer, Received, json_answer

CHAT = "/v1/chat/completions"
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client got."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    def error(self) -> dict[str, object]:
        """The error of the API that the body is. Raises when it is none."""
        error: dict[str, object] = json.loads(self.body)["error"]
        return error


def served(_: Received) -> Answer:
    return json_answer({"ok": True})


def pool(model: Model, ext_proc: int | None = None, **others: Model) -> Topology:
    """A pool of `model`, named "default", and of `others`; nobody is at the router's address by default."""
    return Topology(
        listener=HostPort("127.0.0.1", 0),
        ext_proc=HostPort("127.0.0.1", ext_proc or free_port()),
        models={"default": model, **others},
        default_model="default",
        max_body_bytes=MIB,
    )


def at(port: int, host: str = "127.0.0.1", weight: int = 1) -> Endpoint:
    """A server of this machine that is spoken to in plain HTTP."""
    return Endpoint(host, port, weight)


@dataclass(frozen=True, slots=True)
class Client:
    """Asks the model of a pool."""

    session: aiohttp.ClientSession

    async def ask(
        self,
        envoy: EnvoyProcess,
        path: str = CHAT,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"{}",
    ) -> Reply:
        url = f"{envoy.url}{path}"
        async with self.session.request(method, url, data=body, headers=headers) as response:
            return Reply(response.status, await response.read(), dict(response.headers))


@contextlib.asynccontextmanager
async def asking() -> AsyncIterator[Client]:
    """A client that waits 20 s at most."""
    timeout = aiohttp.ClientTimeout(total=20)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        yield Client(session)
