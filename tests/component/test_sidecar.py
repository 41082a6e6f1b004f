"""The sidecar's Pod as its manifests describe it: real Envoy and real router with a Unix socket between."""

import asyncio
import json
import signal
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.support.gateway import JSON, SSE, answered, question
from tests.support.kustomize import Object
from tests.support.manifests import one, overlay
from tests.support.processes import wait_until
from tests.support.sidecar import TOKEN, Running, mount_config_map, ready, sidecar
from tests.support.stack import ask
from tests.support.upstream import Answer, Received, ScriptedUpstream, sse_answer

START_SECONDS = 90.0
DEADLINE = 20.0


@dataclass(frozen=True, slots=True)
class Pod:
    running: Running
    objects: list[Object]
    upstream: ScriptedUpstream
    session: aiohttp.ClientSession


def json_of_a_model(_: Received) -> Answer:
    return answered(JSON)


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[Pod]:
    objects = overlay("sidecar")
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    async with (
        ScriptedUpstream(otherwise=json_of_a_model) as upstream,
        sidecar(objects, tmp_path, upstream.port) as running,
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        await ready(running, objects, START_SECONDS)
        yield Pod(running, objects, upstream, session)


async def configuration(pod: Pod) -> dict[str, object]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with pod.session.get(f"{pod.running.api}/config/router", headers=headers) as response:
        assert response.status == 200, await response.text()
        found: dict[str, object] = await response.json()
        return found


async def test_the_pod_answers_follows_its_config_map_and_leaves_without_cutting_anybody_off(
    started: Pod,
) -> None:
    """One start for all of it: loading the models is what takes the time."""
    running, upstream = started.running, started.upstream
    socket = running.at.mounts["/run/router-extproc"] / "ext_proc.sock"
    assert stat.S_ISSOCK(socket.stat().st_mode)
    assert not socket.stat().st_mode & 0o002  # who may not write to it cannot connect

    first = await ask(started.session, running.url, question("What is the derivative of x^2?"))
    assert (first.status, first.body) == (200, JSON)
    assert first.headers["x-vsr-selected-model"] == "qwen3-32b"
    assert upstream.requests[-1].get("x-selected-model") == "qwen3-32b"

    async def hit() -> bool:
        return (await ask(started.session, running.url, question("What is the derivative of x^2?"))).is_hit

    await wait_until(hit, "an answer from memory, with Milvus away", DEADLINE)

    await follows_the_config_map(started)
    await leaves_when_nobody_is_served(started)


async def follows_the_config_map(pod: Pod) -> None:
    before = await configuration(pod)
    text = one(pod.objects, "ConfigMap")["data"]["router.yaml"]
    changed = text.replace("default_model: qwen3-8b", "default_model: qwen3-0.6b")
    assert changed != text
    mount_config_map(pod.running.at, pod.running.at.folder / "config", {"router.yaml": changed})

    async def followed() -> bool:
        now = await configuration(pod)
        return now["generation"] != before["generation"]

    await wait_until(followed, "the changed ConfigMap to be in force", DEADLINE)
    assert (await configuration(pod))["problem"] is None


async def leaves_when_nobody_is_served(pod: Pod) -> None:
    gate = asyncio.Event()
    half = len(SSE) // 2
    pod.upstream.script(sse_answer(SSE[:half], gate, SSE[half:]))
    document = question("Tell me about the history of Rome.", stream=True)
    body = json.dumps(document).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer another"}
    async with pod.session.post(
        f"{pod.running.url}/v1/chat/completions", data=body, headers=headers
    ) as response:
        begun = await response.content.readany()
        hook = await pod.running.drain(pod.objects)
        await told_to_leave(pod)
        await keeps_looking(pod, hook)
        gate.set()
        rest = await response.content.read()
    assert begun + rest == SSE
    async with asyncio.timeout(DEADLINE):
        assert await hook.wait() == 0
    for name, expected in (("envoy", 0), ("router", 0)):
        process = pod.running.processes[name]
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await process.wait() == expected, pod.running.log(name)


async def told_to_leave(pod: Pod) -> None:
    """Envoy has been asked to drain: it says so to clients on connections that stay open."""

    async def closing() -> bool:
        async with pod.session.get(f"{pod.running.url}/v1/models") as response:
            return response.headers.get("connection") == "close"

    await wait_until(closing, "Envoy to send clients elsewhere", DEADLINE)


async def keeps_looking(pod: Pod, hook: asyncio.subprocess.Process) -> None:
    """The hook goes on asking Envoy while a request is under way."""
    admin, asked = f"http://127.0.0.1:{pod.running.at.ports[9901]}", 0

    async def asked_in_all() -> int:
        nonlocal asked
        asked += 1
        async with pod.session.get(f"{admin}/stats?filter=^http.admin.downstream_rq_total$") as response:
            return int((await response.text()).rpartition(":")[2])

    first = await asked_in_all()
    before = asked

    async def others() -> bool:
        assert hook.returncode is None
        return await asked_in_all() - first - (asked - before) >= 3

    await wait_until(others, "three more looks of the hook", DEADLINE)
