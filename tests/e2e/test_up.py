"""The whole stack as a newcomer starts it: one command, real Envoy, Milvus Lite, the simulated pool."""

import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
import pytest_asyncio

from tests.support.processes import free_ports_in_a_row, wait_until, with_words
from tests.support.stack import (
    RunningStack,
    ask,
    run_to_end,
    stack,
    write_configuration,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELPFUL = "You are a helpful assistant."
QUESTION = "What are the main renewable energy sources?"


def asked(question: str = QUESTION, system: str = HELPFUL, **more: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    return {"model": "auto", "messages": messages, "temperature": 0.7, **more}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningStack]:
    async with stack(write_configuration(tmp_path_factory.mktemp("up"))) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as opened:
        yield opened


async def test_the_article_s_quick_test(running: RunningStack, session: aiohttp.ClientSession) -> None:
    first = await ask(session, running.url(), asked())
    assert first.status == 200
    assert not first.is_hit
    assert first.headers["x-vsr-selected-model"] == json.loads(first.body)["model"]
    assert first.headers["x-vsr-selected-reasoning"] in ("on", "off")

    second = await ask(session, running.url(), asked())
    assert second.is_hit
    assert message(second.body) == message(first.body)
    assert second.headers["x-vsr-selected-model"] == first.headers["x-vsr-selected-model"]
    assert json.loads(second.body)["id"] != json.loads(first.body)["id"]

    paraphrase = "Which sources of renewable energy are the most important?"
    third = await ask(session, running.url(), asked(paraphrase))
    assert third.is_hit
    assert message(third.body) == message(first.body)


def message(body: bytes) -> str:
    content: str = json.loads(body)["choices"][0]["message"]["content"]
    return content


@pytest.mark.parametrize(
    ("document", "token"),
    [
        (asked("What are the main non-renewable energy sources?"), "test-token"),
        (asked(system="You are a pirate."), "test-token"),
        (asked(), "another-token"),
        (asked(), ""),
        (asked(temperature=0.2), "test-token"),
        (asked(response_format={"type": "text"}), "test-token"),
    ],
)
async def test_what_must_not_hit(
    running: RunningStack, session: aiohttp.ClientSession, document: dict[str, Any], token: str
) -> None:
    await ask(session, running.url(), asked())
    answer = await ask(session, running.url(), document, token)
    assert answer.status == 200
    assert not answer.is_hit


async def test_a_streamed_answer_is_replayed_in_both_forms(
    running: RunningStack, session: aiohttp.ClientSession
) -> None:
    question = asked("How does a heat pump move warmth from outside to inside?")
    streamed = await ask(session, running.url(), {**question, "stream": True})
    assert not streamed.is_hit
    assert streamed.body.endswith(b"data: [DONE]\n\n")
    plain = await ask(session, running.url(), question)
    again = await ask(session, running.url(), {**question, "stream": True})
    assert plain.is_hit
    assert again.is_hit
    assert again.headers["content-type"] == "text/event-stream"
    assert message(plain.body) == text_of(streamed.body) == text_of(again.body)


def text_of(stream: bytes) -> str:
    """The content of an event stream, put together."""
    chunks = [json.loads(line[6:]) for line in stream.split(b"\n") if line.startswith(b"data: {")]
    return "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])


async def test_prompts_are_routed_by_meaning(running: RunningStack, session: aiohttp.ClientSession) -> None:
    hard = asked("Prove that the sum of two even integers is even, then solve x^2 - 5x + 6 = 0.")
    easy = asked("What causes inflation when a central bank prints money?")
    answers = [await ask(session, running.url(), document) for document in (hard, easy)]
    categories = [answer.headers.get("x-vsr-selected-category") for answer in answers]
    models = [answer.headers["x-vsr-selected-model"] for answer in answers]
    assert categories == ["math", "economics"]
    assert models == ["qwen3-32b", "qwen3-8b"]
    assert answers[0].headers["x-vsr-selected-reasoning"] == "on"


async def test_the_openai_client_sees_nothing_unusual(running: RunningStack) -> None:
    async with openai.AsyncOpenAI(base_url=f"{running.url()}/v1", api_key="client-key") as client:
        question: Any = [{"role": "user", "content": "Name three uses of copper in a house."}]
        plain = await client.chat.completions.create(model="auto", messages=question)
        options: Any = {"include_usage": True}
        stream = await client.chat.completions.create(
            model="auto", messages=question, stream=True, stream_options=options
        )
        chunks = [chunk async for chunk in stream]
        text = "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices)
        assert text == plain.choices[0].message.content
        assert chunks[-1].usage is not None
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="gpt-9", messages=question)
        assert caught.value.code == "model_not_found"
        assert [model.id async for model in client.models.list()]


async def test_health_readiness_and_metrics(running: RunningStack, session: aiohttp.ClientSession) -> None:
    async with session.get(f"{running.url('api')}/health") as response:
        assert (response.status, (await response.json())["status"]) == (200, "healthy")
    async with session.get(f"{running.url('api')}/ready") as response:
        assert (response.status, (await response.json())["status"]) == (200, "ready")
    await ask(session, running.url(), asked())
    await ask(session, running.url(), asked())
    async with session.get(f"{running.url('metrics')}/metrics") as response:
        text = await response.text()
    assert "llm_model_requests_total{" in text
    hits = next(line for line in text.splitlines() if line.startswith("llm_cache_hits_total "))
    assert float(hits.split()[1]) >= 1


