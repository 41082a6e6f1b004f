"""`router-extproc status` and `top`: against a real router behind a real Envoy, on a real terminal, and
against what may stand in a router's place."""

import asyncio
import io
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from router_extproc.app.screen import spelled
from router_extproc.cli import main
from tests.support.api import running_api
from tests.support.glances import DECISIONS, LEFT_ALONE, NOT_READY, READY, flow, model, overview, record
from tests.support.processes import free_port, wait_until
from tests.support.routed import Routed, document, question, routed
from tests.support.stack import command
from tests.support.terminal import ENTER_SCREEN, HIDE_CURSOR, START_SECONDS, left, on_terminal
from tests.support.tuned import TunedModel
from tests.support.upstream import Answer, Received, ScriptedUpstream, bytes_answer, json_answer

TOKEN = "a-token-for-tests"
WHOLE = 4096
"""Tokens: an answer that is cut off is not kept."""

KEY = "the-key-of-somebody"
ENERGY, TOWER = "What are the main renewable energy sources?", "How tall is the Eiffel Tower?"


@dataclass(frozen=True, slots=True)
class Output:
    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Shell:
    capture: pytest.CaptureFixture[str]

    async def run(self, *words: str) -> Output:
        """The command line blocks, and the server it talks to runs in this loop."""
        code = await asyncio.to_thread(main, words)
        captured = self.capture.readouterr()
        return Output(code, captured.out, captured.err)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.delenv("ROUTER_EXTPROC_TOKEN", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    return Shell(capsys)


def router(
    said: Mapping[str, Any], ready: Mapping[str, Any] = READY, decisions: Answer | None = None
) -> Callable[[Received], Answer]:
    """What a router answers, to holders of TOKEN all of it."""

    def answer(request: Received) -> Answer:
        match request.target.partition("?")[0]:
            case "/api/v1/overview":
                return json_answer(said)
            case "/ready":
                return json_answer(ready, 200 if ready["status"] == "ready" else 503)
            case "/api/v1/decisions":
                held = request.get("authorization") == f"Bearer {TOKEN}"
                refused = {"error": {"code": "UNAUTHORIZED", "message": "no"}}
                return decisions or (json_answer(DECISIONS) if held else json_answer(refused, 401))
            case _:
                return json_answer({"error": {"code": "NOT_FOUND", "message": "no"}}, 404)

    return answer


@asynccontextmanager
async def serving(answer: Callable[[Received], Answer]) -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(otherwise=answer) as server:
        yield server


async def asked(router: Routed, text: str) -> None:
    url, headers = f"{router.envoy.url}/v1/chat/completions", {"authorization": f"Bearer {KEY}"}
    body = question(text, max_tokens=WHOLE)
    async with router.session.post(url, json=body, headers=headers) as response:
        assert response.status == 200
        await response.read()


async def test_the_picture_of_a_real_router(tmp_path: Path, shell: Shell) -> None:
    async with TunedModel("small") as small:
        content = document(
            {"small": small.port},
            decisions=[{"name": "all", "modelRefs": [{"model": "small"}]}],
            semantic_cache={"enabled": True, "backend_type": "memory", "verifier": {"enabled": False}},
            admin={"token_file": "admin-token"},
        )
        async with routed(tmp_path, content) as running:
            config = ("--config", str(running.config))

            async def hit() -> bool:
                # The write is off the client's path: until it is done, the model answers again.
                await asked(running, ENERGY)
                said = json.loads((await shell.run("status", "--json", *config)).out)
                return bool(said["overview"]["cache"]["hits"])

            await wait_until(hit, "a hit in the overview", 30.0)
            seen = [await printed(shell, config), await drawn(running, config)]
    token = (tmp_path / "admin-token").read_text().strip()
    assert not [each for each in (ENERGY, TOWER, KEY, token) if any(each in text for text in seen)]


async def printed(shell: Shell, config: tuple[str, str]) -> str:
    """What `status` and `top --once` say of a router with a hit."""
    status = await shell.run("status", *config)
    assert (status.code, status.err) == (0, "")
    assert ": ready, up " in status.out
    lines = [line.split() for line in status.out.splitlines()]
    assert ["found", "exact"] in [line[:2] for line in lines], status.out
    assert ["small", "up"] in [line[:2] for line in lines], status.out

    document = await shell.run("status", "--json", *config)
    found = json.loads(document.out)
    assert (document.code, found["state"], found["reasons"]) == (0, "ready", [])
    assert found["overview"]["cache"]["hits"].keys() == {"exact"}
    assert found["readiness"]["checks"] == {"envoy": True, "accepting": True}

    page = await shell.run("top", "--once", *config)
    assert (page.code, page.err) == (0, "")
    lines = [line.split() for line in page.out.splitlines()]
    assert ["all", "small"] in [line[1:3] for line in lines], page.out
    assert ["cache", "(exact):", "small"] in [line[3:6] for line in lines], page.out
    assert ["all", "small", "200"] in [line[2:5] for line in lines], page.out
    return status.out + document.out + page.out


async def drawn(running: Routed, config: tuple[str, str]) -> str:
    """What `top` draws, which follows the router's requests."""
    async with on_terminal("top", "--interval", "0.2", *config) as terminal:
        await terminal.shows("cache (exact): small")
        assert terminal.attributes != terminal.before
        assert ENTER_SCREEN in terminal.text
        assert HIDE_CURSOR in terminal.text
        [*_, total] = re.findall(r"(\d+) since the start", terminal.since(0))
        place = len(terminal.written)
        await asked(running, TOWER)
        await terminal.shows(f" {int(total) + 1} since the start", place)
        terminal.press(b"xq")
        assert await terminal.ended() == 0
        await left(terminal)
        return terminal.text


async def test_a_router_that_refuses_its_changed_file_is_asked_all_the_same(
    tmp_path: Path, shell: Shell
) -> None:
    async with TunedModel("small") as small:
        content = document({"small": small.port})
        async with routed(tmp_path, content) as running:
            config = ("--config", str(running.config))
            assert (await shell.run("status", *config)).code == 0
            running.rewrite({**content, "default_model": "no-such-model"})

            async def refused() -> bool:
                return (await shell.run("status", *config)).code != 0

            await wait_until(refused, "the change to be refused", 30.0)
            said = await shell.run("status", *config)
            assert (said.code, said.err) == (1, "")
            assert ": degraded, up " in said.out
            assert "a changed configuration was refused" in said.out
            assert "no-such-model" in said.out
            page = await shell.run("top", "--once", *config)
            assert (page.code, page.err) == (0, "")
            assert "a changed configuration was refused" in page.out


async def test_a_router_without_its_envoy_is_not_ready(tmp_path: Path, shell: Shell) -> None:
    async with running_api(tmp_path) as api:
        said = await shell.run("status", "--api", api.url)
    assert (said.code, said.err) == (1, "")
    assert ": not ready, up " in said.out
    assert "envoy: no request through Envoy reaches this router" in said.out


async def test_ctrl_c_leaves_the_terminal_as_it_was() -> None:
    async with serving(router(overview())) as server, on_terminal("top", "--api", server.url) as terminal:
        await terminal.shows("they need the token")
        terminal.press(b"\x03")
        assert await terminal.ended() == 130
        await left(terminal)


async def test_a_signal_leaves_the_terminal_as_it_was() -> None:
    async with serving(router(overview())) as server, on_terminal("top", "--api", server.url) as terminal:
        await terminal.shows("qwen3-32b")
        terminal.process.send_signal(signal.SIGTERM)
        assert await terminal.ended() == 128 + signal.SIGTERM
        await left(terminal)


async def test_ctrl_z_gives_the_terminal_back_until_the_process_goes_on() -> None:
    async with serving(router(overview())) as server, on_terminal("top", "--api", server.url) as terminal:
        await terminal.shows("qwen3-32b")
        terminal.press(b"\x1a")
        await wait_until(lambda: stopped(terminal.process.pid), "the process to stop", START_SECONDS)
        await left(terminal)
        place = len(terminal.written)
        terminal.process.send_signal(signal.SIGCONT)
        await terminal.shows("qwen3-32b", place)
        terminal.press(b"q")
        assert await terminal.ended() == 0
        await left(terminal)


def stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def test_a_terminal_that_changes_its_size_gets_another_picture() -> None:
    slowly = ("top", "--interval", "3600")
    async with (
        serving(router(overview())) as server,
        on_terminal(*slowly, "--api", server.url, columns=110, lines=40) as terminal,
    ):
        await terminal.shows("router (refused)")
        place = len(terminal.written)
        terminal.resize(90, 22)
        await terminal.shows("MODEL (+1)", place)
        terminal.press(b"q")
        assert await terminal.ended() == 0
        await left(terminal)


async def test_a_router_that_goes_away_and_comes_back() -> None:
    broken = asyncio.Event()
    whole = router(overview())

    def sometimes(request: Received) -> Answer:
        return Answer(status=0) if broken.is_set() else whole(request)

    async with (
        serving(sometimes) as server,
        on_terminal("top", "--interval", "0.2", "--api", server.url) as terminal,
    ):
        await terminal.shows(": ready, ")
        broken.set()
        place = len(terminal.written)
        await terminal.shows(": no answer, ", place)
        await terminal.shows("qwen3-32b", place)
        broken.clear()
        place = len(terminal.written)
        await terminal.shows(": ready, ", place)
        terminal.press(b"q")
        assert await terminal.ended() == 0
        await left(terminal)


async def test_top_outlives_the_router_that_it_watches(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        router_ends = AsyncExitStack()
        stack.push_async_callback(router_ends.aclose)
        api = await router_ends.enter_async_context(running_api(tmp_path))
        terminal = await stack.enter_async_context(on_terminal("top", "--interval", "0.2", "--api", api.url))
        await terminal.shows(": not ready, ")
        await router_ends.aclose()
        await terminal.shows(": no answer, ")
        await terminal.shows("nothing answers there")
        terminal.press(b"q")
        assert await terminal.ended() == 0
        await left(terminal)


async def test_names_from_the_network_command_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\u202e"
    monkeypatch.setenv("ROUTER_EXTPROC_TOKEN", TOKEN)
    said = overview(
        models=[model(evil, False, 0, 1)], flows=[flow(evil, evil, evil, "model", 1)], refusals={evil: 1}
    )
    line = record(evil * 2, category=evil, decision=evil, model=evil, answered_by="model", rejected=evil)
    decisions = json_answer({"decisions": [line]})
    async with (
        serving(router(said, decisions=decisions)) as server,
        on_terminal("top", "--api", server.url, columns=250) as terminal,
    ):
        await terminal.shows(r"\x1b]0;owned\x07")
        terminal.press(b"q")
        assert await terminal.ended() == 0
        await left(terminal)
    assert not [each for each in ("\x1b]", "\x07", "\x1b[2J", "\u202e") if each in terminal.text]


async def test_a_dumb_terminal_gets_pages_of_plain_text_and_q_quits() -> None:
    async with (
        serving(router(overview())) as server,
        on_terminal(
            "top", "--interval", "0.2", "--api", server.url, environment={"TERM": "dumb"}
        ) as terminal,
    ):
        await wait_until(lambda: terminal.text.count(": ready, ") >= 3, "three pages", START_SECONDS)
        assert "\x1b" not in terminal.text
        terminal.press(b"q")
        assert await terminal.ended() == 0
        assert terminal.attributes == terminal.before


async def test_what_is_piped_is_plain_text_until_nobody_reads_it() -> None:
    async with serving(router(overview())) as server:
        process = await asyncio.create_subprocess_exec(
            *command("top", "--interval", "0.1", "--api", server.url),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONIOENCODING": "ascii", "FORCE_COLOR": "1"},
        )
        assert process.stdout is not None
        assert process.stderr is not None
        text = ""
        async with asyncio.timeout(START_SECONDS):
            while text.count(": ready, ") < 3:
                text += (await process.stdout.readline()).decode("ascii")
        assert "\x1b" not in text
        process.stdout._transport.close()  # type: ignore[attr-defined]
        async with asyncio.timeout(START_SECONDS):
            assert await process.wait() == 1
        assert (await process.stderr.read()).decode() == ""


LEGACY = (
    {"LC_ALL": "C", "PYTHONUTF8": "0"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
)
LONG = "a-name-that-is-longer-than-any-column-" * 3 + "\N{SNOWMAN}"


@pytest.mark.parametrize("environment", LEGACY)
async def test_a_terminal_without_unicode_gets_what_it_can_show(environment: Mapping[str, str]) -> None:
    said = overview(models=[model("\N{SNOWMAN}", True, 0, 1), model(LONG, True, 0, 1)], refusals={LONG: 1})
    async with serving(router(said)) as server:
        place = ("--api", server.url)
        async with on_terminal("status", *place, columns=70, environment=environment) as terminal:
            assert await terminal.ended() == 0, terminal.text
            await terminal.shows(r"\u2603")
            await terminal.shows("a-name-that-is-longer-")
        assert terminal.written.isascii()
        async with on_terminal("top", *place, columns=70, environment=environment) as terminal:
            await terminal.shows("a-name-that-is-longer-")
            await terminal.shows("? ")
            terminal.press(b"q")
            assert await terminal.ended() == 0, terminal.text
            await left(terminal)
        assert terminal.written.isascii()
        assert r"\u" not in terminal.text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gb2312", "utf-8"])
def test_every_encoding_takes_every_character(encoding: str) -> None:
    def written(*, in_place: bool) -> str:
        stream = io.TextIOWrapper(io.BytesIO(), encoding)
        spelled(stream, in_place=in_place).write("a\N{SNOWMAN}\uac00\N{HORIZONTAL ELLIPSIS}")
        stream.flush()
        assert isinstance(stream.buffer, io.BytesIO)
        return stream.buffer.getvalue().decode(encoding).replace("\N{HORIZONTAL ELLIPSIS}", ".")

    unicode = "a\N{SNOWMAN}\uac00."
    assert written(in_place=False) == (unicode if encoding == "utf-8" else r"a\u2603\uac00.")
    assert written(in_place=True) == (unicode if encoding == "utf-8" else "a???.")


async def test_decisions_are_for_holders_of_the_token(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(router(overview())) as server:
        words = ("top", "--once", "--api", server.url)
        assert "no decisions to see: they need the token" in (await shell.run(*words)).out
        assert not any("decisions" in request.target for request in server.requests)
        monkeypatch.setenv("ROUTER_EXTPROC_TOKEN", "another")
        assert "no decisions to see: the router refuses this token" in (await shell.run(*words)).out
        monkeypatch.setenv("ROUTER_EXTPROC_TOKEN", "not one word")
        assert "is not one word" in (await shell.run(*words)).out
        monkeypatch.setenv("ROUTER_EXTPROC_TOKEN", TOKEN)
        assert "403 jailbreak" in (await shell.run(*words)).out
        # Whoever needs no token sends none.
        server.requests.clear()
        await shell.run("status", "--api", server.url)
        assert all(request.get("authorization") is None for request in server.requests)


async def test_status_tells_the_exit_codes_apart(shell: Shell) -> None:
    async with serving(router(overview())) as server:
        assert (await shell.run("status", "--api", f"{server.url}/")).code == 0
    async with serving(router(overview(models=LEFT_ALONE))) as server:
        said = await shell.run("status", "--json", "--api", server.url)
        assert (said.code, json.loads(said.out)["state"]) == (1, "degraded")
        assert json.loads(said.out)["reasons"] == ["left alone after failures: qwen3-8b"]
    async with serving(router(overview(), NOT_READY)) as server:
        assert (await shell.run("status", "--api", server.url)).code == 1
        said = await shell.run("status", "--json", "--api", server.url)
        assert (said.code, json.loads(said.out)["state"]) == (1, "not ready")
        assert (await shell.run("top", "--once", "--api", server.url)).code == 0


@pytest.mark.parametrize("words", [["status"], ["status", "--json"], ["top"], ["top", "--once"]])
async def test_where_nothing_answers_one_line_says_so(words: list[str], shell: Shell) -> None:
    said = await shell.run(*words, "--api", f"http://127.0.0.1:{free_port()}")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "nothing answers there" in said.err
    assert "--api" in said.err


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (bytes_answer(b"<html>", 200), "something that is not this router"),
        (json_answer({"error": {"code": "NOT_FOUND", "message": "no"}}, 404), "/api/v1/overview"),
        (
            json_answer({"error": {"code": "INTERNAL_ERROR", "message": "a \x1b[1m bug"}}, 500),
            r"a \x1b[1m bug",
        ),
        (json_answer({"requests": 3}), "own version"),
        (json_answer({}, 302, [("location", "http://127.0.0.1:1/")]), "status 302"),
        (Answer(status=0), "broke off"),
    ],
)
async def test_what_stands_in_a_routers_place_is_named(answer: Answer, word: str, shell: Shell) -> None:
    async with serving(lambda request: answer) as server:
        for command_ in ("status", "top"):
            said = await shell.run(command_, "--api", server.url)
            assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
            assert word in said.err
            assert "\x1b" not in said.err


async def test_a_router_that_does_not_answer_is_not_waited_for_long(shell: Shell) -> None:
    never = asyncio.Event()
    hanging = Answer(200, [("content-type", "application/json")], [b"{", never])
    async with serving(lambda request: hanging) as server:
        async with asyncio.timeout(60):
            said = await shell.run("status", "--api", server.url)
    assert (said.code, said.err.count("\n"), "no answer in time" in said.err) == (2, 1, True)


async def test_a_configuration_that_cannot_be_read_is_not_needed(tmp_path: Path, shell: Shell) -> None:
    config = tmp_path / "router.yaml"
    config.write_text("listeners: [")
    said = await shell.run("status", "--config", str(config))
    assert (said.code, said.err.count("\n"), "--api" in said.err) == (2, 1, True)
    async with serving(router(overview())) as server:
        assert (await shell.run("status", "--config", str(config), "--api", server.url)).code == 0


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf", "4000"])
async def test_an_interval_that_makes_no_sense_is_refused(interval: str, shell: Shell) -> None:
    said = await shell.run("top", "--interval", interval)
    assert (said.code, said.err.count("\n"), "--interval" in said.err) == (2, 1, True)
