"""What leads to the page, with a real server on a Unix socket in the page's stead; and the process that is
kept running, with real ones."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from router_extproc.app.page import keep_running
from router_extproc.server.forward import MOST_ANSWERS, Forward
from router_extproc.server.http import STOP_SECONDS, Site, serve_api
from router_extproc.supervisor.keep import MOST_UNANSWERED
from tests.support.processes import free_port, wait_until

HTML = {"accept": "text/html"}
MANY = 6


@dataclass(slots=True)
class Behind:
    """The server behind, and what reached it."""

    requests: list[web.Request] = field(default_factory=list)
    went_away: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    last_sent: float = 0.0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if request.path.endswith("/slow"):
            await self.go.wait()
        headers = {"set-cookie": "router_page=x; HttpOnly"}
        return web.Response(text=request.raw_path, headers=headers)

    async def talk(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if "hang" in request.query:
            await self.go.wait()
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if "deaf" in request.query:
            await self.go.wait()
        while "flood" in request.query:
            await socket.send_str("x" * 100_000)
            self.last_sent = asyncio.get_running_loop().time()
        async for message in socket:
            await socket.send_str(f"heard {message.data}")
        self.went_away.set()
        return socket


@dataclass(frozen=True, slots=True)
class Front:
    url: str
    behind: Behind
    session: aiohttp.ClientSession
    forward: Forward

    @property
    def own(self) -> dict[str, str]:
        return {"origin": self.url}


@asynccontextmanager
async def front(
    folder: Path, *, up: bool = True, most_viewers: int = 2, answer_seconds: float = 20.0
) -> AsyncIterator[Front]:
    async with AsyncExitStack() as stack:
        behind, socket, port = Behind(), folder / "page.sock", free_port()
        if up:
            application = web.Application()
            application.add_routes(
                [web.get("/ui/socket", behind.talk), web.get("/ui/{rest:.*}", behind.answer)]
            )
            runner = web.AppRunner(application, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.UnixSite(runner, str(socket)).start()
        forward = Forward(socket, most_viewers, answer_seconds=answer_seconds)
        stack.push_async_callback(forward.close)
        server = await serve_api(Site("127.0.0.1", port, "listeners.api"), forward.routes)
        stack.push_async_callback(server.stop)
        stack.push_async_callback(forward.dismiss)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        )
        yield Front(f"http://127.0.0.1:{port}", behind, session, forward)


async def test_answers_pass_with_their_cookies_and_may_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    async with (
        front(tmp_path) as given,
        given.session.get(
            URL(given.url + "/ui/a%20b/?x=1%2F2", encoded=True), headers={"cookie": "router_page=y"}
        ) as answer,
    ):
        assert (answer.status, await answer.text()) == (200, "/ui/a%20b/?x=1%2F2")
        assert "router_page=x" in answer.headers["set-cookie"]
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert given.behind.requests[0].cookies["router_page"] == "y"


async def test_a_credential_for_the_api_does_not_reach_the_page(tmp_path: Path) -> None:
    headers = {"authorization": "Bearer word", "x-api-key": "word", "x-forwarded-prefix": "/elsewhere"}
    async with front(tmp_path) as given:
        async with given.session.get(given.url + "/ui/", headers=headers) as answer:
            assert answer.status == 200
        assert not headers.keys() & {name.lower() for name in given.behind.requests[0].headers}


async def test_people_are_led_to_the_page_and_programs_told_what_they_were(tmp_path: Path) -> None:
    async with front(tmp_path) as given:
        for path, headers, status in (("/", HTML, 302), ("/", {}, 404), ("/ui", {}, 302)):
            async with given.session.get(given.url + path, headers=headers, allow_redirects=False) as answer:
                assert answer.status == status
                assert answer.headers.get("location") == ("/ui/" if status == 302 else None)


async def test_a_page_that_is_away_is_told_to_people_and_to_programs(tmp_path: Path) -> None:
    async with front(tmp_path, up=False) as given:
        async with given.session.get(given.url + "/ui/", headers=HTML) as answer:
            assert (answer.status, answer.headers["retry-after"]) == (503, "2")
            assert "The page is starting" in await answer.text()
        async with given.session.get(given.url + "/ui/x.js") as answer:
            assert (answer.status, "<" in await answer.text()) == (503, False)
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await given.session.ws_connect(given.url + "/ui/socket", headers=given.own)


async def test_a_page_that_hangs_is_given_up_and_told_as_such(tmp_path: Path) -> None:
    async with front(tmp_path, answer_seconds=0.2) as given:
        async with given.session.get(given.url + "/ui/slow", headers=HTML) as answer:
            assert answer.status == 504
            assert "The page does not answer" in await answer.text()
        with pytest.raises(aiohttp.WSServerHandshakeError, match="504"):
            await given.session.ws_connect(given.url + "/ui/socket?hang", headers=given.own)
        given.behind.go.set()
        async with given.session.get(given.url + "/ui/slow") as answer:
            assert answer.status == 200


async def test_a_web_socket_passes_both_ways_and_ends_on_both_sides(tmp_path: Path) -> None:
    async with front(tmp_path) as given:
        async with given.session.ws_connect(given.url + "/ui/socket", headers=given.own) as socket:
            await socket.send_str("a")
            assert await socket.receive_str() == "heard a"
        async with asyncio.timeout(20):
            await given.behind.went_away.wait()


@pytest.mark.parametrize("origin", ["", "null", "http://elsewhere.example", "http://127.0.0.1:1"])
async def test_a_page_of_another_origin_gets_no_web_socket(tmp_path: Path, origin: str) -> None:
    headers = {"origin": origin} if origin else {}
    async with front(tmp_path) as given:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await given.session.ws_connect(given.url + "/ui/socket", headers=headers)
        assert given.behind.requests == []


async def test_viewers_are_bounded_and_who_leaves_makes_room(tmp_path: Path) -> None:
    async with front(tmp_path, most_viewers=1) as given:
        address = given.url + "/ui/socket"
        async with given.session.ws_connect(address, headers=given.own):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                await given.session.ws_connect(address, headers=given.own)

        async def there_is_room() -> bool:
            try:
                async with given.session.ws_connect(address, headers=given.own):
                    return True
            except aiohttp.WSServerHandshakeError:
                return False

        await wait_until(there_is_room, "room for another", 20)


async def test_who_comes_to_look_when_it_is_full_is_told_at_once_and_who_looks_keeps_his_scripts(
    tmp_path: Path,
) -> None:
    async with front(tmp_path, most_viewers=1) as given:
        async with given.session.ws_connect(given.url + "/ui/socket", headers=given.own):
            async with given.session.get(given.url + "/ui/", headers=HTML) as answer:
                assert (answer.status, answer.headers["retry-after"]) == (503, "2")
                assert "page.max_viewers" in await answer.text()
            assert await _status(given, "/ui/x.js") == 200

        async def there_is_room() -> bool:
            async with given.session.get(given.url + "/ui/", headers=HTML) as answer:
                return answer.status == 200

        await wait_until(there_is_room, "room for another", 20)


async def test_nothing_is_compressed_in_the_router_s_event_loop(tmp_path: Path) -> None:
    async with (
        front(tmp_path) as given,
        given.session.ws_connect(given.url + "/ui/socket", headers=given.own, compress=15) as socket,
    ):
        assert not socket.compress
        assert "sec-websocket-extensions" not in given.behind.requests[0].headers


@pytest.mark.parametrize("query", ["", "?deaf", "?flood"])
async def test_web_sockets_that_nobody_ends_do_not_hold_up_the_end(tmp_path: Path, query: str) -> None:
    """A page that does not answer would take ten seconds; so would browsers that take nothing of what is
    sent, and one after the other, MANY."""
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as browsers:
        async with front(tmp_path, most_viewers=MANY) as given:
            address = given.url + "/ui/socket" + query
            # Held here: one that nobody refers to is closed.
            held = [
                await browsers.ws_connect(address, headers=given.own, autoclose=False) for _ in range(MANY)
            ]
            behind = given.behind
            if "flood" in query:
                await wait_until(
                    lambda: 0 < behind.last_sent < loop.time() - 0.3, "all buffers to be full", 20
                )
            began = loop.time()
        assert loop.time() - began < STOP_SECONDS
        assert len(held) == MANY


async def test_who_looks_is_told_that_the_page_goes_away_and_nobody_gets_in_again(tmp_path: Path) -> None:
    async with front(tmp_path) as given:
        address = given.url + "/ui/socket"
        async with given.session.ws_connect(address, headers=given.own) as socket, asyncio.timeout(20):
            going = asyncio.create_task(given.forward.dismiss())
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == aiohttp.WSCloseCode.GOING_AWAY
            await going
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await given.session.ws_connect(address, headers=given.own)


async def test_answers_under_way_are_bounded(tmp_path: Path) -> None:
    async with front(tmp_path) as given, asyncio.TaskGroup() as group:
        slow = [group.create_task(_status(given, "/ui/slow")) for _ in range(MOST_ANSWERS)]
        await wait_until(lambda: len(given.behind.requests) == len(slow), "all to be under way", 20)
        async with given.session.get(given.url + "/ui/", headers=HTML) as answer:
            assert (answer.status, "Too many" in await answer.text()) == (503, True)
        given.behind.go.set()
        assert {await task for task in slow} == {200}
        assert await _status(given, "/ui/") == 200


async def _status(given: Front, path: str) -> int:
    async with given.session.get(given.url + path) as answer:
        return answer.status


async def test_a_process_that_ends_is_started_again_after_longer_and_longer_waits(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    code = f"import time; open({str(marks)!r}, 'a').write(f'{{time.time()}}\\n')"
    command = [sys.executable, "-S", "-c", code]
    task = asyncio.create_task(keep_running(command, tmp_path / "out.log", _well, first_wait=0.2))
    await wait_until(lambda: marks.exists() and len(marks.read_text().split()) >= 4, "four starts", 60)
    task.cancel()
    await asyncio.wait({task})
    times = [float(each) for each in marks.read_text().split()]
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert all(gap > wait for gap, wait in zip(gaps, (0.2, 0.4, 0.8), strict=False))


async def test_a_process_that_hangs_is_ended_and_started_again_and_one_that_does_not_is_left(
    tmp_path: Path,
) -> None:
    marks, asked = tmp_path / "marks", 0

    async def answers() -> bool:
        nonlocal asked
        asked += 1
        return asked <= 20 and asked % MOST_UNANSWERED == 0  # never silent for so long, then for good

    code = f"import os, time; open({str(marks)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(600)"
    command = [sys.executable, "-S", "-c", code]
    task = asyncio.create_task(
        keep_running(command, tmp_path / "out.log", answers, first_wait=0.01, between=0.05)
    )
    await wait_until(lambda: marks.exists() and asked >= 20, "twenty questions", 60)
    assert len(marks.read_text().split()) == 1
    await wait_until(lambda: len(marks.read_text().split()) >= 2, "another start", 60)
    assert not Path("/proc", marks.read_text().split()[0]).exists()
    task.cancel()
    await asyncio.wait({task})


async def _well() -> bool:
    return True


async def test_the_process_ends_with_who_keeps_it(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    code = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid()) + ' '); time.sleep(600)"
    task = asyncio.create_task(keep_running([sys.executable, "-S", "-c", code], tmp_path / "out.log", _well))
    await wait_until(lambda: mark.exists() and mark.read_text().endswith(" "), "the start", 60)
    task.cancel()
    await asyncio.wait({task})
    assert not Path("/proc", mark.read_text().strip()).exists()


async def test_a_program_that_is_not_there_does_not_end_the_watch(tmp_path: Path) -> None:
    task = asyncio.create_task(keep_running(["/nowhere/page"], tmp_path / "out.log", _well, first_wait=0.01))
    done, _ = await asyncio.wait({task}, timeout=0.2)
    assert not done
    task.cancel()
    await asyncio.wait({task})
