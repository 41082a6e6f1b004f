"""The real Envoy binary as a child process, on ports that the kernel chooses.

Owns the rewriting of a rendered configuration for a test, start, readiness and stop. What Envoy wrote
goes to stderr when it stops, where pytest shows it for a failed test only.
"""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml

from router_extproc.envoyconf.dynamic import BOOTSTRAP
from router_extproc.envoyconf.render import render_envoy
from router_extproc.envoyconf.topology import Topology
from tests.support.processes import wait_until

START_SECONDS = 20.0
STOP_SECONDS = 5.0
LOG_TAIL = 20_000


def with_test_ports(text: str, ports: Mapping[int, int] | None) -> str:
    """The configuration with listeners and admin on loopback ports that the kernel chooses.

    `ports` maps every port of an upstream in `text` to the real one; a port without a replacement is an
    error, so that a test never reaches a service that happens to run here. None leaves upstreams alone.
    """
    config = yaml.load(text, Loader=yaml.CSafeLoader)
    loopback = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    config["admin"] = {"address": loopback}
    for listener in config["static_resources"]["listeners"]:
        listener["address"] = dict(loopback)
    for cluster in config["static_resources"]["clusters"]:
        for locality in cluster["load_assignment"]["endpoints"]:
            for host in locality["lb_endpoints"]:
                _replace_port(cluster["name"], host["endpoint"]["address"], ports)
    return json.dumps(config)


def _replace_port(cluster: str, address: dict[str, Any], ports: Mapping[int, int] | None) -> None:
    socket_address = address.get("socket_address")
    if ports is None or socket_address is None:
        return
    port = socket_address["port_value"]
    if port not in ports:
        raise ValueError(f"cluster {cluster}: no replacement for port {port}")
    socket_address["port_value"] = ports[port]
    socket_address["address"] = "127.0.0.1"


class EnvoyProcess:
    """`async with EnvoyProcess(render_envoy(...)) as envoy: ... envoy.url ...`

    `config` is the text of a configuration, a topology to render, or a folder that `write_envoy` has written;
    a folder is used as it is. `ports` as in `with_test_ports`; `environment` is added to this process's.
    """

    def __init__(
        self,
        config: str | Topology | Path,
        *,
        ports: Mapping[int, int] | None = None,
        environment: Mapping[str, str] | None = None,
        log_level: str = "warning",
    ) -> None:
        text = render_envoy(config) if isinstance(config, Topology) else config
        self._config = text if isinstance(text, Path) else with_test_ports(text, ports)
        self._environment = dict(os.environ) | dict(environment or {})
        self._log_level = log_level
        self._folder = tempfile.TemporaryDirectory(prefix="envoy-", ignore_cleanup_errors=True)
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self.url = ""
        """Base URL of the first listener, without a final slash."""
        self.admin_url = ""

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("Envoy is not running")
        return self._process.pid

    async def start(self) -> None:
        """Returns when Envoy is live. Raises RuntimeError with its log when it ends or does not get there."""
        folder = Path(self._folder.name)
        if isinstance(self._config, str):
            self._write("envoy.json", self._config)
        with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(),
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        try:
            address = await wait_until(self._admin_address, "Envoy's admin address", START_SECONDS)
            socket = aiohttp.UnixConnector(path=address) if address.startswith("/") else None
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=5), connector=socket or aiohttp.TCPConnector()
            )
            self.admin_url = f"http://{'envoy' if socket else address}"
            await wait_until(self._is_live, "Envoy to be live", START_SECONDS)
        except TimeoutError as error:
            raise RuntimeError(f"{error}; its log:\n{self.log()}") from error
        listeners = json.loads(await self.admin("/listeners?format=json"))
        local = listeners["listener_statuses"][0]["local_address"]["socket_address"]
        self.url = f"http://127.0.0.1:{local['port_value']}"

    async def stop(self) -> None:
        """Ends the process, which is not asked to drain. Does nothing the second time."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._process is not None:
            await _end(self._process)
            self._process = None
            sys.stderr.write(f"--- Envoy's log ---\n{self.log()}\n{self._read('stdout')[-LOG_TAIL:]}\n")
        self._folder.cleanup()

    async def admin(self, path: str) -> str:
        """The body of a GET to the admin interface."""
        if self._session is None:
            raise RuntimeError("Envoy is not running")
        async with self._session.get(self.admin_url + path) as response:
            return await response.text()

    async def stat(self, name: str) -> int:
        """A counter or gauge by its full name; 0 while Envoy has not created it."""
        lines = (await self.admin(f"/stats?filter=^{name}$")).splitlines()
        return int(lines[0].rpartition(":")[2]) if lines else 0

    async def access_log(self, lines: int = 1) -> list[dict[str, Any]]:
        """The access log as soon as it has at least `lines` entries."""

        def entries() -> list[str]:
            complete = self._read("stdout").split("\n")[:-1]
            return complete if len(complete) >= lines else []

        written = await wait_until(entries, f"{lines} lines of access log")
        return [json.loads(line) for line in written]

    def log(self) -> str:
        """The end of what Envoy logged."""
        return self._read("stderr")[-LOG_TAIL:]

    def _command(self) -> list[str]:
        folder = Path(self._folder.name)
        options = {
            "-c": str(folder / "envoy.json" if isinstance(self._config, str) else self._config / BOOTSTRAP),
            "--concurrency": "1",
            "--log-level": self._log_level,
            "--admin-address-path": str(folder / "admin"),
            "--file-flush-interval-msec": "20",
        }
        # Without hot restart no base id is shared, so any number of processes stand side by side.
        binary = str(Path(sys.executable).parent / "envoy")
        return [binary, "--disable-hot-restart", *(word for pair in options.items() for word in pair)]

    def _admin_address(self) -> str:
        self._fail_if_ended()
        return self._read("admin")

    async def _is_live(self) -> bool:
        self._fail_if_ended()
        with contextlib.suppress(aiohttp.ClientConnectionError):  # not listening yet
            return (await self.admin("/ready")).strip() == "LIVE"
        return False

    def _fail_if_ended(self) -> None:
        if self._process is not None and self._process.returncode is not None:
            raise RuntimeError(f"Envoy ended with status {self._process.returncode}; its log:\n{self.log()}")

    def _write(self, name: str, text: str) -> None:
        (Path(self._folder.name) / name).write_text(text)

    def _read(self, name: str) -> str:
        path = Path(self._folder.name) / name
        return path.read_text(errors="replace") if path.exists() else ""


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
