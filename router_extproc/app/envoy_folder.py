"""The folder of files that a running Envoy watches, changed so that no request meets a gap.

Owns the order of the steps and their confirmation by Envoy. What is new comes first (keys, clusters, the
listener, then the routes that use them), what is no longer wanted goes last (routes, then the clusters they
used). Each file is replaced whole by renaming. Knows nothing of what the files say.
"""

import asyncio
import contextlib
import errno
import os
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from router_extproc.base.errors import OperatorError
from router_extproc.envoyconf.dynamic import (
    ADMIN_SOCKET,
    BOOTSTRAP,
    CLUSTERS,
    LISTENERS,
    ROUTES,
    Discovery,
    Files,
    render_files,
    with_leaving_clusters,
    with_leaving_routes,
)
from router_extproc.envoyconf.topology import Topology

CONFIRM_SECONDS: Final = 30.0
"""The longest Envoy may take to have looked up the names of new clusters and checked their servers."""

POLL_SECONDS: Final = 0.05

GRACE_SECONDS: Final = 15.0
"""Between the removal of a route and of its cluster. A request keeps the routes of its beginning, and is sent
on when its body has arrived and the router has answered: two messages of at most 5 s each."""

SETTLE_SECONDS: Final = 1.0
"""Between Envoy's new routes and a router that relies on them. A request keeps the routes of its beginning,
and the router sees it a moment later: in between it must not yet choose a new model."""

MAX_SOCKET_PATH: Final = 107
"""Bytes of a Unix socket's path (`sun_path` in sys/un.h, less the final zero)."""

READABLE: Final = 0o644
"""Envoy may run as another user. Nothing in these files is secret: they name the keys' places."""

STATS: Final = {
    CLUSTERS: "cluster_manager.cds",
    LISTENERS: "listener_manager.lds",
    ROUTES: "http.router.rds.models",
}
"""What Envoy's statistics of each file begin with."""

WARMING: Final = ("cluster_manager.warming_clusters", "listener_manager.total_listeners_warming")


async def write_envoy(topology: Topology, folder: Path, *, grace: float = GRACE_SECONDS) -> None:
    """`introduce`, then `retire`: for a pool whose router does not change at the same time."""
    await introduce(topology, folder)
    await retire(topology, folder, grace=grace)


async def introduce(topology: Topology, folder: Path, *, settle: float = SETTLE_SECONDS) -> None:
    """Everything that `topology` has, and still everything that the folder had.

    Returns `settle` seconds after Envoy has taken it over. From then on a router may choose the new models,
    and still those that are to go. When no Envoy runs on the folder, it has `topology` alone. Raises
    OperatorError when Envoy refuses a file; that file is then as before, and so is all that Envoy serves.
    """
    # In threads: rendering takes a quarter of a second, which a router in this process spends on requests.
    files = await asyncio.to_thread(_prepare, topology, folder)
    async with _envoy(folder) as envoy:
        clusters, routes = files.clusters, files.routes
        if envoy is not None:
            clusters = await asyncio.to_thread(_merged, folder / CLUSTERS, clusters)
            routes = await asyncio.to_thread(_merged, folder / ROUTES, routes)
        await _replace(folder / CLUSTERS, clusters, envoy)
        await _replace(folder / LISTENERS, files.listeners, envoy)
        if await _replace(folder / ROUTES, routes, envoy) and envoy is not None:
            await asyncio.sleep(settle)


async def retire(topology: Topology, folder: Path, *, grace: float = GRACE_SECONDS) -> None:
    """Takes out what `topology` lacks: after `introduce`, and after the router has stopped choosing it.

    Returns `grace` seconds later when there was anything to take out. Cancelled, it leaves clusters that no
    route uses; the next call takes them out.
    """
    files = await asyncio.to_thread(_prepare, topology, folder)
    async with _envoy(folder) as envoy:
        await _replace(folder / ROUTES, files.routes, envoy)
        if envoy is not None and _content(folder / CLUSTERS) != files.clusters.text:
            await asyncio.sleep(grace)
        await _replace(folder / CLUSTERS, files.clusters, envoy)
    await asyncio.to_thread(_forget_keys, folder, files)


