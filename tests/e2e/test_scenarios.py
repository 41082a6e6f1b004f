"""The worked scenarios of `config/scenarios`, each started as a user does, asked with OpenAI's client."""

import base64
import hashlib
import hmac
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
import pytest_asyncio
import yaml

from router_extproc.app.configuration import load
from router_extproc.app.mind import Mind
from router_extproc.app.models import find_bundle
from router_extproc.cli import main
from tests.support.envoy import EnvoyProcess
from tests.support.processes import free_port, wait_until
from tests.support.stack import ROOT, RunningStack, run_to_end, stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCENARIOS = ROOT / "config" / "scenarios"
DEMO_KEY = b"key-for-trying-it-out-only-0123456789"


def on_free_ports(name: str, folder: Path) -> Path:
    """The shipped configuration of a scenario in `folder`, on free ports, its pool five times as fast."""
    document: dict[str, Any] = yaml.safe_load((SCENARIOS / f"{name}.yaml").read_text())
    listeners = ("envoy", "ext_proc", "api", "metrics")
    document["listeners"] = {each: {"address": "127.0.0.1", "port": free_port()} for each in listeners}
    for endpoint in document["vllm_endpoints"]:
        endpoint["port"] = free_port()
    for pace in document["simulator"]["models"].values():
        pace["time_to_first_token_ms"] /= 5
        pace["tokens_per_second"] *= 5
    document["admin"]["token_file"] = "admin-token"
    if tools := document.get("tools"):
        shutil.copy(SCENARIOS / tools["tools_db_path"], folder)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client sees of one answer, and what the router says about it in its headers."""

    text: str
    said_model: str
    decision: str | None
    model: str | None
    reasoning: str | None
    hit: str | None
    tools: tuple[str, ...]
    prompted: bool


@dataclass(frozen=True, slots=True)
class Scenario:
    running: RunningStack
    client: openai.AsyncOpenAI
    configuration: Path

    async def ask(self, question: str | list[dict[str, str]], **more: Any) -> Seen:
        return await ask(self.client, question, **more)

    async def kept(self, question: str, **more: Any) -> Seen:
        """The answer from the cache; writing it is off the client's path, so it may take a moment."""
        return await kept(self.client, question, **more)


async def ask(client: openai.AsyncOpenAI, question: str | list[dict[str, str]], **more: Any) -> Seen:
    turns: Any = [{"role": "user", "content": question}] if isinstance(question, str) else question
    more = {"model": "auto", "temperature": 0, **more}
    raw = await client.chat.completions.with_raw_response.create(messages=turns, **more)
    answer, headers = raw.parse(), raw.headers
    message = answer.choices[0].message
    return Seen(
        message.content or "",
        answer.model,
        headers.get("x-vsr-selected-decision"),
        headers.get("x-vsr-selected-model"),
        headers.get("x-vsr-selected-reasoning"),
        headers.get("x-vsr-cache-hit"),
        tuple(call.function.name for call in message.tool_calls or () if call.type == "function"),
        headers.get("x-vsr-injected-system-prompt") == "true",
    )


async def kept(client: openai.AsyncOpenAI, question: str, **more: Any) -> Seen:
    async def hit() -> Seen | None:
        seen = await ask(client, question, **more)
        return seen if seen.hit == "true" else None

    seen = await wait_until(hit, "an answer from the cache", 10.0)
    assert seen is not None
    return seen


