"""The router is killed, hangs, is overrun or stops in the middle: what is refused, what passes, and what is
counted. One router with guards, before it an Envoy rendered for them and one rendered without."""

import asyncio
import json
import resource
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml

from router_extproc.app.configuration import load, topology_of
from router_extproc.app.envoy_folder import write_envoy
from router_extproc.app.mind import Mind
from router_extproc.app.proxy import EnvoyFolder
from router_extproc.app.router import running
from router_extproc.envoyconf.listener import MESSAGE_TIMEOUT
from tests.support.encoder import real_bundle
from tests.support.envoy import EnvoyProcess
from tests.support.faulted import Faulted, faulted
from tests.support.gateway import SSE, answered
from tests.support.guarded import ATTACK, HARMLESS
from tests.support.processes import wait_until
from tests.support.routed import document
from tests.support.stack import Answer, ask
from tests.support.upstream import Answer as Scripted
from tests.support.upstream import Received, ScriptedUpstream, sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
STREAMS = 5_000
"""Open at a time at most; the shipped bound is 10,000."""
OTHERS = ("/v1/completions", "/v1/embeddings", "/v1/responses", "/invocations")
"""Other ways to the same models, of vLLM."""
TIMES = 5
REFUSALS = "http.router.rq_direct_response"


def content(port: int, **more: Any) -> dict[str, Any]:
    return document({"m": port}, prompt_guard={"enabled": True}, limits={"max_streams": STREAMS}, **more)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Faulted]:
    folder = tmp_path_factory.mktemp("faults")
    cache = {"enabled": True, "backend_type": "memory"}
    screening = {"unread_paths": ["/v1/embeddings"]}
    async with ScriptedUpstream(otherwise=lambda request: answered()) as upstream:
        given = content(upstream.port, semantic_cache=cache, screening=screening)
        given["admin"] = {"token_file": "admin-token"}
        async with faulted(folder, given, upstream) as opened:
            yield opened


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def up(stack: Faulted) -> None:
    await stack.again()


def refused(answer: Answer) -> bool:
    """As clients of the API can read it, and try again."""
    if answer.status != 503:
        return False
    error = json.loads(answer.body)["error"]
    return bool(error["code"] == "router_unavailable" and error["type"] == "server_error")


async def test_beside_a_guard_no_other_path_and_no_websocket_leads_to_the_models(stack: Faulted) -> None:
    name = 'router_rejected_total{reason="other_path"}'
    seen, before = len(stack.upstream.requests), await stack.metric(name)
    for path in OTHERS:
        answer = await stack.post(path)
        if path == "/v1/embeddings":  # which the configuration leaves open
            assert answer.status == 200
        else:
            assert answer.status == 403
            assert json.loads(answer.body)["error"]["code"] == "path_not_guarded"
    assert await stack.metric(name) == before + len(OTHERS) - 1
    assert [each.target for each in stack.upstream.requests[seen:]] == ["/v1/embeddings"]
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await stack.session.ws_connect(f"{stack.envoy.url}/v1/realtime")
    assert caught.value.status == 403
    assert (await stack.get("/health")).status == 200


async def test_a_killed_router_is_passed_by_only_where_no_guard_stands(stack: Faulted) -> None:
    assert (await stack.ask(ATTACK)).headers["x-vsr-jailbreak-blocked"] == "true"
    seen = len(stack.upstream.requests)
    failed, refusals = await stack.stat("streams_failed"), await stack.envoy.stat(REFUSALS)
    await stack.router.kill()
    closed = await asyncio.gather(*(stack.ask(ATTACK) for _ in range(TIMES)))
    closed.append(await stack.post("/v1/completions"))
    assert all(map(refused, closed))
    assert len(stack.upstream.requests) == seen
    assert await stack.stat("streams_failed") == failed + len(closed)
    assert await stack.envoy.stat(REFUSALS) == refusals + len(closed)

    async def logged() -> bool:
        lines = await stack.envoy.access_log()
        said = [(each["response_code"], each["response_code_details"]) for each in lines]
        return said.count((503, "direct_response")) == len(closed)

    await wait_until(logged, "each to be in the access log")

    # What only looks, and what the configuration leaves open, does not need the router.
    assert (await stack.get("/health")).status == (await stack.get("/v1/models")).status == 200
    assert (await stack.post("/v1/embeddings")).status == 200

    opened = await asyncio.gather(*(stack.ask(ATTACK, through=stack.opened) for _ in range(TIMES)))
    assert [each.status for each in opened] == [200] * TIMES
    assert await stack.stat("failure_mode_allowed", stack.opened) == TIMES
    assert await stack.opened.stat(REFUSALS) == 0
    assert stack.upstream.requests[-1].json()["model"] == "auto"

    await stack.again()
    assert (await stack.ask(ATTACK)).headers["x-vsr-jailbreak-blocked"] == "true"
    assert (await stack.ask(HARMLESS)).status == 200


