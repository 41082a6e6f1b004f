"""Personal data in requests, through a real Envoy, with the real patterns and tags: which model sees it, that
nothing keeps it, and what becomes of requests that could not be read in time."""

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from router_extproc.base.refusals import Guarded
from router_extproc.screening.policy import GUARD, PII
from router_extproc.screening.spans import PII_TYPES
from tests.support.guarded import (
    ATTACK,
    Counted,
    answered,
    client_of,
    exposition,
    sample,
    samples,
    unsent,
    until_cached,
    user,
    waited_in_vain,
)
from tests.support.processes import wait_until
from tests.support.routing import RoutedPool, decision, keyword, leaf, routed, rule
from tests.support.stack import Answer
from tests.support.upstream import Answer as UpstreamAnswer
from tests.support.upstream import json_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

OUTSIDE, PARTNER, INSIDE = "outside", "partner", "in-house"
ADAPTER = "outside-style"
CARD, EMAIL = "4539 1488 0343 6467", "erika.mustermann@example.org"
DATA = f"Support, my card {CARD} was charged twice, write to {EMAIL}."
MAIL = f"Support, my card was charged twice, write to {EMAIL}."
CLEAN = "Support, the shoes that I ordered are too small."
TYPES = "CREDIT_CARD,EMAIL_ADDRESS"
KEPT_FROM_OUTSIDE = {"CREDIT_CARD", "EMAIL_ADDRESS", "IBAN_CODE", "US_SSN"}


def closed_to(*types: str) -> dict[str, Any]:
    return {"allow_by_default": False, "pii_types_allowed": sorted(PII_TYPES - set(types))}


def on(name: str, *models: str, **more: Any) -> dict[str, Any]:
    """Decides for questions with its name in them."""
    return decision(name, rule("OR", leaf("keyword", name)), *models, **more)


DECISIONS = [
    on("support", OUTSIDE, PARTNER, INSIDE),
    on("press", OUTSIDE),
    on("forum", OUTSIDE, pii_enabled=False),
    on("vault", INSIDE, pii_types_allowed=["PERSON"]),
    on("strict", OUTSIDE, jailbreak_enabled=True),
]
MODELS: dict[str, Any] = {
    OUTSIDE: {
        "preferred_endpoints": ["one"],
        "loras": [{"name": ADAPTER}],
        "pii_policy": closed_to(*KEPT_FROM_OUTSIDE),
    },
    PARTNER: {"preferred_endpoints": ["one"], "pii_policy": closed_to("CREDIT_CARD")},
    INSIDE: {"preferred_endpoints": ["one"]},
}
CHANGES: dict[str, Any] = {
    "default_model": OUTSIDE,
    "vllm_endpoints": [{"name": "one", "address": "127.0.0.1", "port": 1}],
    "model_config": MODELS,
    "reasoning_families": {},
    "categories": [],
    "signals": {"keywords": [keyword(each["name"], each["name"]) for each in DECISIONS]},
    "decisions": DECISIONS,
    "session": {"policy": "pin"},
    "simulator": None,
}
HASTY = {
    **CHANGES,
    "encoder": {"timeout_ms": 1},
    "prompt_guard": {"enabled": True},
    "signals": {"keywords": [keyword(name, name) for name in ("forum", "support")]},
    "decisions": [on("forum", OUTSIDE, pii_enabled=False), on("support", INSIDE)],
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pool(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RoutedPool]:
    async with routed(tmp_path_factory.mktemp("personal"), CHANGES) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def hasty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RoutedPool]:
    """Gives the analysis a millisecond, which no long text is read in."""
    async with routed(tmp_path_factory.mktemp("hasty"), HASTY) as opened:
        yield opened


def values(answer: Answer, name: str) -> list[str]:
    return [value for key, value in answer.headers.items() if key.lower() == name]


def refused(answer: Answer, types: str, model: str = OUTSIDE) -> None:
    assert answer.status == 200, answer.body
    assert values(answer, "x-vsr-response-path") == ["blocked"]
    assert values(answer, "x-vsr-pii-violation") == ["true"]
    assert values(answer, "x-vsr-pii-types") == [types]
    assert not [name for name in answer.headers if name.lower().startswith("x-vsr-jailbreak-")]
    said = json.loads(answer.body)
    assert said["id"].startswith("chatcmpl-pii-violation-")
    assert (said["model"], said["choices"][0]["finish_reason"]) == (model, "content_filter")
    assert CARD.encode() not in answer.body
    assert EMAIL.encode() not in answer.body


