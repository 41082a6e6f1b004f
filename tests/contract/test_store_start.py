"""Starting a Milvus store: what only the operator can mend is one clear line, and nothing is ever dropped."""

import asyncio
import contextlib
import dataclasses
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import pytest
from pymilvus import AsyncMilvusClient
from pymilvus.exceptions import MilvusException

from router_extproc.base.errors import OperatorError
from router_extproc.stores.connection import Connection, _client
from router_extproc.stores.lite import LiteServer
from router_extproc.stores.milvus import MilvusStore
from router_extproc.stores.options import Consistency, Credentials, Embedded, MilvusOptions, Server, Tls
from tests.support.backends import opened
from tests.support.entries import DIMENSION, NOW, SOON, an_entry, new_partition
from tests.support.milvus import PASSWORD, USER, MilvusFailedError, MilvusServer, disposable_folder
from tests.support.processes import wait_until


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"credentials": Credentials(USER, "wrong")}, "refuses user 'root'"),
        ({"credentials": None}, "wants credentials"),
        ({"database": "nowhere"}, "no database 'nowhere'"),
        (
            {"tls": Tls(ca_pem_path=Path("no-such.pem"))},
            "a file of connection.tls cannot be read.*no-such.pem",
        ),
        (
            {"tls": Tls(Path(__file__), None, Path("no-such.pem"), Path(__file__))},
            "a file of connection.tls cannot be read.*no-such.pem",
        ),
    ],
    ids=["password", "anonymous", "database", "authority", "certificate"],
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
        assert await store.get(entry.partition, entry.id, NOW, SOON) is None


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


async def test_a_server_that_asks_for_a_certificate_is_shown_one(tmp_path: Path) -> None:
    pem, key, mine, mine_key, strange, strange_key = (tmp_path / f"{number}.pem" for number in range(6))
    for files in ((pem, key), (mine, mine_key), (strange, strange_key)):
        await asyncio.to_thread(make_certificate, *files)
    with disposable_folder() as folder:
        server = MilvusServer.prepare(folder, certificate=(pem, key), client_files=(mine, mine_key))
        try:
            await asyncio.to_thread(server.start)
            target = Server(server.host, server.port, credentials=Credentials(USER, PASSWORD))
            options = MilvusOptions(target, DIMENSION, "e", timeout=30.0)
            for tls, is_up in (
                (Tls(pem, "cache.test", mine, mine_key), True),
                (Tls(pem, "cache.test", strange, strange_key), False),
                (Tls(pem, "cache.test"), False),
            ):
                tried = dataclasses.replace(
                    options, target=dataclasses.replace(target, tls=tls), timeout=30.0 if is_up else 2.0
                )
                async with opened(tried) as store:
                    assert store.is_up is is_up
        finally:
            server.kill()


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
            assert await store.get(entry.partition, entry.id, NOW, SOON) is not None
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


def described(server: MilvusServer, options: MilvusOptions) -> tuple[dict[str, Any], dict[str, Any]]:
    """The collection and its index, as the server tells an independent client."""
    assert isinstance(options.target, Server)
    with contextlib.closing(server.client(options.target.database)) as client:
        name = options.collection_name
        return client.describe_collection(name), client.describe_index(name, options.vector_field)


async def test_the_collection_is_made_as_it_is_configured_and_works(
    milvus_server: MilvusServer, server_options: MilvusOptions
) -> None:
    options = dataclasses.replace(
        server_options,
        collection="made_to_order",
        description="answers of team A",
        vector_field="meaning",
        metric="IP",
        m=24,
        ef_construction=96,
        consistency="Eventually",
    )
    async with opened(options) as store:
        await _works(store)
    collection, index = await asyncio.to_thread(described, milvus_server, options)
    assert collection["collection_name"].startswith("made_to_order_")
    assert collection["description"] == "answers of team A"
    [vector] = [field for field in collection["fields"] if field["name"] == "meaning"]
    assert vector["params"]["dim"] == DIMENSION
    assert collection["consistency_level"] == 3  # common.proto, ConsistencyLevel: Eventually
    assert {key: str(index[key]) for key in ("index_type", "metric_type", "M", "efConstruction")} == {
        "index_type": "HNSW",
        "metric_type": "IP",
        "M": "24",
        "efConstruction": "96",
    }