async def test_a_hung_router_is_waited_for_once_and_then_it_is_the_same(stack: Faulted) -> None:
    before, seen = stack.held(), len(stack.upstream.requests)
    counted = {each: await stack.stat("message_timeouts", each) for each in (stack.envoy, stack.opened)}
    stack.router.freeze()
    try:
        began = time.monotonic()
        closed, passed = await asyncio.gather(stack.ask(ATTACK), stack.ask(ATTACK, through=stack.opened))
        took = time.monotonic() - began
    finally:
        stack.router.thaw()
    assert refused(closed)
    assert passed.status == 200
    assert len(stack.upstream.requests) == seen + 1
    # One message was waited for, and no second one.
    least = MESSAGE_TIMEOUT.total_seconds()
    assert least <= took < 2 * least
    for envoy, earlier in counted.items():
        assert await stack.stat("message_timeouts", envoy) == earlier + 1
    await stack.quiet()
    assert (await stack.ask(ATTACK)).headers["x-vsr-jailbreak-blocked"] == "true"
    assert stack.held().descriptors <= before.descriptors + 4  # a connection of each Envoy, and of this test


async def test_a_router_killed_in_the_middle_of_an_answer_cuts_none_off(stack: Faulted) -> None:
    """Neither what it records nor what it does not (without a credential there is no place in the cache)."""
    first, rest = SSE[:60], SSE[60:]
    gate = asyncio.Event()
    ways = ((stack.envoy, ""), (stack.envoy, "k2"), (stack.opened, "k3"))
    stack.upstream.script(*(sse_answer(first, gate, rest) for _ in ways))
    async with AsyncExitStack() as open_streams:
        answers = [
            await open_streams.enter_async_context(streaming(stack, envoy, token)) for envoy, token in ways
        ]
        for each in answers:
            assert await each.content.readexactly(len(first)) == first
        await stack.router.kill()
        gate.set()
        assert [await each.content.read() for each in answers] == [rest] * len(ways)
    await stack.again()
    assert await stack.entries() == 0


