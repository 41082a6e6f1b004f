"""The router behind the filter in the forms that Envoy Gateway and Istio give it, in a real Envoy.

Neither control plane runs here. What they make of our manifests is written out: `by_istio` applies the
patches of the EnvoyFilter, and `by_envoy_gateway` does what its translation does with the policies: the
filter stands disabled in the chain and each route enables it, with a timeout of its own for the gRPC stream.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from router_extproc.app.configuration import load
from router_extproc.app.mind import Mind
from router_extproc.app.router import running
from router_extproc.base.names import INTERNAL, SELECTED_MODEL
from tests.support.encoder import real_bundle
from tests.support.envoy import EnvoyProcess
from tests.support.gateway import IN_MEMORY, JSON, SSE, answered, question
from tests.support.kustomize import Object
from tests.support.manifests import one, overlay
from tests.support.processes import free_port, wait_until
from tests.support.stack import ROOT, ask, write_configuration
from tests.support.upstream import ScriptedUpstream, sse_answer

GRPC_TIMEOUT = 0.3
"""Envoy Gateway writes 10 s. In Envoy it does not bound the stream, which lives as long as the answer."""

TYPES = "type.googleapis.com/envoy"
OURS = ("early_header_mutation_extensions", "local_reply_config", "preserve_external_request_id")


def bare() -> Object:
    """The shipped configuration without what a control plane is told of us."""
    document: Object = yaml.safe_load((ROOT / "envoy.yaml").read_text())
    manager = manager_of(document)
    manager["http_filters"] = [each for each in manager["http_filters"] if "ext_proc" not in each["name"]]
    for key in OURS:
        del manager[key]
    document["static_resources"]["listeners"][0]["per_connection_buffer_limit_bytes"] = 32768
    return document


def manager_of(document: Object) -> Object:
    (chain,) = document["static_resources"]["listeners"][0]["filter_chains"]
    found: Object = chain["filters"][0]["typed_config"]
    return found


def cluster_of(document: Object) -> Object:
    (found,) = (each for each in document["static_resources"]["clusters"] if each["name"] == "ext_proc")
    wanted: Object = found
    return wanted


def by_istio() -> Object:
    document = bare()
    manager, listener = manager_of(document), document["static_resources"]["listeners"][0]
    for patch in one(overlay("istio"), "EnvoyFilter")["spec"]["configPatches"]:
        value, match = patch["patch"]["value"], patch["match"]
        match patch["applyTo"], patch["patch"]["operation"]:
            case "HTTP_FILTER", "INSERT_BEFORE":
                name = match["listener"]["filterChain"]["filter"]["subFilter"]["name"]
                names = [each["name"] for each in manager["http_filters"]]
                manager["http_filters"].insert(names.index(name), value)
            case "NETWORK_FILTER", "MERGE":
                manager.update(value["typed_config"])
            case "LISTENER", "MERGE":
                listener.update(value)
            case "CLUSTER", "MERGE":
                cluster = cluster_of(document)
                cluster.update(value)
                name = f"outbound|{match['cluster']['portNumber']}||{match['cluster']['service']}"
                cluster["name"] = cluster["load_assignment"]["cluster_name"] = name
    return document


def by_envoy_gateway() -> Object:
    document = bare()
    manager, listener = manager_of(document), document["static_resources"]["listeners"][0]
    client = one(overlay("envoy-gateway"), "ClientTrafficPolicy", "llm")["spec"]
    (told,) = one(overlay("envoy-gateway"), "EnvoyExtensionPolicy")["spec"]["extProc"]
    listener["per_connection_buffer_limit_bytes"] = mebibytes(client["connection"]["bufferLimit"])
    early = "envoy.http.early_header_mutation.header_mutation"
    removed = [{"remove": name} for name in client["headers"]["earlyRequestHeaders"]["remove"]]
    mutation = {"@type": f"{TYPES}.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"}
    manager["early_header_mutation_extensions"] = [
        {"name": early, "typed_config": {**mutation, "mutations": removed}}
    ]
    name = "envoy.filters.http.ext_proc/envoyextensionpolicy/router-extproc/router-extproc/extproc/0"
    mode, modes = told["processingMode"], {"request": "SKIP", "response": "SKIP"}
    modes |= {direction: "SEND" for direction in modes if direction in mode}
    filter_ = {
        "@type": f"{TYPES}.extensions.filters.http.ext_proc.v3.ExternalProcessor",
        "grpc_service": {"envoy_grpc": {"cluster_name": "ext_proc"}, "timeout": f"{GRPC_TIMEOUT}s"},
        "failure_mode_allow": told["failOpen"],
        "message_timeout": told["messageTimeout"],
        "allow_mode_override": mode["allowModeOverride"],
        "processing_mode": {
            "request_header_mode": modes["request"],
            "response_header_mode": modes["response"],
            "request_body_mode": mode["request"].get("body", "None").upper(),
            "response_body_mode": mode["response"].get("body", "None").upper(),
            "request_trailer_mode": "SKIP",
            "response_trailer_mode": "SKIP",
        },
    }
    manager["http_filters"].insert(0, {"name": name, "disabled": True, "typed_config": filter_})
    for route in manager["route_config"]["virtual_hosts"][0]["routes"]:
        route["typed_per_filter_config"] = {
            name: {"@type": f"{TYPES}.config.route.v3.FilterConfig", "config": {}}
        }
    return document


def mebibytes(quantity: str) -> int:
    return int(quantity.removesuffix("Mi")) * 1024 * 1024


@asynccontextmanager
async def behind(
    document: Object, upstream: ScriptedUpstream, small: ScriptedUpstream, ext_proc: int
) -> AsyncIterator[tuple[EnvoyProcess, aiohttp.ClientSession]]:
    ports = {9001: small.port, 9002: upstream.port, 9003: upstream.port, 50051: ext_proc}
    timeout = aiohttp.ClientTimeout(total=20)
    async with (
        EnvoyProcess(yaml.safe_dump(document), ports=ports) as envoy,
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        yield envoy, session


@pytest.mark.parametrize("form", [by_envoy_gateway, by_istio])
async def test_the_router_works_behind_this_form_of_the_filter(
    tmp_path: Path, form: Callable[[], Object]
) -> None:
    configuration = load(write_configuration(tmp_path, semantic_cache=IN_MEMORY))
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(ScriptedUpstream())
        small = await stack.enter_async_context(ScriptedUpstream(otherwise=lambda _: answered()))
        await stack.enter_async_context(running(configuration, Mind.load(real_bundle(), configuration)))
        port = configuration.settings.listeners.ext_proc.port
        envoy, session = await stack.enter_async_context(behind(form(), upstream, small, port))
        await chooses_the_model_whatever_the_client_says(envoy, session, upstream)
        assert small.requests == []
        await takes_a_long_prompt(envoy, session, upstream)
        await keeps_a_stream_that_takes_its_time(envoy, session, upstream)


@pytest.mark.parametrize("form", [by_envoy_gateway, by_istio])
async def test_a_client_chooses_no_route_while_the_router_is_away(form: Callable[[], Object]) -> None:
    async with (
        ScriptedUpstream(otherwise=lambda _: answered()) as upstream,
        ScriptedUpstream() as small,
        behind(form(), upstream, small, free_port()) as (envoy, session),
    ):
        forged = dict.fromkeys(INTERNAL, "qwen3-0.6b")
        answer = await ask(session, envoy.url, question("Hello"), more=forged)
        assert answer.status == 200
        (seen,) = upstream.requests
        assert [name for name in INTERNAL if seen.all(name)] == []


async def chooses_the_model_whatever_the_client_says(
    envoy: EnvoyProcess, session: aiohttp.ClientSession, upstream: ScriptedUpstream
) -> None:
    upstream.script(answered())
    forged = dict.fromkeys(INTERNAL, "qwen3-0.6b")
    answer = await ask(session, envoy.url, question("What is the derivative of x^2?"), more=forged)
    assert (answer.status, answer.body) == (200, JSON)
    assert answer.headers["x-vsr-selected-model"] == "qwen3-32b"
    seen = upstream.requests[-1]
    assert seen.get(SELECTED_MODEL) == "qwen3-32b"
    assert seen.json()["model"] == "qwen3-32b"


async def takes_a_long_prompt(
    envoy: EnvoyProcess, session: aiohttp.ClientSession, upstream: ScriptedUpstream
) -> None:
    """Longer than the 32 KiB and 1 MiB that control planes and Envoy buffer by default."""
    upstream.script(answered())
    answer = await ask(session, envoy.url, question("Prove it. " + "x^2 " * 500_000))
    assert answer.status == 200


async def keeps_a_stream_that_takes_its_time(
    envoy: EnvoyProcess, session: aiohttp.ClientSession, upstream: ScriptedUpstream
) -> None:
    gate, half = asyncio.Event(), len(SSE) // 2
    upstream.script(sse_answer(SSE[:half], gate, SSE[half:]))
    document: dict[str, Any] = question("Integrate the sine function.", stream=True)
    headers = {"content-type": "application/json", "authorization": "Bearer test-token"}
    loop = asyncio.get_running_loop()
    url, body = f"{envoy.url}/v1/chat/completions", json.dumps(document).encode()
    async with session.post(url, data=body, headers=headers) as response:
        begun = await response.content.readany()
        late = loop.time() + 4 * GRPC_TIMEOUT
        await wait_until(lambda: loop.time() > late, "the filter's own timeout to pass")
        gate.set()
        assert begun + await response.content.read() == SSE

    upstream.script(*[answered()] * 1000)  # what is asked before the answer is kept

    async def hit() -> bool:
        return (await ask(session, envoy.url, document)).is_hit

    await wait_until(hit, "the stream to be answered from the cache")
    assert await envoy.stat("http.router.ext_proc.streams_failed") == 0