async def test_a_named_database_is_where_the_entries_go(
    milvus_server: MilvusServer, server_options: MilvusOptions
) -> None:
    def create(name: str) -> None:
        with contextlib.closing(milvus_server.client()) as client:
            client.create_database(name)

    await asyncio.to_thread(create, "team_a")
    assert isinstance(server_options.target, Server)
    target = dataclasses.replace(server_options.target, database="team_a")
    options = dataclasses.replace(server_options, target=target, collection="only_in_team_a")
    async with opened(options) as store:
        await _works(store)
    assert (await asyncio.to_thread(described, milvus_server, options))[0]["fields"]
    elsewhere = dataclasses.replace(options, target=server_options.target)
    with pytest.raises(MilvusException):
        await asyncio.to_thread(described, milvus_server, elsewhere)


async def _works(store: MilvusStore) -> None:
    entry = an_entry(new_partition())
    await store.put(entry)

    async def is_found() -> bool:
        return bool(await store.nearest(entry.partition, entry.vector, 1, NOW, SOON))

    await wait_until(is_found, "an entry that was written", deadline=20)
    [candidate] = await store.nearest(entry.partition, entry.vector, 1, NOW, SOON)
    assert candidate.entry.id == entry.id
    assert candidate.similarity == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("kind", ["lite", "server"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"m": 8}, "indexed with M 16, the configuration says 8"),
        ({"ef_construction": 100}, "indexed with efConstruction 64, the configuration says 100"),
        ({"metric": "IP"}, "indexed with metric_type COSINE, the configuration says IP"),
        ({"vector_field": "meaning"}, "has other columns than this router writes"),
    ],
    ids=["m", "ef_construction", "metric", "vector_field"],
)
async def test_a_collection_made_in_another_way_is_an_error_at_start_and_left_as_it_is(
    kind: str, change: dict[str, Any], message: str, request: pytest.FixtureRequest
) -> None:
    options: MilvusOptions = request.getfixturevalue(f"{kind}_options")
    entry = an_entry(new_partition())
    async with opened(options) as store:
        await store.put(entry)
    with pytest.raises(OperatorError, match=f"{message}.*set another collection.name"):
        await MilvusStore.open(dataclasses.replace(options, **change))
    async with opened(options) as store:
        assert await store.find(entry.id, NOW) is not None


async def test_a_foreign_collection_of_the_same_name_is_an_error_at_start_and_left_as_it_is(
    milvus_server: MilvusServer, server_options: MilvusOptions
) -> None:
    options = dataclasses.replace(server_options, collection="foreign")

    def create() -> None:
        with contextlib.closing(milvus_server.client()) as client:
            client.create_collection(options.collection_name, dimension=DIMENSION)

    await asyncio.to_thread(create)
    with pytest.raises(OperatorError, match="has other columns than this router writes"):
        await MilvusStore.open(options)
    left = dataclasses.replace(options, vector_field="vector")
    collection, _ = await asyncio.to_thread(described, milvus_server, left)
    assert {field["name"] for field in collection["fields"]} == {"id", "vector"}


@pytest.mark.parametrize("level", ["Strong", "Bounded", "Eventually"])
async def test_every_lookup_is_sent_with_the_configured_consistency(
    server_options: MilvusOptions, level: Consistency
) -> None:
    """What the server makes of the level is Milvus's; that it hears of it is ours."""
    options = dataclasses.replace(server_options, consistency=level)
    heard: list[tuple[str, str]] = []

    def new_client(options: MilvusOptions, lite: LiteServer | None) -> AsyncMilvusClient:
        return cast("AsyncMilvusClient", Listening(_client(options, lite), heard))

    connection = await Connection.open(options, None, time.monotonic, new_client)
    store = MilvusStore(options, connection, None)
    try:
        await store.get(new_partition(), "0f", NOW, SOON)
        await store.nearest(new_partition(), an_entry(new_partition()).vector, 4, NOW, SOON)
        await store.find("0f", NOW)
    finally:
        await store.close()
    assert heard == [("query", level), ("search", level), ("query", "Strong")]


class Listening:
    """A real client, and what its lookups were sent with."""

    def __init__(self, client: AsyncMilvusClient, heard: list[tuple[str, str]]) -> None:
        self._client = client
        self._heard = heard

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if name not in ("query", "search"):
            return attribute

        def listened(*arguments: Any, **named: Any) -> Any:
            self._heard.append((name, named["consistency_level"]))
            return attribute(*arguments, **named)

        return listened
