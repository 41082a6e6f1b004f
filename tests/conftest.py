"""What tests of several folders share."""

from collections.abc import Iterator

import onnxruntime as _first  # noqa: F401 - see below
import pytest

from tests.support.milvus import MilvusServer, disposable_folder

# onnxruntime first, as in the router.


@pytest.fixture(scope="session")
def milvus_server() -> Iterator[MilvusServer]:
    """One Milvus server for the whole run."""
    with disposable_folder() as folder:
        server = MilvusServer.prepare(folder)
        server.start()
        try:
            yield server
        finally:
            server.kill()
