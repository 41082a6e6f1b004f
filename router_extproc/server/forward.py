"""The page, which another process serves, under `/ui/` of the HTTP API's own port.

Passes bytes on and knows nothing of what they say. Bounded in connections, bytes and time, so that neither
the page nor who looks at it takes anything from requests; where the page is away, it says so and stays up.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web
from yarl import URL

from router_extproc.server.absence import BUSY, FULL, HUNG, PREFIX, STARTING, told

log = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 10.0
"""Until the page begins to answer: it draws a view in a fraction of one."""

COPY_SECONDS: Final = 60.0
"""For the whole of an answer; a browser may be far away."""

CONNECT_SECONDS: Final = 2.0
SEND_SECONDS: Final = 10.0
"""Whoever takes nothing for this long is taken for gone."""

LEAVE_SECONDS: Final = 1.0
"""For a web socket to be ended as it should; then it is ended anyway."""

HEARTBEAT_SECONDS: Final = 25.0
MOST_ANSWERS: Final = 32
"""Under way at once, beside the web sockets."""

ANSWER_BYTES: Final = 16 * 1024 * 1024
MESSAGE_BYTES: Final = 1024 * 1024
PASSED_ON: Final = (
    "accept", "accept-encoding", "accept-language", "cookie", "host", "if-modified-since", "if-none-match",
    "user-agent",
)  # fmt: skip
"""Fields of a request that the page gets to see. A credential for the API is none of them."""

NOT_PASSED_BACK: Final = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "server",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
)
"""Nothing is loaded from elsewhere, whatever an answer or a configuration has in it. The library writes its
first scripts into the page and compiles its templates in the browser, hence the two exceptions."""


class Forward:
    """To the page's process, which listens on the Unix socket `socket`. At most `most_viewers` browsers have
    a web socket at once. After `answer_seconds` without a first byte the page is taken for hung. Made inside
    the event loop that uses it."""

    def __init__(self, socket: Path, most_viewers: int, *, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._most_viewers = most_viewers
        self._answer_seconds = answer_seconds
        self._viewers: dict[web.WebSocketResponse, web.Request] = {}
        self._leaving = False
        self._answers = 0
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(socket), limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    @property
    def routes(self) -> Sequence[web.RouteDef]:
        return (
            web.get("/", _home),
            web.get(PREFIX, _home),
            web.get(PREFIX + "/{rest:.*}", self._answer),
        )

    async def answers(self) -> bool:
        """Whether the page says anything at all: that it knows no such path is enough."""
        try:
            async with asyncio.timeout(self._answer_seconds), self._session.get("http://page/"):
                return True
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def dismiss(self) -> None:
        """Every web socket ends, all at once within LEAVE_SECONDS, and no other begins. To be called before
        the server with these routes stops: it would wait for them, and whatever stops after it, too."""
        self._leaving = True
        prepared = [each for each in self._viewers.items() if each[0].prepared]
        await asyncio.gather(*(_goodbye(viewer, request) for viewer, request in prepared))

    async def close(self) -> None:
        """After `dismiss`, which it does too, what leads to the page is closed."""
        await self.dismiss()
        await self._session.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if "upgrade" in request.headers.get("connection", "").lower():
            return await self._talk(request)
        if self._is_full() and "text/html" in request.headers.get("accept", ""):
            # Its web socket would be refused, which the library shows as a connection that never comes.
            return told(request, FULL)
        if self._answers >= MOST_ANSWERS:
            return told(request, BUSY)
        self._answers += 1
        try:
            return await self._pass(request)
        finally:
            self._answers -= 1

    def _is_full(self) -> bool:
        return len(self._viewers) >= self._most_viewers

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        """One request and its answer, in pieces."""
        try:
            async with asyncio.timeout(self._answer_seconds):
                answer = await self._session.request(
                    request.method, _address(request), headers=_passed_on(request), allow_redirects=False
                )
        except TimeoutError:
            return told(request, HUNG)
        except (aiohttp.ClientError, OSError) as error:
            log.debug("the page did not answer: %s", type(error).__name__)
            return told(request, STARTING)
        async with answer:
            response = web.StreamResponse(status=answer.status, headers=_passed_back(answer))
            response.headers["content-security-policy"] = POLICY
            response.headers["x-content-type-options"] = "nosniff"
            response.headers["referrer-policy"] = "no-referrer"
            try:
                async with asyncio.timeout(COPY_SECONDS):
                    await response.prepare(request)
                    await _copy(answer, response)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.debug("an answer of the page broke off: %s", type(error).__name__)
                # What was sent is incomplete: only the broken connection can say so.
                if request.transport is not None:
                    request.transport.abort()
            return response

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        """A web socket to the page for one from the browser."""
        if not _is_own(request):
            return web.Response(status=403, text="a page of another origin may not open this web socket")
        if self._leaving:
            return told(request, STARTING)
        if self._is_full():
            return told(request, FULL)
        # Compression would be done in the event loop, in which requests are decided.
        browser = web.WebSocketResponse(
            heartbeat=HEARTBEAT_SECONDS, max_msg_size=MESSAGE_BYTES, timeout=CONNECT_SECONDS, compress=False
        )
        self._viewers[browser] = request
        try:
            async with self._page(request) as page:
                await browser.prepare(request)
                if not self._leaving:  # else it came while the others were dismissed
                    await _both_ways(browser, page)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.debug("the page's web socket ended: %s", type(error).__name__)
            if not browser.prepared:
                return told(request, HUNG if isinstance(error, TimeoutError) else STARTING)
        finally:
            del self._viewers[browser]
        with contextlib.suppress(TimeoutError, ConnectionError):  # it is gone then
            async with asyncio.timeout(CONNECT_SECONDS):
                await browser.close()
        return browser

    @asynccontextmanager
    async def _page(self, request: web.Request) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with asyncio.timeout(CONNECT_SECONDS):
            page = await self._session.ws_connect(
                _address(request),
                headers=_passed_on(request),
                heartbeat=HEARTBEAT_SECONDS,
                max_msg_size=MESSAGE_BYTES * 4,
                compress=0,
            )
        try:
            yield page
        finally:
            with contextlib.suppress(TimeoutError):  # it hangs
                async with asyncio.timeout(LEAVE_SECONDS):
                    await page.close()


async def _goodbye(viewer: web.WebSocketResponse, request: web.Request) -> None:
    try:
        async with asyncio.timeout(LEAVE_SECONDS):
            await viewer.close(code=WSCloseCode.GOING_AWAY)
    except (TimeoutError, ConnectionError):
        # A transport that is closed would still wait for the browser to take what was written.
        if request.transport is not None:
            request.transport.abort()


async def _home(request: web.Request) -> web.StreamResponse:
    """People are led to the page; programs are told what they always were."""
    if request.path == "/" and "text/html" not in request.headers.get("accept", ""):
        raise web.HTTPNotFound()
    raise web.HTTPFound(PREFIX + "/")


async def _copy(answer: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
    size = 0
    async for piece in answer.content.iter_any():
        size += len(piece)
        if size > ANSWER_BYTES:
            raise aiohttp.ClientPayloadError("an answer of the page is too long")
        await response.write(piece)
    await response.write_eof()


async def _both_ways(browser: web.WebSocketResponse, page: aiohttp.ClientWebSocketResponse) -> None:
    """Until either of them ends."""
    ways = {asyncio.create_task(_one_way(browser, page)), asyncio.create_task(_one_way(page, browser))}
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.wait(ways)
    for way in done:
        error = None if way.cancelled() else way.exception()
        if error is not None:
            raise error


async def _one_way(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    sink: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
) -> None:
    async for message in source:
        async with asyncio.timeout(SEND_SECONDS):
            if message.type is WSMsgType.TEXT:
                await sink.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await sink.send_bytes(message.data)


def _address(request: web.Request) -> URL:
    """As it was sent: what is encoded stays so."""
    return URL(f"http://page{request.raw_path}", encoded=True)


def _passed_on(request: web.Request) -> Mapping[str, str]:
    return {name: request.headers[name] for name in PASSED_ON if name in request.headers}


def _passed_back(answer: aiohttp.ClientResponse) -> list[tuple[str, str]]:
    return [(name, value) for name, value in answer.headers.items() if name.lower() not in NOT_PASSED_BACK]


def _is_own(request: web.Request) -> bool:
    """Browsers say which origin a script is of, and scripts cannot change it: without this, any page that is
    open in the same browser could talk here with the cookie of who is signed in."""
    origin = urlsplit(request.headers.get("origin", ""))
    return bool(origin.netloc) and origin.netloc == request.headers.get("host", "")
