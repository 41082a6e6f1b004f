"""The product's own configuration on free ports, and `router-extproc up` as a user runs it."""

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
import yaml

from tests.support.processes import free_port, wait_until

ROOT = Path(__file__).parents[2]
READY_SECONDS = 180.0
STOP_SECONDS = 20.0


def shipped_document() -> dict[str, Any]:
    """`config/router.yaml` as data, every port replaced by a free one."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "config" / "router.yaml").read_text())
    for address in document["listeners"].values():
        address["port"] = free_port()
    for endpoint in document["vllm_endpoints"]:
        endpoint["port"] = free_port()
    document["admin"]["token_file"] = "admin-token"
    document["page"] = {"enabled": False}  # a process of its own, which the page's own tests start
    return document


def write_configuration(folder: Path, *, milvus: Any = None, **changes: Any) -> Path:
    """The shipped configuration on free ports in `folder`, its Milvus Lite folder there too.

    `changes` replace top-level keys, or update them when both are mappings. `milvus` replaces the document of
    `cache/milvus.yaml`.
    """
    document = shipped_document()
    for name, value in changes.items():
        merge = isinstance(value, Mapping) and isinstance(document.get(name), Mapping)
        document[name] = {**document[name], **value} if merge else value
    (folder / "cache").mkdir(parents=True, exist_ok=True)
    if milvus is None:
        milvus = yaml.safe_load((ROOT / "config" / "cache" / "milvus.yaml").read_text())
        milvus["connection"]["path"] = "milvus.db"
    (folder / "cache" / "milvus.yaml").write_text(yaml.safe_dump(milvus))
    path = folder / "router.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@dataclass(frozen=True, slots=True)
class RunningStack:
    process: asyncio.subprocess.Process
    output: Path
    ports: Mapping[str, int]

    def url(self, listener: str = "envoy") -> str:
        return f"http://127.0.0.1:{self.ports[listener]}"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "router_extproc", *arguments]


async def run_to_end(
    *arguments: str, deadline: float = 60.0, environment: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command of the product. `environment` is added to this one's."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
    )
    try:
        async with asyncio.timeout(deadline):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, out.decode(), err.decode()


@asynccontextmanager
async def stack(configuration: Path) -> AsyncIterator[RunningStack]:
    """`up`, without a terminal, until it announces that it is ready; stopped by SIGINT."""
    document = yaml.safe_load(configuration.read_text())
    ports = {name: address["port"] for name, address in document["listeners"].items()}
    output = configuration.parent / "up.log"
    with output.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command("up", "--config", str(configuration), "--state", str(configuration.parent / "state")),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            start_new_session=True,
        )
    running = RunningStack(process, output, ports)
    try:
        await wait_until(
            lambda: "ready in " in output.read_text() or process.returncode is not None,
            "the stack to be ready",
            READY_SECONDS,
        )
        if process.returncode is not None:
            raise RuntimeError(f"up ended with {process.returncode}: {output.read_text()}")
        yield running
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_hit(self) -> bool:
        return self.headers.get("x-vsr-cache-hit") == "true"


async def ask(
    session: aiohttp.ClientSession,
    url: str,
    document: object,
    token: str = "test-token",
    more: Mapping[str, str] = MappingProxyType({}),
) -> Answer:
    """POST a chat completion as the article's curl does, with `more` header fields."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    headers |= more
    body = io.BytesIO(json.dumps(document).encode())
    async with session.post(f"{url}/v1/chat/completions", data=body, headers=headers) as response:
        return Answer(response.status, response.headers, await response.read())
