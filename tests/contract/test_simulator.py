"""The simulated servers as the real OpenAI client and a raw HTTP client see them."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam, ChatCompletionToolParam
from prometheus_client.parser import text_string_to_metric_families

from router_extproc.base.errors import PortTakenError
from router_extproc.simulator.options import SimulatedModel
from router_extproc.simulator.pool import Pool
from router_extproc.simulator.server import SimulatedServer
from tests.support.processes import wait_until

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Why is the sky blue?"}]
FAST = SimulatedModel(
    "sim-8b", "127.0.0.1", 0, aliases=("auto",), time_to_first_token=0.0, tokens_per_second=1e6
)
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}


@pytest.fixture
async def server() -> AsyncIterator[SimulatedServer]:
    async with SimulatedServer(FAST) as running:
        yield running


@pytest.fixture
async def client(server: SimulatedServer) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(server) as connected:
        yield connected


def client_of(server: SimulatedServer) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=10.0)


async def metric(server: SimulatedServer, name: str, **labels: str) -> float:
    """A sample's value; 0 when there is none."""
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/metrics") as response:
        text = await response.text()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    wanted = {"model_name": "sim-8b", **labels}
    return next((each.value for each in samples if each.name == name and each.labels == wanted), 0.0)


def content(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


async def test_a_whole_answer_has_text_reason_and_usage(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="sim-8b", messages=QUESTION)
    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason == "stop"
    assert answer.model == "sim-8b"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 10  # five words, a mark, and four for the turn
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_a_stream_says_the_same_as_the_whole_answer(client: AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="sim-8b", messages=QUESTION)
    stream = await client.chat.completions.create(
        model="sim-8b", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert content(chunks) == whole.choices[0].message.content
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage) == ([], whole.usage)
    assert len({chunk.id for chunk in chunks}) == 1


async def test_usage_is_streamed_on_demand_only(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="sim-8b", messages=QUESTION, stream=True)
    assert all(chunk.usage is None for chunk in [chunk async for chunk in stream])


async def test_answers_depend_on_the_conversation_and_the_model_alone() -> None:
    other = SimulatedModel("sim-32b", "127.0.0.1", 0, time_to_first_token=0.0, tokens_per_second=1e6)
    async with Pool([FAST, FAST, other]) as pool:
        texts = []
        for running in pool.servers:
            async with client_of(running) as client:
                model = (await client.models.list()).data[0].id
                answer = await client.chat.completions.create(model=model, messages=QUESTION)
                texts.append(answer.choices[0].message.content)
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


async def test_an_alias_answers_like_the_model_and_keeps_its_name(client: AsyncOpenAI) -> None:
    by_name = await client.chat.completions.create(model="sim-8b", messages=QUESTION)
    by_alias = await client.chat.completions.create(model="auto", messages=QUESTION)
    assert by_alias.choices == by_name.choices
    assert by_alias.model == "auto"


async def test_several_choices_are_whole_and_different(client: AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="sim-8b", messages=QUESTION, n=3)
    assert len({choice.message.content for choice in whole.choices}) == 3
    stream = await client.chat.completions.create(model="sim-8b", messages=QUESTION, n=3, stream=True)
    texts = ["", "", ""]
    async for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == [choice.message.content for choice in whole.choices]


async def test_max_tokens_ends_with_length(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="sim-8b", messages=QUESTION, max_tokens=3)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3


async def test_a_required_tool_is_called_whole_and_streamed(client: AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(
        model="sim-8b", messages=QUESTION, tools=[TOOL], tool_choice="required"
    )
    calls = whole.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].type == "function"
    assert calls[0].function.name == "weather"
    assert set(json.loads(calls[0].function.arguments)) == {"city", "days"}
    assert whole.choices[0].finish_reason == "tool_calls"
    stream = await client.chat.completions.create(
        model="sim-8b", messages=QUESTION, tools=[TOOL], tool_choice="required", stream=True
    )
    deltas = [call for chunk in [chunk async for chunk in stream] for choice in chunk.choices
              for call in choice.delta.tool_calls or []]  # fmt: skip
    arguments = "".join((call.function.arguments or "") for call in deltas if call.function)
    assert arguments == calls[0].function.arguments


async def test_thinking_precedes_the_answer(client: AsyncOpenAI) -> None:
    thinking = {"chat_template_kwargs": {"enable_thinking": True}}
    stream = await client.chat.completions.create(
        model="sim-8b", messages=QUESTION, stream=True, extra_body=thinking
    )
    fields = []
    async for chunk in stream:
        for choice in chunk.choices:
            fields += [name for name, value in choice.delta if name != "role" and value]
            fields += [name for name, value in (choice.delta.model_extra or {}).items() if value]
    assert fields == sorted(fields, reverse=True)
    assert set(fields) == {"reasoning_content", "content"}


async def test_an_unknown_model_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="The model `gpt-4` does not exist"):
        await client.chat.completions.create(model="gpt-4", messages=QUESTION)