@asynccontextmanager
async def scenario(name: str, folder: Path) -> AsyncIterator[Scenario]:
    configuration = on_free_ports(name, folder)
    async with (
        stack(configuration) as running,
        openai.AsyncOpenAI(
            base_url=f"{running.url()}/v1", api_key="client-key", max_retries=0, timeout=30
        ) as client,
    ):
        yield Scenario(running, client, configuration)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scenario]:
    async with scenario("customer-service", tmp_path_factory.mktemp("shop")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def editor(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scenario]:
    async with scenario("code-assistance", tmp_path_factory.mktemp("editor")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def wiki(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scenario]:
    async with scenario("knowledge-base", tmp_path_factory.mktemp("wiki")) as started:
        yield started


@pytest.mark.parametrize("name", ["customer-service", "code-assistance", "knowledge-base"])
async def test_a_shipped_scenario_is_clean_as_it_stands(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["check-config", str(SCENARIOS / f"{name}.yaml")]) == 0
    out, err = capsys.readouterr()
    assert (err, "warning" in out.lower()) == ("", False)


@pytest.mark.parametrize(
    ("question", "decision", "model"),
    [
        ("How do I return a pair of boots?", "faq", "qwen3-8b"),
        ("How long does delivery to Austria take?", "faq", "qwen3-8b"),
        ("Can I pay with PayPal?", "faq", "qwen3-8b"),
        ("Where is my order 4711?", "own_order", "qwen3-8b"),
        ("Has my parcel been shipped yet?", "own_order", "qwen3-8b"),
        ("Please cancel the order I placed this morning.", "own_order", "qwen3-8b"),
        ("Wo ist meine Bestellung?", "own_order", "qwen3-8b"),
        ("Quels moyens de paiement acceptez-vous ?", "other_language", "qwen3-8b"),
        (
            "This is unacceptable, nobody answers my messages!",
            "escalation",
            "qwen3-32b",
        ),
        ("I want to speak to a manager.", "escalation", "qwen3-32b"),
        ("Tell me a joke about shoes.", "small_talk", "qwen3-8b"),
        ("What is the capital of France?", "small_talk", "qwen3-8b"),
    ],
)
async def test_a_customer_s_question_finds_its_decision(
    shop: Scenario, question: str, decision: str, model: str
) -> None:
    seen = await shop.ask(question)
    assert (seen.decision, seen.model, seen.said_model) == (decision, model, model)
    assert seen.reasoning == ("on" if decision == "escalation" else "off")
    assert seen.prompted == (decision in ("escalation", "other_language"))


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("How do I return a pair of shoes?", "How can I return a pair of shoes?"),
        ("Which payment methods do you accept?", "What methods of payment are accepted?"),
        ("When are you open?", "At what time do you open?"),
    ],
)
async def test_the_same_question_in_other_words_is_answered_from_the_cache(
    shop: Scenario, first: str, again: str
) -> None:
    answer = await shop.ask(first)
    assert (await shop.kept(first)).text == answer.text
    paraphrase = await shop.ask(again)
    assert (paraphrase.hit, paraphrase.text, paraphrase.model) == ("true", answer.text, "qwen3-8b")


async def test_a_similar_question_about_something_else_is_not(shop: Scenario) -> None:
    await shop.ask("Do you ship to Norway?")
    await shop.kept("Do you ship to Norway?")
    assert (await shop.ask("Do you ship to Spain?")).hit is None


async def test_what_is_about_one_customer_is_never_kept(shop: Scenario) -> None:
    before = await entries(shop)
    private = ("Where is my parcel?", "This is the third time that I complain!")
    for question in private:
        assert [(await shop.ask(question)).hit for _ in range(2)] == [None, None]
    # Asked after them and kept: by then they would have been, too.
    await shop.ask("Hello, how are you today?")
    await shop.kept("Hello, how are you today?")
    assert await entries(shop) == before + 1


async def entries(of: Scenario) -> int:
    """How many entries the cache has."""
    token = (of.configuration.parent / "admin-token").read_text().strip()
    fields = {"authorization": f"Bearer {token}"}
    url = f"{of.running.url('api')}/api/v1/response-cache/stats"
    async with aiohttp.ClientSession(headers=fields) as session, session.get(url) as response:
        stats = await response.json()
    return sum(int(tier["entries"]) for tier in stats["tiers"])


async def test_another_language_is_compared_word_for_word(shop: Scenario) -> None:
    await shop.ask("Wie kann ich einen Artikel zurückgeben?")
    await shop.kept("Wie kann ich einen Artikel zurückgeben?")
    assert (await shop.ask("Wie kann ich Artikel zurückgeben?")).hit is None


async def test_an_escalated_conversation_stays_with_the_strong_model(shop: Scenario) -> None:
    fields = {"x-session-id": "conversation-1"}
    questions = [
        "How much does express shipping cost?",
        "I am very unhappy with your service, nobody helps me.",
        "How much does shipping to an island cost?",
    ]
    seen = [await shop.ask(question, extra_headers=fields) for question in questions]
    assert [each.hit for each in seen] == [None, None, None]
    assert [each.decision for each in seen] == ["faq", "escalation", "faq"]
    assert [each.model for each in seen] == ["qwen3-8b", "qwen3-32b", "qwen3-32b"]
    assert (await shop.ask("How much does shipping to the mountains cost?")).model == "qwen3-8b"


def code(text: str) -> str:
    return f"```python\n{text}\n```"


