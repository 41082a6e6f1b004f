"""The processes a benchmark needs: a canned upstream, a no-op ext_proc, the router and three Envoys."""

import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from router_extproc.envoyconf.render import render_envoy
from router_extproc.envoyconf.topology import Endpoint, HostPort, Model, Topology
from router_extproc.server.http import probe
from router_extproc.supervisor.envoy import envoy_command, envoy_program
from router_extproc.supervisor.process import Child
from router_extproc.supervisor.wait import until

ROOT = Path(__file__).parents[1]
START_SECONDS = 60.0
STOP_SECONDS = 5.0
MODELS = ("qwen3-0.6b", "qwen3-8b", "qwen3-32b")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where to send load: `alone`, `no_op` and `router` are Envoys. `metrics` is the router's own port, and
    `router_pid` its process."""

    alone: int
    no_op: int
    router: int
    metrics: int
    router_pid: int


def free_ports(count: int) -> list[int]:
    """Ports that were free together a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@asynccontextmanager
async def running(folder: Path, cache: Mapping[str, Any]) -> AsyncIterator[Ports]:
    """Everything started and answering; stopped on leaving. Logs are in `folder`. `cache` are keys of
    `semantic_cache`."""
    alone, no_op, router, upstream, empty, ext_proc, api, metrics = free_ports(8)
    topology = Topology(
        listener=HostPort("127.0.0.1", alone),
        ext_proc=HostPort("127.0.0.1", empty),
        models={name: Model((Endpoint("127.0.0.1", upstream),)) for name in MODELS},
        default_model="qwen3-8b",
        max_body_bytes=16 * 1024 * 1024,
    )
    listeners = {"envoy": router, "ext_proc": ext_proc, "api": api, "metrics": metrics}
    configuration = write_configuration(folder, upstream, listeners, cache)
    children: list[Child] = []
    async with AsyncExitStack() as stack:

        async def start(name: str, *command: str) -> Child:
            child = await Child.start(name, command, folder / f"{name}.log")
            stack.push_async_callback(child.stop, STOP_SECONDS)
            children.append(child)
            return child

        await start("upstream", sys.executable, "-m", "bench.upstream", str(upstream))
        await start("no-op", sys.executable, "-m", "bench.noop", str(empty))
        serve = (sys.executable, "-m", "router_extproc", "serve", "--config", str(configuration))
        served = await start("router", *serve)
        envoys = {
            "envoy-alone": without_ext_proc(render_envoy(topology)),
            "envoy-no-op": render_envoy(replace(topology, listener=HostPort("127.0.0.1", no_op))),
            "envoy-router": render_envoy(
                replace(
                    topology,
                    listener=HostPort("127.0.0.1", router),
                    ext_proc=HostPort("127.0.0.1", ext_proc),
                )
            ),
        }
        for name, text in envoys.items():
            path = folder / f"{name}.yaml"
            path.write_text(text)
            await start(name, *envoy_command(envoy_program(), path), "--concurrency", "1")
        for port in (alone, no_op, router):
            await until(
                probe(f"http://127.0.0.1:{port}/health", 2.0), "Envoy", START_SECONDS, children=children
            )
        await until(
            probe(f"http://127.0.0.1:{api}/ready", 2.0), "the router", START_SECONDS, children=children
        )
        yield Ports(alone, no_op, router, metrics, served.process.pid)


def without_ext_proc(text: str) -> str:
    """The same proxy with the filter taken out."""
    document = yaml.safe_load(text)
    chain = document["static_resources"]["listeners"][0]["filter_chains"][0]
    manager = chain["filters"][0]["typed_config"]
    kept = [each for each in manager["http_filters"] if "ext_proc" not in each["name"]]
    assert len(kept) == len(manager["http_filters"]) - 1
    manager["http_filters"] = kept
    return yaml.safe_dump(document, sort_keys=False)


def write_configuration(
    folder: Path, upstream: int, listeners: Mapping[str, int | str], cache: Mapping[str, Any], **more: Any
) -> Path:
    """The shipped configuration, cache in Milvus Lite included, on these ports and paths. `more` are other
    keys."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "config" / "router.yaml").read_text())
    for name, at in listeners.items():
        if isinstance(at, str):
            document["listeners"][name] = {"path": at}
        else:
            document["listeners"][name]["port"] = at
    del document["simulator"]  # the canned upstream answers for every model
    for endpoint in document["vllm_endpoints"]:
        endpoint["port"] = upstream
    # On a noisy machine a slow analysis must be measured, not turned into a route without one.
    document["encoder"] = {"timeout_ms": 1500}
    document["semantic_cache"] |= {"coalesce_timeout_ms": 500, **cache}
    document["admin"]["token_file"] = "admin-token"
    # Nobody waits for the end of a bench.
    document["shutdown"] = {"drain_seconds": 0.0, "grace_seconds": 1.0}
    for name, value in more.items():
        held = document.get(name)
        document[name] = {**held, **value} if isinstance(held, dict) else value
    milvus = yaml.safe_load((ROOT / "config" / "cache" / "milvus.yaml").read_text())
    milvus["connection"]["path"] = "milvus.db"
    (folder / "cache").mkdir()
    (folder / "cache" / "milvus.yaml").write_text(yaml.safe_dump(milvus))
    path = folder / "router.yaml"
    path.write_text(yaml.safe_dump(document))
    return path
