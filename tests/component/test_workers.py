"""`serve --workers 2` and the Envoy that `render-envoy --workers 2` writes: one router to everybody, and two
processes to the machine."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml

from tests.support.envoy import EnvoyProcess
from tests.support.gateway import IN_MEMORY, JSON, SSE, question
from tests.support.processes import free_ports_in_a_row, wait_until
from tests.support.rollout import crowd
from tests.support.stack import ROOT, ask, command, run_to_end, write_configuration
from tests.support.upstream import Answer, Received, ScriptedUpstream, bytes_answer, sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

START_SECONDS = 180.0
"""Two processes load their models on a machine that may be busy."""

WORKERS = 2


def any_model(request: Received) -> Answer:
    """An answer in the form that is asked for, also to a request that nobody routed."""
    asked = json.loads(request.body) if request.body else {}
    if asked.get("stream"):
        return sse_answer(SSE)
    return bytes_answer(JSON, 200, [("content-type", "application/json")])


@dataclass
class Crew:
    """The running parent, its Envoy, and the model of everybody."""

    process: asyncio.subprocess.Process
    envoy: EnvoyProcess
    upstream: ScriptedUpstream
    session: aiohttp.ClientSession
    folder: Path
    ports: dict[str, int]

    @property
    def log(self) -> str:
        return (self.folder / "serve.log").read_text()

    async def api(self, path: str, method: str = "GET", **more: Any) -> tuple[int, Any]:
        token = (self.folder / "admin-token").read_text().strip()
        headers = {"authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{self.ports['api']}{path}"
        async with self.session.request(method, url, headers=headers, **more) as response:
            return response.status, await response.json()

    async def metrics(self) -> dict[str, float]:
        async with self.session.get(f"http://127.0.0.1:{self.ports['metrics']}/metrics") as response:
            lines = (await response.text()).splitlines()
        return {name: float(value) for name, value in (x.rsplit(" ", 1) for x in lines if x[0] != "#")}

    def workers(self) -> dict[int, int]:
        """Process ids by number."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        lines = {int(child): Path(f"/proc/{child}/cmdline").read_text().split("\0") for child in children}
        return {
            int(line[line.index("--number") + 1]): pid for pid, line in lines.items() if "--number" in line
        }

    async def ready(self) -> bool:
        return (await self.api("/ready"))[0] == 200


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def crew(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Crew]:
    async with started(tmp_path_factory.mktemp("workers")) as running:
        yield running


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[Crew]:
    async with AsyncExitStack() as stack, ScriptedUpstream(otherwise=any_model) as upstream:
        path = write_configuration(
            folder,
            semantic_cache={**IN_MEMORY, "verifier": {"enabled": False}},
            listeners={"ext_proc": {"port": free_ports_in_a_row(WORKERS)}},
            shutdown={"drain_seconds": 1.0, "grace_seconds": 10.0},
            encoder={"timeout_ms": 1500},
            workers=WORKERS,
        )
        document = yaml.safe_load(path.read_text())
        for endpoint in document["vllm_endpoints"]:
            endpoint["port"] = upstream.port
        del document["simulator"]
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        code, rendered, said = await run_to_end("render-envoy", "--config", str(path))
        assert code == 0, said
        with (folder / "serve.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command("serve", "--config", str(path)),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT,
            )  # fmt: skip
        try:
            ports = {name: at["port"] for name, at in document["listeners"].items()}
            timeout = aiohttp.ClientTimeout(total=30)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                async with EnvoyProcess(with_one_endpoint(rendered)) as envoy:
                    await not_ready(Crew(process, envoy, upstream, session, folder, ports))
                envoy = await stack.enter_async_context(EnvoyProcess(rendered))
                running = Crew(process, envoy, upstream, session, folder, ports)

                async def is_ready() -> bool:
                    assert process.returncode is None, running.log
                    try:
                        return await running.ready()
                    except (aiohttp.ClientError, FileNotFoundError):
                        return False

                await wait_until(is_ready, "the workers to be ready", START_SECONDS)
                yield running
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def with_one_endpoint(rendered: str) -> str:
    """As for a router with one worker."""
    document = yaml.load(rendered, Loader=yaml.CSafeLoader)
    (cluster,) = (each for each in document["static_resources"]["clusters"] if each["name"] == "ext_proc")
    hosts = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert len(hosts) == WORKERS
    del hosts[1:]
    return yaml.safe_dump(document, sort_keys=False)


