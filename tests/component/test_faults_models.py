"""A model is killed, hangs, breaks off or answers garbage; a client reads slowly or leaves, whenever it does.
What clients see is what the model did; nothing partial is kept, and everything is given back."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.support.faulted import Faulted, faulted
from tests.support.gateway import JSON, SSE, answered
from tests.support.processes import free_port, wait_until
from tests.support.routed import document
from tests.support.upstream import HANG_UP, Abort, ScriptedUpstream, bytes_answer, sse_answer
from tests.support.upstream import Answer as Scripted

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
HTML = b"<!doctype html><title>502</title><h1>Bad gateway</h1>"
EVENT = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    + (b'{"content":"' + b"word " * 200 + b'"},"finish_reason":null}]}\n\n')
)
SILENCE_SECONDS = 1.0
SLOW_READERS = 20


def json_bytes(body: bytes) -> Scripted:
    return bytes_answer(body, 200, [("content-type", "application/json")])


BAD = {
    "garbage": (json_bytes(b"\x00\xff{{{" * 50), "malformed"),
    "half a document": (json_bytes(JSON[: len(JSON) // 2]), "malformed"),
    "a page": (bytes_answer(HTML, 200, [("content-type", "text/html")]), "content_type"),
    "a page that says it is JSON": (json_bytes(HTML), "malformed"),
    "a stream of garbage": (sse_answer(b"data: {{{\n\n", b"\xff\xfe", b"data: [DONE]\n\n"), "malformed"),
    "a stream without its end": (sse_answer(SSE[: SSE.index(b"data: [DONE]") - 40]), "incomplete"),
    "nothing": (json_bytes(b""), "empty"),
}
"""What a model answers with status 200, and why it is not kept."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Faulted]:
    """`m` is scripted; nobody listens where `dead` should be; `hung` takes connections and says nothing."""
    async with AsyncExitStack() as opened:
        upstream = await opened.enter_async_context(ScriptedUpstream(otherwise=lambda request: answered()))
        silent = opened.enter_context(socket.socket())
        silent.bind(("127.0.0.1", 0))
        silent.listen(128)
        places = {"m": upstream.port, "dead": free_port(), "hung": silent.getsockname()[1]}
        given: dict[str, Any] = document(
            places,
            semantic_cache={"enabled": True, "backend_type": "memory", "mode": "exact"},
            admin={"token_file": "admin-token"},
        )
        given["model_config"]["hung"]["upstream"] = {"idle_timeout_seconds": SILENCE_SECONDS}
        folder = tmp_path_factory.mktemp("models")
        yield await opened.enter_async_context(faulted(folder, given, upstream))


def uncached(reason: str) -> str:
    return f'router_uncached_total{{phase="store",reason="{reason}"}}'


async def test_a_model_that_is_dead_is_an_error_that_clients_can_read(stack: Faulted) -> None:
    kept = await stack.entries()
    before = await failed_connections(stack, "dead")
    answer = await stack.ask("Is anybody there?", model="dead")
    assert answer.status == 503
    assert json.loads(answer.body)["error"]["code"] == "upstream_failed"
    assert await failed_connections(stack, "dead") >= before + 1
    await stack.quiet()
    assert await stack.entries() == kept


async def failed_connections(stack: Faulted, model: str) -> int:
    """Envoy's count, over all of a model's clusters."""
    text = await stack.envoy.admin(f"/stats?filter=cluster.*{model}.*upstream_cx_connect_fail$")
    return sum(int(line.rpartition(":")[2]) for line in text.splitlines())


async def test_a_model_that_hangs_is_given_up_when_its_time_is_over(stack: Faulted) -> None:
    """The others are served meanwhile."""
    kept, name = await stack.entries(), 'llm_request_errors_total{model="hung",reason="timeout"}'
    before = await stack.metric(name)
    waiting = [asyncio.create_task(stack.ask(f"Hello {number}?", model="hung")) for number in range(5)]
    assert (await stack.ask("Is somebody else there?", model="m")).status == 200
    answers = await asyncio.gather(*waiting)
    assert {each.status for each in answers} == {504}
    assert {json.loads(each.body)["error"]["code"] for each in answers} == {"upstream_failed"}
    assert await stack.metric(name) == before + len(answers)
    await stack.quiet()
    assert await stack.entries() == kept + 1


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_answer_reaches_its_client_as_it_is_and_is_not_kept(stack: Faulted, kind: str) -> None:
    scripted, reason = BAD[kind]
    body = b"".join(step for step in scripted.steps if isinstance(step, bytes))
    kept, before = await stack.entries(), await stack.metric(uncached(reason))
    for _ in range(2):
        stack.upstream.script(scripted)
        answer = await stack.ask(f"Say {kind}.", model="m", stream="stream" in kind)
        assert (answer.status, answer.body) == (200, body)
        assert not answer.is_hit
    await stack.reaches(uncached(reason), before + 2)
    assert await stack.metric(uncached(reason)) == before + 2
    assert await stack.entries() == kept


