"""What a decision writes into a request: thinking, system prompts, tools, adapters; and what the cache makes
of it. A real Envoy, the real encoder, and an upstream that records what reaches it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.processes import wait_until
from tests.support.routing import RoutedPool, decision, keyword, leaf, routed, rule
from tests.support.stack import Answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

QWEN, DEEPSEEK, GPT, PLAIN, LORA = "qwen3-8b", "deepseek-v3", "gpt-oss-20b", "phi-4", "house-style"
PIRATE, FORMAL = "You are a pirate.", "You are the clerk of a bank."
RENEWABLE = "What are the main renewable energy sources?"
PARAPHRASE = "Which sources of renewable energy are the most important?"


def on_word(word: str, *models: str | dict[str, Any], **more: Any) -> dict[str, Any]:
    """Decides for questions with a keyword, which is its name too."""
    return decision(word, rule("OR", leaf("keyword", word)), *models, **more)


def thinks(model: str, **more: str) -> dict[str, Any]:
    return {"model": model, "use_reasoning": True, **more}


def thinking(model: str) -> list[dict[str, Any]]:
    """Two decisions for `model`, with thinking and without it."""
    return [
        on_word(f"{model} thinks", thinks(model)),
        on_word(f"{model} answers", model),
    ]


def says(text: str, mode: str) -> dict[str, str]:
    return {"text": text, "mode": mode}


DECISIONS = [
    *thinking(QWEN),
    *thinking(DEEPSEEK),
    *thinking(GPT),
    on_word("gpt ponders", thinks(GPT, reasoning_effort="high")),
    on_word("phi", PLAIN),
    on_word("ahoy", QWEN, system_prompt=says(PIRATE, "replace")),
    on_word("sir", QWEN, system_prompt=says(FORMAL, "insert")),
    on_word("stylish", {"model": DEEPSEEK, "lora_name": LORA}),
    on_word("left", QWEN, DEEPSEEK),
    on_word("right", DEEPSEEK, QWEN),
    on_word("bare", QWEN, tool_selection=False),
    on_word("main", QWEN, system_prompt=says(PIRATE, "replace")),
    on_word("most important", QWEN, system_prompt=says(FORMAL, "replace")),
]
ONE_FRAME = decision(
    "renewable in a role",
    rule("AND", leaf("keyword", "renewable"), leaf("conversation", "role")),
    QWEN,
    priority=20,
    system_prompt=says(PIRATE, "insert"),
)


def function(name: str, description: str) -> dict[str, Any]:
    tool = {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    return {"tool": tool, "description": description, "category": "", "tags": []}


TOOLS = [
    function("order_status", "status of an order, delivery, parcel, tracking number"),
    function("get_weather", "weather of a city today: temperature, rain and wind"),
    function("get_forecast", "weather forecast of a city for the next days"),
    function("get_storms", "weather warnings of a city: storms, floods and snow"),
]
CHANGES: dict[str, Any] = {
    "default_model": QWEN,
    "vllm_endpoints": [{"name": "one", "address": "127.0.0.1", "port": 1}],
    "model_config": {
        QWEN: {"preferred_endpoints": ["one"], "reasoning_family": "qwen3", "quality": 0.3},
        DEEPSEEK: {
            "preferred_endpoints": ["one"],
            "reasoning_family": "deepseek",
            "quality": 0.6,
            "loras": [{"name": LORA}],
        },
        GPT: {"preferred_endpoints": ["one"], "reasoning_family": "gpt-oss", "quality": 0.9},
        PLAIN: {"preferred_endpoints": ["one"], "capabilities": []},
    },
    "reasoning_families": {
        "qwen3": {"type": "chat_template_kwargs", "parameter": "enable_thinking"},
        "deepseek": {"type": "chat_template_kwargs", "parameter": "thinking"},
        "gpt-oss": {"type": "reasoning_effort", "parameter": "reasoning_effort"},
    },
    "categories": [
        {
            "name": "economics",
            "model_scores": [{"model": GPT}],
            "system_prompt": says("You are an economist.", "replace"),
        }
    ],
    "signals": {
        "keywords": [keyword(word, word) for word in ("renewable", *(each["name"] for each in DECISIONS))],
        "conversation": [{"name": "role", "feature": "system_messages", "predicate": {"gte": 1}}],
    },
    "decisions": [*DECISIONS, ONE_FRAME],
    "session": {"policy": "pin"},
    "simulator": None,
}


def configured(folder: Path, **tools: Any) -> dict[str, Any]:
    """The configuration, and the file of tools beside it."""
    (folder / "tools.json").write_text(json.dumps(TOOLS))
    given = {"enabled": True, "tools_db_path": "tools.json", "top_k": 2, "similarity_threshold": 0.4}
    return {**CHANGES, "tools": {**given, **tools}}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pool(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RoutedPool]:
    folder = tmp_path_factory.mktemp("upstream")
    async with routed(folder, configured(folder)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("words", "model", "field", "value"),
    [
        (f"{QWEN} thinks", QWEN, "chat_template_kwargs", {"enable_thinking": True}),
        (f"{QWEN} answers", QWEN, "chat_template_kwargs", {"enable_thinking": False}),
        (f"{DEEPSEEK} thinks", DEEPSEEK, "chat_template_kwargs", {"thinking": True}),
        (f"{DEEPSEEK} answers", DEEPSEEK, "chat_template_kwargs", {"thinking": False}),
        (f"{GPT} thinks", GPT, "reasoning_effort", "medium"),
        ("gpt ponders", GPT, "reasoning_effort", "high"),
        (f"{GPT} answers", GPT, "reasoning_effort", "low"),
    ],
)
async def test_thinking_is_switched_on_and_off_explicitly(
    pool: RoutedPool, words: str, model: str, field: str, value: object
) -> None:
    answer, request = await pool.sent(f"Does the cat know that {words}?")
    body = request.json()
    assert (body["model"], request.get("x-selected-model")) == (model, model)
    assert {name: body.get(name) for name in ("chat_template_kwargs", "reasoning_effort")} == {
        "chat_template_kwargs": None,
        "reasoning_effort": None,
        field: value,
    }
    assert answer.headers["x-vsr-selected-reasoning"] == ("off" if "answers" in words else "on")
    assert answer.headers["x-vsr-selected-decision"] == words


async def test_a_model_without_a_family_gets_no_switch(pool: RoutedPool) -> None:
    _, request = await pool.sent("Does the cat know phi?")
    assert set(request.json()) == {"model", "messages"}


@pytest.mark.parametrize(
    ("words", "own", "sent"),
    [
        (f"{QWEN} thinks", {"chat_template_kwargs": {"enable_thinking": False}}, {"enable_thinking": False}),
        (f"{QWEN} answers", {"chat_template_kwargs": {"enable_thinking": True}}, {"enable_thinking": True}),
        (f"{GPT} answers", {"reasoning_effort": "high"}, "high"),
        (f"{GPT} thinks", {"reasoning_effort": "low"}, "low"),
    ],
)
async def test_the_client_s_own_setting_of_thinking_wins(
    pool: RoutedPool, words: str, own: dict[str, Any], sent: object
) -> None:
    answer, request = await pool.sent(f"Does the cat know that {words}?", **own)
    assert request.json()[next(iter(own))] == sent
    assert "x-vsr-selected-reasoning" not in answer.headers


async def test_a_client_s_other_template_arguments_stay_beside_the_switch(pool: RoutedPool) -> None:
    own = {"chat_template_kwargs": {"language": "en"}}
    answer, request = await pool.sent(f"Does the cat know that {QWEN} thinks?", **own)
    assert request.json()["chat_template_kwargs"] == {"language": "en", "enable_thinking": True}
    assert answer.headers["x-vsr-selected-reasoning"] == "on"


def systems(messages: list[dict[str, Any]]) -> list[str]:
    return [each["content"] for each in messages if each["role"] in ("system", "developer")]


@pytest.mark.parametrize(
    ("word", "before", "after"),
    [
        ("ahoy", [], [PIRATE]),
        ("ahoy", ["Be brief."], [PIRATE]),
        ("sir", [], [FORMAL]),
        ("sir", ["Be brief."], [FORMAL + "\n\nBe brief."]),
    ],
)
async def test_a_system_prompt_is_inserted_or_replaces_the_client_s(
    pool: RoutedPool, word: str, before: list[str], after: list[str]
) -> None:
    user = {"role": "user", "content": f"Good day, {word}!"}
    answer, request = await pool.sent_chat([*({"role": "system", "content": each} for each in before), user])
    messages = request.json()["messages"]
    assert systems(messages) == after
    assert messages[-1] == user
    assert answer.headers["x-vsr-injected-system-prompt"] == "true"


async def test_a_category_s_system_prompt_goes_in_too(pool: RoutedPool) -> None:
    answer, request = await pool.sent("What causes inflation when a central bank prints money?")
    assert systems(request.json()["messages"]) == ["You are an economist."]
    assert answer.headers["x-vsr-selected-category"] == "economics"
    assert answer.headers["x-vsr-injected-system-prompt"] == "true"


async def test_without_a_system_prompt_the_client_s_own_stays(pool: RoutedPool) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello, cat!"}]
    answer, request = await pool.sent_chat(messages)
    assert request.json()["messages"] == messages
    assert answer.headers["x-vsr-injected-system-prompt"] == "false"


async def test_an_adapter_takes_the_model_s_place_in_the_body_only(pool: RoutedPool) -> None:
    answer, request = await pool.sent("Write something stylish.")
    assert (request.json()["model"], request.get("x-selected-model")) == (LORA, DEEPSEEK)
    assert answer.headers["x-vsr-selected-model"] == DEEPSEEK
    _, request = await pool.sent("Write something.", model=LORA)
    assert (request.json()["model"], request.get("x-selected-model")) == (LORA, DEEPSEEK)


async def test_a_request_for_a_concrete_model_arrives_as_it_was_sent(pool: RoutedPool) -> None:
    text = f"Ahoy, sir! Does the cat know that {QWEN} thinks?"
    answer, request = await pool.sent(text, model=GPT, tool_choice="auto")
    sent = {"model": GPT, "messages": [{"role": "user", "content": text}], "tool_choice": "auto"}
    assert request.body == json.dumps(sent).encode()
    assert answer.headers["x-vsr-selected-model"] == GPT
    for name in ("decision", "reasoning"):
        assert f"x-vsr-selected-{name}" not in answer.headers


def offered(body: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in body.get("tools", [])]


async def test_the_nearest_tools_are_offered_up_to_top_k(pool: RoutedPool) -> None:
    _, request = await pool.sent("What is the weather forecast for the city of Oslo?", tool_choice="auto")
    names = offered(request.json())
    assert len(names) == 2
    assert names[0] == "get_forecast"
    assert "order_status" not in names
    assert request.json()["tools"][0] == TOOLS[2]["tool"]


async def test_a_tool_below_the_threshold_is_not_offered(pool: RoutedPool) -> None:
    _, request = await pool.sent("What is the status of the delivery of my order?", tool_choice="auto")
    assert offered(request.json()) == ["order_status"]
    _, request = await pool.sent("Who wrote the opera Carmen?", tool_choice="auto")
    assert "tools" not in request.json()


WEATHER = "What is the weather forecast for the city of Oslo?"


@pytest.mark.parametrize(
    ("text", "more"),
    [
        (WEATHER, {}),
        (WEATHER, {"tool_choice": "none"}),
        (f"Bare facts. {WEATHER}", {"tool_choice": "auto"}),
        (f"Does the cat know phi? {WEATHER}", {"tool_choice": "auto"}),
    ],
)
async def test_tools_are_offered_only_where_the_client_and_the_decision_let_them(
    pool: RoutedPool, text: str, more: dict[str, Any]
) -> None:
    _, request = await pool.sent(text, **more)
    assert "tools" not in request.json()


async def test_a_client_s_own_tools_stay(pool: RoutedPool) -> None:
    own = [{"type": "function", "function": {"name": "mine"}}]
    _, request = await pool.sent(WEATHER, tool_choice="auto", tools=own)
    assert request.json()["tools"] == own


async def test_where_no_tool_is_near_all_of_them_may_be_offered(tmp_path: Path) -> None:
    async with routed(tmp_path, configured(tmp_path, fallback_to_empty=False)) as other:
        _, request = await other.sent("Who wrote the opera Carmen?", tool_choice="auto")
        assert offered(request.json()) == [each["tool"]["function"]["name"] for each in TOOLS]


def renewable(text: str, role: str) -> list[dict[str, Any]]:
    return [*([{"role": "system", "content": role}] if role else []), {"role": "user", "content": text}]


async def paraphrased(pool: RoutedPool, role: str) -> tuple[Answer, Answer]:
    """The answer to a question out of the cache, and then the one to its paraphrase."""
    messages, token = renewable(RENEWABLE, role), f"renewable {role}"
    assert not (await pool.chat(messages, token)).is_hit

    async def again() -> Answer | None:
        answer = await pool.chat(messages, token, {"x-vsr-cache-control": "no-store"})
        return answer if answer.is_hit else None

    found = await wait_until(again, "the answer in the cache", 5.0)
    assert found is not None
    return found, await pool.chat(renewable(PARAPHRASE, role), token)


async def test_an_answer_is_not_found_by_meaning_under_another_system_prompt(pool: RoutedPool) -> None:
    one, other = await paraphrased(pool, "")
    assert one.headers["x-vsr-selected-decision"] == "main"
    assert not other.is_hit
    assert other.headers["x-vsr-selected-decision"] == "most important"


async def test_an_answer_is_found_by_meaning_under_the_same_system_prompt(pool: RoutedPool) -> None:
    """So it is the prompt that keeps those two questions apart."""
    one, other = await paraphrased(pool, "Be brief.")
    assert one.headers["x-vsr-selected-decision"] == ONE_FRAME["name"]
    assert other.is_hit
    assert other.headers["x-vsr-selected-decision"] == ONE_FRAME["name"]


async def test_a_pinned_conversation_stays_with_its_first_model(pool: RoutedPool) -> None:
    """Where the decision lists it: nobody's choice is widened."""

    async def model(text: str, session: str) -> str:
        answer = await pool.ask(text, "pins", {"x-session-id": session})
        return answer.headers["x-vsr-selected-model"]

    assert await model("Is this a left turn?", "a") == QWEN
    assert await model("And this a right turn?", "a") == QWEN
    assert await model("Or is this a right turn?", "b") == DEEPSEEK
    assert await model("Perhaps rather a left turn?", "b") == DEEPSEEK
    assert await model(f"Does the cat know that {GPT} thinks?", "b") == GPT