async def not_ready(crew: Crew) -> None:
    """Both workers serve, and Envoy knows one of them: that is told, and not served over."""

    async def both() -> bool:
        assert crew.process.returncode is None, crew.log
        try:
            samples = await crew.metrics()
        except aiohttp.ClientError:
            return False
        return all(samples[f'router_worker_up{{worker="{number}"}}'] == 1.0 for number in range(WORKERS))

    await wait_until(both, "both workers to serve", START_SECONDS)

    async def known() -> bool:
        return await crew.envoy.stat("cluster.ext_proc.membership_healthy") == 1

    await wait_until(known, "Envoy to know one", 30.0)
    status, said = await crew.api("/ready")
    assert (status, said["checks"]) == (503, {"envoy": False, "accepting": True})


def fresh(number: int) -> tuple[str, dict[str, Any]]:
    stream = number % 2 == 0
    return ("stream" if stream else "plain"), question(f"Never asked before {number}?", stream=stream)


async def test_both_serve_and_one_scrape_shows_both(crew: Crew) -> None:
    async with crowd(crew.envoy.url, fresh) as clients:
        await clients.more(60)
    assert clients.failures == []
    samples = await crew.metrics()
    routed = {
        number: sum(
            value for name, value in samples.items()
            if name.startswith("llm_model_requests_total{") and f'worker="{number}"' in name
        )
        for number in range(WORKERS)
    }  # fmt: skip
    assert min(routed.values()) > 0
    assert sum(routed.values()) == clients.answered
    assert [samples[f'router_worker_up{{worker="{number}"}}'] for number in range(WORKERS)] == [1.0, 1.0]
    status, overview = await crew.api("/api/v1/overview")
    assert (status, overview["requests"]["total"]) == (200, clients.answered)
    status, listed = await crew.api("/api/v1/decisions?limit=1000")
    assert (status, len(listed["decisions"])) == (200, clients.answered)
    assert {json.loads(line).get("worker") for line in crew.log.splitlines()} >= {0, 1, None}


async def test_what_is_taken_back_is_taken_back_from_every_worker(crew: Crew) -> None:
    document = question("What is kept twice?", temperature=0)

    async def entries() -> int:
        answer = await ask(crew.session, crew.envoy.url, document)
        assert answer.status == 200
        tiers = (await crew.api("/api/v1/response-cache/stats"))[1]["tiers"]
        return sum(tier["entries"] for tier in tiers)

    assert (await crew.api("/api/v1/response-cache/flush", "POST"))[0] == 200
    before = await entries()

    async def in_both() -> bool:
        return await entries() >= before + 1

    await wait_until(in_both, "an entry in each worker's memory", 30.0)
    assert (await crew.api("/api/v1/response-cache/flush", "POST"))[0] == 200
    assert (await crew.api("/api/v1/response-cache/entries"))[1]["entries"] == []
    asked = len(crew.upstream.requests)
    for _ in range(20):
        assert (await ask(crew.session, crew.envoy.url, document)).status == 200
    # One of them from each worker went to the model, whoever was asked first.
    models = [each for each in crew.upstream.requests[asked:] if each.target == "/v1/chat/completions"]
    assert len(models) == WORKERS


