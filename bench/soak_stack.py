"""The processes of a soak: a model server, one that fails, the router with its guards on, and an Envoy."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from bench.stack import ROOT, START_SECONDS, STOP_SECONDS, free_ports
from router_extproc.app.configuration import load, topology_of
from router_extproc.envoyconf.render import render_envoy
from router_extproc.server.http import probe
from router_extproc.supervisor.envoy import envoy_command, envoy_program
from router_extproc.supervisor.process import Child
from router_extproc.supervisor.wait import until
from tests.support.milvus import PASSWORD, USER, MilvusServer, disposable_folder

FAILING: Final = "failing"
"""The model that is asked for faults, and whose server is killed now and then. No rule chooses it: what it
does must trouble nobody else."""

MAX_ENTRIES: Final = 1_500
MAX_BYTES: Final = 8 * 1024 * 1024
"""Small, so that the cache is full after a minute and gives up entries from then on."""


@dataclass(slots=True)
class Stack:
    """What runs. `milvus` is a server of this machine, or None for the other backends."""

    folder: Path
    envoy: int
    metrics: int
    router: Child
    failing_port: int
    failing: Child
    milvus: MilvusServer | None

    async def restart_failing(self) -> None:
        """SIGKILL to the failing model's server, as a crash would, and a new one in its place."""
        self.failing.process.kill()
        await self.failing.process.wait()
        self.failing = await _upstream(FAILING, self.failing_port, self.folder)


@asynccontextmanager
async def running(folder: Path, backend: str) -> AsyncIterator[Stack]:
    """Started and answering; stopped on leaving. Logs are in `folder`. `backend` is memory, hybrid (memory
    before Milvus Lite) or milvus (a server)."""
    envoy, ext_proc, api, metrics, upstream, failing_port = free_ports(6)
    listeners = {"envoy": envoy, "ext_proc": ext_proc, "api": api, "metrics": metrics}
    async with AsyncExitStack() as stack:
        milvus = await _milvus(stack) if backend == "milvus" else None
        path = _configuration(folder, upstream, failing_port, listeners, backend, milvus)
        (folder / "envoy.yaml").write_text(render_envoy(topology_of(load(path))))
        model = await _upstream("models", upstream, folder)
        stack.push_async_callback(model.stop, STOP_SECONDS)
        serve = (sys.executable, "-m", "router_extproc", "serve", "--config", str(path))
        # The password comes from the environment, never from a file of ours.
        secrets = {} if milvus is None else {"MILVUS_PASSWORD": PASSWORD}
        router = await Child.start("the router", serve, folder / "router.log", os.environ | secrets)
        stack.push_async_callback(router.stop, START_SECONDS)
        proxy = envoy_command(envoy_program(), folder / "envoy.yaml")
        envoys = await Child.start("Envoy", (*proxy, "--concurrency", "1"), folder / "envoy.log")
        stack.push_async_callback(envoys.stop, STOP_SECONDS)
        failing = await _upstream(FAILING, failing_port, folder)
        made = Stack(folder, envoy, metrics, router, failing_port, failing, milvus)
        stack.push_async_callback(lambda: made.failing.stop(STOP_SECONDS))
        ready = f"http://127.0.0.1:{api}/ready"
        await until(probe(ready, 2.0), ready, START_SECONDS, children=[model, router, envoys, failing])
        yield made


async def _upstream(name: str, port: int, folder: Path) -> Child:
    command = (sys.executable, "-m", "bench.soak_upstream", str(port))
    child = await Child.start(name, command, folder / f"{name}.log")
    await until(probe(f"http://127.0.0.1:{port}/health", 2.0), name, START_SECONDS, children=[child])
    return child


async def _milvus(stack: AsyncExitStack) -> MilvusServer:
    server = MilvusServer.prepare(stack.enter_context(disposable_folder()))
    stack.callback(server.kill)
    await asyncio.to_thread(server.start)
    return server


@contextlib.contextmanager
def paused(server: MilvusServer) -> Iterator[None]:
    """The server answers nothing while the context is open, and its connections stay."""
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


def _configuration(
    folder: Path,
    upstream: int,
    failing: int,
    listeners: dict[str, int],
    backend: str,
    milvus: MilvusServer | None,
) -> Path:
    """The shipped configuration with guards on, a small cache, and the failing model beside the others."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "config" / "router.yaml").read_text())
    for name, port in listeners.items():
        document["listeners"][name]["port"] = port
    del document["simulator"]
    for endpoint in document["vllm_endpoints"]:
        endpoint["port"] = upstream
    document["vllm_endpoints"].append({"name": FAILING, "address": "127.0.0.1", "port": failing})
    document["model_config"][FAILING] = {"preferred_endpoints": [FAILING]}
    document["model_config"]["qwen3-0.6b"]["pii_policy"] = {
        "allow_by_default": False,
        "pii_types_allowed": ["QUASI_IDENTIFIERS"],
    }
    document["prompt_guard"] |= {"enabled": True, "on_error": "block"}
    document["page"]["enabled"] = False
    # On a busy machine a slow analysis is not what is looked for.
    document["encoder"] = {"timeout_ms": 1500}
    document["semantic_cache"] |= {
        "backend_type": backend,
        "max_entries": MAX_ENTRIES,
        "max_bytes": MAX_BYTES,
        "coalesce_timeout_ms": 500,
        "backend_config_path": None if backend == "memory" else "milvus.yaml",
    }
    document["admin"]["token_file"] = "admin-token"
    if backend != "memory":
        settings = yaml.safe_load((ROOT / "config" / "cache" / "milvus.yaml").read_text())
        settings["connection"] = {"path": "milvus.db", "timeout": 10}
        if milvus is not None:
            auth = {"enabled": True, "username": USER}
            settings["connection"] = {"host": milvus.host, "port": milvus.port, "auth": auth, "timeout": 10}
        (folder / "milvus.yaml").write_text(yaml.safe_dump(settings))
    path = folder / "router.yaml"
    path.write_text(yaml.safe_dump(document))
    return path
