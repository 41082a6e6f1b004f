"""`cache export` and `cache import`: a running router's entries to a file, and from one. The file holds
questions and answers: it is its owner's alone."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp

from router_extproc.app.api_call import document_of
from router_extproc.app.cache_api import CONNECT_SECONDS, TRANSFER_SECONDS, Api
from router_extproc.app.terminal import Count, printable, size
from router_extproc.base.errors import OperatorError

PIECE_BYTES = 64 * 1024

LIMITS = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=TRANSFER_SECONDS)


def export_entries(config: Path, file: Path, selector: Mapping[str, str]) -> int:
    """Write what `selector` covers (`{}`: everything) to `file`, or to stdout for `-`, a line for each entry.
    The file appears when it is complete. Raises OperatorError."""
    api = Api.of(config)
    if str(file) == "-":
        asyncio.run(_receive(api, selector, sys.stdout.buffer))
        sys.stdout.buffer.flush()
        return 0
    if file.exists() and not file.is_file():
        raise OperatorError(f"{file}: is not a file; write to one, or to stdout with `-`")
    try:
        with _replacing(file) as draft:
            lines, total = asyncio.run(_receive(api, selector, draft))
    except OSError as error:
        raise OperatorError(f"{file}: cannot be written ({error.strerror or error})") from error
    sys.stdout.write(f"{file}: {lines} entries, {size(total)}\n")
    return 0


def import_entries(config: Path, file: Path) -> int:
    """Put the entries of `file` into the cache. 1 when a line was refused. Raises OperatorError."""
    api = Api.of(config)
    # The body is only sent to a router that takes it: its refusal might else be lost in a broken pipe.
    api.call("GET", "/capabilities")
    try:
        with file.open("rb") as source:
            report = asyncio.run(_send(api, source))
    except OSError as error:
        raise OperatorError(f"{file}: cannot be read ({error.strerror or error})") from error
    sys.stdout.write(_report_text(file, report))
    for refusal in report["refused"]:
        sys.stderr.write(f"{file}:{refusal['line']}: {printable(refusal['reason'])}\n")
    unnamed = report["refused_count"] - len(report["refused"])
    if unnamed:
        sys.stderr.write(f"{file}: and {unnamed} more lines were refused\n")
    return 1 if report["refused_count"] else 0


def _report_text(file: Path, report: Mapping[str, Any]) -> str:
    names = {
        "imported": "imported",
        "present": "there already",
        "expired": "expired",
        "invalidated": "invalidated before",
        "refused_count": "refused",
    }
    told = ", ".join(
        f"{report[key]} {name}" for key, name in names.items() if report[key] or key == "imported"
    )
    return f"{file}: {told}\n"


async def _receive(api: Api, selector: Mapping[str, str], target: BinaryIO) -> tuple[int, int]:
    """Lines and bytes. An answer that breaks off is an OperatorError: HTTP tells its end."""
    count, lines, total = Count("entries", sys.stderr), 0, 0
    async with api.request("GET", "/export", LIMITS, selector) as response:
        async for piece in response.content.iter_any():
            target.write(piece)
            lines, total = lines + piece.count(b"\n"), total + len(piece)
            count(lines)
    count.end()
    return lines, total


async def _send(api: Api, source: BinaryIO) -> dict[str, Any]:
    async with api.request("POST", "/import", LIMITS, body=_pieces(source)) as response:
        return await document_of(response, api.address)


async def _pieces(source: BinaryIO) -> AsyncIterator[bytes]:
    count, lines = Count("lines sent", sys.stderr), 0
    while piece := source.read(PIECE_BYTES):
        yield piece
        lines += piece.count(b"\n")
        count(lines)
    count.end()


@contextmanager
def _replacing(file: Path) -> Iterator[BinaryIO]:
    """A new file of mode 0600 that takes the place of `file` when all went well, and is gone otherwise."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