@pytest.mark.parametrize(
    ("question", "decision", "model", "said", "reasoning"),
    [
        (f"Complete this function:\n{code('def reverse(s):')}", "completion", "qwen2.5-coder-3b", "", "off"),
        (f"Add a docstring:\n{code('def area(r): return r')}", "completion", "qwen2.5-coder-3b", "", "off"),
        ("How do I read a file line by line in Python?", "snippet", "qwen2.5-coder-3b", "", "off"),
        ("Write a function that checks whether a number is prime.", "snippet", "qwen2.5-coder-3b", "", "off"),
        ("What is an exception?", "coding", "qwen3-coder-30b", "", "off"),
        ("Implement an LRU cache in Go with generics and tests.", "coding", "qwen3-coder-30b", "", "off"),
        ("Two worker threads deadlock once a day. Find the cause.", "debugging", "gpt-oss-120b", "", "on"),
        (f"Traceback: KeyError. Why?\n{code('user[1]')}", "debugging", "gpt-oss-120b", "", "on"),
        (f"Why does this lock-free stack lose nodes?\n{code('while not cas(top, n): n()')}",
         "debugging", "gpt-oss-120b", "", "on"),
        ("Design the architecture of a distributed rate limiter.", "architecture", "gpt-oss-120b", "", "on"),
        ("How would you split our billing monolith into microservices?",
         "architecture", "gpt-oss-120b", "", "on"),
        ("Write a SQL query for the ten best customers.", "sql", "qwen3-coder-30b", "text-to-sql", "off"),
        ("Which users in the users table have never placed an order?",
         "sql", "qwen3-coder-30b", "text-to-sql", "off"),
    ],
)  # fmt: skip
async def test_a_developer_s_request_finds_its_decision(
    editor: Scenario, question: str, decision: str, model: str, said: str, reasoning: str
) -> None:
    seen = await editor.ask(question)
    assert (seen.decision, seen.model) == (decision, model)
    assert seen.said_model == (said or model)
    # Only the thinking model has a switch, so only for it is one reported as set.
    assert seen.reasoning == reasoning


async def test_code_is_compared_character_by_character(editor: Scenario) -> None:
    plus, minus = (f"Complete this:\n{code(f'def f(a, b): return a {sign} b')}" for sign in "+-")
    answer = await editor.ask(plus)
    assert (await editor.kept(plus)).text == answer.text
    assert (await editor.ask(minus)).hit is None
    assert (await editor.ask(plus, temperature=0.9)).hit is None


async def test_a_file_that_does_not_fit_goes_to_the_next_model_of_the_decision(editor: Scenario) -> None:
    file = "\n".join(f"def function_{line}(a, b): return a * {line} + b" for line in range(3500))
    seen = await editor.ask(f"Complete this module:\n{code(file)}")
    assert (seen.decision, seen.model) == ("completion", "qwen3-coder-30b")
    seen = await editor.ask(f"What is this module for?\n{code(file)}")
    assert (seen.decision, seen.model) == ("architecture", "gpt-oss-120b")


async def test_an_agent_s_request_goes_to_a_model_that_calls_tools(editor: Scenario) -> None:
    tool = {"type": "function", "function": {"name": "read_file", "parameters": {"type": "object"}}}
    seen = await editor.ask("Rename this variable in main.py", tools=[tool])
    assert (seen.decision, seen.model) == ("completion", "qwen3-coder-30b")


async def test_a_conversation_is_not_handed_down(editor: Scenario) -> None:
    fields = {"x-session-id": "conversation-2"}
    questions = [
        "How do I sort a list in place?",
        "Our service hangs under load: find the race condition in the connection pool.",
        "Write a function that reverses a string.",
    ]
    seen = [await editor.ask(question, extra_headers=fields) for question in questions]
    assert [each.decision for each in seen] == ["snippet", "debugging", "snippet"]
    assert [each.model for each in seen] == ["qwen2.5-coder-3b", "gpt-oss-120b", "gpt-oss-120b"]


SECTION = "Each department keeps its records for ten years and names a person who answers for them. "


@pytest.mark.parametrize(
    ("question", "decision", "model", "reasoning"),
    [
        ("How many vacation days do employees get?", "people", "qwen3-32b", "off"),
        ("How do I claim the costs of a business trip?", "people", "qwen3-32b", "off"),
        ("What is my salary?", "personal", "qwen3-32b", "off"),
        ("What is the notice period in the contract with Acme?", "legal", "qwen3-235b", "on"),
        ("Is a verbal agreement between companies legally binding?", "legal", "qwen3-235b", "on"),
        ("What was our revenue in the first quarter?", "finance", "qwen3-235b", "on"),
        ("How does inflation affect the cost of capital?", "finance", "qwen3-235b", "on"),
        ("What is the maximum load of a steel beam of 5 m?", "technical", "qwen3-235b", "on"),
        ("Who won the world cup in 1990?", "general", "qwen3-32b", "off"),
        (f"Summarise this:\n{SECTION * 250}", "document", "qwen3-235b", "off"),
        (f"Is the contract's liability limited?\n{SECTION * 250}", "document", "qwen3-235b", "off"),
        (f"Summarise this:\n{SECTION * 5000}", "archive", "qwen2.5-14b-1m", "off"),
    ],
)
async def test_an_employee_s_question_finds_its_decision(
    wiki: Scenario, question: str, decision: str, model: str, reasoning: str
) -> None:
    seen = await wiki.ask(question)
    assert (seen.decision, seen.model, seen.said_model) == (decision, model, model)
    assert seen.reasoning == reasoning
    assert seen.prompted == (decision in ("people", "legal", "finance", "document", "archive"))