@asynccontextmanager
async def streaming(stack: Faulted, envoy: EnvoyProcess, token: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """A streamed answer whose headers have arrived."""
    asked = {"model": "auto", "messages": [{"role": "user", "content": HARMLESS}], "stream": True}
    headers = {"authorization": f"Bearer {token}"} if token else {}
    url = f"{envoy.url}/v1/chat/completions"
    async with stack.session.post(url, json=asked, headers=headers) as response:
        yield response


class Trickling:
    """A request whose body does not come."""

    HEAD = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"content-length: 100\r\n\r\n"
    )

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self._writer = reader, writer

    @classmethod
    async def through(cls, envoy: EnvoyProcess) -> "Trickling":
        port = int(envoy.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(cls.HEAD)
        await writer.drain()
        return cls(reader, writer)

    async def finish(self) -> int:
        """Sends the body; the status of the answer."""
        asked = json.dumps({"model": "auto", "messages": [{"role": "user", "content": HARMLESS}]})
        self._writer.write(asked.encode().ljust(100))
        return await self.status()

    async def status(self) -> int:
        async with asyncio.timeout(20):
            return int((await self.reader.readline()).split()[1])

    async def leave(self) -> None:
        self._writer.transport.abort()


async def test_5000_idle_streams_cost_bounded_memory_and_the_next_one_is_not_read(stack: Faulted) -> None:
    """Requests whose bodies do not come. Beside them there is room for others, up to the bound."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 20_000), most))
    await stack.quiet()
    before = stack.held()
    idle: list[Trickling] = []
    overrun = 'router_port_failures_total{port="streams",reason="overloaded"}'
    try:
        while len(idle) < STREAMS - 100:
            idle += await asyncio.gather(*(Trickling.through(stack.envoy) for _ in range(100)))
            await stack.reaches("router_streams", len(idle))
        assert (await stack.ask(HARMLESS, token="room")).status == 200
        idle += await asyncio.gather(*(Trickling.through(stack.envoy) for _ in range(STREAMS - len(idle))))
        await stack.reaches("router_streams", STREAMS)
        grown = stack.held().resident - before.resident
        assert grown < STREAMS * 64 * 1024
        seen = len(stack.upstream.requests)
        assert refused(await stack.ask(ATTACK))
        assert len(stack.upstream.requests) == seen
        assert (await stack.ask(ATTACK, through=stack.opened)).status == 200
        assert await stack.metric(overrun) == 2.0
        await idle.pop().leave()
        await wait_until(lambda: answers_again(stack), "room for another")
    finally:
        await asyncio.gather(*(each.leave() for each in idle))
    await stack.quiet()
    after = stack.held()
    assert after.descriptors <= before.descriptors + 4
    # The allocator keeps what it has got, and the next ones live in it.
    again: list[Trickling] = []
    for _ in range(20):
        again += await asyncio.gather(*(Trickling.through(stack.envoy) for _ in range(100)))
        await stack.reaches("router_streams", len(again))
    assert stack.held().resident <= after.resident + 16 * MIB
    await asyncio.gather(*(each.leave() for each in again))
    await stack.quiet()
    assert (await stack.ask(ATTACK)).headers["x-vsr-jailbreak-blocked"] == "true"


async def answers_again(stack: Faulted) -> bool:
    return (await stack.ask(HARMLESS, token="room")).status == 200


async def test_a_router_that_is_stopped_finishes_answers_and_hands_over_nothing_that_it_has_not_read(
    stack: Faulted,
) -> None:
    """A body that does not come outlives the grace; so does an answer."""
    gate = asyncio.Event()
    stack.upstream.script(sse_answer(SSE[:60], gate, SSE[60:]))
    async with streaming(stack, stack.envoy, "k9") as judged:
        assert await judged.content.readexactly(60) == SSE[:60]
        guarded, opened = [await Trickling.through(each) for each in (stack.envoy, stack.opened)]
        await stack.reaches("router_streams", 3.0)
        await stack.router.stop()
        assert await guarded.status() == 503
        assert await opened.finish() == 200
        gate.set()
        assert await judged.content.read() == SSE[60:]
        for each in (guarded, opened):
            await each.leave()
    await stack.again()


async def test_a_guard_that_is_switched_on_closes_the_pool_while_envoy_runs(tmp_path: Path) -> None:
    async with ScriptedUpstream(otherwise=_anything) as upstream, AsyncExitStack() as open_things:
        given = document({"m": upstream.port})
        config = tmp_path / "router.yaml"
        config.write_text(yaml.safe_dump(given))
        configuration = load(config)
        await write_envoy(topology_of(configuration), tmp_path / "e")
        envoy = await open_things.enter_async_context(EnvoyProcess(tmp_path / "e"))
        session = await open_things.enter_async_context(aiohttp.ClientSession())
        asked = {"model": "auto", "messages": [{"role": "user", "content": HARMLESS}]}
        assert (await ask(session, envoy.url, asked)).status == 200  # no router, no guard
        proxy = EnvoyFolder(tmp_path / "e")
        open_things.push_async_callback(proxy.close)
        metrics = f"http://127.0.0.1:{given['listeners']['metrics']['port']}/metrics"
        async with running(configuration, Mind.load(real_bundle(), configuration), proxy):
            await wait_until(lambda: passes(session, envoy), "the router to be asked")
            config.write_text(yaml.safe_dump({**given, "prompt_guard": {"enabled": True}}))

            async def taken() -> bool:
                async with session.get(metrics) as response:
                    text = await response.text()
                return 'router_configuration_reloads_total{outcome="taken"} 1.0' in text

            await wait_until(taken, "the guard to be switched on", 30.0)
            answer = await ask(
                session, envoy.url, {**asked, "messages": [{"role": "user", "content": ATTACK}]}
            )
            assert answer.headers["x-vsr-jailbreak-blocked"] == "true"
        seen = len(upstream.requests)
        assert refused(await ask(session, envoy.url, asked))
        assert len(upstream.requests) == seen
        assert await envoy.stat("listener_manager.listener_modified") == 0  # nobody's connection was closed


async def passes(session: aiohttp.ClientSession, envoy: EnvoyProcess) -> bool:
    """Whether a request passes through the router."""
    asked = {"model": "auto", "messages": [{"role": "user", "content": HARMLESS}]}
    return "x-vsr-selected-model" in (await ask(session, envoy.url, asked)).headers


def _anything(_: Received) -> Scripted:
    return answered()
