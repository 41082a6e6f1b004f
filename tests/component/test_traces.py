"""One trace per request through a real Envoy, from the caller's to the model's, into a real OTLP receiver;
and what operators are told never holds what clients and models say."""

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from router_extproc.base.completion import Completion, Usage
from router_extproc.llm.render import render_json, render_sse
from router_extproc.telemetry.log import LOGGER, JsonLines
from router_extproc.telemetry.record import DECISIONS, TRACES
from tests.support.collector import Collected, Collector, collector
from tests.support.gateway import Gateway, answered, gateway, question
from tests.support.processes import wait_until
from tests.support.routed import document, outcome, routed
from tests.support.upstream import ScriptedUpstream, sse_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
WORD = "a-word-for-debugging"
KEY = "sk-planted-Kq8vWm2Zt"
PROMPT = "planted-prompt-Xa71"
ANSWER = "planted-answer-Yb82"
EMAIL = "planted.person@example.org"
BAGGAGE = "planted-baggage-Zc93"
SECRETS = (KEY, PROMPT, ANSWER, EMAIL, BAGGAGE, WORD)
SAID = Completion("qwen3-32b", f"It is four. {ANSWER} {EMAIL}", "stop", (), Usage(9, 5))
DEADLINE = 10.0


@dataclass(frozen=True, slots=True)
class Traced:
    gate: Gateway
    collector: Collector

    async def trace(self, trace_id: str, *names: str) -> dict[str, list[Collected]]:
        """The trace once it is there with the spans `names`, beside the request's own."""
        wanted = {"semantic_router.request.received", *names}

        async def arrived() -> bool:
            return wanted <= self.collector.of(trace_id).keys()

        await wait_until(arrived, f"{wanted} of {trace_id}", DEADLINE)
        return self.collector.of(trace_id)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def traced(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Traced]:
    folder = tmp_path_factory.mktemp("traces")
    token = folder / "debug.token"
    token.write_text(WORD)
    token.chmod(0o600)
    async with collector() as receiver:
        tracing = {
            "enabled": True,
            "exporter": {"type": "otlp", "endpoint": f"127.0.0.1:{receiver.port}", "insecure": True},
            "resource": {"service_name": "router-under-test", "deployment_environment": "test"},
        }
        observability = {"tracing": tracing, "debug_token_file": "debug.token"}
        async with gateway(folder, observability=observability) as gate:
            yield Traced(gate, receiver)


async def test_a_request_joins_its_caller_s_trace_and_the_model_is_told(traced: Traced) -> None:
    trace_id, caller = CALLER
    gate = traced.gate
    gate.upstream.script(answered(render_json(SAID, "chatcmpl-up", 1)))
    answer = await gate.ask(
        question("Solve x^2 = 41 for me."),
        traceparent=f"00-{trace_id}-{caller}-01",
        tracestate="vendor=1",
        baggage=f"user={BAGGAGE}",
    )
    assert answer.status == 200
    received = gate.upstream.requests[-1]
    version, joined, span_id, flags = (received.get("traceparent") or "").split("-")
    assert (version, joined, flags) == ("00", trace_id, "01")
    assert received.get("tracestate") == "vendor=1"
    assert received.get("baggage") == f"user={BAGGAGE}"

    spans = await traced.trace(trace_id, "semantic_router.cache.hand_over")
    [request], [upstream] = (
        spans[f"semantic_router.{name}"] for name in ("request.received", "upstream.request")
    )
    assert request.parent == caller
    assert (upstream.span_id, upstream.parent) == (span_id, request.span_id)
    assert request.resource["service.name"] == "router-under-test"
    assert upstream.attributes["gen_ai.request.model"] == "qwen3-32b"
    assert upstream.attributes["gen_ai.response.model"] == "qwen3-32b"
    assert upstream.attributes["gen_ai.usage.input_tokens"] == 9
    assert upstream.attributes["gen_ai.usage.output_tokens"] == 5
    assert upstream.attributes["http.response.status_code"] == 200
    exact, semantic = spans["semantic_router.cache.lookup"]
    assert (exact.attributes["cache.tier"], semantic.attributes["cache.tier"]) == ("exact", "semantic")
    [analysis] = spans["semantic_router.classification"]
    [run] = spans["semantic_router.classification.run"]
    assert run.parent == analysis.span_id
    [decision] = spans["semantic_router.routing.decision"]
    assert decision.attributes["category.name"] == "math"
    everything = [span for each in spans.values() for span in each]
    assert {span.parent for span in everything} <= {caller, request.span_id, analysis.span_id}
    assert all(request.start <= span.start <= span.end <= request.end for span in everything)
    assert len({span.span_id for span in everything}) == len(everything)


