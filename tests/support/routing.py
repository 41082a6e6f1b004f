"""A router with its real encoder behind a real Envoy, for a configuration made of the shipped one: before the
simulated pool, or before one scripted upstream that stands for every model."""

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from router_extproc.app.configuration import Configuration, load, simulated_models, topology_of
from router_extproc.app.mind import Mind
from router_extproc.app.router import running
from router_extproc.simulator.pool import Pool
from tests.support.encoder import real_bundle
from tests.support.envoy import EnvoyProcess
from tests.support.stack import Answer, ask, shipped_document
from tests.support.upstream import Answer as UpstreamAnswer
from tests.support.upstream import Received, ScriptedUpstream, json_answer


@dataclass(frozen=True, slots=True)
class RoutedPool:
    """`upstream` is None before the simulated pool."""

    envoy: EnvoyProcess
    upstream: ScriptedUpstream | None
    session: aiohttp.ClientSession
    configuration: Configuration

    async def ask(
        self, text: str, token: str = "", headers: Mapping[str, str] | None = None, **more: Any
    ) -> Answer:
        """Ask one question of one user turn; `more` are fields of the request. Without `token` the client is
        a new one, whom no cached answer and no session concerns."""
        return await self.chat([{"role": "user", "content": text}], token, headers, **more)

    async def chat(
        self, messages: object, token: str = "", headers: Mapping[str, str] | None = None, **more: Any
    ) -> Answer:
        """As `ask`, with a conversation."""
        document = {"model": "auto", "messages": messages, **more}
        return await ask(self.session, self.envoy.url, document, token or secrets.token_hex(8), headers or {})

    async def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON body of a GET through Envoy."""
        async with self.session.get(self.envoy.url + path) as response:
            return response.status, await response.json()

    async def api(self, method: str, path: str, document: object = None) -> tuple[int, Any]:
        """Status and JSON body of a call of the router's API."""
        url = f"http://127.0.0.1:{self.configuration.settings.listeners.api.port}{path}"
        async with self.session.request(method, url, json=document) as response:
            return response.status, await response.json()

    async def sent(self, text: str, **more: Any) -> tuple[Answer, Received]:
        """The answer to a question, and what reached the scripted upstream for it."""
        return await self.sent_chat([{"role": "user", "content": text}], **more)

    async def sent_chat(self, messages: object, **more: Any) -> tuple[Answer, Received]:
        """As `sent`, with a conversation. Raises AssertionError unless exactly one request went upstream."""
        assert self.upstream is not None
        before = len(self.upstream.requests)
        answer = await self.chat(messages, **more)
        assert answer.status == 200, answer.body
        assert len(self.upstream.requests) == before + 1
        return answer, self.upstream.requests[before]


def leaf(kind: str, name: str) -> dict[str, str]:
    """A condition: the signal of this kind and name."""
    return {"type": kind, "name": name}


def rule(operator: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    """`conditions` are leaves or rules."""
    return {"operator": operator, "conditions": list(conditions)}


def decision(
    name: str, rules: dict[str, Any], *models: str | dict[str, Any], priority: int = 10, **more: Any
) -> dict[str, Any]:
    """`models` by name alone, or with what else a ref may say."""
    refs = [{"model": model} if isinstance(model, str) else model for model in models]
    return {"name": name, "priority": priority, "rules": rules, "modelRefs": refs, **more}


def keyword(name: str, *words: str, operator: str = "OR") -> dict[str, Any]:
    return {"name": name, "operator": operator, "keywords": list(words)}


def completed(request: Received) -> UpstreamAnswer:
    """A good answer of the model that was asked for."""
    message = {"role": "assistant", "content": "It depends."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json_answer(
        {
            "id": "chatcmpl-up",
            "object": "chat.completion",
            "created": 1,
            "model": request.json()["model"],
            "choices": [choice],
        }
    )


def prepare(folder: Path, changes: Mapping[str, Any], upstream_port: int | None = None) -> Configuration:
    """Write and load the shipped configuration with `changes` in place of top-level keys, the cache in
    memory, and all endpoints at `upstream_port`."""
    document = shipped_document()
    document["semantic_cache"] |= {"backend_type": "memory"}
    del document["semantic_cache"]["backend_config_path"]
    cache = document["semantic_cache"] | changes.get("semantic_cache", {})
    document |= {**changes, "semantic_cache": cache}
    if upstream_port is not None:
        for endpoint in document["vllm_endpoints"]:
            endpoint["port"] = upstream_port
    path = folder / "router.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return load(path)


@asynccontextmanager
async def routed(
    folder: Path,
    changes: Mapping[str, Any],
    *,
    simulated: bool = False,
    changed: Callable[[Mind], Mind] = lambda mind: mind,
) -> AsyncIterator[RoutedPool]:
    """Envoy, the router and its pool, for the shipped configuration with `changes`, in which keys of the
    cache are beside the shipped ones. `changed` puts something else in place of one of the models."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        upstream = None if simulated else await enter(ScriptedUpstream(otherwise=completed))
        configuration = prepare(folder, changes, upstream.port if upstream else None)
        if simulated:
            await enter(Pool(simulated_models(configuration)))
        await enter(running(configuration, changed(Mind.load(real_bundle(), configuration))))
        envoy = await enter(EnvoyProcess(topology_of(configuration)))
        session = await enter(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)))
        yield RoutedPool(envoy, upstream, session, configuration)
