"""The configuration's file over HTTP: what is in force without its secrets, and another one in its place.

Knows the file and the reload. What the calls look like is the API's business.
"""

import asyncio
import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from router_extproc.app.configuration import Configuration
from router_extproc.app.reload import Generations, check_reloadable
from router_extproc.base.errors import ConfigError, OperatorError
from router_extproc.server.api.config import ConfigState, ConfigVerdict
from router_extproc.server.replies import Code, RefusedError
from router_extproc.settings.problem import grouped

MASK: Final = "***"
SECRET: Final = re.compile(
    r"(?i)(password|passwd|secret|token|api_?key|authorization|credential)(s|_value)?$"
)
"""Keys whose texts are secret. Names of files and of environment variables end in other words."""

_USERINFO: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")


class LiveConfig:
    """Implements `server.api.config.ConfigFile`. One replacement at a time."""

    def __init__(self, generations: Generations) -> None:
        self._generations = generations
        self._lock = asyncio.Lock()

    async def state(self) -> ConfigState:
        now = self._generations.current
        held = await asyncio.to_thread(_held, now.configuration.path)
        return ConfigState(
            generation=now.number,
            policy=now.plan.generation,
            problem=self._generations.problem,
            hash=hashlib.sha256(held).hexdigest(),
            configuration=masked(now.configuration.settings.model_dump(mode="json", by_alias=True)),
        )

    async def check(self, content: str) -> ConfigVerdict:
        try:
            read = await self._read(content)
        except OperatorError as error:
            return ConfigVerdict(valid=False, problems=[str(error)], warnings=[], restart=None)
        restart: str | None = None
        try:
            check_reloadable(self._generations.current.configuration, read)
        except ConfigError as error:
            restart = str(error)
        return ConfigVerdict(valid=True, problems=[], warnings=list(grouped(read.warnings)), restart=restart)

    async def replace(self, content: str, expected: str | None) -> ConfigState:
        """What only a restart would take over is refused too: file and router would differ."""
        async with self._lock:
            before = self._generations.current.configuration
            held = await asyncio.to_thread(_held, before.path)
            if expected is not None and expected != hashlib.sha256(held).hexdigest():
                raise RefusedError(
                    Code.CONFIG_CHANGED, "expected_hash: the file has changed since; read it again"
                )
            try:
                check_reloadable(before, await self._read(content))
            except OperatorError as error:
                raise RefusedError(Code.CONFIG_REFUSED, str(error)) from None
            await asyncio.to_thread(_write, before.path, content.encode())
            await self._generations.reload()
            if (problem := self._generations.problem) is not None:
                await asyncio.to_thread(_write, before.path, held)
                await self._generations.reload()
                raise RefusedError(Code.CONFIG_REFUSED, problem)
            return await self.state()

    async def _read(self, content: str) -> Configuration:
        now = self._generations.current.configuration
        return await asyncio.to_thread(now.reread, content.encode("utf-8", "surrogatepass"))


def masked(value: Any, key: str = "") -> Any:
    """`value` with `MASK` in the place of every text under a key that names a secret, and of the user and
    password in every URL."""
    if isinstance(value, Mapping):
        return {name: masked(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item, key) for item in value]
    if isinstance(value, str):
        return MASK if SECRET.search(key) else _USERINFO.sub(MASK, value)
    return value


def _held(path: Path) -> bytes:
    """The file as it is. RefusedError where it cannot be read any more."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RefusedError(
            Code.CONFIG_READ_ONLY, f"{path}: the configuration cannot be read ({error.strerror})"
        ) from None


def _write(path: Path, content: bytes) -> None:
    """In the place of the file, at once, with its permissions; a link stays one. RefusedError where the
    folder or the file cannot be written: a mounted ConfigMap, or another owner's."""
    target = path.resolve()
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        mode = target.stat().st_mode & 0o777
        if not os.access(target, os.W_OK):
            raise PermissionError(13, "the file is read-only")
        with draft.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.chmod(mode)
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise RefusedError(
            Code.CONFIG_READ_ONLY,
            f"{path}: the configuration cannot be written ({error.strerror}); change it where it comes from, "
            "for example in the ConfigMap: the router follows the file",
        ) from None
