"""docker-compose.yml as data, and its services as processes of this machine.

`Machine` is the one place that knows what of a container is elsewhere here: names of services become
loopback, ports free ones, paths folders of the test, programs those that are installed. Commands,
environments, health checks and configuration files are otherwise those of the file. A program or a port of a
configuration file that is not known here is an error: no port is asked that the test has not chosen.
"""

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"

LOOPBACK: Final = "127.0.0.1"
HOST_KEYS: Final = frozenset({"address", "advertised_address", "host"})
PORT_KEYS: Final = frozenset({"port", "port_value"})
START_SECONDS: Final = 180.0

_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::-([^}]*))?\}|(\w+))")
_DURATION = re.compile(r"(\d+)s")


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """`${NAME}`, `${NAME:-otherwise}` and `$$`, as Compose replaces them."""

    def value(match: re.Match[str]) -> str:
        dollar, name, otherwise, plain = match.groups()
        return "$" if dollar else variables.get(name or plain) or otherwise or ""

    return _VARIABLE.sub(value, text)


def read_compose(path: Path = FILE, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file with its merges and variables resolved."""

    def resolved(node: Any) -> Any:
        match node:
            case str():
                return interpolated(node, variables or {})
            case dict():
                return {key: resolved(value) for key, value in node.items()}
            case list():
                return [resolved(value) for value in node]
            case _:
                return node

    document: dict[str, Any] = resolved(yaml.safe_load(path.read_text(encoding="utf-8")))
    return document


def seconds(duration: str) -> float:
    """Of `10s`, the one form that the file uses."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ValueError(f"not understood: {duration}")
    return float(match[1])


@dataclass(frozen=True, slots=True)
class Machine:
    """`names` are services; `ports`, `paths`, `programs` and `users` (as `chown` takes them) map what is in
    containers to what is here."""

    names: frozenset[str]
    ports: Mapping[int, int]
    paths: Mapping[str, Path]
    programs: Mapping[str, Sequence[str]]
    users: Mapping[str, str]

    def text(self, text: str) -> str:
        """A word of a command, a value of an environment, a URL."""
        if text in self.users:
            return self.users[text]
        for path in sorted(self.paths, key=len, reverse=True):
            text = re.sub(rf"(?<![\w/.]){re.escape(path)}(?![\w-])", str(self.paths[path]), text)
        names = "|".join(map(re.escape, sorted(self.names)))
        text = re.sub(rf"(?<![\w.-])({names})(?=:\d)", LOOPBACK, text).replace("0.0.0.0", LOOPBACK)
        ports = "|".join(map(str, self.ports))
        return re.sub(rf"(?<![\d.])({ports})(?!\d)", lambda match: str(self.ports[int(match[1])]), text)

    def document(self, node: Any, key: str = "") -> Any:
        """A configuration file's content."""
        match node:
            case dict():
                return {name: self.document(value, name) for name, value in node.items()}
            case list():
                return [self.document(value, key) for value in node]
            case int() if key in PORT_KEYS:
                return self.ports[node]
            case str() if key in HOST_KEYS and node in self.names:
                return LOOPBACK
            case str() if node.startswith("/") or re.search(r":\d+$", node) or node == "0.0.0.0":
                return self.text(node)
            case _:
                return node

    def folder(self, source: Path, target: Path) -> None:
        """Copy a folder of configuration files, each as `document` has it."""
        for path in sorted(source.rglob("*.yaml")):
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            content = self.document(yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
            place.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def command(self, words: Sequence[str]) -> list[str]:
        """Raises LookupError for a program that nobody has said where to find."""
        program, *rest = words
        return [*self.programs[program], *(self.text(word) for word in rest)]


def installed(name: str) -> Sequence[str]:
    """A program on the PATH. Raises LookupError."""
    found = shutil.which(name)
    if found is None:
        raise LookupError(f"{name} is not installed here")
    return (found,)


@dataclass
class Running:
    """A service of the file, `service`, as a process. `base` has what its image sets: an environment and an
    entry point."""

    name: str
    service: Mapping[str, Any]
    machine: Machine
    log: Path
    base: Mapping[str, str] = field(default_factory=dict)
    entrypoint: Sequence[str] = ()
    process: asyncio.subprocess.Process | None = None

    @property
    def words(self) -> list[str]:
        return [*self.service.get("entrypoint", self.entrypoint), *self.service["command"]]

    @property
    def environment(self) -> dict[str, str]:
        given = {**self.base, **self.service.get("environment", {})}
        # The programs' own place, and this tree's code: an image has both in itself.
        here = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        return {name: self.machine.text(str(value)) for name, value in given.items()} | here

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.machine.command(self.words),
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def healthy(self) -> None:
        """Returns when the health check's own command succeeds, asked as often as the file says. Raises
        AssertionError with the log."""
        assert self.process is not None
        interval = seconds(self.service["healthcheck"]["start_interval"])
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await self.is_healthy():
                    # The wait for its end is the pause between two questions.
                    with suppress(TimeoutError):  # it goes on
                        status = await asyncio.wait_for(self.process.wait(), interval)
                        raise AssertionError(f"{self.name} left with {status}:\n{self.said()}")
        except TimeoutError as error:
            raise AssertionError(f"{self.name} is not healthy:\n{self.said()}") from error

    async def is_healthy(self) -> bool:
        """Its health check, once: the command, the environment and the deadline are the file's."""
        check = self.service["healthcheck"]
        kind, *words = check["test"]
        assert kind == "CMD"
        probe = await asyncio.create_subprocess_exec(
            *self.machine.command(words),
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(seconds(check["timeout"])):
                return await probe.wait() == 0
        except TimeoutError:
            probe.kill()
            await probe.wait()
            return False

    async def ended(self) -> int:
        """The exit status of a service that ends by itself."""
        assert self.process is not None
        async with asyncio.timeout(START_SECONDS):
            return await self.process.wait()

    async def stop(self) -> int:
        """Ends it as an engine does: SIGTERM, its grace period, SIGKILL. The exit status."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(seconds(self.service["stop_grace_period"])):
                    await self.process.wait()
            except TimeoutError:
                os.killpg(self.process.pid, signal.SIGKILL)
                await self.process.wait()
        return self.process.returncode or 0

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-8000:]


def programs() -> Mapping[str, Sequence[str]]:
    """What the images' programs are here."""
    python = (sys.executable,)
    return {
        "router-extproc": (*python, "-m", "router_extproc"),
        "python": python,
        "envoy": (str(Path(sys.executable).parent / "envoy"),),
        **{name: installed(name) for name in ("bash", "chown", "curl")},
    }
