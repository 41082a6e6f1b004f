"""The sidecar's Pod on this machine: its containers' own commands and files, as processes of the host.

Where a container's paths are on the host, and which ports stand in for its own, is decided in `Place` and
nowhere else. What a Pod has beside (its user, the read-only root, cgroups, networks) is not here.
"""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.encoder import real_bundle
from tests.support.kustomize import Object
from tests.support.manifests import all_of, container, pod
from tests.support.processes import free_port, wait_until

TOKEN = "a-token-for-tests"
STOP_SECONDS = 40.0
LOG_TAIL = 4000


@dataclass(frozen=True, slots=True)
class Place:
    """`ports` maps each port of the Pod, and of what it reaches, to one of this machine."""

    folder: Path
    mounts: Mapping[str, Path]
    ports: Mapping[int, int]

    def here(self, text: str) -> str:
        """A command's word or a file's content, with the host's paths and ports."""
        for mount, folder in sorted(self.mounts.items(), key=lambda each: -len(each[0])):
            text = re.sub(rf"(?<![\w./-]){re.escape(mount)}(?=[/\s,}}'\"]|$)", str(folder), text)
        text = re.sub(r"[a-z0-9-]+\.[a-z-]+\.svc\.cluster\.local", "127.0.0.1", text)
        for old, new in self.ports.items():
            text = re.sub(rf"(?<![\d.]){old}(?![\d.])", str(new), text)
        return text


def place(objects: list[Object], folder: Path, upstream: int) -> Place:
    """The Pod's volumes as folders in `folder`, ConfigMaps mounted in the way of a kubelet."""
    mounts = {
        each["mountPath"]: folder / each["name"]
        for one in pod(objects)["containers"]
        for each in one["volumeMounts"]
        if each["mountPath"] not in ("/tmp", "/models")
    }
    ports = {number: free_port() for number in (8801, 8080, 9190, 9901, 19530, 4317)}
    found = Place(folder, mounts, {**ports, 8000: upstream})
    for each in mounts.values():
        each.mkdir(exist_ok=True)
    secret = folder / "secrets"
    for name in ("admin-token", "debug-token"):
        (secret / name).write_text(TOKEN)
        (secret / name).chmod(0o400)
    maps = {each["metadata"]["name"]: each["data"] for each in all_of(objects, "ConfigMap")}
    for volume in pod(objects)["volumes"]:
        if "configMap" in volume:
            mount_config_map(found, folder / volume["name"], maps[volume["configMap"]["name"]])
    return found


def mount_config_map(at: Place, folder: Path, data: Mapping[str, str]) -> None:
    """Files are links through `..data`, which is renamed over when the content changes."""
    version = folder / f"..version-{len(list(folder.glob('..version-*')))}"
    version.mkdir()
    for name, text in data.items():
        (version / name).write_text(at.here(text))
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..new").symlink_to(version.name)
    (folder / "..new").rename(folder / "..data")


@dataclass(frozen=True, slots=True)
class Running:
    """`url` is Envoy's, `api` the router's; both containers' processes by their names."""

    at: Place
    processes: Mapping[str, asyncio.subprocess.Process]
    url: str
    api: str

    def log(self, name: str) -> str:
        return (self.at.folder / f"{name}.log").read_text(errors="replace")[-LOG_TAIL:]

    async def drain(self, objects: list[Object]) -> asyncio.subprocess.Process:
        """Envoy's preStop hook, begun."""
        words = container(objects, "envoy")["lifecycle"]["preStop"]["exec"]["command"]
        return await asyncio.create_subprocess_exec(*map(self.at.here, words))


def _command(objects: list[Object], name: str, at: Place) -> list[str]:
    """A container's, with the programs of this environment for those of the images."""
    said = container(objects, name)
    program = {
        "router": [sys.executable, "-m", "router_extproc"],
        "envoy": [str(Path(sys.executable).parent / "envoy")],
    }[name]
    assert said.get("command", ["envoy"]) == ["envoy"]
    return [*program, *map(at.here, said["args"])]


@asynccontextmanager
async def sidecar(objects: list[Object], folder: Path, upstream: int) -> AsyncIterator[Running]:
    """The Pod's containers, started together as a kubelet does, until both are ready."""
    real_bundle()
    at = place(objects, folder, upstream)
    environment = {**os.environ, "MILVUS_PASSWORD": "a-password"}
    processes: dict[str, asyncio.subprocess.Process] = {}
    running = Running(
        at, processes, f"http://127.0.0.1:{at.ports[8801]}", f"http://127.0.0.1:{at.ports[8080]}"
    )
    try:
        for name in ("router", "envoy"):
            with (folder / f"{name}.log").open("wb") as log:
                processes[name] = await asyncio.create_subprocess_exec(
                    *_command(objects, name, at), env=environment, stdout=log, stderr=log
                )
        yield running
    finally:
        for process in processes.values():
            if process.returncode is None:
                process.terminate()
        for process in processes.values():
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def ready(running: Running, objects: list[Object], deadline: float) -> None:
    """As the readiness probes say."""
    asked = container(objects, "router")["readinessProbe"]["httpGet"]
    ports = {each["name"]: each["containerPort"] for each in container(objects, "router")["ports"]}
    port = running.at.ports[ports[asked["port"]]]

    async def answers() -> bool:
        for name, process in running.processes.items():
            if process.returncode is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{running.log(name)}")
        return await _answers_200(port, asked["path"]) and await _accepts(running.at.ports[8801])

    await wait_until(answers, "the Pod to be ready", deadline)


async def _answers_200(port: int, path: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(f"GET {path} HTTP/1.1\r\nHost: kubelet\r\nConnection: close\r\n\r\n".encode())
    line = await reader.readline()
    writer.close()
    return b" 200 " in line


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
