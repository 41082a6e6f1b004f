"""What operators and users take back, through the running router: real encoder, real Envoy, HTTP API, command
line."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from router_extproc.base.completion import Completion
from router_extproc.llm.render import render_json
from tests.support.gateway import JSON, Gateway, answered, gateway, question
from tests.support.stack import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path_factory.mktemp("operations")) as opened:
        yield opened


async def call(gate: Gateway, method: str, path: str, document: object = None) -> Any:
    """One call of the API with the token that the router wrote when it started."""
    folder = gate.configuration.path.parent
    token = await asyncio.to_thread((folder / "admin-token").read_text)
    port = gate.configuration.settings.listeners.api.port
    async with gate.session.request(
        method,
        f"http://127.0.0.1:{port}/api/v1/response-cache/{path}",
        json=document,
        headers={"authorization": f"Bearer {token.strip()}"},
    ) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def stored(gate: Gateway, text: str, token: str = "k1") -> str:
    """The id of the entry that now answers `text`."""
    gate.upstream.discard()
    gate.upstream.script(answered())
    await gate.ask(question(text), token)
    return (await gate.hit(question(text), token)).headers["x-vsr-cache-entry"]


async def is_answered_afresh(gate: Gateway, text: str, token: str = "k1") -> bool:
    gate.upstream.discard()
    gate.upstream.script(answered())
    answer = await gate.ask(question(text), token)
    assert answer.status == 200
    return not answer.is_hit


QUESTION = "How do I reset my password on the website?"
PARAPHRASE = "How can I reset my password on the website?"


async def test_a_hit_that_a_user_calls_wrong_is_gone_and_does_not_come_back_for_that_question(
    gate: Gateway,
) -> None:
    entry = await stored(gate, QUESTION)
    hit = await gate.hit(question(PARAPHRASE))
    assert hit.headers["x-vsr-cache-entry"] == entry
    assert 0.85 < float(hit.headers["x-vsr-cache-similarity"]) < 1
    wrong = {"entry": entry, "question": hit.headers["x-vsr-cache-question"]}
    await call(gate, "POST", "feedback", wrong)
    assert await is_answered_afresh(gate, QUESTION)
    again = await gate.hit(question(QUESTION))  # stored anew: it answers its own question
    assert again.headers["x-vsr-cache-entry"] == entry
    other = Completion("qwen3-32b", "Another answer.", "stop")
    gate.upstream.script(answered(render_json(other, "chatcmpl-up", 1)))
    fresh = await gate.ask(question(PARAPHRASE))  # and not the one it was wrong for
    assert not fresh.is_hit


@pytest.mark.parametrize("kind", ["entry", "tenant", "model", "category", "all"])
async def test_what_is_invalidated_answers_no_more_and_the_rest_still_does(gate: Gateway, kind: str) -> None:
    text, other = f"Solve x^2 = {len(kind)}0001.", f"Who won the {len(kind)}0th war of Rome?"
    entry = await stored(gate, text)
    kept = await stored(gate, other, "k2")
    if kind == "all":
        selector, covers_both = {"all": True}, True
    else:
        trait = "id" if kind == "entry" else kind
        ours = (await call(gate, "GET", f"entries/{entry}"))[trait]
        theirs = (await call(gate, "GET", f"entries/{kept}"))[trait]
        selector, covers_both = {kind: ours}, ours == theirs
    await call(gate, "POST", "invalidate", selector)
    assert await is_answered_afresh(gate, text)
    assert await is_answered_afresh(gate, other, "k2") is covers_both


async def test_the_command_line_sees_and_flushes_the_running_cache(gate: Gateway, tmp_path: Path) -> None:
    await stored(gate, "Solve x^2 = 60001.")
    stats = json.loads(await run(gate, "stats", "--json"))
    assert "hits" in json.dumps(stats)
    file = tmp_path / "entries.jsonl"
    await run(gate, "export", str(file))
    assert JSON.decode() not in await asyncio.to_thread(file.read_text)  # entries, not raw answers
    assert "Solve x^2 = 60001." in await asyncio.to_thread(file.read_text)
    await run(gate, "flush")
    assert await is_answered_afresh(gate, "Solve x^2 = 60001.")


async def run(gate: Gateway, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router_extproc", "cache", *arguments),
        *("--config", str(gate.configuration.path)),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()
