"""One question through Envoy, its answer as it comes. Knows the OpenAI API and a clock; bounded in both."""

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from router_extproc.page.router import ApiError

ANSWER_SECONDS: Final = 300.0
CONNECT_SECONDS: Final = 3.0
SILENT_SECONDS: Final = 120.0
ANSWER_CHARACTERS: Final = 200_000
LINE_BYTES: Final = 1024 * 1024
ERROR_BYTES: Final = 64 * 1024
MOST_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """`key` is the client's credential, "" for none: it is who the cache keeps answers for."""

    text: str
    model: str = "auto"
    system: str = ""
    key: str = ""

    def document(self) -> dict[str, Any]:
        before = [{"role": "system", "content": self.system}] if self.system else []
        return {
            "model": self.model,
            "messages": [*before, {"role": "user", "content": self.text}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }


@dataclass(frozen=True, slots=True)
class Began:
    """The headers arrived, `after` milliseconds."""

    status: int
    headers: Mapping[str, str]
    after: float


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    after: float


@dataclass(frozen=True, slots=True)
class Ended:
    """`usage` as the model counted, None where nobody did. `cut`: there was more than is shown."""

    after: float
    usage: Mapping[str, Any] | None
    cut: bool = False


class Asks(Protocol):
    """Who answers what is asked in the playground."""

    def ask(self, asked: Asked) -> AsyncIterator[Began | Piece | Ended]:
        """What happens, in order. Raises ApiError where nobody answers or the answer breaks off."""
        ...


class Envoy:
    """Implements `Asks`. `url` without a path. Made inside the event loop that uses it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MOST_AT_ONCE),
            timeout=aiohttp.ClientTimeout(
                total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS
            ),
            read_bufsize=LINE_BYTES,
        )

    async def close(self) -> None:
        await self._session.close()

    async def ask(self, asked: Asked) -> AsyncIterator[Began | Piece | Ended]:
        """What happens, in order. Raises ApiError where nobody answers or the answer breaks off."""
        since = time.perf_counter()

        def after() -> float:
            return 1000 * (time.perf_counter() - since)

        headers = {"authorization": f"Bearer {asked.key}"} if asked.key else {}
        with in_words(self._url):
            async with self._session.post(
                f"{self._url}/v1/chat/completions",
                json=asked.document(),
                headers=headers,
                allow_redirects=False,
            ) as response:
                yield Began(response.status, {k.lower(): v for k, v in response.headers.items()}, after())
                if "text/event-stream" in response.headers.get("content-type", ""):
                    async for event in events(response.content, after):
                        yield event
                else:
                    body, cut = await _body(response.content)
                    yield Piece(_whole(body), after())
                    yield Ended(after(), None, cut)


@contextmanager
def in_words(url: str) -> Iterator[None]:
    """What went wrong between here and Envoy, as an ApiError that has nothing of what either side sent."""
    try:
        yield
    except TimeoutError:
        raise ApiError(
            0, "", "Envoy did not answer in time", "The pool view says how the models do"
        ) from None
    except (aiohttp.ClientError, OSError) as error:
        raise ApiError(
            0,
            "",
            f"Envoy cannot be reached at {url}, or broke off ({type(error).__name__})",
            "See that Envoy runs; page.envoy_url says where the page looks for it",
        ) from None
    except (HttpProcessingError, ValueError) as error:
        raise ApiError(
            0,
            "",
            f"this question cannot be sent, or its answer cannot be read ({type(error).__name__})",
            f"A line of a stream may have {LINE_BYTES} bytes, and the client's key no control characters",
        ) from None


async def _body(content: aiohttp.StreamReader) -> tuple[bytes, bool]:
    """At most ERROR_BYTES, and whether there was more."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > ERROR_BYTES:
            return bytes(body[:ERROR_BYTES]), True
    return bytes(body), False


async def events(content: aiohttp.StreamReader, after: Callable[[], float]) -> AsyncIterator[Piece | Ended]:
    """Of a stream of server-sent events."""
    usage: Mapping[str, Any] | None = None
    characters = 0
    async for line in content:
        found = _chunk(line)
        if found is None:
            continue
        text, counted = found
        usage = counted or usage
        characters += len(text)
        if text:
            yield Piece(text, after())
        if characters > ANSWER_CHARACTERS:
            yield Ended(after(), usage, cut=True)
            return
    yield Ended(after(), usage)


def _chunk(line: bytes) -> tuple[str, Mapping[str, Any] | None] | None:
    """The text and the usage of one line of the stream; None of one that has neither."""
    if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
        return None
    try:
        said = json.loads(line[5:])
        choices = said.get("choices") or [{}]
        delta = choices[0].get("delta") or {}
        return str(delta.get("content") or ""), said.get("usage")
    except (ValueError, AttributeError, LookupError, TypeError, RecursionError):
        return None


def _whole(body: bytes) -> str:
    """The text of an answer that is no stream: a refusal, an error."""
    try:
        said = json.loads(body)
        if "error" in said:
            return str(said["error"].get("message", said["error"]))
        return str(said["choices"][0]["message"]["content"])
    except (ValueError, AttributeError, LookupError, TypeError, RecursionError):
        return body.decode("utf-8", "replace")