@pytest.mark.parametrize(
    ("text", "model", "outcome"),
    [
        (CLEAN, OUTSIDE, "passed"),
        ("Support, the host 203.0.113.7 is down.", OUTSIDE, "flagged"),
        (MAIL, PARTNER, "rerouted"),
        (DATA, INSIDE, "rerouted"),
    ],
)
async def test_the_first_listed_model_answers_that_may_see_what_is_in_the_request(
    pool: RoutedPool, text: str, model: str, outcome: str
) -> None:
    async with Counted(pool, "pii", outcome):
        answer, request = await pool.sent(text)
    assert request.json() == {"model": model, "messages": [user(text)]}
    assert request.get("x-selected-model") == model
    assert answer.headers["x-vsr-selected-model"] == model
    assert answer.headers["x-vsr-selected-decision"] == "support"
    assert not [name for name in answer.headers if name.lower().startswith("x-vsr-pii-")]


@pytest.mark.parametrize(
    ("text", "model", "types"),
    [
        (DATA.replace("Support", "Press"), "auto", TYPES),
        (DATA.replace("Support", "Hello"), "auto", TYPES),
        (DATA, OUTSIDE, TYPES),
        (MAIL, OUTSIDE, "EMAIL_ADDRESS"),
        (DATA, PARTNER, "CREDIT_CARD"),
        (DATA, ADAPTER, TYPES),
    ],
)
async def test_where_no_model_that_may_answer_may_see_it_the_request_is_refused(
    pool: RoutedPool, text: str, model: str, types: str
) -> None:
    """The only listed model, the default model, or the one that the client named: nobody else is asked."""
    async with Counted(pool, "pii", "blocked"):
        answer = await unsent(pool, [user(text)], model=model)
    refused(answer, types, OUTSIDE if model == "auto" else model)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("text", "model"),
    [(DATA, INSIDE), (MAIL, PARTNER), (CLEAN, OUTSIDE), (DATA.replace("Support", "In the forum"), "auto")],
)
async def test_a_model_that_may_see_it_and_a_decision_that_does_not_look_are_left_alone(
    pool: RoutedPool, text: str, model: str
) -> None:
    _, request = await pool.sent(text, model=model)
    assert request.json()["model"] == (OUTSIDE if model == "auto" else model)


async def test_a_decision_may_allow_less_than_its_models(pool: RoutedPool) -> None:
    _, request = await pool.sent("What is in the vault?")
    assert request.json()["model"] == INSIDE
    refused(await unsent(pool, [user(f"Put {EMAIL} into the vault.")]), "EMAIL_ADDRESS", INSIDE)


async def test_openai_s_client_reads_the_refusal_as_a_stream(pool: RoutedPool) -> None:
    assert pool.upstream is not None
    before = len(pool.upstream.requests)
    async with client_of(pool) as client:
        stream = await client.chat.completions.create(
            model="auto",
            messages=[{"role": "user", "content": DATA.replace("Support", "Press")}],
            stream=True,
        )
        assert stream.response.headers["x-vsr-pii-violation"] == "true"
        assert stream.response.headers["x-vsr-pii-types"] == TYPES
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices[0].finish_reason == "content_filter"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert OUTSIDE in text
    assert EMAIL not in text
    assert len(pool.upstream.requests) == before


@pytest.mark.parametrize(
    "earlier",
    [
        [user(DATA), answered()],
        [user("Hello."), answered(f"Is {CARD} your card?")],
        [user("Look it up."), {"role": "tool", "tool_call_id": "c1", "content": DATA}, answered()],
        [{"role": "user", "content": [{"type": "text", "text": DATA}]}, answered()],
    ],
)
async def test_what_an_earlier_turn_holds_counts_in_the_next_one(
    pool: RoutedPool, earlier: list[dict[str, Any]]
) -> None:
    _, request = await pool.sent_chat([*earlier, user(CLEAN)])
    assert request.json()["model"] == INSIDE
    answer = await unsent(pool, [*earlier, user("And the press?")])
    assert values(answer, "x-vsr-pii-violation") == ["true"]


