"""Every adapter of `ports.Store`, opened on real back-ends. One Milvus server serves the whole run."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router_extproc.stores.milvus import MilvusStore
from router_extproc.stores.options import Credentials, Embedded, MilvusOptions, Server
from router_extproc.stores.tiered import TieredStore
from tests.support.backends import Backend, Kept, new_front
from tests.support.entries import DIMENSION, NOW
from tests.support.milvus import PASSWORD, USER, MilvusServer


@pytest.fixture
def server_options(milvus_server: MilvusServer) -> MilvusOptions:
    """Strong consistency, so that a test reads what it wrote; the tests share one collection and never a
    partition, because creating a collection takes the server 3 s."""
    return MilvusOptions(
        target=Server(milvus_server.host, milvus_server.port, credentials=Credentials(USER, PASSWORD)),
        dimension=DIMENSION,
        encoder="contract",
        consistency="Strong",
        call_timeout=5.0,
        timeout=30.0,
    )


@pytest.fixture
def lite_options(tmp_path: Path) -> MilvusOptions:
    return MilvusOptions(
        target=Embedded(tmp_path / "lite"), dimension=DIMENSION, encoder="contract", call_timeout=5.0
    )


@pytest.fixture(params=["memory", "lite", "tiered-lite", "server", "tiered-server", "exact-server"])
def backend(request: pytest.FixtureRequest) -> Backend:
    name: str = request.param
    if name == "memory":
        return Backend(name, _open_memory, lasting=False)
    kind = name.removeprefix("tiered-").removeprefix("exact-")
    options: MilvusOptions = request.getfixturevalue(f"{kind}_options")

    async def open_milvus() -> Kept:
        return await MilvusStore.open(options)

    async def open_tiered() -> Kept:
        back = await MilvusStore.open(options)
        return await TieredStore.open(
            new_front(),
            back,
            exclusive=kind == "lite",
            similar_enough=0.85,
            front_by_meaning=not name.startswith("exact-"),
            at=NOW,
        )

    return Backend(name, open_tiered if name != kind else open_milvus, lasting=True)


async def _open_memory() -> Kept:
    return new_front()


@pytest.fixture
async def store(backend: Backend) -> AsyncIterator[Kept]:
    opened = await backend.open()
    try:
        yield opened
    finally:
        await opened.close()
