"""The router as a process of its own, behind a real Envoy, with one scripted upstream in the place of every
model: for tests of what input does to its memory, its processor time and its event loop."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from router_extproc.app.configuration import Configuration, topology_of
from tests.support.encoder import real_bundle
from tests.support.envoy import EnvoyProcess
from tests.support.processes import wait_until
from tests.support.routing import completed, prepare
from tests.support.stack import ROOT, command
from tests.support.upstream import ScriptedUpstream

ANSWER_SECONDS = 60.0
START_SECONDS = 180.0
_LAG = "router_event_loop_lag_seconds_bucket"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client read."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def error(self) -> dict[str, Any]:
        """OpenAI's error. Raises where the body is none."""
        error: dict[str, Any] = json.loads(self.body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]
        return error


@dataclass(frozen=True, slots=True)
class Served:
    process: asyncio.subprocess.Process
    log: Path
    envoy: EnvoyProcess
    upstream: ScriptedUpstream
    session: aiohttp.ClientSession
    configuration: Configuration

    async def send(
        self,
        body: bytes,
        fields: Mapping[str, str] | None = None,
        path: str = "/v1/chat/completions",
        chunk: int = 0,
    ) -> Reply:
        """POST these bytes, as JSON unless `fields` say otherwise, by hand: no library mends them. With
        `chunk` they come in chunks of that size and without a length. Status 0: the connection was closed
        instead."""
        given = {"content-type": "application/json"} if fields is None else dict(fields)
        framing = {"transfer-encoding": "chunked"} if chunk else {"content-length": str(len(body))}
        head = {"host": "router.test", "connection": "close", **framing, **given}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", int(self.envoy.url.rpartition(":")[2])
            )
            try:
                writer.write(f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
                sending = asyncio.create_task(_send(writer, body, chunk))
                try:
                    read = await _read(reader)
                except (ConnectionError, asyncio.IncompleteReadError):
                    read = Reply(0, {}, b"")
                sending.cancel()
                with suppress(
                    asyncio.CancelledError, ConnectionError
                ):  # Envoy answered before it had read all
                    await sending
                return read
            finally:
                writer.transport.abort()

    async def metrics(self) -> dict[str, float]:
        port = self.configuration.settings.listeners.metrics.port
        async with self.session.get(f"http://127.0.0.1:{port}/metrics") as response:
            lines = (await response.text()).splitlines()
        return {name: float(value) for name, value in (x.rsplit(" ", 1) for x in lines if x[0] != "#")}

    def resident(self) -> int:
        """Bytes of memory that the process has now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    def peak(self) -> int:
        """The most it has had since it began, or since `forget_peak`."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def seconds(self) -> float:
        """Processor time that the process has used, in all of its threads."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def bugs(self) -> list[str]:
        """What the router logged as a mistake of its own."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if re.search(r"bug: |Traceback|CRITICAL", line)]


def lags(samples: Mapping[str, float], above: float) -> float:
    """How often the event loop was later than `above` seconds, one of the histogram's bounds."""
    return samples[f'{_LAG}{{le="+Inf"}}'] - samples[f'{_LAG}{{le="{above}"}}']


async def _send(writer: asyncio.StreamWriter, body: bytes, chunk: int) -> None:
    if not chunk:
        writer.write(body)
    else:
        pieces = [body[start : start + chunk] for start in range(0, len(body), chunk)]
        writer.write(b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n")
    await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip("\r\n").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    body = b""
    if "content-length" in fields:
        body = await reader.readexactly(int(fields["content-length"]))
    elif "chunked" in fields.get("transfer-encoding", ""):
        pieces: list[bytes] = []
        while size := int(await reader.readline(), 16):
            pieces.append(await reader.readexactly(size))
            await reader.readexactly(2)
        body = b"".join(pieces)
    return Reply(int(head[0].split(" ")[1]), fields, body)


@asynccontextmanager
async def served(folder: Path, changes: Mapping[str, Any]) -> AsyncIterator[Served]:
    """The shipped configuration with `changes`; the process is ended by SIGTERM, and has to end well."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        real_bundle()
        upstream = await enter(ScriptedUpstream(otherwise=completed))
        configuration = prepare(folder, {"simulator": None, **changes}, upstream.port)
        log = folder / "serve.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command("serve", "--config", str(configuration.path)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=ROOT,
            )
        stack.push_async_callback(_ended, process)
        session = await enter(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)))
        api = f"http://127.0.0.1:{configuration.settings.listeners.api.port}"

        async def says_200(path: str) -> bool:
            assert process.returncode is None, log.read_text()
            with suppress(aiohttp.ClientError, TimeoutError):  # it does not listen yet
                async with session.get(api + path) as response:
                    return response.status == 200
            return False

        await wait_until(lambda: says_200("/health"), "the router to be there", START_SECONDS)
        envoy = await enter(EnvoyProcess(topology_of(configuration)))
        running = Served(process, log, envoy, upstream, session, configuration)
        yield running


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(20.0):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
