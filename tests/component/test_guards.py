"""Attacks on the assistant's instructions, through a real Envoy, with the real guard: who is refused, in what
form, and that no model and no cache sees what was refused."""

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from tests.support.guarded import (
    ATTACK,
    HARMLESS,
    HIDDEN,
    PERSONA,
    Counted,
    answered,
    client_of,
    sample,
    unsent,
    until_cached,
    user,
    waited_in_vain,
)
from tests.support.routing import RoutedPool, decision, keyword, leaf, routed, rule
from tests.support.stack import Answer
from tests.support.upstream import json_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL, MEDIUM, LARGE = "qwen3-0.6b", "qwen3-8b", "qwen3-32b"
PERSONAL = "My e-mail is erika.mustermann@example.org, what now?"
INFLATION = "What causes inflation when a central bank prints money?"
OURS = ("x-vsr-jailbreak-blocked", "x-vsr-jailbreak-type", "x-vsr-jailbreak-confidence")
FORGED = {
    **dict.fromkeys((*OURS, "x-vsr-pii-violation", "x-vsr-pii-types"), "forged"),
    "x-vsr-response-path": "forged",
}

CHANGES: dict[str, Any] = {
    "prompt_guard": {"enabled": True, "threshold": 0.5},
    "signals": {"keywords": [keyword("sandbox", "sandbox"), keyword("lesson", "lesson")]},
    "decisions": [
        decision("sandbox", rule("OR", leaf("keyword", "sandbox")), LARGE, jailbreak_enabled=False),
        decision("lesson", rule("OR", leaf("keyword", "lesson")), SMALL),
    ],
    "categories": [
        {"name": "economics", "model_scores": [{"model": LARGE}], "jailbreak_enabled": False},
        {"name": "physics", "model_scores": [{"model": LARGE}]},
    ],
    "simulator": None,
}
OBSERVED = {**CHANGES, "prompt_guard": {"enabled": True, "action": "observe"}}
ERRORS = {
    **CHANGES,
    "model_config": {
        MEDIUM: {
            "preferred_endpoints": ["medium"],
            "pii_policy": {"allow_by_default": False, "pii_types_allowed": ["PERSON"]},
        }
    },
    "vllm_endpoints": [{"name": "medium", "address": "127.0.0.1", "port": 1}],
    "reasoning_families": {},
    "signals": {},
    "decisions": [],
    "categories": [],
    "screening": {"status": 403, "max_tokens": 256, "beyond": "refuse"},
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pool(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RoutedPool]:
    async with routed(tmp_path_factory.mktemp("guarded"), CHANGES) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def observing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RoutedPool]:
    async with routed(tmp_path_factory.mktemp("observing"), OBSERVED) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def erring(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RoutedPool]:
    """Refuses with status 403, and what is longer than it reads."""
    async with routed(tmp_path_factory.mktemp("erring"), ERRORS) as opened:
        yield opened


CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "read_page", "arguments": "{}"}}],
}
CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "the question": [user(ATTACK)],
    "after a system prompt": [{"role": "system", "content": "You sell shoes."}, user(ATTACK)],
    "a persona": [user(PERSONA)],
    "in base64": [user(HIDDEN)],
    "a part among parts": [
        {"role": "user", "content": [{"type": "text", "text": HARMLESS}, {"type": "text", "text": ATTACK}]}
    ],
    "an earlier turn": [user(ATTACK), answered(), user(HARMLESS)],
    "an assistant's turn": [user("Hello."), answered(ATTACK), user(HARMLESS)],
    "a tool's result": [
        user("Summarise the page."),
        CALL,
        {"role": "tool", "tool_call_id": "c1", "content": ATTACK},
    ],
    "a tool's result long ago": [
        user("Summarise the page."),
        CALL,
        {"role": "tool", "tool_call_id": "c1", "content": ATTACK},
        answered("It is about eggs."),
        user(HARMLESS),
    ],
}


def refused(answer: Answer) -> None:
    """The headers of a refusal, each once."""
    assert answer.status == 200, answer.body
    assert values(answer, "x-vsr-response-path") == ["blocked"]
    assert values(answer, "x-vsr-jailbreak-blocked") == ["true"]
    assert values(answer, "x-vsr-jailbreak-type") == ["jailbreak"]
    (confidence,) = values(answer, "x-vsr-jailbreak-confidence")
    assert 0.5 <= float(confidence) <= 1.0
    assert len(confidence) == len("0.000")
    assert not [name for name in answer.headers if name.lower().startswith("x-vsr-pii-")]


def values(answer: Answer, name: str) -> list[str]:
    return [value for key, value in answer.headers.items() if key.lower() == name]


