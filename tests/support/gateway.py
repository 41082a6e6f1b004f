"""The router with its real encoder behind a real Envoy with the shipped `envoy.yaml`, and one scripted
upstream in the place of every model of the pool."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from router_extproc.app.configuration import Configuration, load
from router_extproc.app.mind import Mind
from router_extproc.app.router import running
from router_extproc.app.token import admin_token
from router_extproc.base.completion import Completion, Usage
from router_extproc.llm.render import render_json, render_sse
from tests.support.encoder import real_bundle
from tests.support.envoy import EnvoyProcess
from tests.support.processes import wait_until
from tests.support.stack import ROOT, Answer, ask, write_configuration
from tests.support.upstream import Answer as UpstreamAnswer
from tests.support.upstream import ScriptedUpstream, bytes_answer, json_answer

COMPLETION = Completion(
    "qwen3-32b", "Solve it:\n\n```python\n\tx = 2\n```\n| a | b |\n| 你好 | 🙂 |\n  ", "stop", (), Usage(9, 5)
)
JSON = render_json(COMPLETION, "chatcmpl-up", 1)
SSE = render_sse(COMPLETION, "chatcmpl-up", 1, include_usage=False)
BUSY = json_answer({"error": {"message": "nothing scripted"}}, status=503)
IN_MEMORY: dict[str, Any] = {"backend_type": "memory", "backend_config_path": None}


@dataclass(frozen=True, slots=True)
class Gateway:
    """Envoy in front of the router; every model of the pool is `upstream`."""

    envoy: EnvoyProcess
    upstream: ScriptedUpstream
    session: aiohttp.ClientSession
    configuration: Configuration

    async def ask(self, document: object, token: str = "k1", **headers: str) -> Answer:
        """`headers`: more fields, underscores for hyphens."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return await ask(self.session, self.envoy.url, document, token, fields)

    async def metrics(self) -> dict[str, float]:
        """Every sample of the router's `/metrics`, by name and labels as written there."""
        port = self.configuration.settings.listeners.metrics.port
        async with self.session.get(f"http://127.0.0.1:{port}/metrics") as response:
            lines = (await response.text()).splitlines()
        return {name: float(value) for name, value in (x.rsplit(" ", 1) for x in lines if x[0] != "#")}

    async def decisions(self, **query: str) -> list[dict[str, Any]]:
        """The records of the latest decisions, the latest first, by the API."""
        api = self.configuration.settings.listeners.api
        token = admin_token(self.configuration.path, self.configuration.settings)
        url, headers = f"http://127.0.0.1:{api.port}/api/v1/decisions", {"authorization": f"Bearer {token}"}
        async with self.session.get(url, params=query, headers=headers) as response:
            assert response.status == 200
            found: list[dict[str, Any]] = (await response.json())["decisions"]
            return found

    async def hit(self, document: object, token: str = "k1") -> Answer:
        """The answer from the cache. The write is off the client's path, so it may take another moment: until
        then the upstream says 503, which is never stored."""

        async def asked() -> Answer | None:
            answer = await self.ask(document, token)
            return answer if answer.is_hit else None

        found = await wait_until(asked, "a hit", 20.0)
        assert found is not None
        return found


@asynccontextmanager
async def gateway(
    folder: Path, *, milvus: Any = None, observability: Any = None, **cache: Any
) -> AsyncIterator[Gateway]:
    """`cache` are keys of `semantic_cache`; by default the cache is in memory. `milvus` replaces the document
    of `cache/milvus.yaml`, `observability` that section."""
    changes = {**({} if milvus else IN_MEMORY), **cache}
    more = {} if observability is None else {"observability": observability}
    configuration = load(write_configuration(folder, milvus=milvus, semantic_cache=changes, **more))
    settings = configuration.settings
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        upstream = await enter(ScriptedUpstream(otherwise=lambda request: BUSY))
        await enter(running(configuration, Mind.load(real_bundle(), configuration)))
        ports = {9001: upstream.port, 9002: upstream.port, 9003: upstream.port}
        ports[50051] = settings.listeners.ext_proc.port
        envoy = await enter(EnvoyProcess((ROOT / "envoy.yaml").read_text(), ports=ports))
        session = await enter(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)))
        yield Gateway(envoy, upstream, session, configuration)


def question(text: str, **more: Any) -> dict[str, Any]:
    """A request of one user turn."""
    return {"model": "auto", "messages": [{"role": "user", "content": text}], **more}


def answered(body: bytes = JSON) -> UpstreamAnswer:
    """An upstream's JSON answer."""
    return bytes_answer(body, 200, [("content-type", "application/json")])
