"""Entries on their way out of the cache and into it, a line at a time: of a cache of any size, one line and
the store's page are held in memory. Knows nothing of the routes."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from router_extproc.base.refusals import Failure
from router_extproc.caching.entry import Entry
from router_extproc.ports import Catalogue, Clock, PortError
from router_extproc.server.exported import LINE_BYTES, LineError, Terms, entry_of, line_of
from router_extproc.server.replies import Code, RefusedError

log = logging.getLogger(__name__)

STORE_SECONDS = 30.0
"""The longest a store may take for one answer or one page. Operators wait; requests never do."""

SEND_SECONDS = 60.0
"""A client that reads nothing for this long is taken for gone."""

RECEIVE_SECONDS = 60.0
"""A client that sends nothing for this long is taken for gone."""

MAX_LINES = 1_000_000
"""Of one import."""

REFUSALS_SHOWN = 20

NDJSON = "application/x-ndjson"


async def send_entries(
    request: web.Request, entries: AsyncGenerator[Entry], encoder: str
) -> web.StreamResponse:
    """Every entry as a line. Without its last chunk the answer is visibly incomplete: that is how it ends
    when the store fails half-way. PortError and TimeoutError are raised before the first byte only."""
    async with aclosing(entries):
        entry = await anext(entries, None)
        response = web.StreamResponse(headers={"Content-Type": NDJSON, "Cache-Control": "no-store"})
        await response.prepare(request)
        try:
            while entry is not None:
                await _send(response, entry, encoder)
                entry = await anext(entries, None)
            async with asyncio.timeout(SEND_SECONDS):
                await response.write_eof()
        except (PortError, TimeoutError) as error:
            log.warning("an export ended half-way: %s", error if isinstance(error, PortError) else "timeout")
            _abort(request)
        except ConnectionError:
            log.info("the reader of an export has left")
        return response


async def _send(response: web.StreamResponse, entry: Entry, encoder: str) -> None:
    try:
        line = line_of(entry, encoder)
    except LineError as error:
        log.warning("entry %s is not exported: %s", entry.id, error)
        return
    async with asyncio.timeout(SEND_SECONDS):
        await response.write(line)
    # A fast reader never makes `write` wait, and requests are served by this same loop.
    await asyncio.sleep(0)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def paged(source: AsyncIterator[Entry]) -> AsyncGenerator[Entry]:
    """`source`, every step of it within STORE_SECONDS. Raises TimeoutError, and what `source` raises."""
    try:
        while True:
            async with asyncio.timeout(STORE_SECONDS):
                entry = await anext(source, None)
            if entry is None:
                return
            yield entry
    finally:
        if isinstance(source, AsyncGenerator):
            async with asyncio.timeout(STORE_SECONDS):
                await source.aclose()


class Shelf(Protocol):
    """Where imported entries go; every `ports.Store` is one."""

    async def put(self, entry: Entry) -> None:
        """May raise PortError."""
        ...


@dataclass(slots=True)
class Report:
    """What became of the lines of an import. `present`: the cache has the same entry, as new or newer.
    `invalidated` were taken back before they came."""

    imported: int = 0
    present: int = 0
    expired: int = 0
    invalidated: int = 0
    refused_count: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)

    def refuse(self, line: int, reason: str) -> None:
        self.refused_count += 1
        if len(self.refused) < REFUSALS_SHOWN:
            self.refused.append((line, reason))

    def as_json(self) -> dict[str, Any]:
        return {
            "imported": self.imported,
            "skipped": self.present + self.expired + self.invalidated,
            "present": self.present,
            "expired": self.expired,
            "invalidated": self.invalidated,
            "refused_count": self.refused_count,
            "refused": [{"line": line, "reason": reason} for line, reason in self.refused],
        }


@dataclass(frozen=True, slots=True)
class Importer:
    """Takes lines that agree with `terms` into `shelf`. `revokes` says what was taken back."""

    catalogue: Catalogue
    shelf: Shelf
    revokes: Callable[[Entry], bool]
    clock: Clock
    terms: Terms

    async def take(self, body: StreamReader) -> Report:
        """Read `body` to its end. RefusedError when it does not end, PortError when the store fails; what
        was taken until then stays, and taking it again changes nothing."""
        report, number = Report(), 0
        async with aclosing(received(body)) as pieces, aclosing(lines_of(pieces)) as lines:
            async for line in lines:
                number += 1
                if number > MAX_LINES:
                    raise RefusedError(
                        Code.BODY_TOO_LARGE, f"more than {MAX_LINES} lines; {report.imported} were imported"
                    )
                if line is None:
                    report.refuse(number, f"has more than {LINE_BYTES} bytes")
                elif line.strip():
                    await self._take(number, line, report)
        return report

    async def _take(self, number: int, line: bytes, report: Report) -> None:
        at = self.clock.now()
        try:
            entry = entry_of(line, self.terms, at)
            if at >= entry.expires_at:
                report.expired += 1
            elif self.revokes(entry):
                report.invalidated += 1
            else:
                async with asyncio.timeout(STORE_SECONDS):
                    await self._put(entry, at, report)
        except LineError as error:
            report.refuse(number, str(error))
        except PortError as error:
            if error.reason is not Failure.INVALID:
                raise PortError(error.reason, f"{error}, at line {number}; {_so_far(report)}") from error
            report.refuse(number, str(error))
        except TimeoutError:
            raise PortError(
                Failure.TIMEOUT, f"the store is too slow, at line {number}; {_so_far(report)}"
            ) from None
        # Lines that are here already are read without waiting, and requests are served by this same loop.
        await asyncio.sleep(0)

    async def _put(self, entry: Entry, at: float, report: Report) -> None:
        """An answer is never replaced by an older one."""
        held = await self.catalogue.find(entry.id, at)
        if held is not None and held.created_at >= entry.created_at:
            report.present += 1
            return
        await self.shelf.put(entry)
        report.imported += 1


def _so_far(report: Report) -> str:
    return f"{report.imported} entries were imported; importing them again changes nothing"


async def lines_of(pieces: AsyncIterable[bytes]) -> AsyncGenerator[bytes | None]:
    """The lines of a body without their ends; None for each that is longer than LINE_BYTES, of which no more
    than that and a piece is ever held."""
    held, skipping = bytearray(), False
    async for piece in pieces:
        *ended, rest = piece.split(b"\n")
        for part in ended:
            if skipping or len(held) + len(part) > LINE_BYTES:
                yield None
            else:
                yield bytes(held) + part
            held.clear()
            skipping = False
        if not skipping:
            held += rest
        if len(held) > LINE_BYTES:
            held.clear()
            skipping = True
    if skipping:
        yield None
    elif held:
        yield bytes(held)


async def received(body: StreamReader) -> AsyncGenerator[bytes]:
    """The body in pieces, as they come. Raises RefusedError when the client stops sending or breaks HTTP's
    framing."""
    while True:
        try:
            async with asyncio.timeout(RECEIVE_SECONDS):
                piece = await body.readany()
        except TimeoutError:
            raise RefusedError(Code.BODY_TIMEOUT, f"nothing came for {RECEIVE_SECONDS:g} s") from None
        except HttpProcessingError:
            raise RefusedError(Code.INVALID_INPUT, "the body's chunks are not as HTTP/1.1 has them") from None
        if not piece:
            return
        yield piece
