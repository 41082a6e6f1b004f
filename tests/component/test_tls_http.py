"""The HTTP API and the metrics over TLS, with certificates of a real authority, and the commands."""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from router_extproc.app.certificates import Renewals
from router_extproc.app.configuration import load, topology_of
from router_extproc.app.envoy_folder import write_envoy
from router_extproc.app.mind import Mind
from router_extproc.app.router import running
from router_extproc.cli import main
from router_extproc.encoder.loading import Heads
from router_extproc.server.api.dispatch import served
from router_extproc.server.api.status import status_routes
from router_extproc.server.http import MAX_CONNECTIONS, Site, serve_api
from router_extproc.server.tls import Certificates, TlsFiles, read_pair
from router_extproc.telemetry.labels import Listening
from router_extproc.telemetry.metrics import Metrics
from tests.support.authority import Authority, MountedSecret
from tests.support.encoder import real_bundle, real_encoder, real_screener
from tests.support.envoy import EnvoyProcess
from tests.support.processes import free_port, wait_until
from tests.support.routed import document
from tests.support.stack import ask
from tests.support.upstream import ScriptedUpstream, json_answer

NAME = "localhost"
SECONDS = 20.0


def secret(authority: Authority, clients: Authority | None = None) -> dict[str, bytes]:
    chain, key = authority.pair(NAME, "127.0.0.1")
    return {"tls.crt": chain, "tls.key": key, "ca.crt": (clients or authority).pem}


@dataclass
class Served:
    """The API without a router behind it."""

    port: int
    mounted: MountedSecret
    metrics: Metrics

    async def status(self, tls: ssl.SSLContext | None) -> int | None:
        """Of a request on a new connection; None where there is none to be had."""
        scheme = "http" if tls is None else "https"
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"{scheme}://{NAME}:{self.port}/health", ssl=tls or True) as response,
            ):
                return response.status
        except (aiohttp.ClientError, ssl.SSLError):
            return None

    async def renewed(self, files: Mapping[str, bytes]) -> None:
        labels = {"listener": "api", "outcome": "taken"}

        def taken() -> float:
            return self.metrics.registry.get_sample_value("router_certificate_reloads_total", labels) or 0.0

        before = taken()
        self.mounted.replace(files)
        await wait_until(lambda: taken() > before, "the renewed certificates")


@asynccontextmanager
async def serving(folder: Path, files: Mapping[str, bytes], *, mutual: bool = False) -> AsyncIterator[Served]:
    mounted = MountedSecret(folder / "mounted", files)
    places = [mounted.folder / name for name in ("tls.crt", "tls.key")]
    authorities = mounted.folder / "ca.crt" if mutual else None
    named = TlsFiles("listeners.api.tls", places[0], places[1], authorities)
    certificates, metrics = Certificates(named, read_pair(named, time.time())), Metrics()
    following = asyncio.create_task(
        Renewals(Listening.API, certificates, metrics.certificates, 0.01).follow(0.02)
    )
    port = free_port()
    site = Site("127.0.0.1", port, "listeners.api", certificates)
    server = await serve_api(site, served(status_routes({}), None))
    try:
        yield Served(port, mounted, metrics)
    finally:
        following.cancel()
        await asyncio.wait({following})
        await server.stop()


