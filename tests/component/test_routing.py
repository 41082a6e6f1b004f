"""How a request gets its model: signals, rules, categories, suitability and sessions, through a real Envoy,
with the real encoder and the simulated pool."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from tests.support.routing import RoutedPool, decision, keyword, leaf, routed, rule
from tests.support.stack import Answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL, MEDIUM, LARGE, LORA = "qwen3-0.6b", "qwen3-8b", "qwen3-32b", "sql-expert"
FAST = {"time_to_first_token_ms": 2, "tokens_per_second": 10_000}
ALL = [{"model": SMALL}, {"model": MEDIUM}, {"model": LARGE}]
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


SIGNALS: dict[str, Any] = {
    "keywords": [
        keyword("refund", "refund", "chargeback"),
        keyword("rollout", "kubernetes", "rolling update", operator="AND"),
        keyword("wordy", "a", "the", "of", "my", "what", "which", "how", "is", "to", operator="NOR"),
        keyword("emergency", "emergency", "at once"),
        keyword("joke", "joke"),
        keyword("zebra", "zebra"),
        keyword("half", "panda", "koala"),
        keyword("whole", "panda"),
        keyword("sql", "sql"),
    ],
    "embeddings": [
        {
            "name": "poem",
            "threshold": 0.6,
            "candidates": ["Write a poem about the sea.", "Compose a sonnet."],
        },
        {
            "name": "trips",
            "threshold": 0.5,
            "candidates": ["Plan a trip to Rome.", "Plan a journey through Italy."],
            "aggregation_method": "mean",
        },
    ],
    "domains": [{"name": "living", "mmlu_categories": ["biology", "health"], "threshold": 0.7}],
    "complexity": [
        {"name": "need"},
        {
            "name": "sums",
            "threshold": 0.2,
            "hard_candidates": ["Derive the equations of motion of a double pendulum."],
            "easy_candidates": ["How many kilometres are three miles?"],
        },
    ],
    "language": [{"name": "german", "languages": ["de"], "threshold": 0.8}],
    "context": [{"name": "long", "min_tokens": "4K", "max_tokens": "6K"}],
    "structure": [{"name": "code", "feature": "code_blocks", "predicate": {"gte": 1}}],
    "conversation": [{"name": "third turn", "feature": "user_turns", "predicate": {"gte": 3, "lt": 5}}],
    "classifiers": [{"name": "billing", "classifier": "desk", "labels": ["billing"], "threshold": 0.9}],
}
DESK = {
    "name": "desk",
    "classes": [
        {
            "name": "billing",
            "examples": [
                "My invoice shows the wrong amount.",
                "I was charged twice on my credit card.",
                "When will I get my money back?",
            ],
        },
        {
            "name": "shipping",
            "examples": ["Where is my parcel?", "The delivery is late.", "Can you ship it to Norway?"],
        },
    ],
}
DECISIONS = [
    decision("refunds", rule("OR", leaf("keyword", "refund")), *(each["model"] for each in ALL)),
    decision("rollouts", rule("OR", leaf("keyword", "rollout")), LARGE),
    decision("telegrams", rule("OR", leaf("keyword", "wordy")), SMALL, priority=-10),
    decision("poems", rule("OR", leaf("embedding", "poem")), LARGE),
    decision("trips", rule("OR", leaf("embedding", "trips")), LARGE),
    decision("law", rule("OR", leaf("domain", "law")), LARGE),
    decision("living", rule("OR", leaf("domain", "living")), LARGE),
    decision("needs much", rule("OR", leaf("complexity", "need:hard")), LARGE, priority=-5),
    decision("sums", rule("OR", leaf("complexity", "sums:easy")), SMALL),
    decision("deutsch", rule("OR", leaf("language", "german")), SMALL),
    decision("long", rule("OR", leaf("context", "long")), LARGE),
    decision("code", rule("OR", leaf("structure", "code")), LARGE),
    decision("later", rule("OR", leaf("conversation", "third turn")), SMALL),
    decision("billing", rule("OR", leaf("classifier", "billing")), SMALL),
    decision(
        "emergencies",
        rule(
            "AND",
            leaf("keyword", "emergency"),
            rule("OR", leaf("domain", "living"), leaf("structure", "code")),
            rule("NOT", leaf("keyword", "joke")),
        ),
        LARGE,
        priority=50,
    ),
    decision("zebra first written", rule("OR", leaf("keyword", "zebra")), SMALL, priority=20),
    decision("zebra equal", rule("OR", leaf("keyword", "zebra")), MEDIUM, priority=20),
    decision(
        "zebra with more priority",
        rule("AND", leaf("keyword", "zebra"), leaf("keyword", "joke")),
        LARGE,
        priority=21,
    ),
    decision("less sure", rule("OR", leaf("keyword", "half")), SMALL, priority=30),
    decision("surer", rule("OR", leaf("keyword", "whole")), LARGE, priority=30),
    decision("database", rule("OR", leaf("keyword", "sql")), {"model": LARGE, "lora_name": LORA}),
]  # fmt: skip
CHANGES: dict[str, Any] = {
    "model_aliases": ["best", "team/any"],
    "model_config": {
        SMALL: {
            "preferred_endpoints": ["small"],
            "quality": 0.3,
            "context_window": 1000,
            "capabilities": [],
        },
        MEDIUM: {"preferred_endpoints": ["medium"], "quality": 0.6, "context_window": 8000},
        LARGE: {
            "preferred_endpoints": ["large"],
            "quality": 0.9,
            "context_window": 32000,
            "capabilities": ["tools", "vision"],
            "loras": [{"name": LORA}],
        },
    },
    "categories": [
        {
            "name": "economics",
            "model_scores": [{"model": SMALL, "score": 0.2}, {"model": LARGE, "score": 0.8}],
        },
        {"name": "physics", "model_scores": [{"model": SMALL, "score": 0.9}, {"model": LARGE, "score": 0.8}]},
    ],
    "signals": SIGNALS,
    "classifiers": [DESK],
    "decisions": DECISIONS,
    "session": {"policy": "escalate_only"},
    "simulator": {"models": {SMALL: FAST, MEDIUM: FAST, LARGE: FAST}},
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pool(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RoutedPool]:
    async with routed(tmp_path_factory.mktemp("routing"), CHANGES, simulated=True) as opened:
        yield opened


def chosen(answer: Answer) -> tuple[str | None, str]:
    """The decision that the client is told, and the model that answered."""
    assert answer.status == 200, answer.body
    said = answer.headers["x-vsr-selected-model"]
    name = json.loads(answer.body)["model"]
    assert name in (said, LORA)
    return answer.headers.get("x-vsr-selected-decision"), said


@pytest.mark.parametrize("model", ["auto", "MoM", "best", "team/any"])
async def test_every_alias_chooses_for_the_client(pool: RoutedPool, model: str) -> None:
    answer = await pool.ask("What causes inflation when a central bank prints money?", model=model)
    assert chosen(answer) == (None, LARGE)
    assert answer.headers["x-vsr-selected-category"] == "economics"
    assert answer.headers["x-vsr-injected-system-prompt"] == "false"


async def test_a_category_s_best_model_answers(pool: RoutedPool) -> None:
    answer = await pool.ask("What force acts on a moving charge in the magnetic field of a coil?")
    assert chosen(answer) == (None, SMALL)
    assert answer.headers["x-vsr-selected-category"] == "physics"


async def test_below_the_threshold_the_default_model_answers(pool: RoutedPool) -> None:
    answer = await pool.ask("What is luck?")
    assert chosen(answer) == (None, MEDIUM)
    assert "x-vsr-selected-category" not in answer.headers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How do I get a Refund for the shoes?", ("refunds", SMALL)),
        ("How is a rolling update of the pods done in Kubernetes?", ("rollouts", LARGE)),
        ("How is the update of the pods done in Kubernetes?", None),
        ("Refunds are what the shop hates.", None),
        ("Good morning everybody!", ("telegrams", SMALL)),
        ("Good morning to everybody!", None),
        ("Write a poem about the ocean.", ("poems", LARGE)),
        ("Plan a trip to the towns of Italy.", ("trips", LARGE)),
        (
            "Which amendment of the US constitution protects the right of a defendant to counsel?",
            ("law", LARGE),
        ),
        ("How do the leaves of plants store energy by photosynthesis?", ("living", LARGE)),
        (
            "Prove the infinitude of the primes and derive the error term of the prime number theorem.",
            ("needs much", LARGE),
        ),
        ("How many kilometres is a distance of five miles?", ("sums", SMALL)),
        ("Wie koche ich weiche Eier, ohne dass sie platzen?", ("deutsch", SMALL)),
        ("Explain the bug:\n```python\nx = [1][1]\n```", ("code", LARGE)),
        ("My credit card was charged two times.", ("billing", SMALL)),
        ("The parcel with the lamp is late.", None),
        ("Show the rows of the table in SQL.", ("database", LARGE)),
    ],
)
async def test_each_kind_of_signal_decides_alone(
    pool: RoutedPool, text: str, expected: tuple[str, str] | None
) -> None:
    decided = chosen(await pool.ask(text))
    if expected is None:
        assert decided[0] is None
    else:
        assert decided == expected


async def test_the_length_of_the_whole_request_is_a_signal(pool: RoutedPool) -> None:
    history = [
        {"role": "user", "content": "Read the text. " + "word " * 4000},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "Tell me about the cats of the neighbours."},
    ]
    assert chosen(await pool.chat(history)) == ("long", LARGE)
    history[0]["content"] = "Read the text. " + "word " * 2000
    assert chosen(await pool.chat(history)) == (None, MEDIUM)
    history[0]["content"] = "Read the text. " + "word " * 5200
    assert chosen(await pool.chat(history)) == (None, MEDIUM)


def turns(*questions: str) -> list[dict[str, Any]]:
    """A conversation in which each question but the last was answered."""
    answered = [
        [{"role": "user", "content": each}, {"role": "assistant", "content": "Yes."}] for each in questions
    ]
    return [turn for pair in answered for turn in pair][:-1]


async def test_the_shape_of_the_conversation_is_a_signal(pool: RoutedPool) -> None:
    cat = "Tell me about the cats of the neighbours."
    assert chosen(await pool.chat(turns(cat, cat, cat))) == ("later", SMALL)
    assert chosen(await pool.chat(turns(cat, cat))) == (None, MEDIUM)
    assert chosen(await pool.chat(turns(*[cat] * 5))) == (None, MEDIUM)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Emergency: how do the leaves of plants store energy by photosynthesis?", "emergencies"),
        ("Do it at once with the code:\n```python\nx = 1\n```", "emergencies"),
        ("No joke, an emergency: how do the leaves of plants store energy by photosynthesis?", "living"),
        ("There is an emergency at the house of my aunt.", None),
        ("What does the zebra eat in the zoo?", "zebra first written"),
        ("What is the best joke about the zebra?", "zebra with more priority"),
        ("What does the panda eat?", "surer"),
        ("What does the koala eat?", "less sure"),
    ],
)
async def test_rules_combine_signals_and_the_priority_counts_first(
    pool: RoutedPool, text: str, expected: str | None
) -> None:
    assert chosen(await pool.ask(text))[0] == expected


async def test_a_lora_is_asked_for_by_its_own_name_and_routed_to_its_model(pool: RoutedPool) -> None:
    by_decision = await pool.ask("Show the rows of the table in SQL.")
    by_name = await pool.ask("Show the rows.", model=LORA)
    for answer in (by_decision, by_name):
        assert answer.headers["x-vsr-selected-model"] == LARGE
        assert json.loads(answer.body)["model"] == LORA


async def test_a_model_that_lacks_the_window_vision_or_tools_is_passed_over(pool: RoutedPool) -> None:
    refund = "How do I get a refund for the shoes?"
    assert chosen(await pool.ask(refund)) == ("refunds", SMALL)
    assert chosen(await pool.ask(refund + " shoes" * 800)) == ("refunds", MEDIUM)
    assert chosen(await pool.ask(refund, max_tokens=9000)) == ("refunds", LARGE)
    assert chosen(await pool.ask(refund, tools=[FUNCTION], tool_choice="none")) == ("refunds", MEDIUM)
    seen = [{"role": "user", "content": [{"type": "text", "text": refund}, IMAGE]}]
    assert chosen(await pool.chat(seen)) == ("refunds", LARGE)


async def test_where_no_listed_model_suits_the_default_model_stands_in(pool: RoutedPool) -> None:
    german = "Wie koche ich weiche Eier, ohne dass sie platzen?"
    assert chosen(await pool.ask(german, tools=[FUNCTION], tool_choice="none")) == ("deutsch", MEDIUM)


@pytest.mark.parametrize(
    ("content", "more", "said"),
    [
        ("Tell me about the cats.", {"max_tokens": 50_000}, "a context window of about 500"),
        ([{"type": "text", "text": "Tell me about the cats."}, IMAGE], {}, "image input"),
        (
            [{"type": "text", "text": "How do I get a refund?"}, IMAGE],
            {"max_completion_tokens": 60_000},
            "a context window of about 610",
        ),
    ],
)
async def test_what_no_model_can_answer_is_an_error_in_openai_s_form(
    pool: RoutedPool, content: Any, more: dict[str, Any], said: str
) -> None:
    answer = await pool.chat([{"role": "user", "content": content}], **more)
    assert answer.status == 400
    error = json.loads(answer.body)["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"].startswith("No model that may answer this request has ")
    assert said in error["message"]
    assert set(error) == {"message", "type", "param", "code"}


async def test_a_model_that_the_client_names_is_honoured_and_passes_the_cache(pool: RoutedPool) -> None:
    refund = "How do I get a refund for the boots?"
    for _ in range(2):
        answer = await pool.ask(refund, model=LARGE, token="names")
        assert chosen(answer) == (None, LARGE)
    assert answer.is_hit
    other = await pool.ask(refund, model=SMALL, token="names")
    assert not other.is_hit
    assert chosen(other) == (None, SMALL)
    category = await pool.ask("What causes inflation when a central bank prints money?", model=SMALL)
    assert category.headers["x-vsr-selected-category"] == "economics"
    assert "x-vsr-selected-reasoning" not in category.headers


async def test_an_unknown_model_is_an_error_in_openai_s_form(pool: RoutedPool) -> None:
    answer = await pool.ask("How are you?", model="gpt-9")
    assert answer.status == 404
    error = json.loads(answer.body)["error"]
    assert (error["type"], error["param"], error["code"]) == (
        "invalid_request_error",
        "model",
        "model_not_found",
    )
    async with openai.AsyncOpenAI(base_url=f"{pool.envoy.url}/v1", api_key="k") as client:
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("gpt-9")


async def test_the_models_are_listed_aliases_first_and_one_by_name(pool: RoutedPool) -> None:
    status, listed = await pool.get("/v1/models")
    assert (status, listed["object"]) == (200, "list")
    names = [each["id"] for each in listed["data"]]
    assert names == ["auto", "MoM", "best", "team/any", SMALL, MEDIUM, LARGE, LORA]
    for spelt in ("team/any", "team%2Fany"):
        status, one = await pool.get(f"/v1/models/{spelt}")
        assert (status, one["id"], one["object"]) == (200, "team/any", "model")
    async with openai.AsyncOpenAI(base_url=f"{pool.envoy.url}/v1", api_key="k") as client:
        assert [model.id async for model in client.models.list()] == names
        assert (await client.models.retrieve(LORA)).id == LORA


async def test_a_conversation_is_never_handed_down(pool: RoutedPool) -> None:
    easy, hard = "How do I get a refund for the gloves?", "Explain:\n```\nx = 1\n```"
    assert chosen(await pool.chat(turns(easy), "s")) == ("refunds", SMALL)
    assert chosen(await pool.chat(turns(easy, hard), "s")) == ("code", LARGE)
    assert chosen(await pool.chat(turns(hard), "t")) == ("code", LARGE)
    assert chosen(await pool.chat(turns(hard, easy), "t")) == ("refunds", LARGE)
    # Another client's conversation of the same words is another conversation.
    assert chosen(await pool.chat(turns(hard, easy), "u")) == ("refunds", SMALL)


async def test_a_session_is_known_by_the_header_that_its_client_sends(pool: RoutedPool) -> None:
    mine = {"x-session-id": "a"}
    assert chosen(await pool.ask("Explain:\n```\ny = 2\n```", "h", mine)) == ("code", LARGE)
    assert chosen(await pool.ask("A refund for the coat, how?", "h", mine)) == ("refunds", LARGE)
    other = {"x-session-id": "b"}
    assert chosen(await pool.ask("A refund for the tie, how?", "h", other)) == ("refunds", SMALL)


async def test_the_api_tells_the_whole_decision_and_asks_nobody(pool: RoutedPool) -> None:
    messages = [{"role": "user", "content": "Emergency: how do the leaves of plants store energy?"}]
    status, said = await pool.api("POST", "/api/v1/eval", {"model": "auto", "messages": messages})
    assert status == 200
    assert (said["model"], said["decision"], said["category"]) == (LARGE, "emergencies", "biology")
    assert said["reason"] == said["trace"]["outcome"]["rule"]
    matched = {each["name"] for each in said["trace"]["signals"] if each["matched"]}
    assert matched >= {"emergency", "living"}
    assert len(said["trace"]["decisions"]) == len(DECISIONS)
    assert [each["model"] for each in said["trace"]["candidates"]] == [LARGE]
    assert "leaves" not in json.dumps(said)


async def test_the_api_tells_why_nobody_can_answer_and_what_is_wrong(pool: RoutedPool) -> None:
    asking = {"model": "auto", "messages": [{"role": "user", "content": "Hi."}], "max_tokens": 90_000}
    status, said = await pool.api("POST", "/api/v1/eval", asking)
    assert (status, said["model"]) == (200, None)
    assert "context window" in said["refused"]
    assert said["trace"]["outcome"]["lacking"] == ["context_window"]
    status, _ = await pool.api("POST", "/api/v1/eval", {"model": "auto"})
    assert status == 400
    status, _ = await pool.api("POST", "/api/v1/eval", {**asking, "model": "gpt-9"})
    assert status == 404


async def test_the_api_shows_how_the_pool_does(pool: RoutedPool) -> None:
    assert chosen(await pool.ask("How do I get a refund for the socks?"))[1] == SMALL
    status, said = await pool.api("GET", "/api/v1/pool")
    assert status == 200
    assert set(said["models"]) == {SMALL, MEDIUM, LARGE}
    assert all(each["available"] for each in said["models"].values())
