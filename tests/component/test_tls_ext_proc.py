"""TLS between Envoy and the router: the real Envoy, the real listener, certificates of a real authority."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from router_extproc.app.certificates import Renewals
from router_extproc.app.envoy_folder import write_envoy
from router_extproc.envoyconf.topology import Model, RouterTls
from router_extproc.exchange.effects import Phase, Reply, Watch
from router_extproc.exchange.events import ResponseBody, ResponseHeaders
from router_extproc.server.listener import Listener
from router_extproc.server.servicer import Servicer
from router_extproc.server.tls import Certificates, TlsFiles, read_pair
from router_extproc.telemetry.labels import Listening
from router_extproc.telemetry.metrics import Metrics
from tests.support.authority import Authority, MountedSecret
from tests.support.envoy import EnvoyProcess
from tests.support.exchanges import ScriptedExchange
from tests.support.fake_ports import fake_ports
from tests.support.ports import RecordingTelemetry
from tests.support.processes import free_port, wait_until
from tests.support.providers import CHAT, Client, asking, at, pool, served
from tests.support.upstream import ScriptedUpstream, sse_answer

NAME = "router.internal"
UPDATES = "cluster.ext_proc.client_ssl_socket_factory.ssl_context_update_by_sds"
PIECES = (b'data: {"n":1}\n\n', b'data: {"n":2}\n\n', b"data: [DONE]\n\n")
STREAMED: dict[type, Any] = {
    ResponseHeaders: [Reply(Phase.RESPONSE_HEADERS, watch=Watch.STREAMED_RESPONSE)],
}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with asking() as client:
        yield client


@dataclass
class Router:
    """A listener and the exchanges it had."""

    listener: Listener
    servicer: Servicer
    exchanges: list[ScriptedExchange]

    @property
    def port(self) -> int:
        return int(self.listener.address.rpartition(":")[2])


@asynccontextmanager
async def router(certificates: Certificates | None, port: int = 0) -> AsyncIterator[Router]:
    exchanges: list[ScriptedExchange] = []

    def new_exchange() -> ScriptedExchange:
        exchanges.append(ScriptedExchange(STREAMED))
        return exchanges[-1]

    servicer = Servicer(new_exchange, fake_ports(RecordingTelemetry()), max_streams=100)
    listener = Listener(f"127.0.0.1:{port}", servicer, 1024 * 1024, certificates)
    await listener.start()
    await listener.serving(True)
    try:
        yield Router(listener, servicer, exchanges)
    finally:
        await listener.stop(grace=0.0)


def issued(folder: Path, authority: Authority, name: str, *names: str) -> tuple[Path, Path]:
    """Files of a certificate for `names`."""
    chain, key = folder / f"{name}.crt", folder / f"{name}.key"
    certificate, private = authority.pair(*names)
    chain.write_bytes(certificate)
    key.write_bytes(private)
    key.chmod(0o600)
    return chain, key


def server_side(folder: Path, authority: Authority, clients: Authority | None = None) -> Certificates:
    chain, key = issued(folder, authority, "router", NAME)
    files = TlsFiles("listeners.ext_proc.tls", chain, key, None if clients is None else clients.path)
    return Certificates(files, read_pair(files, time.time()))


def envoy_side(folder: Path, trusted: Authority, own: Authority | None = None, name: str = NAME) -> RouterTls:
    if own is None:
        return RouterTls(str(trusted.path), name)
    chain, key = issued(folder, own, "envoy", "envoy.internal")
    return RouterTls(str(trusted.path), name, str(chain), str(key))


@asynccontextmanager
async def proxied(router: Router, tls: RouterTls | None) -> AsyncIterator[EnvoyProcess]:
    """An Envoy before `router`, in the one-file form."""
    async with ScriptedUpstream(otherwise=served) as upstream:
        plan = replace(pool(Model((at(upstream.port),)), router.port), ext_proc_tls=tls)
        async with EnvoyProcess(
            plan, ports={router.port: router.port, upstream.port: upstream.port}
        ) as envoy:
            yield envoy


@pytest.mark.parametrize("mutual", [False, True], ids=["TLS", "mutual TLS"])
async def test_a_router_that_proves_its_name_sees_every_request(
    client: Client, tmp_path: Path, mutual: bool
) -> None:
    authority, clients = Authority(tmp_path), Authority(tmp_path, "clients")
    certificates = server_side(tmp_path, authority, clients if mutual else None)
    tls = envoy_side(tmp_path, authority, clients if mutual else None)
    async with router(certificates) as behind, proxied(behind, tls) as envoy:
        for _ in range(3):
            assert (await client.ask(envoy)).status == 200
        assert behind.servicer.seen == 3
        assert await envoy.stat("cluster.ext_proc.ssl.handshake") >= 1
        assert await envoy.stat("http.router.ext_proc.streams_failed") == 0


async def test_without_certificates_all_is_as_before(client: Client) -> None:
    async with router(None) as behind, proxied(behind, None) as envoy:
        assert (await client.ask(envoy)).status == 200
        assert behind.servicer.seen == 1


@pytest.mark.parametrize("case", ["another authority", "another name"])
async def test_envoy_tells_no_prompt_to_a_router_that_cannot_prove_its_name(
    client: Client, tmp_path: Path, case: str
) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    certificates = server_side(tmp_path, authority)
    wrong = case == "another authority"
    tls = envoy_side(tmp_path, other if wrong else authority, name=NAME if wrong else "else.internal")
    async with router(certificates) as behind, proxied(behind, tls) as envoy:
        await client.ask(envoy)
        assert behind.servicer.seen == 0
        stat = "fail_verify_error" if wrong else "fail_verify_san"
        await wait_until(lambda: envoy.stat(f"cluster.ext_proc.ssl.{stat}"), "a refused certificate")


@pytest.mark.parametrize("case", ["no certificate", "another authority"])
async def test_a_client_that_cannot_prove_its_name_is_not_served(
    client: Client, tmp_path: Path, case: str
) -> None:
    """Else whoever reaches the port could fill the cache, and read it."""
    authority, clients, other = Authority(tmp_path), Authority(tmp_path, "c"), Authority(tmp_path, "o")
    certificates = server_side(tmp_path, authority, clients)
    tls = envoy_side(tmp_path, authority, None if case == "no certificate" else other)
    async with router(certificates) as behind, proxied(behind, tls) as envoy:
        await client.ask(envoy)
        assert behind.servicer.seen == 0
        assert await envoy.stat("cluster.ext_proc.upstream_cx_total") >= 1


@pytest.mark.parametrize("plain", ["client", "router"])
async def test_one_side_with_tls_and_the_other_without_do_not_speak(
    client: Client, tmp_path: Path, plain: str
) -> None:
    authority = Authority(tmp_path)
    certificates = server_side(tmp_path, authority) if plain == "client" else None
    tls = None if plain == "client" else envoy_side(tmp_path, authority)
    async with router(certificates) as behind, proxied(behind, tls) as envoy:
        await client.ask(envoy)
        assert behind.servicer.seen == 0


async def test_a_connection_that_begins_no_handshake_is_ended(tmp_path: Path) -> None:
    async with router(server_side(tmp_path, Authority(tmp_path))) as behind:
        reader, writer = await asyncio.open_connection("127.0.0.1", behind.port)
        async with asyncio.timeout(30):
            assert await reader.read(1) == b""
        writer.close()


async def healthy(port: int, trusted: Authority, own: Authority | None = None) -> bool:
    """Whether a new connection that trusts `trusted` is served."""
    key, chain = None, None
    if own is not None:
        chain, key = own.pair("probe")
    credentials = grpc.ssl_channel_credentials(trusted.pem, key, chain)
    options = (("grpc.ssl_target_name_override", NAME), ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=""), timeout=10)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def secret(authority: Authority, *names: str) -> dict[str, bytes]:
    """As cert-manager writes it."""
    chain, key = authority.pair(*names)
    return {"tls.crt": chain, "tls.key": key, "ca.crt": authority.pem}


async def test_renewed_certificates_are_taken_over_while_streams_run(client: Client, tmp_path: Path) -> None:
    """Both sides get certificates of another authority. The stream that runs goes on; new connections know
    the new authority only, to the running router and from the running Envoy."""
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    ours = MountedSecret(tmp_path / "ours", secret(old, NAME))
    theirs = MountedSecret(tmp_path / "theirs", secret(old, "envoy.internal"))
    files = TlsFiles("t", *(ours.folder / name for name in ("tls.crt", "tls.key", "ca.crt")))
    certificates, metrics = Certificates(files, read_pair(files, time.time())), Metrics()
    renewals = Renewals(Listening.EXT_PROC, certificates, metrics.certificates, settle=0.01)
    following = asyncio.create_task(renewals.follow(0.02))
    own = [str(theirs.folder / name) for name in ("ca.crt", "tls.crt", "tls.key")]
    tls = RouterTls(own[0], NAME, own[1], own[2])
    port, go_on = free_port(), asyncio.Event()
    answer = sse_answer(PIECES[0], go_on, *PIECES[1:])
    async with ScriptedUpstream(answer, otherwise=served) as upstream:
        plan = replace(pool(Model((at(upstream.port),)), port), ext_proc_tls=tls)
        await write_envoy(plan, tmp_path / "envoy")
        async with EnvoyProcess(tmp_path / "envoy") as envoy:
            async with router(certificates, port) as behind:
                async with client.session.post(f"{envoy.url}{CHAT}", data=b"{}") as running:
                    assert await running.content.readany() == PIECES[0]
                    updates = await envoy.stat(UPDATES)
                    ours.replace(secret(new, NAME))
                    theirs.replace(secret(new, "envoy.internal"))
                    await wait_until(lambda: taken(metrics), "the router to take them over")
                    await wait_until(lambda: updated(envoy, updates), "Envoy to take them over")
                    assert await healthy(port, new, new)
                    assert not await healthy(port, old, old)
                    assert not await healthy(port, new, old)
                    go_on.set()
                    assert await running.read() == b"".join(PIECES[1:])
                kinds = [type(event) for event in behind.exchanges[0].events]
                assert kinds.count(ResponseBody) >= len(PIECES)
                seen = behind.servicer.seen
                assert (await client.ask(envoy)).status == 200
                assert behind.servicer.seen == seen + 1
            async with router(certificates, port) as again:
                await wait_until(lambda: reached(client, envoy, again), "Envoy to connect anew")
    following.cancel()
    await asyncio.wait({following})


async def reached(client: Client, envoy: EnvoyProcess, again: Router) -> bool:
    await client.ask(envoy)
    return again.servicer.seen > 0


async def updated(envoy: EnvoyProcess, before: int) -> bool:
    """The authorities and the certificate are two secrets."""
    return await envoy.stat(UPDATES) >= before + 2


def taken(metrics: Metrics, outcome: str = "taken") -> float:
    labels = {"listener": "ext_proc", "outcome": outcome}
    return metrics.registry.get_sample_value("router_certificate_reloads_total", labels) or 0.0


async def test_renewed_files_that_make_no_sense_change_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificates, metrics = server_side(tmp_path, authority), Metrics()
    renewals = Renewals(Listening.EXT_PROC, certificates, metrics.certificates, settle=0.01)
    following = asyncio.create_task(renewals.follow(0.02))
    async with router(certificates) as behind:
        (tmp_path / "router.key").write_bytes(authority.pair(NAME)[1])
        await wait_until(lambda: taken(metrics, "refused"), "the refusal")
        assert await healthy(behind.port, authority)
        issued(tmp_path, authority, "router", NAME)
        await wait_until(lambda: taken(metrics), "the next pair")
        assert await healthy(behind.port, authority)
    following.cancel()
    await asyncio.wait({following})
