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
    """A running process and the file its output goes to; None: where ours goes."""

    name: str
    process: asyncio.subprocess.Process
    log: Path | None

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str],
        log: Path | None,
        env: Mapping[str, str] | None = None,
        *,
        leash: bool = False,
    ) -> "Child":
        """Run `command` in a session of its own, so that Ctrl-C reaches it only through us and the order
        of stopping is ours. `env` is its whole environment; None: ours. With `leash` its standard input is a
        pipe that ends when we do, however we do (`supervisor.leash`). Raises OperatorError when the program
        cannot be run."""
        with contextlib.ExitStack() as stack:
            output = None
            try:
                if log is not None:
                    log.parent.mkdir(parents=True, exist_ok=True)
                    output = stack.enter_context(log.open("wb"))
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.PIPE if leash else asyncio.subprocess.DEVNULL,
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
        if self.log is None:
            return OperatorError(f"{self.name} ended with exit code {code}; what it said is above")
        return OperatorError(
            f"{self.name} ended with exit code {code}; its log {self.log} ends: {_tail(self.log)}"
        )

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


def _tail(log: Path) -> str:
    with contextlib.suppress(OSError):  # the log may have been removed; the exit code still tells
        lines = log.read_bytes()[-LOG_TAIL:].decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip() if lines else "(empty)"
    return "(unreadable)"
