"""The page's process killed, hung, too large, switched off, not installed: what people are told, and that the
router does not notice. The real router and the real process, without a browser and without an Envoy."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from router_extproc.server.http import STOP_SECONDS
from tests.support.api import RunningApi, running_api
from tests.support.processes import children, wait_until
from tests.support.stack import run_to_end, write_configuration

MODULE = "router_extproc.page"
SOCKET = "/ui/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
PLANTED = "planted-secret-of-the-router"
HTML = {"accept": "text/html"}
SECONDS = 60.0
"""For a start: these tests may have a small share of a processor."""

MOST_BYTES = 250 * 1024**2
"""Of memory; the documentation says about 100 MB."""


@asynccontextmanager
async def page_up(folder: Path) -> AsyncIterator[tuple[RunningApi, int]]:
    """A router whose page answers, and the process of that."""
    async with running_api(folder, page={"enabled": True}) as api:
        await wait_until(lambda: _status(api, "/ui/", 200), "the page", SECONDS)
        [pid] = children(MODULE)
        yield api, pid


async def _status(api: RunningApi, path: str, wanted: int) -> bool:
    async with api.session.get(api.url + path) as answer:
        return answer.status == wanted


async def test_a_killed_page_is_started_again_and_the_router_answers_meanwhile(tmp_path: Path) -> None:
    async with page_up(tmp_path) as (api, pid):
        os.kill(pid, signal.SIGKILL)
        await wait_until(lambda: pid not in children(MODULE), "the page's end", SECONDS)
        async with api.session.get(api.url + "/ui/", headers=HTML) as answer:
            assert (answer.status, "The page is starting" in await answer.text()) == (503, True)
        assert await _status(api, "/health", 200)
        await wait_until(lambda: _status(api, "/ui/", 200), "the page to be back", SECONDS)
        assert pid not in children(MODULE)


async def test_a_hung_page_is_a_504_within_its_deadline_and_the_router_answers(tmp_path: Path) -> None:
    async with page_up(tmp_path) as (api, pid):
        os.kill(pid, signal.SIGSTOP)
        try:
            async with api.session.get(api.url + "/ui/", headers=HTML) as answer:
                assert (answer.status, "The page does not answer" in await answer.text()) == (504, True)
            assert await _status(api, "/health", 200)
        finally:
            os.kill(pid, signal.SIGCONT)
        await wait_until(lambda: _status(api, "/ui/", 200), "the page to go on", SECONDS)
        assert children(MODULE) == [pid]


async def test_the_page_s_process_is_small_polite_and_has_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVIDER_KEY", PLANTED)
    async with page_up(tmp_path) as (api, pid):
        process = Path("/proc", str(pid))
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        assert int(status["VmHWM"].split()[0]) * 1024 < MOST_BYTES
        assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)
        assert "Max data size             2147483648" in (process / "limits").read_text()
        assert api.token
        assert api.token.encode() not in (process / "cmdline").read_bytes()
        held = (process / "environ").read_bytes()
        assert b"PATH=" in held
        assert api.token.encode() not in held
        assert PLANTED.encode() not in held
    assert children(MODULE) == []


async def test_a_browser_that_looks_does_not_delay_the_router_s_end(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as browser:
        async with page_up(tmp_path) as (api, _):
            # As the library's script does, which answers a closing web socket as this client does.
            socket = await browser.ws_connect(f"{api.url}{SOCKET}", headers={"origin": api.url})
            reading = asyncio.create_task(_until_closed(socket))
            began = loop.time()
        await reading
        assert socket.close_code == aiohttp.WSCloseCode.GOING_AWAY
        assert loop.time() - began < STOP_SECONDS


async def _until_closed(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


async def test_a_router_without_the_page_names_the_setting(tmp_path: Path) -> None:
    async with running_api(tmp_path, page={}) as api:
        for path in ("/ui", "/ui/", "/ui/cache"):
            status, said = await api.call("GET", path)
            assert (status, said["error"]["code"]) == (404, "NOT_FOUND")
            assert "page.enabled" in said["error"]["message"]
        assert (await api.call("GET", "/"))[0] == 404
        assert children(MODULE) == []


async def test_a_router_without_the_library_says_at_its_start_how_to_get_it(tmp_path: Path) -> None:
    # What Python finds in `sys.modules` as None is not there for it.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['nicegui'] = None\n")
    path = write_configuration(tmp_path, page={"enabled": True})
    code, _, said = await run_to_end(
        "serve", "--config", str(path), deadline=120.0, environment={"PYTHONPATH": str(tmp_path)}
    )
    assert code == 1
    assert "page.enabled: needs NiceGUI" in said
    assert "pip install 'router-extproc[page]'" in said
    assert "Traceback" not in said


async def test_nobody_but_who_has_the_token_gets_what_others_wrote(tmp_path: Path) -> None:
    """The page's own answers, without a browser: they hold no token, and no view of what needs one."""
    async with page_up(tmp_path) as (api, _), aiohttp.ClientSession() as stranger:
        for view in ("requests", "playground", "cache", "configuration"):
            async with stranger.get(f"{api.url}/ui/{view}") as answer:
                text = await answer.text()
                assert (answer.status, "Sign in" in text, api.token in text) == (200, True, False)
                assert "Decisions" not in text
                assert "Take everything back" not in text


async def test_without_a_token_nobody_is_asked_for_one_and_the_api_still_refuses(tmp_path: Path) -> None:
    async with running_api(tmp_path, page={"enabled": True}, admin={"token_file": None}) as api:
        await wait_until(lambda: _status(api, "/ui/", 200), "the page", SECONDS)
        for view, sign in (("playground", "No answer yet"), ("cache", "Find by meaning")):
            async with api.session.get(f"{api.url}/ui/{view}") as answer:
                text = await answer.text()
                assert (sign in text, "Sign in" in text) == (True, False)
        status, said = await api.call("GET", "/api/v1/response-cache/entries")
        assert (status, said["error"]["code"]) == (403, "TOKEN_NOT_CONFIGURED")
