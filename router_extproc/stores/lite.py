"""Milvus Lite inside this process: a gRPC server in threads over a folder it locks.

Owns the folder, the server and its socket. Lite knows no users and no passwords, so it does not listen on
a TCP port, which every local user could reach, but on a Unix socket in a folder only this user may enter.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router_extproc.base.errors import OperatorError

if TYPE_CHECKING:
    from milvus_lite import MilvusLite

_LOG = logging.getLogger(__name__)

_START_TIMEOUT = 60.0
"""Seconds: opening reads every segment and replays the log; 10,000 entries take about 2 s."""
_STOP_TIMEOUT = 10.0
_MEMTABLE_BYTES = 16 * 1024 * 1024
"""Of rows, deleted ones included, that Lite holds before it writes them to a file. By default 128 MiB, held
in this process: a cache of 8 MiB grew by as much in ten minutes of load."""


class LiteServer:
    """A running embedded server. One per folder, in one process."""

    def __init__(self, folder: Path, socket_folder: Path, server: Any, database: "MilvusLite") -> None:
        self._folder = folder
        self._socket_folder = socket_folder
        self._server = server
        self._database = database

    @classmethod
    async def open(cls, folder: Path) -> "LiteServer":
        """Create `folder` if need be and serve it; OperatorError when it cannot be used."""
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                return await asyncio.to_thread(cls._open, folder)
        except TimeoutError as error:
            raise OperatorError(
                f"{folder}: opening takes over {_START_TIMEOUT:g} s; remove the folder"
            ) from error

    @classmethod
    def _open(cls, folder: Path) -> "LiteServer":
        # Read by milvus_lite once, when it is imported. An operator's own setting stands.
        os.environ.setdefault("MILVUS_LITE_MEMTABLE_MEMORY_LIMIT_BYTES", str(_MEMTABLE_BYTES))
        try:
            from milvus_lite.adapter.grpc.server import start_server_in_thread
            from milvus_lite.exceptions import DataDirLockedError, MilvusLiteError
        except ImportError as error:
            raise OperatorError(
                f"{folder}: an embedded cache needs milvus-lite: pip install 'router-extproc[local]'"
            ) from error
        socket_folder = Path(tempfile.mkdtemp(prefix="router-extproc-"))
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Lite appends ":PORT" to the host it is given, here to the socket's path.
            server, database, _ = start_server_in_thread(
                str(folder), host=f"unix:{socket_folder}/lite", port=0
            )
        except (DataDirLockedError, MilvusLiteError, OSError, RuntimeError) as error:
            shutil.rmtree(socket_folder, ignore_errors=True)
            raise OperatorError(f"{folder}: {_trouble(error, DataDirLockedError)}") from error
        return cls(folder, socket_folder, server, database)

    @property
    def uri(self) -> str:
        return f"unix:{self._socket_folder}/lite:0"

    async def create_index(self, collection: str, column: str, parameters: dict[str, Any]) -> None:
        """Index `column` unless it has one. AsyncMilvusClient cannot do it here: it asks the server for a
        timestamp (AllocTimestamp), which Lite does not implement."""
        async with asyncio.timeout(_START_TIMEOUT):
            await asyncio.to_thread(self._create_index, collection, column, parameters)

    def _create_index(self, collection: str, column: str, parameters: dict[str, Any]) -> None:
        handle = self._database.get_collection(collection)
        if not handle.has_index(column):
            handle.create_index(column, parameters)

    async def close(self) -> None:
        """Write everything down and give the folder back."""
        try:
            async with asyncio.timeout(2 * _STOP_TIMEOUT):
                await asyncio.to_thread(self._close)
        except TimeoutError:
            _LOG.warning("%s: closing takes too long and goes on without being waited for", self._folder)

    def _close(self) -> None:
        self._server.stop(grace=1.0).wait(_STOP_TIMEOUT)
        with contextlib.closing(self._database):
            shutil.rmtree(self._socket_folder, ignore_errors=True)


def _trouble(error: Exception, locked: type[Exception]) -> str:
    if isinstance(error, locked):
        return "another router has this cache open; stop it or give this one another connection.path"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "is not a folder; Milvus Lite 3 keeps a folder, files of earlier ones cannot be read"
    return f"the embedded cache cannot be opened ({error}); mend or remove the folder"
