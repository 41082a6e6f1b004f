"""`router-extproc cache` against a real HTTP API, and against what may stand in its place."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from router_extproc.base.refusals import Failure
from router_extproc.caching.marks import Kind, Selector
from router_extproc.cli import main
from router_extproc.ports import PortError
from tests.support.cache_api import TOKEN, Cache, serving
from tests.support.entries import NOW, an_entry, new_partition
from tests.support.stack import write_configuration
from tests.support.upstream import Answer, Received, ScriptedUpstream, json_answer


@dataclass(frozen=True, slots=True)
class Output:
    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Shell:
    """Commands with a configuration of their own, whose token is TOKEN."""

    config: Path
    capture: pytest.CaptureFixture[str]
    ports: dict[str, int]

    async def cache(self, action: str, *words: str) -> Output:
        """The command line blocks, and the server it talks to runs in this loop."""
        arguments = ["cache", action, "--config", str(self.config), *words]
        code = await asyncio.to_thread(main, arguments)
        captured = self.capture.readouterr()
        return Output(code, captured.out, captured.err)


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.delenv("ROUTER_EXTPROC_TOKEN", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    config = write_configuration(
        tmp_path, semantic_cache={"backend_type": "memory", "backend_config_path": None}
    )
    token = tmp_path / "admin-token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    document: dict[str, Any] = yaml.safe_load(config.read_text())
    ports = {name: address["port"] for name, address in document["listeners"].items()}
    return Shell(config, capsys, ports)


@pytest.fixture
async def cache(shell: Shell) -> AsyncIterator[Cache]:
    cache = Cache()
    async with serving(cache, shell.ports["api"]):
        yield cache


async def test_stats(shell: Shell, cache: Cache) -> None:
    await cache.store.put(an_entry(new_partition()))
    shown = await shell.cache("stats")
    assert shown.code == 0
    assert ["memory", "1", "1000"] in [line.split()[:3] for line in shown.out.splitlines()]
    assert ["misses", "4"] in [line.split() for line in shown.out.splitlines()]
    assert json.loads((await shell.cache("stats", "--json")).out)["tiers"][0]["entries"] == 1


async def test_list_and_show(shell: Shell, cache: Cache) -> None:
    entry = an_entry(
        new_partition(), "a \x1b[31mred\x1b[0m question\nin two lines", content="one\n\ttwo\x07", category=""
    )
    await cache.store.put(entry)
    await cache.store.put(an_entry(new_partition(), tenant="t2"))
    listed = await shell.cache("list", "--tenant", "tenant")
    assert listed.out.splitlines()[1].split()[:4] == [entry.id, "tenant", "qwen3-8b", "-"]
    assert len(listed.out.splitlines()) == 2
    texts = await shell.cache("list", "--category", "", "--text")
    assert r"a \x1b[31mred\x1b[0m question\nin two lines" in texts.out
    assert "more than these 1" in (await shell.cache("list", "--limit", "1")).out
    assert "no live entry" in (await shell.cache("list", "--model", "other")).out
    shown = await shell.cache("show", entry.id)
    assert "question\nin two lines" in shown.out
    assert "one\n\ttwo\\x07" in shown.out
    assert "\x1b" not in shown.out
    assert json.loads((await shell.cache("show", entry.id, "--json")).out)["text"] == entry.text


async def test_an_unknown_entry(shell: Shell, cache: Cache) -> None:
    for entry in ("0" * 32, "zz"):
        shown = await shell.cache("show", entry)
        assert (shown.code, shown.err.count("\n"), "no live entry" in shown.err) == (1, 1, True)
    assert "x-vsr-cache-entry" in (await shell.cache("show", "../stats")).err


async def test_invalidate_flush_and_feedback(shell: Shell, cache: Cache) -> None:
    entry = an_entry(new_partition())
    await cache.store.put(entry)
    tried = await shell.cache("invalidate", "--category", "history", "--dry-run")
    assert (tried.out, cache.marked) == ("category 'history': 1 entries; nothing was changed\n", [])
    assert (await shell.cache("invalidate", "--category", "history")).code == 0
    assert (await shell.cache("invalidate", "--all")).code == 0
    assert "everything" in (await shell.cache("flush")).out
    said = await shell.cache("feedback", entry.id, "f" * 32)
    assert "will not answer this question again" in said.out
    assert cache.marked[:3] == [Selector(Kind.CATEGORY, "history"), Selector(Kind.ALL), Selector(Kind.ALL)]
    assert [selector.kind for selector in cache.marked[3:]] == [Kind.ENTRY, Kind.PAIR]
    wrong = await shell.cache("feedback", "x", "y")
    assert (wrong.code, "32 hexadecimal digits" in wrong.err) == (1, True)


async def test_export_and_import(shell: Shell, cache: Cache, tmp_path: Path) -> None:
    for number in range(3):
        await cache.store.put(an_entry(new_partition(), f"{number}", tenant=f"t{number}"))
    file = tmp_path / "cache.jsonl"
    file.write_text("what was there before")
    file.chmod(0o644)
    exported = await shell.cache("export", str(file))
    assert (exported.code, exported.out.split()[1]) == (0, "3")
    assert file.stat().st_mode & 0o777 == 0o600
    assert len((await shell.cache("export", "-", "--tenant", "t1")).out.splitlines()) == 1
    await cache.store.close()
    imported = await shell.cache("import", str(file))
    assert (imported.code, imported.out) == (0, f"{file}: 3 imported\n")
    assert "0 imported, 3 there already" in (await shell.cache("import", str(file))).out
    with file.open("ab") as more:
        more.write(b'rubbish\n{"version": "\x1b"}\n')
    refused = await shell.cache("import", str(file))
    assert refused.code == 1
    assert [line.split(":")[1] for line in refused.err.splitlines()] == ["4", "5"]
    assert "\x1b" not in refused.err


async def test_an_export_that_breaks_off_leaves_the_file_alone(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "cache.jsonl"
    file.write_text("what was there before")
    cache = Cache(breaks_after=2)
    for number in range(4):
        await cache.store.put(an_entry(new_partition(), f"{number}"))
    async with serving(cache, shell.ports["api"]):
        exported = await shell.cache("export", str(file))
    assert (exported.code, exported.err.count("\n")) == (1, 1)
    assert file.read_text() == "what was there before"
    assert [path.name for path in tmp_path.iterdir() if "cache.jsonl" in path.name] == ["cache.jsonl"]


async def test_an_export_goes_to_files_only(shell: Shell, cache: Cache, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe", tmp_path / "none" / "file"):
        exported = await shell.cache("export", str(place))
        assert (exported.code, str(place) in exported.err) == (1, True)
    assert (tmp_path / "pipe").is_fifo()


async def test_a_router_that_is_not_there(shell: Shell) -> None:
    said = await shell.cache("stats")
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert f":{shell.ports['api']}" in said.err
    assert "`make up`" in said.err


async def test_a_token_that_is_another(shell: Shell, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_EXTPROC_TOKEN", "not-this-one")
    for words in (["stats"], ["export", "-"], ["import", str(shell.config)]):
        said = await shell.cache(*words)
        assert (said.code, said.err.count("\n")) == (1, 1)
        assert "refuses the token of ROUTER_EXTPROC_TOKEN" in said.err
        assert "not-this-one" not in said.err
    monkeypatch.setenv("ROUTER_EXTPROC_TOKEN", TOKEN)
    assert (await shell.cache("stats")).code == 0
    monkeypatch.setenv("ROUTER_EXTPROC_TOKEN", "two words")
    assert "one word" in (await shell.cache("stats")).err


async def test_a_token_that_is_not_there(shell: Shell, cache: Cache) -> None:
    token = shell.config.parent / "admin-token"
    token.chmod(0o644)
    assert "chmod 600" in (await shell.cache("stats")).err
    token.unlink()
    assert "there is no admin token" in (await shell.cache("stats")).err
    shell.config.write_text(shell.config.read_text().replace("token_file: admin-token", "token_file: null"))
    assert "admin.token_file" in (await shell.cache("stats")).err


async def test_a_store_that_fails(shell: Shell) -> None:
    cache = Cache(trouble=PortError(Failure.UNAVAILABLE, "milvus:19530 refuses connections"))
    async with serving(cache, shell.ports["api"]):
        said = await shell.cache("flush")
    assert (said.code, "milvus:19530 refuses connections (status 503)" in said.err) == (1, True)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (json_answer({"error": {"message": "GET: Not Found"}}, 404), "has no calls for its cache"),
        (Answer(200, [("content-type", "text/html")], [b"<html>"]), "not this router"),
        (Answer(200, [], [b"[" * 100_000]), "not this router"),
        (Answer(302, [("location", "http://example.com/")], [b"{}"]), "status 302"),
        (Answer(0), "broke off"),
    ],
)
async def test_something_else_that_answers(shell: Shell, answer: Answer, said: str) -> None:
    async with ScriptedUpstream(otherwise=lambda request: answer) as other:
        document = yaml.safe_load(shell.config.read_text())
        document["listeners"]["api"]["port"] = other.port
        shell.config.write_text(yaml.safe_dump(document))
        shown = await shell.cache("stats")
    assert (shown.code, shown.err.count("\n"), said in shown.err) == (1, 1, True), shown.err


def completion(request: Received) -> Answer:
    """An Envoy whose cache has whatever begins with `known`; it fails at `failing`."""
    text = request.json()["messages"][-1]["content"]
    if text.startswith("failing"):
        return json_answer({"error": {}}, 503)
    hit = [("x-vsr-cache-hit", "true")] if text.startswith("known") else []
    return json_answer({"choices": []}, 200, hit)


async def with_envoy(shell: Shell, envoy: ScriptedUpstream) -> None:
    document = yaml.safe_load(shell.config.read_text())
    document["listeners"]["envoy"]["port"] = envoy.port
    shell.config.write_text(yaml.safe_dump(document))


async def test_warm(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_KEY", "sk-team")
    full = b'{"messages": [{"role": "user", "content": "known 2"}],  "model":"qwen3-8b", "temperature": 0.20}'
    rows = [
        b'{"prompt": "known 1", "temperature": 0.5}',
        full,
        b"",
        b'{"prompt": "new"}',
        b'{"prompt": "failing secret"}',
        b'{"prompt": 5}',
        b'{"prompt": "x", "messages": []}',
        b"{secret",
        b"[]",
        b'{"prompt": "\xff"}',
    ]
    file = tmp_path / "warm.jsonl"
    file.write_bytes(b"\n".join(rows))
    async with ScriptedUpstream(otherwise=completion) as envoy:
        await with_envoy(shell, envoy)
        said = await shell.cache("warm", str(file), "--api-key-env", "TEAM_KEY", "--concurrency", "2")
    assert said.code == 1
    assert said.out == f"{file}: 9 rows: 2 already cached, 1 answered by a model, 6 failed\n"
    assert sorted(int(line.split(":")[1]) for line in said.err.splitlines()) == [5, 6, 7, 8, 9, 10]
    assert "secret" not in said.err
    bodies = [request.body for request in envoy.requests]
    assert full in bodies
    assert {"model": "auto", "temperature": 0.5, "messages": [{"role": "user", "content": "known 1"}]} in [
        json.loads(body) for body in bodies
    ]
    assert {request.get("authorization") for request in envoy.requests} == {"Bearer sk-team"}
    assert {request.target for request in envoy.requests} == {"/v1/chat/completions"}


async def test_warm_keeps_to_its_concurrency(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    file = tmp_path / "warm.jsonl"
    file.write_text("".join(f'{{"prompt": "{number}"}}\n' for number in range(20)))
    gate = asyncio.Event()

    def held(request: Received) -> Answer:
        return Answer(200, [], [b"{", gate, b"}"])

    async with ScriptedUpstream(otherwise=held) as envoy:
        await with_envoy(shell, envoy)
        running = asyncio.create_task(shell.cache("warm", str(file), "--concurrency", "3"))
        await envoy.received(3)
        assert len(envoy.requests) == 3
        gate.set()
        said = await running
    assert (said.code, len(envoy.requests)) == (0, 20)


async def test_warm_without_envoy_a_key_or_rows(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "warm.jsonl"
    file.write_text('{"prompt": "a"}\n' * 50)
    assert "OPENAI_API_KEY" in (await shell.cache("warm", str(file))).err
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    said = await shell.cache("warm", str(file))
    assert (said.code, said.err.count("\n"), "listeners.envoy" in said.err) == (1, 1, True)
    assert "--concurrency" in (await shell.cache("warm", str(file), "--concurrency", "0")).err
    file.write_text("\n\n")
    assert "no row" in (await shell.cache("warm", str(file))).err
    assert "cannot be read" in (await shell.cache("warm", str(tmp_path / "none"))).err


async def test_a_stale_answer_is_a_failure_of_the_model(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    file = tmp_path / "warm.jsonl"
    file.write_text('{"prompt": "a"}')
    async with ScriptedUpstream(json_answer({}, 200, [("x-vsr-cache-hit", "stale")])) as envoy:
        await with_envoy(shell, envoy)
        said = await shell.cache("warm", str(file))
    assert (said.code, "the model failed" in said.err) == (1, True)


async def test_no_word_of_other_replicas_without_a_shared_store(shell: Shell) -> None:
    async with serving(Cache(shared=False), shell.ports["api"]):
        assert "replicas" not in (await shell.cache("flush")).out
        document = yaml.safe_load(shell.config.read_text())
        document["semantic_cache"] |= {"backend_type": "hybrid", "backend_config_path": "cache/milvus.yaml"}
        shell.config.write_text(yaml.safe_dump(document))
        assert "other replicas follow" in (await shell.cache("flush")).out


async def test_an_entry_asked_after_the_flush_lives(shell: Shell, cache: Cache) -> None:
    entry = an_entry(new_partition())
    await cache.store.put(entry)
    await shell.cache("flush")
    await cache.store.put(replace(entry, created_at=NOW + 2.0))
    assert entry.id in (await shell.cache("list")).out
