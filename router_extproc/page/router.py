"""The router's HTTP API, called with the token of whoever looks. Owns deadlines, bounds and what went wrong
in words. Knows nothing of what is shown.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp

ANSWER_SECONDS: Final = 20.0
CONNECT_SECONDS: Final = 2.0
ANSWER_BYTES: Final = 8 * 1024 * 1024
MOST_CALLS: Final = 8
FRESH_SECONDS: Final = 1.5


class ApiError(Exception):
    """A call that brought nothing. `status` is 0 where nobody answered; `code` is the API's; `cure` says what
    to do, "" where the message does."""

    def __init__(self, status: int, code: str, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.cure = cure

    @property
    def wants_token(self) -> bool:
        return self.status == 401


class Api(Protocol):
    """What views ask."""

    async def get(self, path: str, token: str = "", **query: str) -> dict[str, Any]:
        """The JSON object. Raises ApiError."""
        ...

    async def post(self, path: str, document: Mapping[str, object], token: str = "") -> dict[str, Any]:
        """As `get`."""
        ...


class Router:
    """Implements `Api`, over the Unix socket `socket`. Made inside the event loop that uses it."""

    def __init__(self, socket: Path) -> None:
        self._session = aiohttp.ClientSession(
            "http://localhost",
            connector=aiohttp.UnixConnector(str(socket), limit=MOST_CALLS),
            timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS),
        )

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str, token: str = "", **query: str) -> dict[str, Any]:
        return await self._call("GET", path, token, query, None)

    async def post(self, path: str, document: Mapping[str, object], token: str = "") -> dict[str, Any]:
        return await self._call("POST", path, token, {}, document)

    async def _call(
        self,
        method: str,
        path: str,
        token: str,
        query: Mapping[str, str],
        document: Mapping[str, object] | None,
    ) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        try:
            async with self._session.request(
                method, path, params=query, json=document, headers=headers, allow_redirects=False
            ) as response:
                said = await _object(response)
                if response.status >= 400:
                    raise refusal(response.status, said)
                return said
        except TimeoutError:
            raise ApiError(
                0, "", "the router did not answer in time", "Its log says what it waits for"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise ApiError(
                0, "", f"the router cannot be reached ({type(error).__name__})", "It may be restarting: wait"
            ) from None


class Latest:
    """One answer for all who look at the same time: the router is asked once, however many watch."""

    def __init__(self, api: Api, path: str) -> None:
        self._api = api
        self._path = path
        self._lock = asyncio.Lock()
        self._at = float("-inf")
        self._said: dict[str, Any] = {}

    async def get(self) -> dict[str, Any]:
        """At most FRESH_SECONDS old. Raises ApiError."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            if loop.time() - self._at > FRESH_SECONDS:
                self._said = await self._api.get(self._path)
                self._at = loop.time()
            return self._said


def refusal(status: int, said: Mapping[str, Any]) -> ApiError:
    """What the API says of a call that it refuses."""
    detail = said.get("error")
    error = detail if isinstance(detail, dict) else {}
    code, message = str(error.get("code", "")), str(error.get("message", f"status {status}"))[:500]
    if code == "UNAUTHORIZED":
        message = "this is not the router's token"
    return ApiError(status, code, message, CURES.get(code, ""))


CURES: Final[Mapping[str, str]] = {
    "UNAUTHORIZED": "It is the word in the file that admin.token_file names",
    "TOO_MANY_REQUESTS": "Wait a moment and try again",
    "OVERLOADED": "Requests come first: wait a moment and try again",
}


async def _object(response: aiohttp.ClientResponse) -> dict[str, Any]:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > ANSWER_BYTES:
            raise ApiError(response.status, "", "the router's answer is too long to show", "Ask for less")
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise ApiError(
            response.status, "", "something that is not the router answered", "Check listeners.api"
        )
    return said