async def test_the_tool_that_fits_is_the_nearest() -> None:
    """On the plan itself: the simulated pool calls a tool only when it must."""
    configuration = load(SCENARIOS / "knowledge-base.yaml")
    mind = Mind.load(find_bundle(configuration.settings), configuration)
    tools = mind.plan(configuration).tools
    assert tools is not None
    questions = {
        "How many days of annual leave are left this year?": "leave_balance",
        "Which liability clause is in the agreement with our supplier Acme?": "get_contract",
        "What was the revenue of the sales department in the last quarter?": "key_figures",
        "Which page of the handbook has the policy on passwords?": "search_documents",
    }
    for question, name in questions.items():
        chosen = tools.select(mind.analyse(question).vector)
        assert chosen[0]["function"]["name"] == name
        assert len(chosen) <= 2
    assert not tools.select(mind.analyse("Tell me a joke about penguins.").vector)


async def test_a_department_that_the_client_claims_itself_is_not_believed(wiki: Scenario) -> None:
    question = "Where is the guideline for remote work?"
    fields = {"x-tenant-id": "legal"}
    assert [(await wiki.ask(question, extra_headers=fields)).hit for _ in range(2)] == [None, None]
    assert await entries(wiki) == 0


def employee(name: str, department: str) -> str:
    """A token as the company's login gives out, signed with the key of the shipped filter."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    claims = {"iss": "https://login.example.com", "sub": name, "department": department}
    head = part(json.dumps({"alg": "HS256", "kid": "demo", "typ": "JWT"}).encode())
    signed = f"{head}.{part(json.dumps(claims).encode())}"
    return f"{signed}.{part(hmac.digest(DEMO_KEY, signed.encode(), hashlib.sha256))}"


@asynccontextmanager
async def front_door(of: Scenario) -> AsyncIterator[str]:
    """The URL of an Envoy with the shipped filter, which authenticates employees, beside that of `up`."""
    code, out, err = await run_to_end("render-envoy", "--config", str(of.configuration))
    assert (code, err) == (0, "")
    document = yaml.safe_load(out)
    manager = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    filters = [each["name"] for each in manager["http_filters"]]
    login = yaml.safe_load((SCENARIOS / "knowledge-base-tenant-filter.yaml").read_text())
    manager["http_filters"].insert(filters.index("envoy.filters.http.ext_proc"), login)
    async with EnvoyProcess(yaml.safe_dump(document)) as envoy:
        yield envoy.url


async def test_colleagues_share_answers_and_departments_do_not(wiki: Scenario) -> None:
    async with front_door(wiki) as url:
        async with aiohttp.ClientSession() as session, session.get(f"{url}/v1/models") as response:
            assert response.status == 401
        of_employees = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="-", max_retries=0, timeout=30)
        async with of_employees as client:
            ann, ben, eve = (
                client.with_options(api_key=employee(name, department))
                for name, department in (("ann", "people"), ("ben", "people"), ("eve", "sales"))
            )
            question = "How many days of parental leave can employees take?"
            answer = await ask(ann, question)
            assert (answer.hit, answer.decision) == (None, "people")
            assert (await kept(ben, question)).text == answer.text
            forged = {"x-tenant-id": "people"}
            assert (await ask(eve, question, extra_headers=forged)).hit is None

            private = "How much is my salary after tax?"
            assert [(await ask(ann, private)).hit for _ in range(3)] == [None, None, None]
            long = f"Summarise this:\n{SECTION * 300}"
            await ask(ann, long)
            await kept(ben, long)


async def test_the_api_and_explain_tell_the_same_decision(wiki: Scenario) -> None:
    question = "Is a verbal agreement between companies legally binding?"
    body = {"model": "auto", "messages": [{"role": "user", "content": question}]}
    url = f"{wiki.running.url('api')}/api/v1/eval"
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        told = await response.json()
    code, out, err = await run_to_end("explain", "--json", "--config", str(wiki.configuration), question)
    assert (code, err) == (0, "")
    explained = json.loads(out)
    assert told["decision"] == explained["decision"] == "legal"
    assert told["model"] == explained["model"] == "qwen3-235b"
    assert told["trace"]["signals"] == explained["trace"]["signals"]
    assert told["generation"] == explained["generation"]