async def test_only_who_trusts_its_authority_is_served_and_nobody_without_tls(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    async with serving(tmp_path, secret(authority)) as api:
        assert await api.status(authority.client()) == 200
        assert await api.status(other.client()) is None
        assert await api.status(None) is None


async def test_with_an_authority_of_clients_only_its_certificates_are_served(tmp_path: Path) -> None:
    authority, clients = Authority(tmp_path), Authority(tmp_path, "clients")
    async with serving(tmp_path, secret(authority, clients), mutual=True) as api:
        known, stranger = authority.client(), authority.client("stranger")
        clients.certify(known, "operator")
        assert await api.status(known) == 200
        assert await api.status(stranger) is None
        assert await api.status(authority.client()) is None


async def test_renewed_certificates_count_for_new_connections_and_end_none(tmp_path: Path) -> None:
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    async with serving(tmp_path, secret(old), mutual=True) as api:
        url, before = f"https://{NAME}:{api.port}/health", old.client("operator")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
            async with session.get(url, ssl=before) as response:
                assert response.status == 200
            await api.renewed(secret(new))
            assert await api.status(new.client("operator")) == 200
            assert await api.status(before) is None
            after = new.client()
            old.certify(after, "operator")
            assert await api.status(after) is None
            async with session.get(url, ssl=before) as response:  # its connection was kept
                assert response.status == 200


@pytest.mark.parametrize("mutual", [False, True])
async def test_tls_1_2_is_spoken_where_clients_need_no_certificate(tmp_path: Path, mutual: bool) -> None:
    authority = Authority(tmp_path)
    context = authority.client("operator")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(tmp_path, secret(authority), mutual=mutual) as api:
        assert await api.status(context) == (None if mutual else 200)


async def test_a_session_of_before_is_no_way_around_the_authorities_of_now(tmp_path: Path) -> None:
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    context = old.client("operator")

    def exchanged(port: int, session: ssl.SSLSession | None) -> tuple[bytes, ssl.SSLSession | None]:
        """The beginning of an answer, b"" for none."""
        with (
            socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=NAME, session=session) as tls,
        ):
            tls.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            try:
                return tls.recv(12), tls.session
            except (ssl.SSLError, ConnectionError):
                return b"", None

    async with serving(tmp_path, secret(old), mutual=True) as api:
        said, session = await asyncio.to_thread(exchanged, api.port, None)
        assert said == b"HTTP/1.1 200"
        # The same authority of the router, so that a client which resumes has nothing to object to.
        await api.renewed({**secret(old), "ca.crt": new.pem})
        assert (await asyncio.to_thread(exchanged, api.port, session))[0] == b""


async def test_connections_in_a_handshake_are_bounded_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    idle: list[asyncio.StreamWriter] = []
    async with serving(tmp_path, secret(authority)) as api:
        while len(idle) < MAX_CONNECTIONS:
            idle.append((await asyncio.open_connection("127.0.0.1", api.port))[1])
        assert await api.status(authority.client()) is None

        async def answered() -> bool:
            return await api.status(authority.client()) == 200

        await wait_until(answered, "the handshakes to be given up", SECONDS)
        for each in idle:
            each.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("localhost", 200),
        ("LOCALHOST.:8080", 200),
        ("Router.example:8080", 200),
        ("evil.example:8080", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("router.example@evil.example", 421),
        ("[evil]", 421),
        ("", 421),
    ],
)
async def test_a_page_whose_name_was_made_to_lead_here_reads_nothing(host: str, status: int) -> None:
    """DNS rebinding: the browser sends the name that the page was loaded from."""
    port = free_port()
    site = Site("127.0.0.1", port, "listeners.api", names=("router.example",))
    server = await serve_api(site, served(status_routes({}), None))
    try:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}/health"
            async with session.get(url, headers={"host": host}) as response:
                assert response.status == status
                if status == 421:
                    assert (await response.json())["error"]["code"] == "UNKNOWN_HOST"
    finally:
        await server.stop()


@dataclass
class Shell:
    """Commands, in the words of whoever runs them."""

    capture: pytest.CaptureFixture[str]

    async def run(self, *words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, words)
        said = self.capture.readouterr()
        return code, said.out, said.err


