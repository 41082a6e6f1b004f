"""One child process: started, watched, stopped by its id."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from router_extproc.base.errors import OperatorError

LOG_TAIL = 2000
"""Bytes of a failed child's log shown to the operator."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running process and the file its output goes to."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> "Child":
        """Run `command` in a session of its own, so that Ctrl-C reaches it only through us and the order
        of stopping is ours. `env` is its whole environment; None: ours. Raises OperatorError when the
        program cannot be run."""
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with log.open("wb") as output:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    env=env,
                )
        except OSError as error:
            raise OperatorError(f"{name} cannot be run: {command[0]}: {error.strerror}") from error
        return cls(name, process, log)

    def failure(self) -> OperatorError:
        """What to tell the operator about a child that ended by itself."""
        code = self.process.returncode
        return OperatorError(
            f"{self.name} ended with exit code {code}; its log {self.log} ends: {self._tail()}"
        )

    def _tail(self) -> str:
        with contextlib.suppress(OSError):  # the log may have been removed; the exit code still tells
            lines = self.log.read_bytes()[-LOG_TAIL:].decode("utf-8", "replace").strip().splitlines()
            return lines[-1].strip() if lines else "(empty)"
        return "(unreadable)"

    async def stop(self, grace: float) -> None:
        """SIGTERM, then SIGKILL to its session after `grace` seconds."""
        if self.process.returncode is not None:
            return
        self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), grace)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):  # it ended in between
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()