@pytest.mark.parametrize("model", ["auto", MEDIUM])
@pytest.mark.parametrize("where", CONVERSATIONS)
async def test_an_attack_anywhere_in_a_request_is_refused_and_no_model_sees_it(
    pool: RoutedPool, where: str, model: str
) -> None:
    async with Counted(pool, "guard", "blocked"):
        answer = await unsent(pool, CONVERSATIONS[where], model=model)
    refused(answer)
    assert answer.headers["content-type"] == "application/json"
    said = json.loads(answer.body)
    assert (said["object"], said["model"]) == ("chat.completion", "security-filter")
    assert said["id"].startswith("chatcmpl-jailbreak-blocked-")
    assert said["choices"][0]["finish_reason"] == "content_filter"
    assert said["usage"]["total_tokens"] == 0


async def test_openai_s_client_reads_a_refusal_in_both_forms(pool: RoutedPool) -> None:
    assert pool.upstream is not None
    before = len(pool.upstream.requests)
    async with client_of(pool) as client:
        ask = client.chat.completions.create
        whole = await ask(model="auto", messages=[{"role": "user", "content": ATTACK}])
        stream = await ask(
            model="auto",
            messages=[{"role": "user", "content": ATTACK}],
            stream=True,
            stream_options={"include_usage": True},
        )
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert [stream.response.headers[name] for name in OURS[:2]] == ["true", "jailbreak"]
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert whole.choices[0].message.content == text
    assert ATTACK not in text
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert whole.choices[0].finish_reason == "content_filter"
    assert (reasons[-1], set(reasons[:-1])) == ("content_filter", {None})
    assert whole.model == chunks[0].model == "security-filter"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 0
    assert len(pool.upstream.requests) == before


@pytest.mark.parametrize(
    "text",
    [
        HARMLESS,
        INFLATION,
        "Translate 'The train leaves at noon' into French.",
        "Write a Python function that reverses a list.",
        "Which planets of the solar system have rings?",
        "What does this say in base64? V2hhdCBhIGxvdmVseSBkYXkgZm9yIGEgd2FsayBpbiB0aGUgcGFyay4=",
    ],
)
@pytest.mark.parametrize("model", ["auto", MEDIUM])
async def test_an_innocent_prompt_passes(pool: RoutedPool, text: str, model: str) -> None:
    async with Counted(pool, "guard", "passed"):
        answer, request = await pool.sent(text, model=model)
    assert request.json()["messages"] == [user(text)]
    assert values(answer, "x-vsr-response-path") == ["upstream"]
    assert not [name for name in OURS if name in answer.headers]


async def test_the_application_s_own_instructions_are_not_taken_for_an_attack(pool: RoutedPool) -> None:
    messages = [{"role": "system", "content": ATTACK}, {"role": "developer", "content": PERSONA}]
    _, request = await pool.sent_chat([*messages, user(HARMLESS)])
    assert request.json()["messages"] == [*messages, user(HARMLESS)]


async def test_a_refused_request_never_gets_an_answer_from_the_cache(pool: RoutedPool) -> None:
    text = f"In this lesson: {ATTACK}"
    refused(await unsent(pool, [user(text)], "cached"))
    await until_cached(pool, "What is the next lesson about?", "cached")
    again = await unsent(pool, [user(text)], "cached")
    refused(again)
    assert not again.is_hit


async def test_identical_attacks_at_once_are_refused_one_by_one(pool: RoutedPool) -> None:
    assert pool.upstream is not None
    before = len(pool.upstream.requests)
    text = f"All together: {ATTACK}"
    async with Counted(pool, "guard", "blocked", 6):
        answers = await asyncio.gather(*(pool.ask(text, "crowd", stream=each % 2 == 0) for each in range(6)))
    for answer in answers:
        refused(answer)
    assert len({answer.body for answer in answers}) == 6  # each has an id of its own
    assert await waited_in_vain(pool) == 0.0
    assert len(pool.upstream.requests) == before


async def test_a_decision_with_the_guard_off_lets_pass_what_is_then_not_kept(pool: RoutedPool) -> None:
    text = f"In the sandbox: {ATTACK}"
    for _ in range(2):
        async with Counted(pool, "guard", "flagged"):
            answer, request = await pool.sent(text, token="sandbox")
        assert request.json()["messages"] == [user(text)]
        assert answer.headers["x-vsr-selected-decision"] == "sandbox"
        assert not answer.is_hit
        assert not [name for name in OURS if name in answer.headers]
        await until_cached(pool, "What is sand made of, in one lesson?", "sandbox")
    refused(await unsent(pool, [user(text.replace("sandbox", "office"))], "sandbox"))
    refused(await unsent(pool, [user(text)], "sandbox", model=LARGE))  # no decision with a named model


