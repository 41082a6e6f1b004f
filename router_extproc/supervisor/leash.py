"""How a child learns that its parent has ended, also one that was killed and could not say so.

Our own programs are given a pipe as their standard input, which ends with the parent on every system.
Programs of others, such as Envoy, know nothing of pipes: on Linux the kernel is asked to end them
(`PR_SET_PDEATHSIG`, prctl(2)), by this module run in their place before it becomes them:
`python -m router_extproc.supervisor.leash PARENT COMMAND...`. Elsewhere they stay when the parent is killed.
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final

PR_SET_PDEATHSIG: Final = 1
LINUX: Final = "linux"


def tethered(command: Sequence[str]) -> tuple[str, ...]:
    """What to run so that `command` is run, and ended by SIGTERM when this process has ended. It keeps its
    process id and its exit code."""
    return (sys.executable, "-m", "router_extproc.supervisor.leash", str(os.getpid()), *command)


async def watch_leash(released: Callable[[], None]) -> None:
    """Call `released` when the parent has ended, in a child that was started with `leash`. Cancel it before
    the event loop ends."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        while await reader.read(1024):
            continue  # nobody has anything to say here
        released()
    finally:
        transport.close()


def main(arguments: Sequence[str]) -> int:
    """Becomes the command; returns only where the parent is gone already."""
    parent, *command = arguments
    if sys.platform == LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it ended before the kernel was asked
        return 1
    try:
        os.execvp(command[0], command)  # noqa: S606 - the caller's own command, no shell
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
