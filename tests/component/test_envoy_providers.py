"""Servers of a pool as the real Envoy finds them: by name or address, weighed, over TLS, dead or alive."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from router_extproc.envoyconf.render import render_envoy
from router_extproc.envoyconf.topology import Endpoint, HealthCheck, KeyFromEnvironment, Model, Tls
from router_extproc.envoyconf.topology import KeyFromFile as FileKey
from tests.component.test_envoy_config import validate
from tests.support.authority import Authority
from tests.support.envoy import EnvoyProcess
from tests.support.processes import free_port, wait_until
from tests.support.providers import CHAT, Client, asking, at, pool, served
from tests.support.upstream import Answer, Received, ScriptedUpstream, json_answer


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with asking() as client:
        yield client


def secure(port: int, authority: Authority, name: str = "localhost", host: str = "127.0.0.1") -> Endpoint:
    return Endpoint(host, port, tls=Tls(str(authority.path), name))


def failing(status: int) -> ScriptedUpstream:
    return ScriptedUpstream(otherwise=lambda _: json_answer({"error": {}}, status=status))


async def test_envoy_accepts_every_kind_of_provider_at_once(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    key = tmp_path / "key"
    key.write_text("sk")
    named = Tls(str(authority.path), "api.example.com")
    check = HealthCheck("/health", 0.5, 1.5)
    plan = pool(
        Model((Endpoint("api.example.com", 443, 3, named), Endpoint("10.0.0.1", 8000)), health_check=check),
        tls=Model((Endpoint("::1", 443, tls=Tls(str(authority.path), "::1")),), health_check=check),
        keyed=Model((Endpoint("a", 443, tls=named),), "/openai/v1", KeyFromEnvironment("PATH")),
        filed=Model((Endpoint("10.0.0.1", 80),), "/", FileKey(str(key))),
    )
    path = tmp_path / "envoy.yaml"
    path.write_text(render_envoy(plan))
    status, log = await validate(path)
    assert status == 0, log


async def test_servers_share_a_models_requests_by_weight(client: Client) -> None:
    async with ScriptedUpstream(otherwise=served) as heavy, ScriptedUpstream(otherwise=served) as light:
        plan = pool(Model((at(heavy.port, weight=3), at(light.port))))
        async with EnvoyProcess(plan) as envoy:
            for _ in range(80):
                assert (await client.ask(envoy)).status == 200
    assert len(heavy.requests) + len(light.requests) == 80
    assert 50 <= len(heavy.requests) <= 70


async def test_a_server_with_a_name_is_asked_by_its_own(client: Client) -> None:
    async with ScriptedUpstream(otherwise=served) as upstream:
        async with EnvoyProcess(pool(Model((at(upstream.port, host="localhost"),)))) as envoy:
            assert (await client.ask(envoy, headers={"host": "gateway.example.com"})).status == 200
        async with EnvoyProcess(pool(Model((at(upstream.port),)))) as envoy:
            assert (await client.ask(envoy, headers={"host": "gateway.example.com"})).status == 200
    by_name, by_address = upstream.requests
    assert by_name.get("host") == f"localhost:{upstream.port}"
    assert by_address.get("host") == "gateway.example.com"


async def test_names_and_addresses_may_be_mixed(client: Client) -> None:
    async with ScriptedUpstream(otherwise=served) as one, ScriptedUpstream(otherwise=served) as other:
        plan = pool(Model((at(one.port, host="localhost"), at(other.port))))
        async with EnvoyProcess(plan) as envoy:
            for _ in range(20):
                assert (await client.ask(envoy)).status == 200
    assert one.requests
    assert other.requests


@pytest.mark.parametrize(
    ("host", "name"),
    [("localhost", "localhost"), ("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "api.example.com")],
    ids=["by name", "by address", "by an address, under a name"],
)
async def test_a_verified_server_is_spoken_to_over_tls(
    host: str, name: str, client: Client, tmp_path: Path
) -> None:
    authority, asked_for = Authority(tmp_path), list[str | None]()
    async with ScriptedUpstream(otherwise=served, tls=authority.server(name, named=asked_for)) as upstream:
        async with EnvoyProcess(pool(Model((secure(upstream.port, authority, name, host),)))) as envoy:
            assert (await client.ask(envoy)).status == 200
        (request,) = upstream.requests
    is_address = name == "127.0.0.1"
    assert asked_for == [None if is_address else name]
    if not is_address:
        assert request.get("host") == f"{name}:{upstream.port}"


async def test_http_2_is_spoken_where_the_server_offers_it(client: Client, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    chain, key = authority.files(tmp_path, "localhost")
    async with EnvoyProcess(http_2_server(chain, key)) as provider:
        port = int(provider.url.rpartition(":")[2])
        async with EnvoyProcess(pool(Model((secure(port, authority),)))) as envoy:
            assert (await client.ask(envoy)).status == 200
        assert (await provider.access_log())[0]["protocol"] == "HTTP/2"


@pytest.mark.parametrize("case", ["another authority", "another name"])
async def test_a_server_that_cannot_prove_its_name_gets_no_request(
    case: str, client: Client, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    issuer = Authority(tmp_path, "other") if case == "another authority" else authority
    tls = issuer.server("localhost" if issuer is not authority else "elsewhere.example.com")
    async with ScriptedUpstream(otherwise=served, tls=tls) as upstream:
        async with EnvoyProcess(pool(Model((secure(upstream.port, authority),)))) as envoy:
            reply = await client.ask(envoy, headers={"authorization": "Bearer k"})
            assert (reply.status, reply.error()["code"]) == (503, "upstream_failed")
            line = (await envoy.access_log())[0]
        assert upstream.requests == []
    assert "CERTIFICATE_VERIFY_FAILED" in line["upstream_failure"]


async def test_plain_and_tls_servers_may_serve_one_model(client: Client, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with (
        ScriptedUpstream(otherwise=served, tls=authority.server("localhost")) as far,
        ScriptedUpstream(otherwise=served) as near,
        EnvoyProcess(pool(Model((secure(far.port, authority), at(near.port))))) as envoy,
    ):
        for _ in range(20):
            assert (await client.ask(envoy)).status == 200
        assert far.requests
        assert near.requests


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("/openai/v1", "/openai/v1/chat/completions?a=b"), ("/", "/chat/completions?a=b")],
)
async def test_a_providers_own_prefix_takes_the_place_of_v1(
    prefix: str, expected: str, client: Client
) -> None:
    async with (
        ScriptedUpstream(otherwise=served) as upstream,
        EnvoyProcess(pool(Model((at(upstream.port),), path_prefix=prefix))) as envoy,
    ):
        assert (await client.ask(envoy, f"{CHAT}?a=b")).status == 200
        assert (await client.ask(envoy, "/health", method="GET")).status == 200
        assert [line["request_path"] for line in await envoy.access_log(2)] == [CHAT, "/health"]
    assert [request.target for request in upstream.requests] == [expected, "/health"]


async def test_a_server_whose_health_check_fails_is_left_and_comes_back(client: Client) -> None:
    healthy = True

    def sick(request: Received) -> Answer:
        return json_answer({}, status=200 if healthy or request.target == CHAT else 500)

    check = HealthCheck("/health", 0.05, 1.0)
    async with ScriptedUpstream(otherwise=sick) as one, ScriptedUpstream(otherwise=served) as other:
        plan = pool(Model((at(one.port), at(other.port)), health_check=check))
        async with EnvoyProcess(plan) as envoy:

            async def asked() -> int:
                before = len(chats(one))
                for _ in range(12):
                    assert (await client.ask(envoy)).status == 200
                return len(chats(one)) - before

            async def left() -> bool:
                return await asked() == 0

            await wait_until(asked, "a request to a healthy server")
            healthy = False
            await wait_until(left, "the server to be left")
            healthy = True
            await wait_until(asked, "the server to come back")
    assert other.requests[0].get("host") == f"127.0.0.1:{other.port}"


async def test_a_health_check_that_finds_no_server_is_no_outage(client: Client) -> None:
    """A wrong path, for instance."""

    def chat_only(request: Received) -> Answer:
        return json_answer({}, status=200 if request.target == CHAT else 404)

    async with ScriptedUpstream(otherwise=chat_only) as upstream:
        plan = pool(Model((at(upstream.port),), health_check=HealthCheck("/absent", 0.05, 1.0)))
        async with EnvoyProcess(plan) as envoy:

            async def failures() -> int:
                return await envoy.stat("cluster.model_default.health_check.failure")

            await wait_until(failures, "a failed check")
            assert (await client.ask(envoy)).status == 200


@pytest.mark.parametrize("status", [500, 502], ids=["internal error", "gateway failure"])
async def test_a_server_that_only_fails_is_ejected(status: int, client: Client) -> None:
    async with (
        failing(status) as bad,
        ScriptedUpstream(otherwise=served) as good,
        EnvoyProcess(pool(Model((at(bad.port), at(good.port))))) as envoy,
    ):

        async def ejected() -> int:
            await client.ask(envoy)
            return await envoy.stat("cluster.model_default.outlier_detection.ejections_active")

        await wait_until(ejected, "the ejection of the failing server")
        before = len(bad.requests)
        assert [(await client.ask(envoy)).status for _ in range(10)] == [200] * 10
        assert len(bad.requests) == before


async def test_the_last_server_is_not_ejected(client: Client) -> None:
    async with failing(502) as bad, EnvoyProcess(pool(Model((at(bad.port),)))) as envoy:
        assert [(await client.ask(envoy)).status for _ in range(12)] == [502] * 12
        assert len(bad.requests) == 12


async def test_an_unavailable_server_is_replaced_by_another_of_the_model(client: Client) -> None:
    async with failing(503) as busy, ScriptedUpstream(otherwise=served) as free:
        plan = pool(Model((at(busy.port, weight=20), at(free.port))))
        async with EnvoyProcess(plan) as envoy:
            assert [(await client.ask(envoy)).status for _ in range(4)] == [200] * 4
    assert 1 <= len(busy.requests) <= 4
    assert len(free.requests) == 4


async def test_a_lone_unavailable_server_is_asked_once(client: Client) -> None:
    async with failing(503) as busy, EnvoyProcess(pool(Model((at(busy.port),)))) as envoy:
        assert (await client.ask(envoy)).status == 503
        assert len(busy.requests) == 1


async def test_two_dead_servers_of_three_cost_no_request(client: Client) -> None:
    async with AsyncExitStack() as stack:
        alive = await stack.enter_async_context(ScriptedUpstream(otherwise=served))
        servers = (at(free_port(), weight=9), at(free_port()), at(alive.port))
        envoy = await stack.enter_async_context(EnvoyProcess(pool(Model(servers))))
        assert [(await client.ask(envoy)).status for _ in range(20)] == [200] * 20
    assert len(alive.requests) == 20


MANAGER = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)


def chats(server: ScriptedUpstream) -> list[Received]:
    return [request for request in server.requests if request.target == CHAT]


def http_2_server(chain: Path, key: Path) -> str:
    """An Envoy that answers by itself over TLS and offers both versions of HTTP."""
    return f"""
static_resources:
  clusters: []
  listeners:
  - name: provider
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates:
            - certificate_chain: {{filename: {chain}}}
              private_key: {{filename: {key}}}
      filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': {MANAGER}
          stat_prefix: provider
          access_log:
          - name: envoy.access_loggers.stdout
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog
              log_format: {{json_format: {{protocol: '%PROTOCOL%'}}}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes: [{{match: {{prefix: /}}, direct_response: {{status: 200}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
"""