@asynccontextmanager
async def asking(
    stack: Faulted, text: str, token: str = "k1", **more: Any
) -> AsyncIterator[aiohttp.ClientResponse]:
    """An answer of `m` whose headers have arrived."""
    document = {"model": "m", "messages": [{"role": "user", "content": text}], **more}
    headers = {"authorization": f"Bearer {token}"}
    url = f"{stack.envoy.url}/v1/chat/completions"
    async with stack.session.post(url, json=document, headers=headers) as response:
        yield response


@pytest.mark.parametrize("stream", [True, False])
async def test_a_model_that_resets_in_the_middle_leaves_nothing(stack: Faulted, stream: bool) -> None:
    """The client sees that the answer is not whole."""
    kept, text = await stack.entries(), f"Break off, stream {stream}."
    length = [("content-type", "application/json"), ("content-length", str(len(JSON)))]
    for _ in range(3):
        gate = asyncio.Event()
        steps = (SSE[:80], gate, Abort.NOW) if stream else (JSON[:80], gate, Abort.NOW)
        stack.upstream.script(sse_answer(*steps) if stream else Scripted(200, length, steps))
        async with asking(stack, text, stream=stream) as response:
            await response.content.readexactly(80)
            gate.set()
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.content.read()
    await stack.quiet()
    assert await stack.entries() == kept
    assert (await stack.ask(text, model="m", stream=stream)).body == JSON
    assert await stack.entries() == kept + 1


async def test_a_model_that_hangs_up_before_it_answers_is_an_error_and_leaves_nothing(stack: Faulted) -> None:
    kept = await stack.entries()
    stack.upstream.script(HANG_UP)
    answer = await stack.ask("Hang up.", model="m")
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (503, "upstream_failed")
    await stack.quiet()
    assert await stack.entries() == kept


async def test_20_slow_readers_of_endless_answers_cost_bounded_memory_and_leave_nothing(
    stack: Faulted,
) -> None:
    """They read a byte now and then of answers of 31 MiB each, 620 MiB in all, which the router records."""
    kept, before = await stack.entries(), stack.held()
    long = sse_answer(*[EVENT * 60] * 450)
    async with AsyncExitStack() as readers:
        stack.upstream.script(*[long] * SLOW_READERS)
        answers = await asyncio.gather(
            *(
                readers.enter_async_context(asking(stack, f"Go on, {number}.", stream=True))
                for number in range(SLOW_READERS)
            )
        )
        most = 0
        for _ in range(20):
            for each in answers:
                assert len(await each.content.readexactly(1)) == 1
            answer = await stack.ask("Is there time for me?", token="other", model="m")
            assert answer.status == 200
            most = max(most, stack.held().resident - before.resident)
        assert most < 256 * MIB
        for each in answers:
            each.close()
    await stack.quiet()
    assert await stack.entries() == kept + 1
    await gone(stack, before.descriptors)


async def gone(stack: Faulted, descriptors: int) -> None:
    """Waits until the router has given back what it had opened; this test's own connections stay."""
    await wait_until(
        lambda: stack.held().descriptors <= descriptors + 4, "the router to have closed what it opened", 20.0
    )


LEFT = 'llm_request_errors_total{model="m",reason="cancellation"}'


async def test_a_client_that_leaves_before_its_body_came_is_forgotten(stack: Faulted) -> None:
    kept, seen, before = await stack.entries(), len(stack.upstream.requests), stack.held()
    port = int(stack.envoy.url.rpartition(":")[2])
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n"
    writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(50)]
    for writer in writers:
        writer.write(head + b'{"model":"m","messages":')
    await stack.reaches("router_streams", len(writers))
    for writer in writers:
        writer.transport.abort()
    await stack.quiet()
    assert (len(stack.upstream.requests), await stack.entries()) == (seen, kept)
    await gone(stack, before.descriptors)


