"""What an operator relies on when the cache is on: real encoder, real Envoy, scripted upstream."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from router_extproc.base.completion import Completion
from router_extproc.llm.render import render_json, render_sse
from tests.support.gateway import COMPLETION, JSON, SSE, Gateway, answered, gateway, question
from tests.support.processes import wait_until
from tests.support.stack import Answer
from tests.support.upstream import HANG_UP, json_answer, sse_answer
from tests.support.upstream import Answer as UpstreamAnswer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path_factory.mktemp("cache"), coalesce_timeout_ms=2900) as opened:
        yield opened


def content(answer: Answer) -> str:
    """The text of an answer in either form."""
    if answer.headers["content-type"].startswith("application/json"):
        text = json.loads(answer.body)["choices"][0]["message"]["content"]
        assert isinstance(text, str)
        return text
    chunks = [json.loads(line[6:]) for line in answer.body.split(b"\n") if line.startswith(b"data: {")]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])


async def fill(gate: Gateway, document: dict[str, Any], answer: UpstreamAnswer | None = None) -> Answer:
    """Ask once, so that the answer is stored; and once more until it is found."""
    gate.upstream.script(answer or answered())
    first = await gate.ask(document)
    assert (first.status, first.is_hit) == (200, False)
    return await gate.hit(document)


@pytest.mark.parametrize("leader", ["json", "sse"])
async def test_a_hundred_identical_requests_at_once_reach_the_upstream_once(
    gate: Gateway, leader: str
) -> None:
    text = f"Solve x^2 = 10001 for many, with a {leader} leader."
    held, before = asyncio.Event(), len(gate.upstream.requests)
    stream = leader == "sse"
    fields = [("content-type", "text/event-stream" if stream else "application/json")]
    body = SSE if stream else JSON
    gate.upstream.script(UpstreamAnswer(200, fields, [body[:40], held, body[40:]]))
    first = asyncio.create_task(gate.ask(question(text, stream=stream)))
    await gate.upstream.received(before + 1)
    others = [asyncio.create_task(gate.ask(question(text, stream=each % 2 == 0))) for each in range(99)]
    port = gate.configuration.settings.listeners.metrics.port

    async def all_wait() -> bool:
        async with gate.session.get(f"http://127.0.0.1:{port}/metrics") as response:
            return "router_streams 100.0" in await response.text()

    await wait_until(all_wait, "a hundred open streams", 20.0)
    held.set()
    answers = [await first, *await asyncio.gather(*others)]
    assert len(gate.upstream.requests) == before + 1
    assert [answer.is_hit for answer in answers] == [False, *[True] * 99]
    assert {content(answer) for answer in answers} == {COMPLETION.content}
    forms = [answer.headers["content-type"] for answer in answers[1:]]
    assert forms == ["text/event-stream", "application/json"] * 49 + ["text/event-stream"]


async def test_the_leader_s_failure_frees_those_who_wait(gate: Gateway) -> None:
    text = "Solve x^2 = 10003 with a leader that fails."
    held, before = asyncio.Event(), len(gate.upstream.requests)
    failing = UpstreamAnswer(200, [("content-type", "text/event-stream")], [SSE[:40], held])
    gate.upstream.script(failing, answered(), answered())
    first = asyncio.create_task(gate.ask(question(text, stream=True)))
    await gate.upstream.received(before + 1)
    others = [asyncio.create_task(gate.ask(question(text))) for _ in range(2)]
    held.set()
    await first
    for answer in await asyncio.gather(*others):
        assert (answer.status, content(answer)) == (200, COMPLETION.content)
    gate.upstream.discard()  # the second may have come late enough to wait for the first


async def test_who_waited_long_enough_goes_on_alone(tmp_path: Path) -> None:
    async with gateway(tmp_path, coalesce_timeout_ms=100) as gate:
        held = asyncio.Event()
        slow = UpstreamAnswer(200, [("content-type", "application/json")], [JSON[:9], held, JSON[9:]])
        gate.upstream.script(slow, answered())
        first = asyncio.create_task(gate.ask(question("Solve x^2 = 10005 slowly.")))
        await gate.upstream.received(1)
        second = await gate.ask(question("Solve x^2 = 10005 slowly."))
        assert (second.status, second.is_hit) == (200, False)
        held.set()
        assert (await first).status == 200
        waited = 'llm_response_cache_singleflight_waiters_total{backend="memory",outcome="timeout"}'
        assert (await gate.metrics())[waited] == 1.0


TEXTS = {
    "white space": "  leading\n\n\n\ttabs and trailing  \n",
    "code fence": "```python\ndef f(x):\n    return x  # two  spaces\n```\n",
    "table": "| a | b |\n|---|---|\n| 1 |   |\n",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301 \u200b",
    "cjk": "你好，世界。こんにちは 안녕하세요",  # noqa: RUF001
    "escapes": 'quote " backslash \\ slash / null \u0000 del \u007f sep \u2028',
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("streamed", [True, False])
async def test_an_answer_comes_back_byte_for_byte_in_the_other_form(
    gate: Gateway, name: str, streamed: bool
) -> None:
    completion = Completion("qwen3-32b", TEXTS[name], "stop")
    # A number of its own makes each case a question of its own: the guard compares numbers.
    text = f"Solve x^2 = {20_000 + 2 * list(TEXTS).index(name) + streamed}."
    if streamed:
        body = render_sse(completion, "chatcmpl-up", 1, include_usage=False)
        cuts = [body[i : i + 7] for i in range(0, len(body), 7)]
        hit = await fill(gate, question(text, stream=True), sse_answer(*cuts))
    else:
        hit = await fill(gate, question(text), answered(render_json(completion, "chatcmpl-up", 1)))
    assert content(hit) == TEXTS[name]
    other = await gate.ask(question(text, stream=not streamed))
    assert other.is_hit
    assert content(other) == TEXTS[name]


async def test_a_hit_says_which_entry_answered_and_how_old_it_is(gate: Gateway) -> None:
    hit = await fill(gate, question("Solve x^2 = 10009."))
    assert hit.headers["x-vsr-response-path"] == "cache"
    assert int(hit.headers["age"]) >= 0
    assert hit.headers["x-vsr-cache-entry"] == hit.headers["x-vsr-cache-question"]
    assert len(hit.headers["x-vsr-cache-entry"]) == 32
    assert "x-vsr-cache-similarity" not in hit.headers


@pytest.mark.parametrize("directive", ["no-cache", "bypass", "no-store, no-cache", "max-age=0", "gibberish"])
async def test_a_client_can_ask_for_a_fresh_answer(gate: Gateway, directive: str) -> None:
    text = f"Solve x^2 = {sum(directive.encode())}."
    await fill(gate, question(text))
    before = len(gate.upstream.requests)
    gate.upstream.script(answered())
    # An entry's age counts from when it was asked for, so that none is as young as 0 seconds.
    fresh = await gate.ask(question(text), x_vsr_cache_control=directive)
    assert (fresh.status, fresh.is_hit) == (200, False)
    request = (await gate.upstream.received(before + 1))[before]
    assert request.get("x-vsr-cache-control") is None


async def test_what_a_client_does_not_want_stored_is_not(gate: Gateway) -> None:
    for _ in range(2):
        gate.upstream.script(answered())
        answer = await gate.ask(question("Solve x^2 = 10013."), x_vsr_cache_control="no-store")
        assert (answer.status, answer.is_hit) == (200, False)


@pytest.mark.parametrize(
    "answer", [json_answer({"error": "x"}, status=500), HANG_UP], ids=["500", "no answer"]
)
async def test_an_expired_answer_stands_in_for_a_failing_model(
    tmp_path: Path, answer: UpstreamAnswer
) -> None:
    async with gateway(tmp_path, ttl_seconds=1, stale_if_error_seconds=600) as gate:
        document = question("Solve x^2 = 10015.")
        await fill(gate, document)

        async def stale() -> Answer | None:
            gate.upstream.discard()
            gate.upstream.script(answer, answer)  # Envoy may try a connection that broke once more
            found = await gate.ask(document)
            return found if found.headers.get("x-vsr-cache-hit") == "stale" else None

        found = await wait_until(stale, "a stale answer", 10.0)
        assert found is not None
        assert (found.status, content(found)) == (200, COMPLETION.content)
        assert int(found.headers["age"]) >= 1
        streamed = {**document, "stream": True}
        gate.upstream.discard()
        gate.upstream.script(json_answer({"error": "x"}, status=503))
        assert content(await gate.ask(streamed)) == COMPLETION.content
        # Another tenant has nothing to fall back on.
        gate.upstream.script(json_answer({"error": "x"}, status=503))
        assert (await gate.ask(document, token="k2")).status == 503


async def test_a_share_of_the_hits_is_checked_against_the_model(tmp_path: Path) -> None:
    async with gateway(tmp_path, verification={"share": 1.0}) as gate:
        await fill(gate, question("How do I reset my password on the website?"))
        paraphrase = question("How can I reset my password on the website?")
        other = Completion("qwen3-32b", "The capital of France is Paris.", "stop")
        gate.upstream.script(answered(render_json(other, "chatcmpl-up", 1)))
        answer = await gate.ask(paraphrase)
        assert (answer.is_hit, content(answer)) == (False, other.content)

        async def counted() -> bool:
            return (await gate.metrics()).get('cache_verified_total{outcome="different"}') == 1.0

        await wait_until(counted, "the comparison", 5.0)


HELD = "How do I reset my password on the website?"
LOOKALIKE = "Where is the password on my website reset?"
REFUSED = 'router_cache_guard_refusals_total{difference="verifier"}'


async def test_the_verifier_lets_a_paraphrase_hit_and_holds_a_lookalike_back(gate: Gateway) -> None:
    """What the guard finds nothing decisive in, so that nobody else tells them apart."""
    await fill(gate, question(HELD))
    paraphrase = await gate.ask(question("What is the way to reset my password on the website?"))
    assert paraphrase.is_hit
    assert float(paraphrase.headers["x-vsr-cache-similarity"]) >= 0.75
    before = (await gate.metrics()).get(REFUSED, 0.0)
    gate.upstream.script(answered())
    lookalike = await gate.ask(question(LOOKALIKE))
    assert (lookalike.status, lookalike.is_hit) == (200, False)
    assert (await gate.metrics())[REFUSED] > before
    assert (await gate.metrics())['llm_classifier_latency_seconds_count{classifier="verifier"}'] >= 2


async def test_without_the_verifier_the_guard_decides_alone(tmp_path: Path) -> None:
    async with gateway(tmp_path, verifier={"enabled": False}) as gate:
        await fill(gate, question(HELD))
        assert (await gate.ask(question("How can I reset my password on the website?"))).is_hit
        gate.upstream.script(answered())
        assert not (await gate.ask(question(LOOKALIKE))).is_hit
        assert (await gate.metrics())['llm_classifier_latency_seconds_count{classifier="category"}'] >= 2
        assert REFUSED not in await gate.metrics()


@pytest.mark.parametrize(
    ("scope", "token", "headers"),
    [
        ("header:x-tenant", "k1", {}),
        ("header:x-tenant", "k1", {"x_tenant": " "}),
        ("credential", "", {}),
    ],
)
async def test_without_the_identity_that_the_scope_wants_the_cache_is_not_used(
    tmp_path: Path, scope: str, token: str, headers: dict[str, str]
) -> None:
    async with gateway(tmp_path, scope=scope) as gate:
        for _ in range(2):
            gate.upstream.script(answered())
            answer = await gate.ask(question("Solve x^2 = 10017."), token, **headers)
            assert (answer.status, answer.is_hit) == (200, False)
        refused = 'router_uncached_total{phase="lookup",reason="no_identity"}'
        assert (await gate.metrics())[refused] == 2.0


async def test_a_trusted_header_parts_tenants_that_share_a_credential(tmp_path: Path) -> None:
    async with gateway(tmp_path, scope="header:x-tenant") as gate:
        document = question("Solve x^2 = 10019.")
        gate.upstream.script(answered(), answered())
        await gate.ask(document, x_tenant="a")

        async def hit() -> bool:
            return (await gate.ask(document, "another key", x_tenant="a")).is_hit

        await wait_until(hit, "a hit of the same tenant", 5.0)
        gate.upstream.script(answered())
        assert not (await gate.ask(document, x_tenant="b")).is_hit


async def test_one_tenant_neither_reads_nor_poisons_the_answers_of_another(gate: Gateway) -> None:
    """Whatever the stranger sends: the same words, the other's names of entry and model, an answer made up by
    an upstream. Either would see a difference if there were one: in the answer or in its fields."""
    text = "Solve x^2 = 10037."
    own = await fill(gate, question(text))
    forged = {"x_vsr_cache_entry": own.headers["x-vsr-cache-entry"], "x_vsr_cache_hit": "true"}
    made_up = render_json(Completion("qwen3-32b", "made up", "stop"), "chatcmpl-up", 1)
    gate.upstream.script(answered(made_up))
    stranger = await gate.ask(question(text), "a stranger's key", **forged, openai_organization="k1")
    assert (stranger.status, content(stranger)) == (200, "made up")
    assert not {name.lower() for name in stranger.headers} & {"x-vsr-cache-hit", "x-vsr-cache-entry", "age"}
    again = await gate.hit(question(text))
    assert content(again) == content(own) != "made up"
    assert again.headers["x-vsr-cache-entry"] == own.headers["x-vsr-cache-entry"]