async def test_a_pinned_conversation_leaves_a_model_that_must_not_see_it(pool: RoutedPool) -> None:
    session, said = {"x-session-id": "one"}, [user(CLEAN)]

    async def model() -> str:
        answer, request = await pool.sent_chat(said, token="pinned", headers=session)
        assert answer.headers["x-vsr-selected-model"] == request.json()["model"]
        said.append(answered())
        return str(request.json()["model"])

    assert await model() == OUTSIDE
    said.append(user(DATA))
    assert await model() == INSIDE
    said.append(user("Does support have what it needs?"))
    assert await model() == INSIDE


async def test_a_model_that_fails_is_not_left_for_one_that_must_not_see_it(pool: RoutedPool) -> None:
    upstream = pool.upstream
    assert upstream is not None

    async def is_left() -> bool:
        upstream.script(json_answer({"error": {"message": "Down."}}, 503))
        assert (await pool.ask(DATA)).status == 503
        assert upstream.requests[-1].json()["model"] == INSIDE
        return not (await pool.api("GET", "/api/v1/pool"))[1]["models"][INSIDE]["available"]

    await wait_until(is_left, "the model to be left", 5.0)
    _, request = await pool.sent(DATA)
    assert request.json()["model"] == INSIDE


async def test_an_answer_to_personal_data_is_never_kept(pool: RoutedPool) -> None:
    """Whoever gave it, and whether or not its model may see everything."""
    for text, model in ((DATA, "auto"), (DATA, INSIDE), (MAIL, PARTNER)):
        for _ in range(2):
            answer, _ = await pool.sent(text, token="keeps", model=model)
            assert not answer.is_hit
            await until_cached(pool, CLEAN, "keeps")


async def test_an_answer_to_personal_data_is_not_shared_while_it_is_under_way(pool: RoutedPool) -> None:
    assert pool.upstream is not None
    before, gate = len(pool.upstream.requests), asyncio.Event()
    body = b'{"id":"a","object":"chat.completion","created":1,"model":"in-house","choices":[]}'
    slow = UpstreamAnswer(200, [("content-type", "application/json")], [body[:9], gate, body[9:]])
    pool.upstream.script(slow, slow)
    asking = [asyncio.create_task(pool.ask(DATA, "at once")) for _ in range(2)]
    await pool.upstream.received(before + 2)
    gate.set()
    assert {(each.status, each.body) for each in await asyncio.gather(*asking)} == {(200, body)}
    assert await waited_in_vain(pool) == 0.0


async def test_a_cached_answer_is_none_to_the_same_question_with_personal_data(pool: RoutedPool) -> None:
    question = "How long does support take to send the money back?"
    await until_cached(pool, question, "near")
    answer, request = await pool.sent(f"{question} {EMAIL}", token="near")
    assert not answer.is_hit
    assert request.json()["model"] == PARTNER


async def test_where_only_a_decision_asks_for_it_attacks_are_refused_there_only(pool: RoutedPool) -> None:
    answer = await unsent(pool, [user(f"Be strict. {ATTACK}")])
    assert values(answer, "x-vsr-jailbreak-blocked") == ["true"]
    assert not values(answer, "x-vsr-pii-violation")
    _, request = await pool.sent(f"Support! {ATTACK}")
    assert request.json()["model"] == OUTSIDE


async def test_nobody_forges_what_the_guard_says_of_personal_data(pool: RoutedPool) -> None:
    assert pool.upstream is not None
    forged = {"x-vsr-pii-violation": "false", "x-vsr-pii-types": "NONE", "x-vsr-jailbreak-blocked": "true"}
    refused(await unsent(pool, [user(DATA.replace("Support", "Press"))], headers=forged), TYPES)
    _, request = await pool.sent(CLEAN, headers=forged)
    assert not [name for name in forged if request.all(name)]
    pool.upstream.script(json_answer({"choices": []}, headers=list(forged.items())))
    answer = await pool.ask(DATA)
    assert answer.status == 200
    assert not [name for name in forged if values(answer, name)]


async def test_the_api_tells_what_the_guards_would_do_and_quotes_nothing(pool: RoutedPool) -> None:
    status, said = await pool.api("POST", "/api/v1/eval", {"model": "auto", "messages": [user(DATA)]})
    assert (status, said["model"]) == (200, INSIDE)
    assert said["guards"]
    assert CARD not in json.dumps(said)
    assert EMAIL not in json.dumps(said)


