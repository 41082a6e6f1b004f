"""docker-compose.yml as processes of this machine: the services' own commands, environments, health checks
and configuration files, in the order of `depends_on`, around a real Envoy and a real Milvus server.

Not from the file: Milvus runs as tests/support/milvus.py starts it, with its etcd and its objects inside the
one process; everything that an engine enforces (users, read-only roots, limits, networks).
"""

import asyncio
import dataclasses
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from router_extproc.encoder.bundle import default_folder
from tests.support.compose import ROOT, Machine, Running, programs, read_compose
from tests.support.dockerfile import read_stages
from tests.support.milvus import MilvusServer
from tests.support.processes import free_port, wait_until
from tests.support.stack import Answer, ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANOTHER_SECONDS = 60.0
CLIENT = "a-client-of-the-containers"
"""Its key, and so its part of the cache: the server is that of other tests too."""

ORDER = ("owner", "milvus", "router", "pool", "envoy")
INSIDE_MILVUS = {"etcd", "objects"}
"""Services that the server of the tests has in itself."""

QUESTION = {
    "model": "auto",
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "What are the main renewable energy sources?"},
    ],
    "temperature": 0.7,
}


@dataclass
class Stack:
    services: Mapping[str, Running]
    machine: Machine
    session: aiohttp.ClientSession

    def url(self, port: int) -> str:
        """Of a port as it is published."""
        return f"http://127.0.0.1:{self.machine.ports[port]}"

    async def ask(self, **more: str) -> Answer:
        """`more` are header fields."""
        return await ask(self.session, self.url(8801), QUESTION, CLIENT, more)

    async def get(self, port: int, path: str, token: str = "") -> tuple[int, str]:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with self.session.get(self.url(port) + path, headers=headers) as response:
            return response.status, await response.text()


def machine_of(folder: Path, milvus: MilvusServer, document: Mapping[str, Any]) -> Machine:
    owned = {each["target"] for each in document["services"]["owner"]["volumes"]}
    for target in owned:
        (folder / target.removeprefix("/")).mkdir(parents=True)
    # Nobody listens on the last: Jaeger is of another profile.
    taken = (8801, 50051, 8080, 9190, 9001, 9002, 9003, 4317)
    return Machine(
        names=frozenset(document["services"]),
        ports={
            **{port: free_port() for port in taken},
            19530: milvus.port,
            9091: milvus.ports["metrics_port"],
        },
        paths={
            "/etc/router-extproc": folder / "configuration",
            "/etc/envoy": folder / "configuration",
            "/opt/models": default_folder(os.environ).parent,
            **{target: folder / target.removeprefix("/") for target in owned},
        },
        programs=programs(),
        # Only root may give files away: a volume goes to whoever runs this.
        users={"10001:10001": f"{os.getuid()}:{os.getgid()}"},
    )


def services_of(document: Mapping[str, Any], machine: Machine, folder: Path) -> dict[str, Running]:
    image = read_stages(ROOT / "deploy" / "Dockerfile")[-1]
    entry = image.last("ENTRYPOINT")
    assert entry is not None
    return {
        name: Running(
            name,
            document["services"][name],
            machine,
            folder / f"{name}.log",
            *((image.environment, entry.words) if "build" in document["services"][name] else ()),
        )
        for name in ORDER
    }


def require_order(document: Mapping[str, Any]) -> None:
    """ORDER is one that `depends_on` allows."""
    for place, name in enumerate(ORDER):
        before = set(document["services"][name].get("depends_on", {})) - INSIDE_MILVUS
        assert before <= set(ORDER[:place]), f"{name} is started before what it depends on"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(
    milvus_server: MilvusServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("compose")
    document = read_compose()
    require_order(document)
    machine = machine_of(folder, milvus_server, document)
    (mount,) = (each for each in document["services"]["router"]["volumes"] if each["type"] == "bind")
    machine.folder(ROOT / mount["source"], machine.paths[mount["target"]])
    services = services_of(document, machine, folder)
    async with AsyncExitStack() as running, aiohttp.ClientSession() as session:
        for name in ORDER:
            if name == "milvus":
                assert await services[name].is_healthy()
                continue
            await services[name].start()
            running.push_async_callback(services[name].stop)
            if name == "owner":
                assert await services[name].ended() == 0, services[name].said()
            else:
                await services[name].healthy()
        yield Stack(services, machine, session)


async def test_a_question_is_routed_and_then_answered_by_the_cache(stack: Stack) -> None:
    first = await stack.ask()
    assert (first.status, first.is_hit) == (200, False)
    assert first.headers["x-vsr-selected-model"] == json.loads(first.body)["model"]
    await wait_until(lambda: hit(stack), "a hit", ANOTHER_SECONDS)


async def hit(stack: Stack) -> bool:
    return (await stack.ask()).is_hit


async def test_the_published_ports_are_the_article_s_and_answer(stack: Stack) -> None:
    assert (await stack.get(8801, "/v1/models"))[0] == 200
    status, ready = await stack.get(8080, "/ready")
    assert (status, '"envoy":true' in ready.replace(" ", "")) == (200, True)
    status, metrics = await stack.get(9190, "/metrics")
    assert status == 200
    assert "router_store_up 1.0" in metrics
    _, writer = await asyncio.open_connection("127.0.0.1", stack.machine.ports[50051])
    writer.close()


async def test_the_token_is_a_file_in_the_router_s_volume(stack: Stack) -> None:
    file = stack.machine.paths["/var/lib/router-extproc"] / "admin-token"
    assert file.stat().st_mode & 0o777 == 0o600
    health = "/api/v1/response-cache/health"
    assert (await stack.get(8080, health))[0] == 401
    assert (await stack.get(8080, health, file.read_text().strip()))[0] == 200


async def test_the_page_leads_to_envoy_by_its_name(stack: Stack) -> None:
    async def shown() -> bool:
        return (await stack.get(8080, "/ui/"))[0] == 200

    await wait_until(shown, "the page", ANOTHER_SECONDS)


async def test_a_router_that_is_started_anew_finds_the_answers_in_milvus(stack: Stack) -> None:
    await stack.ask()
    router = stack.services["router"]
    assert await router.stop() == 0
    assert not await router.is_healthy()
    assert (await stack.ask()).status == 200, "Envoy serves while the router is away"
    assert await stack.services["envoy"].is_healthy()
    await router.start()
    await router.healthy()

    async def remembered() -> bool:
        # What is asked like this is never stored, so that only the answer from before can be the hit.
        return (await stack.ask(**{"x-vsr-cache-control": "no-store"})).is_hit

    await wait_until(remembered, "a hit", ANOTHER_SECONDS)


async def test_a_service_that_does_not_answer_fails_its_health_check(stack: Stack) -> None:
    for name in ("router", "pool", "envoy", "milvus"):
        nobody = dataclasses.replace(stack.machine, ports={port: free_port() for port in stack.machine.ports})
        assert not await dataclasses.replace(stack.services[name], machine=nobody).is_healthy()