@asynccontextmanager
async def whole(folder: Path, listeners: Mapping[str, Mapping[str, Any]]) -> AsyncIterator[Path]:
    """The router with `listeners` behind an Envoy that follows it; gives its configuration."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        upstream = await enter(ScriptedUpstream(otherwise=lambda _: json_answer({"ok": True})))
        content = document({"one": upstream.port})
        content["admin"] = {"token_file": "admin-token"}
        content["semantic_cache"] = {"enabled": True, "backend_type": "memory"}
        for name, more in listeners.items():
            content["listeners"][name] |= more
        config = folder / "router.yaml"
        config.write_text(yaml.safe_dump(content))
        configuration = load(config)
        mind = Mind(real_bundle().base_revision, real_encoder(), None, Heads({}, {}), real_screener())
        await enter(running(configuration, mind.prepared(configuration)))
        await write_envoy(topology_of(configuration), folder / "envoy")
        envoy = await enter(EnvoyProcess(folder / "envoy"))
        session = await enter(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)))
        question = {"model": "auto", "messages": [{"role": "user", "content": "What is a cat?"}]}
        answer = await ask(session, envoy.url, question)
        assert (answer.status, answer.headers["x-vsr-selected-model"]) == (200, "one")
        yield config


async def test_the_whole_router_with_tls_everywhere_and_the_commands_that_ask_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word about who is to be trusted, the commands trust the certificate that the configuration
    names, and no other of its authority."""
    authority, clients = Authority(tmp_path), Authority(tmp_path, "clients")
    for name, owner in (("router", authority), ("envoy", clients)):
        chain, key = owner.pair("router.internal")
        (tmp_path / f"{name}.crt").write_bytes(chain)
        (tmp_path / f"{name}.key").write_bytes(key)
        (tmp_path / f"{name}.key").chmod(0o600)
    pair = {"certificate_file": "router.crt", "key_file": "router.key"}
    envoy = {"ca_file": "authority.pem", "server_name": "router.internal"}
    envoy |= {"certificate_file": "envoy.crt", "key_file": "envoy.key"}
    given: dict[str, dict[str, Any]] = {
        "ext_proc": {"tls": {**pair, "client_ca_file": "clients.pem", "envoy": envoy}},
        "api": {"tls": pair},
        "metrics": {"tls": {**pair, "client_ca_file": "clients.pem"}},
    }
    monkeypatch.delenv("ROUTER_EXTPROC_TOKEN", raising=False)
    shell = Shell(capsys)
    async with whole(tmp_path, given) as config:
        ports = yaml.safe_load(config.read_text())["listeners"]
        code, out, err = await shell.run("status", "--json", "--config", str(config))
        assert json.loads(out)["address"] == f"https://127.0.0.1:{ports['api']['port']}", err
        code, out, err = await shell.run("top", "--once", "--config", str(config))
        assert (code, err) == (0, "")
        code, out, err = await shell.run("cache", "stats", "--json", "--config", str(config))
        assert (code, err, json.loads(out)["tiers"][0]["entries"]) == (0, "", 0)

        elsewhere = ("status", "--json", "--api", f"https://localhost:{ports['api']['port']}")
        for known in (None, authority.path):  # with its authority known, it has another name
            if known is not None:
                monkeypatch.setenv("ROUTER_EXTPROC_CA_FILE", str(known))
            code, _, err = await shell.run(*elsewhere)
            assert code == 2
            assert "no TLS connection" in err

        url = f"https://127.0.0.1:{ports['metrics']['port']}/metrics"
        scraper = authority.client()
        clients.certify(scraper, "prometheus")
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, ssl=scraper, server_hostname="router.internal") as response,
        ):
            text = await response.text()
        for listener in ("ext_proc", "api", "metrics"):
            assert f'router_certificate_expiry_timestamp_seconds{{listener="{listener}"}}' in text


async def test_the_commands_trust_no_other_certificate_of_the_same_authority(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path)
    async with serving(tmp_path, secret(authority)) as api:
        content = document({"one": 9})
        tls = {"certificate_file": "mounted/tls.crt", "key_file": "mounted/tls.key"}
        content["listeners"]["api"] |= {"port": api.port, "tls": tls}
        config = tmp_path / "router.yaml"
        config.write_text(yaml.safe_dump(content))
        known = ("status", "--config", str(config))
        _, _, err = await Shell(capsys).run(*known)
        assert "/api/v1/overview" in err  # it was asked: there is no router behind this API
        chain = authority.pair(NAME, "127.0.0.1")[0] + authority.pem  # as files of a chain are
        (tmp_path / "other.crt").write_bytes(chain)
        tls["certificate_file"] = "other.crt"
        config.write_text(yaml.safe_dump(content))
        code, _, err = await Shell(capsys).run(*known)
        assert code == 2
        assert "no TLS connection" in err


@pytest.mark.parametrize("named", [True, False])
async def test_the_commands_have_a_certificate_of_their_own_where_the_api_asks_for_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], named: bool
) -> None:
    authority, clients = Authority(tmp_path), Authority(tmp_path, "clients")
    chain, key = clients.pair("operator")
    (tmp_path / "own.crt").write_bytes(chain)
    (tmp_path / "own.key").write_bytes(key)
    async with serving(tmp_path, secret(authority, clients), mutual=True) as api:
        content = document({"one": 9})
        tls: dict[str, Any] = {"certificate_file": "mounted/tls.crt", "key_file": "mounted/tls.key"}
        if named:
            own = {"certificate_file": "own.crt", "key_file": "own.key"}
            tls["client"] = {"ca_file": "authority.pem", "server_name": NAME, **own}
        content["listeners"]["api"] |= {"port": api.port, "tls": tls}
        config = tmp_path / "router.yaml"
        config.write_text(yaml.safe_dump(content))
        code, _, err = await Shell(capsys).run("status", "--config", str(config))
        assert code == 2
        assert ("/api/v1/overview" if named else "asks clients for a certificate") in err
