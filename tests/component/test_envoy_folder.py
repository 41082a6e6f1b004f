"""A changed pool reaches a running Envoy: no restart, no failed request, and a mistake changes nothing."""

import asyncio
import itertools
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from router_extproc.app.envoy_folder import introduce, retire, write_envoy
from router_extproc.base.errors import OperatorError
from router_extproc.base.names import SELECTED_MODEL
from router_extproc.envoyconf.dynamic import CLUSTERS, ROUTES
from router_extproc.envoyconf.topology import Endpoint, KeyFromEnvironment, Model, Tls
from tests.support.envoy import EnvoyProcess
from tests.support.processes import free_port, wait_until
from tests.support.processor import processor
from tests.support.providers import Client, asking, at, pool, served
from tests.support.upstream import Answer, Received, ScriptedUpstream, json_answer, sse_answer

CLIENTS = 20


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with asking() as client:
        yield client


@dataclass
class Load:
    """What happened to the requests so far: how often each model answered, and everything that was no answer
    of the model that had been chosen."""

    answers: Counter[str]
    failures: list[str]


@asynccontextmanager
async def load(client: Client, envoy: EnvoyProcess) -> AsyncIterator[Load]:
    """Twenty clients that ask without a pause until the end of the context."""
    so_far, over = Load(Counter(), []), asyncio.Event()

    async def one() -> None:
        while not over.is_set():
            try:
                reply = await client.ask(envoy)
            except Exception as error:  # whatever a client meets counts
                so_far.failures.append(repr(error))
                continue
            if reply.status == 200:
                so_far.answers[reply.headers["x-server"]] += 1
            else:
                so_far.failures.append(f"{reply.status} {reply.body.decode()}")

    async with asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(one())
        try:
            yield so_far
        finally:
            over.set()


def server(name: str, model: str) -> ScriptedUpstream:
    """Tells its own name, and refuses a request that was meant for another model."""

    def answer(request: Received) -> Answer:
        meant = request.get(SELECTED_MODEL)
        return json_answer({}, status=200 if meant == model else 500, headers=[("x-server", name)])

    return ScriptedUpstream(otherwise=answer)


async def more(so_far: Load, name: str, count: int = 50) -> None:
    """Waits for `count` further answers of a server."""
    wanted = so_far.answers[name] + count
    await wait_until(lambda: so_far.answers[name] >= wanted or so_far.failures, f"answers of {name}")


def turns(names: list[str]) -> Callable[[], str]:
    """A router that chooses each of `names` in turn; the list may change."""
    count: Iterator[int] = itertools.count()
    return lambda: names[next(count) % len(names)]


async def test_a_changed_pool_is_taken_over_under_load_without_a_failed_request(
    client: Client, tmp_path: Path
) -> None:
    """One model leaves, one comes, one moves to another server, and all at once; then back again."""
    chosen = ["default", "leaving"]
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        here, there = await enter(server("here", "default")), await enter(server("there", "default"))
        leaving, coming = await enter(server("leaving", "leaving")), await enter(server("coming", "coming"))
        port = await enter(processor("127.0.0.1:0", turns(chosen)))
        first = pool(Model((at(here.port),)), port, leaving=Model((at(leaving.port),)))
        second = replace(
            first,
            models={
                "default": Model((at(there.port, host="localhost"),)),
                "coming": Model((at(coming.port),)),
            },
        )
        await write_envoy(first, tmp_path / "e")
        envoy = await enter(EnvoyProcess(tmp_path / "e"))
        pid = envoy.pid
        async with load(client, envoy) as so_far:
            await more(so_far, "here")
            for topology, models, new in (
                (second, ["default", "coming"], ("there", "coming")),
                (first, ["default", "leaving"], ("here", "leaving")),
            ):
                await introduce(topology, tmp_path / "e", settle=0.5)
                chosen[:] = models
                await retire(topology, tmp_path / "e", grace=0.5)
                before = so_far.answers.copy()
                for name in new:
                    await more(so_far, name)
                gone = (so_far.answers - before).keys() - set(new)
                assert not gone, f"still answering: {gone}"
        assert so_far.failures == []
        assert sum(so_far.answers.values()) >= 250
        assert envoy.pid == pid
        assert await envoy.stat("cluster_manager.cluster_removed") >= 4
        assert "model:coming" not in await envoy.admin("/clusters")


async def test_an_answer_under_way_outlives_its_model(client: Client, tmp_path: Path) -> None:
    rest = asyncio.Event()
    async with (
        ScriptedUpstream(sse_answer(b"data: one\n\n", rest, b"data: two\n\n")) as leaving,
        ScriptedUpstream(otherwise=served) as staying,
    ):
        plan = pool(Model((at(leaving.port),)))
        await write_envoy(plan, tmp_path / "e")
        async with (
            EnvoyProcess(tmp_path / "e") as envoy,
            client.session.post(f"{envoy.url}/v1/chat/completions", data=b"{}") as response,
        ):
            assert await response.content.readexactly(11) == b"data: one\n\n"
            new = replace(plan, default_model="new", models={"new": Model((at(staying.port),))})
            await write_envoy(new, tmp_path / "e", grace=0.05)
            assert (await client.ask(envoy)).status == 200
            rest.set()
            assert await response.content.read() == b"data: two\n\n"
    assert len(staying.requests) == 1