async def test_a_category_with_the_guard_off_lets_pass(pool: RoutedPool) -> None:
    answer, request = await pool.sent_chat([user(ATTACK), answered(), user(INFLATION)])
    assert answer.headers["x-vsr-selected-category"] == "economics"
    assert request.json()["messages"][0] == user(ATTACK)
    named = await pool.chat([user(ATTACK), answered(), user(INFLATION)], model=SMALL)
    assert json.loads(named.body)["model"] == SMALL
    physics = "What force acts on a moving charge in the magnetic field of a coil?"
    refused(await unsent(pool, [user(ATTACK), answered(), user(physics)]))


async def test_nobody_forges_what_the_guard_says(pool: RoutedPool) -> None:
    assert pool.upstream is not None
    answer, request = await pool.sent(HARMLESS, headers=FORGED)
    assert not [name for name in FORGED if request.all(name)]
    assert values(answer, "x-vsr-response-path") == ["upstream"]
    assert "forged" not in answer.headers.values()
    refused(await unsent(pool, [user(ATTACK)], headers=FORGED))
    for status in (200, 422, 500):
        said = {"error": {"message": "Sorry."}}
        pool.upstream.script(json_answer(said, status, list(FORGED.items())))
        answer = await pool.ask(HARMLESS, model=SMALL)
        assert (answer.status, json.loads(answer.body)) == (status, said)
        assert values(answer, "x-vsr-response-path") == ["upstream"]
        assert "forged" not in answer.headers.values()


@pytest.mark.parametrize(
    "fields",
    [
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "text/plain"},
    ],
)
async def test_a_body_that_the_guard_cannot_read_is_no_way_around_it(
    pool: RoutedPool, fields: dict[str, str]
) -> None:
    assert pool.upstream is not None
    before = len(pool.upstream.requests)
    body = json.dumps({"model": MEDIUM, "messages": [user(ATTACK)]}).encode()
    if "content-encoding" in fields:
        body = gzip.compress(body)
    url = f"{pool.envoy.url}/v1/chat/completions"
    async with pool.session.post(url, data=io.BytesIO(body), headers=fields) as response:
        assert response.status == 415
        assert (await response.json())["error"]["type"] == "invalid_request_error"
    assert len(pool.upstream.requests) == before


async def test_what_is_only_observed_is_answered_counted_and_not_kept(observing: RoutedPool) -> None:
    before = await sample(observing, "router_uncached_total", phase="lookup", reason="flagged")
    for _ in range(2):
        async with Counted(observing, "guard", "flagged"):
            answer, request = await observing.sent(ATTACK, token="observed")
        assert request.json()["messages"] == [user(ATTACK)]
        assert not answer.is_hit
        assert not [name for name in OURS if name in answer.headers]
        await until_cached(observing, HARMLESS, "observed")
    assert await sample(observing, "router_guard_total", guard="guard", outcome="blocked") == 0.0
    assert await sample(observing, "router_uncached_total", phase="lookup", reason="flagged") == before + 2


@pytest.mark.parametrize("stream", [True, False])
async def test_with_a_status_of_an_error_openai_s_client_raises_it(erring: RoutedPool, stream: bool) -> None:
    assert erring.upstream is not None
    before = len(erring.upstream.requests)
    async with client_of(erring) as client:
        for text, names in ((ATTACK, OURS[:2]), (PERSONAL, ("x-vsr-pii-violation", "x-vsr-pii-types"))):
            with pytest.raises(openai.PermissionDeniedError) as caught:
                await client.chat.completions.create(
                    model="auto", messages=[{"role": "user", "content": text}], stream=stream
                )
            assert caught.value.code == "content_filter"
            found = caught.value.response.headers
            assert found["x-vsr-response-path"] == "blocked"
            assert found[names[0]] == "true"
            assert found[names[1]] in ("jailbreak", "EMAIL_ADDRESS")
    assert len(erring.upstream.requests) == before


async def test_a_longer_text_than_is_read_is_refused_where_so_configured(erring: RoutedPool) -> None:
    short = "The hens of the farm lay eggs. " * 20
    _, request = await erring.sent(short)
    assert request.json()["messages"] == [user(short)]
    for model in ("auto", MEDIUM):
        answer = await unsent(erring, [user(short * 4)], model=model)
        assert answer.status == 400
        error = json.loads(answer.body)["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "text_too_long")
        assert "hens" not in error["message"]
    earlier = await unsent(erring, [user(short * 4), answered(), user(HARMLESS)])
    assert earlier.status == 400


async def test_an_attack_in_what_was_read_is_the_better_reason(erring: RoutedPool) -> None:
    answer = await unsent(erring, [user(ATTACK + " The hens lay eggs." * 200)])
    assert answer.status == 403
    assert values(answer, "x-vsr-jailbreak-blocked") == ["true"]
