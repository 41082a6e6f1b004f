"""Starting a Milvus store: what only the operator can mend is one clear line, and nothing is ever dropped."""

import asyncio
import dataclasses
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from router_extproc.base.errors import OperatorError
from router_extproc.stores.lite import LiteServer
from router_extproc.stores.milvus import MilvusStore
from router_extproc.stores.options import Credentials, Embedded, MilvusOptions, Server, Tls
from tests.support.backends import opened
from tests.support.entries import DIMENSION, NOW, an_entry, new_partition
from tests.support.milvus import PASSWORD, USER, MilvusFailedError, MilvusServer, disposable_folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"credentials": Credentials(USER, "wrong")}, "refuses user 'root'"),
        ({"credentials": None}, "wants credentials"),
        ({"database": "nowhere"}, "no database 'nowhere'"),
        ({"tls": Tls(ca_pem_path=Path("no-such.pem"))}, "ca_pem_path cannot be read"),
    ],
    ids=["password", "anonymous", "database", "authority"],
)
async def test_what_only_the_operator_can_mend_is_an_error_at_start(
    server_options: MilvusOptions, change: dict[str, Any], message: str
) -> None:
    assert isinstance(server_options.target, Server)
    options = dataclasses.replace(server_options, target=dataclasses.replace(server_options.target, **change))
    began = time.monotonic()
    with pytest.raises(OperatorError, match=message) as raised:
        await MilvusStore.open(options)
    assert time.monotonic() - began < 2.0
    assert "\n" not in str(raised.value)
    assert "wrong" not in str(raised.value)


@pytest.mark.parametrize("kind", ["lite", "server"])
async def test_a_collection_of_another_dimension_is_an_error_at_start(
    kind: str, request: pytest.FixtureRequest
) -> None:
    options: MilvusOptions = request.getfixturevalue(f"{kind}_options")
    async with opened(options):
        pass
    with pytest.raises(OperatorError, match="16 dimensions, the encoder makes 17"):
        await MilvusStore.open(dataclasses.replace(options, dimension=17))
    async with opened(options) as store:  # nothing was dropped, and an embedded folder was given back
        assert store.is_up


async def test_another_encoder_has_a_collection_of_its_own(lite_options: MilvusOptions) -> None:
    entry = an_entry(new_partition())
    async with opened(lite_options) as store:
        await store.put(entry)
    async with opened(dataclasses.replace(lite_options, encoder="another")) as store:
        assert await store.get(entry.partition, entry.id, NOW) is None


HOLD = """
import sys
from milvus_lite import MilvusLite
database = MilvusLite(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


async def test_an_embedded_folder_that_another_process_has_open_is_an_error(
    lite_options: MilvusOptions,
) -> None:
    assert isinstance(lite_options.target, Embedded)
    folder = lite_options.target.path
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLD, str(folder)), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"held\n"
        with pytest.raises(OperatorError, match="another router has this cache open"):
            await MilvusStore.open(lite_options)
    finally:
        await asyncio.wait_for(process.communicate(b""), 30)
    async with opened(lite_options) as store:
        assert store.is_up


async def test_a_file_where_the_embedded_folder_should_be_is_an_error(lite_options: MilvusOptions) -> None:
    assert isinstance(lite_options.target, Embedded)
    lite_options.target.path.write_bytes(b"SQLite format 3\0")
    with pytest.raises(OperatorError, match="is not a folder"):
        await MilvusStore.open(lite_options)


async def test_the_embedded_server_cannot_be_reached_by_other_users(tmp_path: Path) -> None:
    lite = await LiteServer.open(tmp_path / "deep" / "lite")
    try:
        path = Path(lite.uri.removeprefix("unix:"))
        assert stat.S_ISSOCK((await asyncio.to_thread(path.stat)).st_mode)
        for folder in (path.parent, tmp_path / "deep" / "lite"):
            status = await asyncio.to_thread(folder.stat)
            assert status.st_mode & 0o077 == 0
    finally:
        await lite.close()
    assert not await asyncio.to_thread(path.parent.exists)


async def test_tls_is_spoken_and_the_certificate_is_checked(tmp_path: Path) -> None:
    pem, key_path = tmp_path / "server.pem", tmp_path / "server.key"
    await asyncio.to_thread(make_certificate, pem, key_path)
    with disposable_folder() as folder:
        server = MilvusServer.prepare(folder, certificate=(pem, key_path))
        await _check_tls(server, pem)


async def _check_tls(server: MilvusServer, pem: Path) -> None:
    try:
        await asyncio.to_thread(server.start)
        target = Server(
            server.host, server.port, credentials=Credentials(USER, PASSWORD), tls=Tls(pem, "cache.test")
        )
        options = MilvusOptions(target, DIMENSION, "e", timeout=30.0, call_timeout=5.0, consistency="Strong")
        async with opened(options) as store:
            entry = an_entry(new_partition())
            await store.put(entry)
            assert await store.get(entry.partition, entry.id, NOW) is not None
        for tls in (Tls(pem, "other.test"), Tls(None, "cache.test"), None):
            untrusting = dataclasses.replace(
                options, target=dataclasses.replace(target, tls=tls), timeout=2.0
            )
            async with opened(untrusting) as store:
                assert not store.is_up
    finally:
        server.kill()


def make_certificate(pem: Path, key_path: Path) -> None:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    alternative = ["-subj", "/CN=cache.test", "-addext", "subjectAltName=DNS:cache.test,IP:127.0.0.1"]
    files = ["-keyout", str(key_path), "-out", str(pem)]
    subprocess.run([*command.split(), *alternative, *files], check=True, capture_output=True, timeout=30)


def test_a_server_that_does_not_start_shows_what_it_said(tmp_path: Path) -> None:
    server = MilvusServer.prepare(tmp_path)
    (tmp_path / "configs" / "etcd.yaml").write_text("listen-client-urls: nonsense", encoding="utf-8")
    try:
        with pytest.raises(MilvusFailedError, match="nonsense"):
            server.start(deadline=30.0)
    finally:
        server.kill()