async def test_a_hit_is_one_trace_without_a_model(traced: Traced) -> None:
    gate, asked = traced.gate, question("Solve x^2 = 43 for me.")
    gate.upstream.script(answered())
    await gate.ask(asked)
    await gate.hit(asked)
    trace_id = "1" * 32
    answer = await gate.ask(asked, traceparent=f"00-{trace_id}-{'2' * 16}-01")
    assert answer.is_hit
    spans = await traced.trace(trace_id)
    [request] = spans["semantic_router.request.received"]
    assert request.attributes["cache.hit"] is True
    assert request.attributes["cache.key"] == answer.headers["x-vsr-cache-entry"]
    assert "semantic_router.upstream.request" not in spans


async def test_a_caller_who_keeps_no_trace_has_none_kept_and_still_reaches_the_model(traced: Traced) -> None:
    gate = traced.gate
    gate.upstream.script(answered(), answered())
    unsampled, later = "3" * 32, "4" * 32
    asked = question("Solve x^2 = 47 for me.")
    await gate.ask(asked, traceparent=f"00-{unsampled}-{'2' * 16}-00")
    assert (gate.upstream.requests[-1].get("traceparent") or "").startswith(f"00-{unsampled}-")
    assert (gate.upstream.requests[-1].get("traceparent") or "").endswith("-00")
    await gate.ask(question("Solve x^2 = 53 for me."), traceparent=f"00-{later}-{'2' * 16}-01")
    await traced.trace(later)
    assert traced.collector.of(unsampled) == {}


async def test_the_word_has_one_request_shown_and_reaches_no_model(
    traced: Traced, caplog: pytest.LogCaptureFixture
) -> None:
    gate = traced.gate
    gate.upstream.script(answered(), answered(), answered())
    with caplog.at_level(logging.INFO, "router_extproc"):
        await gate.ask(question("Solve x^2 = 59 for me."))
        await gate.ask(question("Solve x^2 = 61 for me."), x_router_debug="a guess")
        shown = "5" * 32
        # Not sampled by its caller, and shown all the same.
        await gate.ask(
            question("Solve x^2 = 67 for me."), x_router_debug=WORD, traceparent=f"00-{shown}-{'2' * 16}-00"
        )
        await traced.trace(shown)
        found = [record for record in caplog.records if record.name == TRACES]
    [line] = [json.loads(JsonLines().format(record)) for record in found]
    assert line["trace_id"] == shown
    assert line["trace"]["outcome"]["model"] == "qwen3-32b"
    assert "semantic_router.classification" in [span["name"] for span in line["spans"]]
    assert all(request.get("x-router-debug") is None for request in gate.upstream.requests)


async def test_nothing_that_is_said_or_secret_is_told_to_operators(
    traced: Traced, caplog: pytest.LogCaptureFixture
) -> None:
    """In a prompt, an answer, a credential, an address, the query, headers and the model's name; at debug."""
    gate = traced.gate
    body = render_json(SAID, "chatcmpl-up", 1)
    stream = render_sse(SAID, "chatcmpl-up", 1, include_usage=True)
    trace_id = "6" * 32
    asked = question(f"Solve x^2 = 71 for {EMAIL}, {PROMPT}.")
    headers = {
        "baggage": f"user={BAGGAGE}",
        "x_session_id": PROMPT,
        "x_request_id": PROMPT,
        "x_router_debug": WORD,
        "traceparent": f"00-{trace_id}-{'2' * 16}-01",
    }
    with caplog.at_level(logging.DEBUG, "router_extproc"):
        gate.upstream.script(answered(body), sse_answer(stream[:60], stream[60:]))
        await gate.ask(asked, KEY, **headers)
        await gate.hit(asked, KEY)
        await gate.ask({**asked, "stream": True, "temperature": 0.9}, KEY, **headers)
        await gate.ask({**asked, "model": f"no-{PROMPT}"}, KEY, **headers)
        await gate.ask({"model": "auto", "messages": PROMPT}, KEY, **headers)
        gate.upstream.script(answered(f"not json {ANSWER}".encode()))
        await gate.ask(question(f"Broken {PROMPT}", seed=1), KEY, **headers)
        await traced.trace(trace_id, "semantic_router.cache.hand_over")
        last = "7" * 32
        await gate.ask({"model": f"no-{PROMPT}"}, KEY, traceparent=f"00-{last}-{'2' * 16}-01")
        await traced.trace(last)
        lines = [JsonLines().format(record) for record in caplog.records]
    said = "\n".join(lines) + traced.collector.raw.decode("utf-8", "replace") + str(await gate.metrics())
    records = await gate.decisions(limit="1000")
    assert last in {record["trace_id"] for record in records}
    said += json.dumps(records)
    assert any(f'"logger": "{DECISIONS}"' in line for line in lines)
    assert any(f'"logger": "{TRACES}"' in line for line in lines)
    assert [secret for secret in SECRETS if secret in said] == []


