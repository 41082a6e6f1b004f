"""`cache warm`: questions asked through Envoy before anybody else asks them, so that their answers are there.

What fills the cache is the router itself: a row is a request like any other, under the same key, and whatever
forbids storing an answer forbids it here.
"""

import asyncio
import io
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp
import msgspec

from router_extproc.app.cache_api import CONNECT_SECONDS
from router_extproc.app.configuration import load, reachable
from router_extproc.app.terminal import Count
from router_extproc.base.errors import OperatorError
from router_extproc.base.names import VSR_CACHE_HIT

REQUEST_SECONDS = 300.0
"""The longest that one answer may take."""

MAX_CONCURRENCY = 256


class Outcome(StrEnum):
    CACHED = "already cached"
    FILLED = "answered by a model"
    FAILED = "failed"


class RowError(Exception):
    """Why a row could not be asked or was not answered. The message repeats nothing of the row."""


@dataclass(frozen=True, slots=True)
class Warming:
    """How rows are asked. `key` is the tenant's: only the same key finds the answers again."""

    address: str
    key: str | None = field(repr=False)
    model: str
    concurrency: int
    max_row_bytes: int


def warm(config: Path, file: Path, *, key_variable: str, model: str, concurrency: int) -> int:
    """Ask every row of `file`. 1 when one failed. Raises OperatorError."""
    if not 1 <= concurrency <= MAX_CONCURRENCY:
        raise OperatorError(f"--concurrency: {concurrency} is not from 1 to {MAX_CONCURRENCY}")
    settings = load(config).settings
    cache = settings.semantic_cache
    if not cache.enabled or cache.scope.startswith("header:"):
        reason = (
            f"scope {cache.scope} takes the tenant from Envoy" if cache.enabled else "the cache is disabled"
        )
        raise OperatorError(f"{config}: semantic_cache: {reason}, so nothing asked from here would be stored")
    key = os.environ.get(key_variable, "").strip() or None
    if key is None and settings.semantic_cache.scope == "credential":
        raise OperatorError(
            f"{key_variable}: is not set; cached answers belong to the key that asked: set it to the key of "
            "those who will ask, or name another variable with --api-key-env"
        )
    if key is not None and not (key.isascii() and key.isprintable()):
        raise OperatorError(f"{key_variable}: is not printable ASCII, so it cannot be sent as a key")
    how = Warming(
        address=f"http://{reachable(settings.listeners.envoy)}",
        key=key,
        model=model,
        concurrency=concurrency,
        max_row_bytes=settings.limits.max_body_bytes,
    )
    try:
        with file.open("rb") as rows:
            counts = asyncio.run(_ask_all(how, file, rows))
    except OSError as error:
        raise OperatorError(f"{file}: cannot be read ({error.strerror or error})") from error
    if not counts:
        raise OperatorError(
            f'{file}: there is no row in it; expected {{"prompt": ...}} or {{"messages": ...}}'
        )
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome)
    sys.stdout.write(f"{file}: {counts.total()} rows: {told}\n")
    return 1 if counts[Outcome.FAILED] else 0


async def _ask_all(how: Warming, file: Path, rows: BinaryIO) -> Counter[Outcome]:
    """At most `concurrency` rows are in memory: each worker takes the next when its own is done."""
    counts: Counter[Outcome] = Counter()
    lines, count = _rows(rows, how.max_row_bytes), Count("rows", sys.stderr)

    async def work(session: aiohttp.ClientSession) -> None:
        for number, row in lines:
            try:
                outcome = await _ask(session, how, row)
            except RowError as error:
                outcome = Outcome.FAILED
                count.end()
                sys.stderr.write(f"{file}:{number}: {error}\n")
            counts[outcome] += 1
            count(counts.total())

    async with _session(how) as session:
        await _together([work(session) for _ in range(how.concurrency)])
    count.end()
    return counts


async def _together(works: Sequence[Coroutine[Any, Any, None]]) -> None:
    """All at once; the first that fails ends the others, and its error is raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _session(how: Warming) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"content-type": "application/json"}
    if how.key is not None:
        headers["authorization"] = f"Bearer {how.key}"
    limits = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
    connector = aiohttp.TCPConnector(limit=how.concurrency)
    async with aiohttp.ClientSession(headers=headers, timeout=limits, connector=connector) as session:
        yield session


def _rows(rows: BinaryIO, most: int) -> Iterator[tuple[int, bytes | None]]:
    """Line numbers from 1, and the lines that are not blank; None for one of more than `most` bytes, which is
    not held."""
    number = 0
    while line := rows.readline(most + 1):
        number += 1
        if len(line) > most and not line.endswith(b"\n"):
            while (rest := rows.readline(most + 1)) and not rest.endswith(b"\n"):
                continue
            yield number, None
        elif line.strip():
            yield number, line


async def _ask(session: aiohttp.ClientSession, how: Warming, row: bytes | None) -> Outcome:
    if row is None:
        raise RowError(f"has more than {how.max_row_bytes} bytes (limits.max_body_bytes)")
    body = io.BytesIO(request_of(row, how.model))
    url = f"{how.address}/v1/chat/completions"
    try:
        async with session.post(url, data=body, allow_redirects=False) as response:
            # An answer that is not read to its end is not stored.
            while await response.content.readany():
                continue
            return _outcome(response.status, response.headers)
    except aiohttp.ClientConnectorError as error:
        raise OperatorError(
            f"{how.address}: nothing answers there ({error.strerror or 'no connection'}); is Envoy "
            "(listeners.envoy) running? `make up` starts it"
        ) from error
    except TimeoutError:
        raise RowError(f"no answer within {REQUEST_SECONDS:g} s") from None
    except aiohttp.ClientError as error:
        raise RowError(f"the answer broke off ({type(error).__name__})") from None


def _outcome(status: int, headers: Mapping[str, str]) -> Outcome:
    if status != 200:
        raise RowError(f"the answer has status {status}")
    hit = headers.get(VSR_CACHE_HIT)
    if hit == "stale":
        raise RowError("the model failed, and an expired answer stood in for it")
    return Outcome.CACHED if hit == "true" else Outcome.FILLED


def request_of(row: bytes, model: str) -> bytes:
    """The body of a chat completion: the row as it is, or with `prompt` as its one message and `model` where
    it names none. Raises RowError."""
    try:
        document = msgspec.json.decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise RowError("is not a JSON object")
    if ("prompt" in document) == ("messages" in document):
        raise RowError("needs either `prompt` or `messages`")
    if "messages" in document and "model" in document:
        return row.strip()
    if "prompt" in document:
        prompt = document.pop("prompt")
        if not isinstance(prompt, str):
            raise RowError("prompt: is not a string")
        document["messages"] = [{"role": "user", "content": prompt}]
    return msgspec.json.encode({"model": model} | document)
