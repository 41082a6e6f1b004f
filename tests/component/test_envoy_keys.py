"""A provider's API key takes the place of the client's credentials, in the real Envoy, and is seen nowhere
else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from envoy_data_plane.envoy.service.ext_proc.v3 import ProcessingRequest

from router_extproc.app.envoy_folder import write_envoy
from router_extproc.envoyconf.credentials import NOT_FOR_PROVIDERS
from router_extproc.envoyconf.render import render_envoy
from router_extproc.envoyconf.topology import KeyFromEnvironment, KeyFromFile, Model
from tests.component.test_envoy_config import upgraded
from tests.support.envoy import EnvoyProcess
from tests.support.processes import wait_until
from tests.support.processor import processor
from tests.support.providers import CHAT, Client, asking, at, pool, served
from tests.support.upstream import Answer, Received, ScriptedUpstream, json_answer

KEY = "sk-of-the-provider"
VARIABLE = "A_PROVIDERS_KEY"
ENVIRONMENT = {VARIABLE: KEY}
CLIENT = dict.fromkeys(NOT_FOR_PROVIDERS, "of-the-client") | {"authorization": "Bearer of-the-client"}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with asking() as client:
        yield client


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(otherwise=served) as upstream:
        yield upstream


def keyed(upstream: ScriptedUpstream, path: Path | None = None, prefix: str | None = None) -> Model:
    """A provider whose key is in the file `path`, else in the environment."""
    key = KeyFromEnvironment(VARIABLE) if path is None else KeyFromFile(str(path))
    return Model((at(upstream.port),), path_prefix=prefix, api_key=key)


def replaced(folder: Path, key: str) -> Path:
    """The key as secret stores write it: a file that is replaced by renaming."""
    new = folder / "provider.new"
    new.write_text(key)
    return new.rename(folder / "provider")


def mounted(folder: Path, key: str) -> Path:
    """The key as Kubernetes mounts it: the file is a link into a folder that another link is changed to."""
    version = folder / f"..{key.strip()}"
    version.mkdir()
    (version / "provider").write_text(key)
    (folder / "..new").symlink_to(version.name)
    (folder / "..new").rename(folder / "..data")
    if not (folder / "provider").is_symlink():
        (folder / "provider").symlink_to("..data/provider")
    return folder / "provider"


async def test_the_provider_sees_its_key_and_nothing_of_the_clients(
    upstream: ScriptedUpstream, client: Client
) -> None:
    async with EnvoyProcess(pool(keyed(upstream)), environment=ENVIRONMENT) as envoy:
        assert (await client.ask(envoy, headers=CLIENT)).status == 200
    (request,) = upstream.requests
    assert request.get("authorization") == f"Bearer {KEY}"
    assert "of-the-client" not in str(request.headers)
    assert [name for name in NOT_FOR_PROVIDERS if request.all(name)] == ["authorization"]


async def test_the_router_still_sees_the_clients_credential(
    upstream: ScriptedUpstream, client: Client
) -> None:
    seen: list[ProcessingRequest] = []
    async with (
        processor("127.0.0.1:0", "default", seen) as port,
        EnvoyProcess(pool(keyed(upstream), port), environment=ENVIRONMENT) as envoy,
    ):
        assert (await client.ask(envoy, headers=CLIENT)).status == 200
    first = seen[0].request_headers
    assert first is not None
    assert first.headers is not None
    sent = [each.raw_value for each in first.headers.headers if each.key == "authorization"]
    assert sent == [b"Bearer of-the-client"]
    assert KEY.encode() not in b"".join(bytes(each) for each in seen)
    assert upstream.requests[0].get("authorization") == f"Bearer {KEY}"


async def test_a_model_without_a_key_gets_what_the_client_sent(
    upstream: ScriptedUpstream, client: Client
) -> None:
    async with ScriptedUpstream(otherwise=served) as own, processor("127.0.0.1:0", "own") as port:
        plan = pool(keyed(upstream), port, own=Model((at(own.port),)))
        async with EnvoyProcess(plan, environment=ENVIRONMENT) as envoy:
            assert (await client.ask(envoy, headers=CLIENT)).status == 200
    (request,) = own.requests
    assert request.get("authorization") == "Bearer of-the-client"
    assert KEY not in str(request.headers)
    assert upstream.requests == []


async def test_a_key_is_in_no_file_log_or_answer(
    upstream: ScriptedUpstream, client: Client, tmp_path: Path
) -> None:
    plan = pool(keyed(upstream))
    await write_envoy(plan, tmp_path / "envoy")
    written = "".join(path.read_text() for path in (tmp_path / "envoy").iterdir())
    assert VARIABLE in written
    async with EnvoyProcess(tmp_path / "envoy", environment=ENVIRONMENT) as envoy:
        reply = await client.ask(envoy, headers=CLIENT)
        assert upstream.requests[0].get("authorization") == f"Bearer {KEY}"
        log = str(await envoy.access_log()) + envoy.log()
    for place in (written, log, str(reply), render_envoy(plan)):
        assert KEY not in place
    assert "of-the-client" not in log


@pytest.mark.parametrize("write", [replaced, mounted])
async def test_an_exchanged_key_is_taken_up_while_envoy_runs(
    write: Callable[[Path, str], Path], upstream: ScriptedUpstream, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "keys").mkdir()
    path = write(tmp_path / "keys", "sk-first\n")
    await write_envoy(pool(keyed(upstream, path)), tmp_path / "envoy")
    async with EnvoyProcess(tmp_path / "envoy") as envoy:

        async def sent() -> str | None:
            assert (await client.ask(envoy)).status == 200
            return upstream.requests[-1].get("authorization")

        async def changed() -> bool:
            return await sent() == "Bearer sk-second"

        assert await sent() == "Bearer sk-first"
        write(tmp_path / "keys", "sk-second")
        await wait_until(changed, "the exchanged key")


@pytest.mark.parametrize("source", ["environment", "file"])
async def test_without_its_key_a_provider_gets_no_request(
    source: str, upstream: ScriptedUpstream, client: Client, tmp_path: Path
) -> None:
    plan = pool(keyed(upstream, None if source == "environment" else tmp_path / "absent"))
    await write_envoy(plan, tmp_path / "envoy")
    async with EnvoyProcess(tmp_path / "envoy") as envoy:
        reply = await client.ask(envoy, headers=CLIENT)
        log = envoy.log()
    assert (reply.status, reply.error()["code"]) == (503, "upstream_failed")
    assert "no API key" in str(reply.error()["message"])
    assert upstream.requests == []
    assert (VARIABLE if source == "environment" else "absent") in log


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("POST", CHAT, "/openai/v1/chat/completions"),
        ("POST", "/v1/embeddings?a=b", "/openai/v1/embeddings?a=b"),
        ("GET", "/v1/models", "/openai/v1/models"),
        ("GET", "/v1/files", None),
        ("GET", CHAT, None),
        ("DELETE", "/v1/models/ft:1", None),
        ("POST", "/v1/chat/completions/1", None),
        ("POST", "/anything", None),
    ],
)
async def test_in_our_name_a_client_may_only_ask_for_completions(
    method: str, path: str, target: str | None, upstream: ScriptedUpstream, client: Client
) -> None:
    """Of a default model with a key, which also gets the requests that the router does not look at."""
    plan = pool(keyed(upstream, prefix="/openai/v1"))
    async with EnvoyProcess(plan, environment=ENVIRONMENT) as envoy:
        reply = await client.ask(envoy, path, method=method)
    if target is None:
        assert (reply.status, reply.error()["type"]) == (404, "invalid_request_error")
        assert upstream.requests == []
    else:
        assert reply.status == 200
        assert upstream.requests[0].target == target


async def test_an_upgraded_connection_is_not_made_in_our_name(upstream: ScriptedUpstream) -> None:
    async with EnvoyProcess(pool(keyed(upstream)), environment=ENVIRONMENT) as envoy:
        async with asyncio.timeout(10):
            head, _ = await upgraded(envoy, "websocket", b"")
    assert head.startswith(b"HTTP/1.1 404")
    assert upstream.requests == []


async def test_a_retry_carries_the_key_once(client: Client) -> None:
    def busy(_: Received) -> Answer:
        return json_answer({}, status=503)

    async with ScriptedUpstream(otherwise=busy) as one, ScriptedUpstream(otherwise=busy) as other:
        servers = (at(one.port), at(other.port))
        plan = pool(Model(servers, api_key=KeyFromEnvironment(VARIABLE)))
        async with EnvoyProcess(plan, environment=ENVIRONMENT) as envoy:
            assert (await client.ask(envoy, headers=CLIENT)).status == 503
    sent = [request.all("authorization") for request in (*one.requests, *other.requests)]
    assert sent == [[f"Bearer {KEY}"]] * 2
