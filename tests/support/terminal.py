"""A command of the product on a terminal of its own. Owns the pseudo-terminal; knows nothing of what is
drawn on it."""

import asyncio
import fcntl
import os
import re
import struct
import sys
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.processes import wait_until
from tests.support.stack import ROOT, command

CONTROLLED = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
"""Makes stdin the terminal whose Ctrl-C is a signal, as a shell does."""

START_SECONDS = 90.0
"""An interpreter and its libraries, where other tests have most of the processor."""

PIECE_BYTES = 65536
ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


@dataclass(slots=True)
class Terminal:
    """`process` runs on it. `written` is all that it wrote so far."""

    process: asyncio.subprocess.Process
    master: int
    slave: int
    before: list[Any]
    written: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        return self.written.decode(errors="replace")

    def since(self, place: int) -> str:
        """What was written after so many bytes, without its control sequences."""
        return CONTROL.sub("", self.written[place:].decode(errors="replace"))

    @property
    def attributes(self) -> list[Any]:
        return termios.tcgetattr(self.slave)

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    async def shows(self, what: str, since: int = 0) -> None:
        """Until `what` has been written after `since` bytes, or the process has ended."""
        await wait_until(
            lambda: what in self.since(since) or self.process.returncode is not None,
            f"{what!r} on the terminal",
            START_SECONDS,
        )
        assert what in self.since(since), self.text

    async def ended(self) -> int:
        async with asyncio.timeout(START_SECONDS):
            return await self.process.wait()


@asynccontextmanager
async def on_terminal(
    *arguments: str, columns: int = 110, lines: int = 40, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Terminal]:
    """`router-extproc ARGUMENTS` on a terminal of that size; killed where it still runs in the end."""
    master, slave = os.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    before = termios.tcgetattr(slave)
    clean = {
        name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CONTROLLED,
        *command(*arguments),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=ROOT,
        env={**clean, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(environment or {})},
    )
    terminal = Terminal(process, master, slave, before)
    loop = asyncio.get_running_loop()
    os.set_blocking(master, False)
    loop.add_reader(master, lambda: terminal.written.extend(os.read(master, PIECE_BYTES)))
    try:
        yield terminal
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        loop.remove_reader(master)
        os.close(master)
        os.close(slave)


async def left(terminal: Terminal) -> None:
    """The terminal is as it was, and what was there before is to be seen again."""

    def is_left() -> bool:
        text = terminal.text
        return text.rfind(LEAVE_SCREEN) > text.rfind(ENTER_SCREEN) >= 0

    await wait_until(is_left, "the usual screen", START_SECONDS)
    assert terminal.attributes == terminal.before
    assert terminal.text.count(ENTER_SCREEN) == terminal.text.count(LEAVE_SCREEN)
    assert terminal.text.rindex(SHOW_CURSOR) > terminal.text.rindex(HIDE_CURSOR)