async def test_clients_that_leave_during_the_analysis_are_forgotten(stack: Faulted) -> None:
    """Whole requests whose clients are gone a moment later, wherever each of them was by then."""
    kept, before = await stack.entries(), stack.held()
    port = int(stack.envoy.url.rpartition(":")[2])
    for round in range(10):
        writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(10)]
        for number, writer in enumerate(writers):
            content = f"Leave {round} {number}. " + "What did you say about the weather in April? " * 20
            asked = json.dumps({"model": "auto", "messages": [{"role": "user", "content": content}]}).encode()
            writer.write(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                b"authorization: Bearer gone\r\ncontent-length: %d\r\n\r\n%s" % (len(asked), asked)
            )
            await writer.drain()
        for _ in range(round):
            await asyncio.sleep(0.002)  # a little later each time
        for writer in writers:
            writer.transport.abort()
    await stack.quiet()
    # Whole answers may have come before a client left: what is kept is whole, and of these requests.
    for entry in (await stack.api("GET", "/api/v1/response-cache/entries?text=true"))["entries"]:
        shown = await stack.api("GET", f"/api/v1/response-cache/entries/{entry['id']}")
        assert "Solve it" in json.dumps(shown)
    assert kept <= await stack.entries() <= kept + 100
    await gone(stack, before.descriptors)


@pytest.mark.parametrize("phase", ["waiting", "streaming"])
async def test_a_client_that_leaves_while_the_model_works_leaves_nothing(stack: Faulted, phase: str) -> None:
    kept, before, seen = await stack.entries(), stack.held(), len(stack.upstream.requests)
    earlier = await stack.metric(LEFT)
    never = asyncio.Event()
    first = [] if phase == "waiting" else [SSE[:80]]
    stack.upstream.script(sse_answer(*first, never), sse_answer(*first, never))
    for number in range(2):
        asked = asyncio.create_task(
            read_some(stack, f"Take your time, {number} {phase}.", len(b"".join(first)))
        )
        request = (await stack.upstream.received(seen + number + 1))[seen + number]
        if phase == "streaming":
            await asked
        else:
            await stack.reaches("router_streams", 1.0)
            asked.cancel()
            await asyncio.wait({asked})
        async with asyncio.timeout(20):
            await request.peer_closed.wait()
    await stack.quiet()
    assert await stack.metric(LEFT) == earlier + 2
    assert await stack.entries() == kept
    await gone(stack, before.descriptors)


async def read_some(stack: Faulted, text: str, count: int) -> None:
    """Reads so much of an answer, and leaves."""
    async with asking(stack, text, stream=True) as response:
        await response.content.readexactly(count)
        if not count:
            await response.content.read()
        response.close()


async def test_those_who_wait_for_a_client_that_leaves_go_on_by_themselves(stack: Faulted) -> None:
    name = "llm_response_cache_singleflight_waiters_total"
    gave_up = f'{name}{{backend="memory",outcome="leader_gave_up"}}'
    kept, seen, before = await stack.entries(), len(stack.upstream.requests), await stack.metric(gave_up)
    stack.upstream.script(sse_answer(asyncio.Event()))
    leader = asyncio.create_task(stack.ask("The same question.", model="m"))
    await stack.upstream.received(seen + 1)
    other = asyncio.create_task(stack.ask("The same question.", model="m"))
    await stack.reaches("router_streams", 2.0)
    leader.cancel()
    await asyncio.wait({leader})
    assert (await other).body == JSON
    assert await stack.metric(gave_up) == before + 1
    assert len(stack.upstream.requests) == seen + 2
    await stack.quiet()
    assert await stack.entries() == kept + 1


async def test_a_client_that_leaves_after_the_end_has_its_answer_kept(stack: Faulted) -> None:
    kept = await stack.entries()
    async with asking(stack, "All of it.") as response:
        assert await response.read() == JSON
        response.close()
    await stack.quiet()
    assert await stack.entries() == kept + 1
    assert (await stack.ask("All of it.", model="m")).is_hit