async def test_what_envoy_refuses_changes_nothing(client: Client, tmp_path: Path) -> None:
    async with ScriptedUpstream(otherwise=served) as upstream:
        plan = pool(Model((at(upstream.port),)))
        await write_envoy(plan, tmp_path / "e")
        before = (tmp_path / "e" / CLUSTERS).read_text(), (tmp_path / "e" / ROUTES).read_text()
        nobody = Tls(str(tmp_path / "absent.pem"), "localhost")
        wrong = replace(
            plan, models={**plan.models, "wrong": Model((Endpoint("localhost", 443, tls=nobody),))}
        )
        async with EnvoyProcess(tmp_path / "e") as envoy:
            with pytest.raises(OperatorError, match=r"clusters\.yaml: Envoy refuses the change"):
                await introduce(wrong, tmp_path / "e")
            assert "Invalid path" in envoy.log()
            assert (await client.ask(envoy)).status == 200
            after = (tmp_path / "e" / CLUSTERS).read_text(), (tmp_path / "e" / ROUTES).read_text()
            assert after == before
            # And the next change is taken over as if nothing had happened.
            right = replace(plan, models={**plan.models, "right": Model((at(upstream.port),))})
            await write_envoy(right, tmp_path / "e", grace=0.05)
            assert "model:right" in await envoy.admin("/clusters")


async def test_the_same_pool_again_is_no_change(tmp_path: Path) -> None:
    async with ScriptedUpstream(otherwise=served) as upstream:
        plan = pool(Model((at(upstream.port),)))
        await write_envoy(plan, tmp_path / "e")
        async with EnvoyProcess(tmp_path / "e") as envoy:
            updates = await envoy.stat("cluster_manager.cds.update_success")
            await asyncio.wait_for(write_envoy(plan, tmp_path / "e", grace=60), 10)
            assert await envoy.stat("cluster_manager.cds.update_success") == updates


async def test_a_model_may_get_and_lose_a_key_while_envoy_runs(client: Client, tmp_path: Path) -> None:
    async with ScriptedUpstream(otherwise=served) as upstream:
        plan = pool(Model((at(upstream.port),)))
        keyed = Model((at(upstream.port),), api_key=KeyFromEnvironment("SOME_KEY"))
        await write_envoy(plan, tmp_path / "e")
        async with EnvoyProcess(tmp_path / "e", environment={"SOME_KEY": "sk"}) as envoy:
            for model in (keyed, plan.models["default"]):
                await write_envoy(replace(plan, models={"default": model}), tmp_path / "e", grace=0.05)
                await client.ask(envoy, headers={"authorization": "Bearer client"})
    assert [each.get("authorization") for each in upstream.requests] == ["Bearer sk", "Bearer client"]
    assert list((tmp_path / "e").glob("key-*")) == []


async def test_a_folder_without_envoy_is_written_at_once(tmp_path: Path) -> None:
    await write_envoy(pool(Model((at(1),)), gone=Model((at(2),))), tmp_path / "e")
    await asyncio.wait_for(write_envoy(pool(Model((at(1),))), tmp_path / "e", grace=60), 10)
    assert "model:gone" not in (tmp_path / "e" / CLUSTERS).read_text()


async def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="too long for Envoy's socket"):
        await write_envoy(pool(Model((at(1),))), tmp_path / ("x" * 108))


async def test_the_command_writes_a_folder_that_envoy_runs_on(client: Client, tmp_path: Path) -> None:
    port = free_port()
    async with ScriptedUpstream(otherwise=served) as upstream:
        (tmp_path / "router.yaml").write_text(
            f"listeners: {{envoy: {{address: 127.0.0.1, port: {port}}}}}\n"
            f"vllm_endpoints: [{{name: one, address: localhost, port: {upstream.port}}}]\n"
            "model_config: {m: {preferred_endpoints: [one]}}\ndefault_model: m\n"
        )
        command = ["-m", "router_extproc", "render-envoy", "--config", str(tmp_path / "router.yaml")]
        rendering = await asyncio.create_subprocess_exec(
            sys.executable, *command, "--folder", str(tmp_path / "e")
        )
        assert await asyncio.wait_for(rendering.wait(), 30) == 0
        async with EnvoyProcess(tmp_path / "e") as envoy:
            assert envoy.url.endswith(f":{port}")
            assert (await client.ask(envoy)).status == 200