async def test_invalid_json_is_a_bad_request(server: SimulatedServer) -> None:
    url = f"{server.url}/v1/chat/completions"
    async with aiohttp.ClientSession() as session, session.post(url, data=b"{") as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"], error["type"]) == (400, 400, "BadRequestError")


async def test_a_prompt_beyond_the_context_is_a_bad_request() -> None:
    small = SimulatedModel("small", "127.0.0.1", 0, context_tokens=10)
    async with SimulatedServer(small) as server, client_of(server) as client:
        with pytest.raises(openai.BadRequestError, match="maximum context length is 10 tokens"):
            await client.chat.completions.create(
                model="small", messages=[{"role": "user", "content": "word " * 20}]
            )


async def test_models_and_aliases_are_listed(client: AsyncOpenAI) -> None:
    assert [model.id for model in (await client.models.list()).data] == ["sim-8b", "auto"]


async def test_health_is_an_empty_ok(server: SimulatedServer) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/health") as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_metrics_count_tokens_and_requests(server: SimulatedServer, client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="auto", messages=QUESTION)
    assert answer.usage is not None
    assert await metric(server, "vllm:prompt_tokens_total") == answer.usage.prompt_tokens
    assert await metric(server, "vllm:generation_tokens_total") == answer.usage.completion_tokens
    assert await metric(server, "vllm:request_success_total", finished_reason="stop") == 1
    assert await metric(server, "vllm:num_requests_running") == 0
    assert await metric(server, "vllm:e2e_request_latency_seconds_count") == 1


async def test_tokens_arrive_one_by_one_after_the_first_token_time() -> None:
    paced = SimulatedModel("sim-8b", "127.0.0.1", 0, time_to_first_token=0.05, tokens_per_second=200.0)
    now = asyncio.get_running_loop().time
    async with SimulatedServer(paced) as server, client_of(server) as client:
        begun = now()
        stream = await client.chat.completions.create(
            model="sim-8b", messages=QUESTION, stream=True, max_tokens=10
        )
        arrivals = [now() async for chunk in stream if chunk.choices and chunk.choices[0].delta.content]
    # Never early; how late depends on the machine, so that is not asserted.
    assert len(arrivals) == 10
    assert all(at - begun >= 0.05 + step / 200.0 for step, at in enumerate(arrivals))


async def test_a_client_that_leaves_stops_the_generation() -> None:
    slow = SimulatedModel("sim-8b", "127.0.0.1", 0, time_to_first_token=0.0, tokens_per_second=5.0)
    async with SimulatedServer(slow) as server, client_of(server) as client:
        stream = await client.chat.completions.create(model="sim-8b", messages=QUESTION, stream=True)
        await anext(aiter(stream))
        assert await metric(server, "vllm:num_requests_running") == 1
        await stream.close()

        async def aborted() -> bool:
            return await metric(server, "vllm:request_success_total", finished_reason="abort") == 1

        await wait_until(aborted, "the generation to stop")
        assert await metric(server, "vllm:num_requests_running") == 0


async def test_a_client_that_leaves_before_any_byte_stops_the_generation() -> None:
    stuck = SimulatedModel("sim-8b", "127.0.0.1", 0, time_to_first_token=60.0)
    async with SimulatedServer(stuck) as server, client_of(server) as client:
        asking = asyncio.ensure_future(client.chat.completions.create(model="sim-8b", messages=QUESTION))

        async def running() -> bool:
            return await metric(server, "vllm:num_requests_running") == 1

        async def aborted() -> bool:
            return await metric(server, "vllm:request_success_total", finished_reason="abort") == 1

        await wait_until(running, "the generation to begin")
        asking.cancel()
        await wait_until(aborted, "the generation to stop")


async def test_requests_beyond_the_slots_wait_and_beyond_the_queue_are_refused() -> None:
    tiny = SimulatedModel("sim-8b", "127.0.0.1", 0, time_to_first_token=60.0, slots=1, queue=1)
    async with SimulatedServer(tiny) as server, client_of(server) as client:
        tasks = []
        for name in ("vllm:num_requests_running", "vllm:num_requests_waiting"):
            tasks.append(
                asyncio.ensure_future(client.chat.completions.create(model="sim-8b", messages=QUESTION))
            )

            async def counted(name: str = name) -> bool:
                return await metric(server, name) == 1

            await wait_until(counted, name)
        with pytest.raises(openai.InternalServerError, match="queue is full"):
            await client.chat.completions.create(model="sim-8b", messages=QUESTION)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_taken_port_names_address_and_cure_and_leaves_nothing_running() -> None:
    async with SimulatedServer(FAST) as first:
        free = SimulatedModel("free", "127.0.0.1", 0)
        pool = Pool([free, SimulatedModel("taken", "127.0.0.1", first.port)])
        with pytest.raises(
            PortTakenError, match=rf"127\.0\.0\.1:{first.port} .*taken.*vllm_endpoints"
        ) as caught:
            await pool.start()
        assert "\n" not in str(caught.value)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", pool.servers[0].port)


async def test_a_stopped_server_can_be_stopped_again(server: SimulatedServer) -> None:
    await server.stop()
    await server.stop()