async def test_nothing_a_user_says_is_written_down(
    running: RunningStack, session: aiohttp.ClientSession
) -> None:
    secret = "sesame-4711"
    document = asked(f"Remember {secret} and tell me about lighthouses.")
    answer = await ask(session, running.url(), document, token=f"key-{secret}")
    assert secret in message(answer.body) or answer.status == 200
    async with session.get(f"{running.url('metrics')}/metrics") as response:
        assert secret not in await response.text()
    written = (running.output.parent / "state").rglob("*")
    logs = [running.output, *(path for path in written if path.is_file())]
    assert len(logs) >= 3
    for log in logs:
        assert secret not in log.read_text()


async def test_answers_survive_a_restart_and_ctrl_c_stops_everything(tmp_path: Path) -> None:
    configuration = write_configuration(tmp_path)
    async with aiohttp.ClientSession() as session:
        async with stack(configuration) as first:
            await ask(session, first.url(), asked())
        assert first.process.returncode == 0
        assert first.output.read_text().rstrip().endswith("stopping")
        for port in first.ports.values():
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0
        async with stack(configuration) as second:
            assert (await ask(session, second.url(), asked())).is_hit


async def test_a_child_that_dies_ends_the_stack_with_one_line(tmp_path: Path) -> None:
    async with stack(write_configuration(tmp_path)) as started:
        children = Path(f"/proc/{started.process.pid}/task/{started.process.pid}/children")
        for child in children.read_text().split():
            if "envoy" in Path(f"/proc/{child}/cmdline").read_text().split("\0")[0]:
                os.kill(int(child), signal.SIGKILL)
        await wait_until(lambda: started.process.returncode is not None, "up to end", 30)
        assert started.process.returncode == 1
        last = started.output.read_text().strip().splitlines()[-1]
        assert last.startswith("router-extproc: Envoy ended with exit code -9; its log ")


async def test_the_page_is_announced_and_everything_ends_with_a_router_that_is_killed(tmp_path: Path) -> None:
    two_workers: dict[str, Any] = {
        "workers": 2,
        "listeners": {"ext_proc": {"port": free_ports_in_a_row(2)}},
        "semantic_cache": {"backend_type": "memory", "backend_config_path": None},
    }
    async with (
        stack(write_configuration(tmp_path, page={"enabled": True}, **two_workers)) as started,
        aiohttp.ClientSession() as session,
    ):
        address = f"{started.url('api')}/"
        assert f"{address} (page)" in started.output.read_text()

        async def is_up() -> bool:
            async with session.get(address, headers={"accept": "text/html"}) as answer:
                return answer.status == 200 and answer.url.path == "/ui/"

        await wait_until(is_up, "the page", 60)
        assert (await ask(session, started.url(), asked())).headers["x-vsr-selected-model"]
        words = ("router_extproc.page", f"--envoy={started.url('envoy')}")
        [page] = with_words(*words)
        command = Path(f"/proc/{page}/cmdline").read_text().split("\0")
        [folder] = [word.removeprefix("--folder=") for word in command if word.startswith("--folder=")]
        assert Path(folder).is_dir()
        router = int(Path(f"/proc/{page}/stat").read_text().rsplit(")", 1)[1].split()[1])
        others = Path(f"/proc/{router}/task/{router}/children").read_text().split()
        assert len(others) == 5  # the simulated pool, two workers, the page, Envoy
        os.kill(router, signal.SIGKILL)
        await wait_until(lambda: with_words(*words) == [], "the page's end", 30)
        assert not Path(folder).exists()
        # The workers see the end of a pipe; Envoy and the simulator are ended by the kernel.
        running = [Path(f"/proc/{child}") for child in others]
        await wait_until(lambda: not any(each.exists() for each in running), "the others' end", 30)


async def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    configuration = write_configuration(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        path = write_configuration(tmp_path, listeners={"envoy": {"address": "127.0.0.1", "port": port}})
        code, _, err = await run_to_end("up", "--config", str(path))
    assert code == 1
    assert err.startswith(f"router-extproc: already in use: 127.0.0.1:{port} (listeners.envoy); stop what")
    assert err.count("\n") == 1
    assert configuration == path


@pytest.mark.parametrize("name", ["up", "serve"])
async def test_a_missing_model_and_a_broken_configuration_are_one_line(tmp_path: Path, name: str) -> None:
    broken = write_configuration(tmp_path, encoder={"bundle": str(tmp_path / "nowhere")})
    code, _, err = await run_to_end(name, "--config", str(broken))
    assert code == 1
    assert err.startswith(f"router-extproc: {tmp_path / 'nowhere'}: there is no encoder bundle")
    assert err.count("\n") == 1
    broken = write_configuration(tmp_path, semantic_cache={"ttl_second": 1})
    code, _, err = await run_to_end(name, "--config", str(broken))
    assert code == 1
    assert "semantic_cache.ttl_second: unknown key; did you mean `ttl_seconds`?" in err
    assert err.count("\n") == 1