async def test_every_decision_leaves_one_record(traced: Traced, caplog: pytest.LogCaptureFixture) -> None:
    gate, trace_id = traced.gate, "8" * 32
    gate.upstream.script(answered())
    with caplog.at_level(logging.INFO, "router_extproc"):
        await gate.ask(question("Solve x^2 = 73 for me."), traceparent=f"00-{trace_id}-{'2' * 16}-01")
        await traced.trace(trace_id)
        lines = [json.loads(JsonLines().format(each)) for each in caplog.records if each.name == DECISIONS]
    [record] = [line for line in lines if line["trace_id"] == trace_id]
    assert record["model"] == "qwen3-32b"
    assert record["requested"] == "auto"
    assert record["facts"]["domain"]["math"] > 0.5
    assert record["candidates"][0]["model"] == "qwen3-32b"
    assert record["cache"]["action"] == "queued"
    assert record["tenant"]
    assert record["status"] == 200
    assert record["milliseconds"]["total"] >= record["milliseconds"]["analysis"] > 0
    [shown] = [each for each in await gate.decisions() if each["trace_id"] == trace_id]
    assert {**record, **shown} == {**shown, **record} | {"time": shown["time"]}
    later = await gate.decisions(after=shown["request_id"])
    gate.upstream.script(answered())
    await gate.ask(question("Solve x^2 = 79 for me."))

    async def told() -> bool:
        return len(await gate.decisions(after=shown["request_id"])) == len(later) + 1

    await wait_until(told, "the next decision", DEADLINE)
    assert len(await gate.decisions(limit="1")) == 1


async def test_what_operators_see_changes_without_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The level of the log, and the word."""
    own = logging.getLogger(LOGGER)
    before = own.level
    try:
        async with ScriptedUpstream(otherwise=lambda _: answered()) as upstream:
            content = document({"only": upstream.port}, observability={"decision_log": False})
            async with routed(tmp_path, content) as router:
                await outcome(router, question("Solve x^2 = 79 for me."))
                assert [each for each in caplog.records if each.name in (DECISIONS, TRACES)] == []
                router.rewrite({**content, "observability": {"log_level": "debug"}})

                async def shown() -> bool:
                    await outcome(router, question("Solve x^2 = 83 for me."))
                    return {DECISIONS, TRACES} <= {each.name for each in caplog.records}

                await wait_until(shown, "records and traces in the log", DEADLINE)
                assert own.level == logging.DEBUG
    finally:
        own.setLevel(before)


async def test_another_word_in_the_file_counts_and_the_old_one_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = tmp_path / "debug.token"
    token.write_text("leaked")
    token.chmod(0o600)
    async with ScriptedUpstream(otherwise=lambda _: answered()) as upstream:
        observability = {"debug_token_file": "debug.token"}
        async with routed(tmp_path, document({"only": upstream.port}, observability=observability)) as router:

            async def recorded() -> bool:
                return any(each.name == DECISIONS for each in caplog.records)

            async def is_shown(word: str) -> bool:
                caplog.clear()
                with caplog.at_level(logging.INFO, LOGGER):
                    url = f"{router.envoy.url}/v1/chat/completions"
                    asked = question("Solve x^2 = 89 for me.")
                    async with router.session.post(url, json=asked, headers={"x-router-debug": word}) as said:
                        await said.read()
                    # Both are told when the stream is over, the record first, the trace at once after it.
                    await wait_until(recorded, "the record of the decision", DEADLINE)
                return any(each.name == TRACES for each in caplog.records)

            async def fresh() -> bool:
                return await is_shown("fresh")

            assert await is_shown("leaked")
            token.write_text("fresh")
            await wait_until(fresh, "the new word to count", DEADLINE)
            assert not await is_shown("leaked")