async def test_a_worker_that_is_killed_is_replaced_and_nobody_is_refused(crew: Crew) -> None:
    before, victim = crew.workers(), 1
    allowed = "http.router.ext_proc.failure_mode_allowed"
    passed_before = await crew.envoy.stat(allowed)
    async with crowd(crew.envoy.url, fresh) as clients:
        await clients.more(20)
        os.kill(before[victim], signal.SIGKILL)

        async def noticed() -> bool:
            return (await crew.metrics())['router_worker_restarts_total{worker="1"}'] == 1.0

        await wait_until(noticed, "the restart to be counted", 30.0)
        answered = clients.answered
        await wait_until(lambda: clients.answered >= answered + 20, "the other worker to serve", 60.0)

        async def back() -> bool:
            healthy = await crew.envoy.stat("cluster.ext_proc.membership_healthy")
            return healthy == WORKERS and (await crew.metrics())['router_worker_up{worker="1"}'] == 1.0

        await wait_until(back, "the worker to be back", START_SECONDS)
        assert await crew.ready()
        now = clients.answered
        await wait_until(lambda: clients.answered >= now + 20, "more answers", 60.0)
    # What was in its hands passed unread, as the filter is configured, and nothing failed.
    passed = await crew.envoy.stat(allowed) - passed_before
    assert {failure.partition(": ")[2] for failure in clients.failures} <= {"nobody routed it"}
    assert len(clients.failures) <= passed <= 6
    after = crew.workers()
    assert after[0] == before[0]
    assert after[victim] != before[victim]
    assert "worker 1 ended with exit code -9" in crew.log


async def test_sigterm_to_the_parent_drains_all(crew: Crew) -> None:
    async with crowd(crew.envoy.url, fresh) as clients:
        await clients.more(10)
        crew.process.terminate()

        async def told() -> bool:
            return not await crew.ready()

        await wait_until(told, "the parent to say that it is not ready", 20.0)
        began = clients.answered
        await wait_until(lambda: clients.answered > began, "an answer while it drains", 20.0)
    assert clients.failures == []
    async with asyncio.timeout(60):
        assert await crew.process.wait() == 0
    lines = [json.loads(line) for line in crew.log.splitlines()]
    drained = {line["worker"] for line in lines if "not ready from now on" in line["message"]}
    assert drained == set(range(WORKERS))


async def test_a_worker_that_cannot_start_is_one_clear_error(tmp_path: Path) -> None:
    path = write_configuration(
        tmp_path,
        semantic_cache=IN_MEMORY,
        encoder={"bundle": str(tmp_path / "nowhere")},
        listeners={"ext_proc": {"port": free_ports_in_a_row(WORKERS)}},
    )
    code, _, said = await run_to_end("serve", "--workers", "2", "--config", str(path), deadline=120.0)
    last = said.strip().splitlines()[-1]
    assert code == 1
    assert last.startswith("router-extproc: worker ")
    assert last.endswith("ended with exit code 1; what it said is above")
    assert f"{tmp_path / 'nowhere'}: there is no encoder bundle" in said


LEASHED = """
import asyncio, sys
from router_extproc.supervisor.leash import watch_leash
async def main():
    over = asyncio.Event()
    print("up", flush=True)
    watching = asyncio.create_task(watch_leash(over.set))
    await over.wait()
    print("released", flush=True)
asyncio.run(main())
"""

PARENT = """
import asyncio, sys
from pathlib import Path
from router_extproc.supervisor.leash import tethered
from router_extproc.supervisor.process import Child
async def main():
    folder = Path(sys.argv[1])
    ours = await Child.start("ours", [sys.executable, "-c", sys.argv[2]], folder / "ours.log", leash=True)
    other = await Child.start("other", tethered(["/bin/sleep", "300"]), folder / "other.log")
    print(ours.process.pid, other.process.pid, flush=True)
    await asyncio.sleep(300)
asyncio.run(main())
"""


async def test_children_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path), LEASHED,
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert parent.stdout is not None
    pids = [int(each) for each in (await parent.stdout.readline()).split()]
    log = tmp_path / "ours.log"
    await wait_until(lambda: "up" in log.read_text(), "the child to run", 30.0)
    name = Path(f"/proc/{pids[1]}/cmdline")
    await wait_until(lambda: name.read_text().startswith("/bin/sleep"), "the other to become itself", 30.0)
    parent.kill()
    await parent.wait()
    await wait_until(lambda: not any(_runs(pid) for pid in pids), "the children to end", 30.0)
    assert log.read_text().split() == ["up", "released"]


def _runs(pid: int) -> bool:
    """A process that nobody waited for is none any more."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