def _prepare(topology: Topology, folder: Path) -> Files:
    """The rendered files; those that nothing uses yet are written."""
    absolute = os.path.abspath(folder)
    if len(os.fsencode(f"{absolute}/{ADMIN_SOCKET}")) > MAX_SOCKET_PATH:
        raise OperatorError(
            f"{folder}: the path is too long for Envoy's socket in it ({MAX_SOCKET_PATH} bytes); "
            "choose a folder with a shorter one"
        )
    files = render_files(topology, absolute)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(f"{folder}: cannot be written: {error.strerror}") from error
    _write(folder / BOOTSTRAP, files.bootstrap)
    for name, key in files.keys.items():
        _write(folder / name, key.text)
    return files


def _forget_keys(folder: Path, files: Files) -> None:
    for path in folder.glob("key-*.yaml"):
        if path.name not in files.keys:
            path.unlink(missing_ok=True)


def _merged(path: Path, new: Discovery) -> Discovery:
    merge = with_leaving_clusters if path.name == CLUSTERS else with_leaving_routes
    try:
        return merge(new, Discovery.read(_content(path)))
    except ValueError as error:
        raise OperatorError(f"{path}: {error}; remove it, and start Envoy anew") from error


@dataclass(frozen=True, slots=True)
class _Envoy:
    """The admin interface of a running Envoy."""

    session: aiohttp.ClientSession

    async def stats(self, *names: str) -> Mapping[str, str]:
        pattern = "|".join(re.escape(name) for name in names)
        text = await self.get(f"/stats?filter=^({pattern})$")
        pairs = (line.partition(":") for line in text.splitlines())
        return {name: value.strip(' "') for name, _, value in pairs}

    async def get(self, path: str) -> str:
        async with self.session.get(f"http://envoy{path}") as response:
            return await response.text()


@contextlib.asynccontextmanager
async def _envoy(folder: Path) -> AsyncIterator[_Envoy | None]:
    """None when no Envoy runs on this folder."""
    socket = str(folder / ADMIN_SOCKET)
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(path=socket), timeout=timeout
    ) as session:
        envoy = _Envoy(session)
        try:
            running = await _is_running(envoy)
            yield envoy if running else None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OperatorError(f"{socket}: Envoy's admin interface does not answer: {error}") from error


async def _is_running(envoy: _Envoy) -> bool:
    try:
        await envoy.get("/ready")
    except aiohttp.ClientConnectorError as error:
        if error.os_error.errno in (errno.ENOENT, errno.ECONNREFUSED):
            return False
        raise
    return True


async def _replace(path: Path, content: Discovery, envoy: _Envoy | None) -> bool:
    """When it returns, Envoy uses `content`; whether that is a change. Raises OperatorError when Envoy will
    not; the file is as before."""
    before = _content(path)
    if before == content.text:
        return False
    if envoy is None:
        _write(path, content.text)
        return True
    prefix = STATS[path.name]
    rejected = (await envoy.stats(f"{prefix}.update_rejected")).get(f"{prefix}.update_rejected")
    _write(path, content.text)
    try:
        async with asyncio.timeout(CONFIRM_SECONDS):
            taken = await _taken_over(envoy, prefix, content.version, rejected)
    except TimeoutError as error:
        _write(path, before)
        raise OperatorError(
            f"{path}: Envoy did not take it over within {CONFIRM_SECONDS:.0f} s; it is as before. "
            "Do the new endpoints' names resolve?"
        ) from error
    if not taken:
        _write(path, before)
        raise OperatorError(f"{path}: Envoy refuses the change, and its log says why; the file is as before")
    return True


async def _taken_over(envoy: _Envoy, prefix: str, version: str, rejected: str | None) -> bool:
    """Waits for Envoy's verdict. `rejected` is the count of refusals before the change."""
    names = (f"{prefix}.version_text", f"{prefix}.update_rejected", *WARMING)
    while True:
        now = await envoy.stats(*names)
        if now.get(f"{prefix}.version_text") == version and all(now.get(each) == "0" for each in WARMING):
            return True
        if now.get(f"{prefix}.update_rejected") != rejected:
            return False
        await asyncio.sleep(POLL_SECONDS)


def _content(path: Path) -> str:
    """Empty when there is no such file."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise OperatorError(f"{path}: cannot be read: {error.strerror}") from error


def _write(path: Path, text: str) -> None:
    """By renaming, and only when it changes: Envoy never sees half of it, nor a change for nothing."""
    if _content(path) == text:
        return
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
            file.write(text)
        os.chmod(file.name, READABLE)
        os.replace(file.name, path)
    except OSError as error:
        raise OperatorError(f"{path}: cannot be written: {error.strerror}") from error
