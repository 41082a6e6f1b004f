"""`up`: the whole stack on this machine, in the foreground: the pool, the router, Envoy."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from router_extproc.app.api_call import TOKEN_VARIABLE
from router_extproc.app.api_tls import trust_of
from router_extproc.app.configuration import (
    Configuration,
    listened,
    listening,
    load,
    processes_of,
    reachable,
    require_secrets,
    simulated_models,
    topology_of,
)
from router_extproc.app.mind import Mind
from router_extproc.app.models import ensure_bundle, say
from router_extproc.app.proxy import EnvoyFolder
from router_extproc.app.router import running
from router_extproc.app.serve import spare_collections
from router_extproc.app.stopping import Stop
from router_extproc.app.workers import crew
from router_extproc.base.errors import OperatorError
from router_extproc.server.http import probe
from router_extproc.settings.schema import Address
from router_extproc.settings.tls_schema import ServerTls
from router_extproc.supervisor.environment import inherited, without
from router_extproc.supervisor.envoy import envoy_command, envoy_program
from router_extproc.supervisor.leash import tethered
from router_extproc.supervisor.ports import require_free
from router_extproc.supervisor.process import Child
from router_extproc.supervisor.wait import until
from router_extproc.telemetry.log import configure_logging

START_SECONDS: Final = 30.0
"""The longest a child may take until it answers."""

STOP_SECONDS: Final = 5.0
LOG: Final = "router.log"

QUESTION: Final = (
    '{"model":"auto","messages":[{"role":"system","content":"You are a helpful assistant."},'
    '{"role":"user","content":"What are the main renewable energy sources?"}],"temperature":0.7}'
)


def up(config: Path, state: Path, workers: int | None = None) -> int:
    """Returns 0 after SIGINT or SIGTERM; raises OperatorError when a part cannot start or ends by itself."""
    began = time.monotonic()
    configuration = load(config, workers=workers)
    _open_state(configuration, state)
    require_secrets(configuration)
    require_free(_addresses(configuration))
    envoy = envoy_program()
    bundle = ensure_bundle(configuration.settings)
    mind = None
    if configuration.settings.workers == 1:
        say(f"loading encoder {bundle.encoder}")
        mind = Mind.load(bundle, configuration)
    asyncio.run(_run(configuration, mind, envoy, state, began))
    return 0


def _open_state(configuration: Configuration, state: Path) -> None:
    """The folder of logs, and the router's own log in it: the terminal shows progress only."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        # A full disk is told now, and not when Envoy's files are to be written, half a minute later.
        probe = state / ".writable"
        probe.write_bytes(b"?")
        probe.unlink()
        given = configuration.settings.observability
        configure_logging(given.log_level, state / LOG, given.log_format)
    except OSError as error:
        raise OperatorError(f"{state}: cannot be written: {error.strerror}") from error


async def _run(
    configuration: Configuration, mind: Mind | None, envoy: Path, state: Path, began: float
) -> None:
    stop, listeners = Stop.at_signals().asked, configuration.settings.listeners
    async with AsyncExitStack() as stack:
        children = []
        if configuration.settings.simulator is not None:
            command = [
                sys.executable,
                "-m",
                "router_extproc",
                "simulate",
                "--config",
                str(configuration.path),
            ]
            children.append(
                await _start(stack, "the simulated pool", command, state / "pool.log", inherited(os.environ))
            )
            for model in simulated_models(configuration):
                url = f"http://{reachable(Address(address=model.host, port=model.port))}/health"
                await until(probe(url, 1.0), url, START_SECONDS, children=children, stop=stop)
                say(f"{model.name} is simulated on {model.host}:{model.port}")
        # Imported late: Envoy's typed messages take a second to load, and nothing else here needs them.
        from router_extproc.app.envoy_folder import write_envoy
        from router_extproc.envoyconf.dynamic import BOOTSTRAP

        folder = state / "envoy"
        if mind is None:
            await stack.enter_async_context(crew(configuration, stop, state / LOG))
        else:
            proxy_folder = EnvoyFolder(folder)
            stack.push_async_callback(proxy_folder.close)
            await stack.enter_async_context(running(configuration, mind, proxy_folder))
        say(f"the router listens on {', '.join(map(listened, processes_of(configuration)))}")
        await write_envoy(topology_of(configuration), folder)
        proxy = envoy_command(envoy, folder / BOOTSTRAP)
        children.append(await _start(stack, "Envoy", proxy, state / "envoy.log", for_envoy(configuration)))
        ready = f"{_scheme(listeners.api.tls)}://{reachable(listeners.api)}/ready"
        trust = trust_of(configuration.path, listeners.api.tls)
        asked = probe(ready, 2.0, trust.context, trust.server_name)
        await until(asked, ready, START_SECONDS, children=children, stop=stop)
        if not stop.is_set():
            spare_collections()
            _announce(configuration, state, time.monotonic() - began)
            await _watch(children, stop)
        say("stopping")


async def _start(
    stack: AsyncExitStack, name: str, command: Sequence[str], log: Path, env: Mapping[str, str]
) -> Child:
    child = await Child.start(name, tethered(command), log, env)
    stack.push_async_callback(child.stop, STOP_SECONDS)
    return child


def for_envoy(configuration: Configuration) -> Mapping[str, str]:
    """This environment, in which the keys of models are or will be, without what only the router may know."""
    milvus = configuration.milvus
    auth = None if milvus is None else milvus.connection.auth
    names = {TOKEN_VARIABLE, configuration.settings.semantic_cache.tenant_key_env}
    names |= set() if auth is None else {auth.password_env}
    return without(os.environ, {name for name in names if name is not None})


async def _watch(children: list[Child], stop: asyncio.Event) -> None:
    """Until the operator stops us; a child that ends by itself ends the stack with an error."""
    stopped = asyncio.create_task(stop.wait())
    ends = {asyncio.create_task(child.process.wait()): child for child in children}
    done, pending = await asyncio.wait({stopped, *ends}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done - {stopped}:
        raise ends[task].failure()


def _addresses(configuration: Configuration) -> dict[str, tuple[str, int]]:
    settings = configuration.settings
    envoy = settings.listeners.envoy
    addresses = {"listeners.envoy": (envoy.address, envoy.port), **listening(configuration)}
    if settings.simulator is not None:
        for model in simulated_models(configuration):
            addresses[f"the endpoint of {model.name}"] = (model.host, model.port)
    return addresses


def _announce(configuration: Configuration, state: Path, seconds: float) -> None:
    listeners = configuration.settings.listeners
    envoy = reachable(listeners.envoy)
    api = f"{_scheme(listeners.api.tls)}://{reachable(listeners.api)}"
    metrics = f"{_scheme(listeners.metrics.tls)}://{reachable(listeners.metrics)}"
    page = f"{api}/ (page), " if configuration.settings.page.enabled else ""
    write: Callable[[str], int] = sys.stdout.write
    write(
        f"ready in {seconds:.1f} s: http://{envoy} (OpenAI API), {page}"
        f"{api}/ready, {metrics}/metrics; "
        f"logs in {state}/; Ctrl-C stops everything. Try this twice, and look at the headers:\n"
    )
    write(
        f"curl -i -X POST http://{envoy}/v1/chat/completions -H 'Content-Type: application/json' "
        f"-H 'Authorization: Bearer test-token' -d '{QUESTION}'\n"
    )
    sys.stdout.flush()


def _scheme(tls: ServerTls | None) -> str:
    return "http" if tls is None else "https"