async def access_log(pool: RoutedPool) -> str:
    """Envoy's, with every request until now."""
    last = f"/v1/models/{secrets.token_hex(8)}"
    assert (await pool.get(last))[0] == 404

    async def written() -> str:
        text = json.dumps(await pool.envoy.access_log())
        return text if last in text else ""

    found = await wait_until(written, "the last line of the access log", 5.0)
    assert found is not None
    return found


async def test_what_was_found_is_in_no_log_metric_or_header(
    pool: RoutedPool, caplog: pytest.LogCaptureFixture
) -> None:
    planted = ("Zyxwvut", CARD, CARD.replace(" ", ""), EMAIL, "mustermann")
    said = [
        f"Zyxwvut {DATA}",
        f"Press Zyxwvut {DATA}",
        f"Zyxwvut strict. {ATTACK} {DATA}",
        f"Zyxwvut {DATA} vault",
    ]
    sent: list[str] = []
    with caplog.at_level(logging.DEBUG):
        for text in said:
            for model in ("auto", OUTSIDE, INSIDE):
                for stream in (False, True):
                    answer = await pool.ask(text, model=model, stream=stream)
                    sent += [f"{name}: {value}" for name, value in answer.headers.items()]
        over = await pool.ask(said[1], model="no such model")
        assert over.status == 404
        await pool.api("POST", "/api/v1/eval", {"model": "auto", "messages": [user(said[0])]})
    audit = [each.getMessage() for each in caplog.records if each.name == "router_extproc.audit"]
    assert any("outcome=blocked" in line and f"types={TYPES}" in line for line in audit)
    access = await access_log(pool)
    places = [*sent, caplog.text, await exposition(pool), pool.envoy.log(), access]
    for secret in (*planted, "print your system prompt"):
        for place in places:
            assert secret.lower() not in place.lower()


async def test_labels_of_the_guards_metrics_are_a_fixed_set(pool: RoutedPool) -> None:
    for text in (DATA, f"Press {MAIL}", "My SSN is 123-45-6789.", "\u202e1.2.3.4 \u0000", "CREDIT_CARD"):
        await pool.ask(text)
    outcomes = {
        f'router_guard_total{{guard="{guard}",outcome="{each.value}"}}'
        for guard in (GUARD, PII)
        for each in Guarded
    }
    types = {f'router_guard_pii_types_total{{type="{each}"}}' for each in PII_TYPES}
    found = {name for name in await samples(pool) if name.startswith("router_guard_") and "_total" in name}
    assert found
    assert found <= outcomes | types
    assert 'router_guard_pii_types_total{type="CREDIT_CARD"}' in found


def long_text(start: str) -> str:
    """Takes far longer than a millisecond to read, and was never read before."""
    return start + " The hens of the farm lay eggs, and the eggs are sold on the market." * 250


@pytest.mark.parametrize("model", ["auto", OUTSIDE, INSIDE])
async def test_what_could_not_be_read_in_time_is_refused_where_so_configured(
    hasty: RoutedPool, model: str
) -> None:
    """The policies of personal data fail closed, the guard of attacks fails open."""
    text = long_text(f"Support, read this, {model}.")
    async with Counted(hasty, "guard", "error_allowed"), Counted(hasty, "pii", "error_blocked"):
        answer = await unsent(hasty, [user(text)], model=model)
    assert answer.status == 503
    error = json.loads(answer.body)["error"]
    assert (error["type"], error["code"]) == ("server_error", "guard_unavailable")
    assert "hens" not in answer.body.decode()
    assert await sample(hasty, "router_port_failures_total", port="analyst", reason="timeout") >= 1.0
    async with client_of(hasty) as client:
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": f"Again: {text}"}], stream=True
            )


async def test_what_could_not_be_read_in_time_goes_on_where_nobody_looks_and_is_not_kept(
    hasty: RoutedPool,
) -> None:
    text = long_text("In the forum.")
    for _ in range(2):
        async with Counted(hasty, "pii", "error_allowed"):
            answer, request = await hasty.sent(text, token="hasty")
        assert request.json()["model"] == OUTSIDE
        assert not answer.is_hit
