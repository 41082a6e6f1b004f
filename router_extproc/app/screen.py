"""Where `status` and `top` draw: a terminal, its whole screen, or pages of plain text where there is none, in
whatever encoding; and the keys. Leaves the terminal as it was. Knows nothing of what is drawn."""

import asyncio
import codecs
import io
import os
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final, Protocol, TextIO

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.live import Live

from router_extproc.app.glance_view import plain_lines

Picture = Callable[[int | None], RenderableType]
"""What to draw on so many lines; None: on as many as it takes."""

PAGE_WIDTH: Final = 100
"""Where COLUMNS does not say, and no terminal does."""

ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"
"""What is put where text was cut off."""

QUIT: Final = frozenset(b"qQ")
KEYS_BYTES: Final = 256


class Canvas(Protocol):
    def draw(self, picture: Picture) -> None:
        """Show `picture` until the next one."""
        ...


def draws(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether `stream` is a terminal on which a cursor can be moved (terminfo's `dumb` cannot)."""
    return stream.isatty() and environment.get("TERM", "") not in ("", "dumb", "unknown")


def spelled(stream: TextIO, *, in_place: bool = False) -> TextIO:
    """`stream`, which from now on takes every character. One that its encoding has not is written as its
    escape, or `in_place` as question marks of the same width: a whole screen has no room for more. An
    ellipsis is a full stop."""

    def spell(error: UnicodeError) -> tuple[str | bytes, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        missing = error.object[error.start : error.end]
        return "".join(_spelling(each, in_place=in_place) for each in missing), error.end

    if isinstance(stream, io.TextIOWrapper):
        name = f"router_extproc.{'in_place' if in_place else 'escaped'}"
        codecs.register_error(name, spell)
        stream.reconfigure(errors=name)
    return stream


def _spelling(character: str, *, in_place: bool) -> str:
    if character == ELLIPSIS:
        return "."
    if in_place:
        return "?" * cell_len(character)
    return character.encode("ascii", "backslashreplace").decode("ascii")


def show(view: RenderableType, stream: TextIO, environment: Mapping[str, str]) -> None:
    """`view` once: in colours where `stream` is a terminal that has a cursor, else as plain text."""
    if draws(stream, environment):
        Console(file=spelled(stream)).print(view)
    else:
        Pages(stream).print(view)


class Pages:
    """Plain text, one picture after the other."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = spelled(stream)
        self._ascii_only = not (stream.encoding or "").lower().startswith("utf")

    def draw(self, picture: Picture) -> None:
        self._write([*self.lines(picture(None)), ""])

    def lines(self, view: RenderableType) -> list[str]:
        width = shutil.get_terminal_size((PAGE_WIDTH, 0)).columns
        return plain_lines(view, width, ascii_only=self._ascii_only)

    def print(self, view: RenderableType) -> None:
        """Once, with nothing after it."""
        self._write(self.lines(view))

    def _write(self, lines: list[str]) -> None:
        self._stream.write("".join(f"{line}\n" for line in lines))
        self._stream.flush()


class Screen:
    """The whole terminal, on its alternate screen."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._picture: Picture | None = None

    def draw(self, picture: Picture) -> None:
        self._picture = picture
        self.redraw()

    def redraw(self) -> None:
        """For the size that the terminal has now."""
        if self._picture is not None:
            self._live.update(self._picture(self._live.console.height), refresh=True)

    def suspend(self) -> None:
        """Give the terminal back while the process is stopped."""
        self._live.stop()

    def resume(self) -> None:
        self._live.start()
        self.redraw()


@contextmanager
def whole_screen() -> Iterator[Screen]:
    """The terminal of stdout."""
    console = Console(file=spelled(sys.stdout, in_place=True))
    with Live(console=console, screen=True, auto_refresh=False) as live:
        yield Screen(live)


class Keyboard:
    """Keys as they are pressed, unseen. Ctrl-C and Ctrl-Z stay signals."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before = termios.tcgetattr(descriptor)

    def take(self) -> None:
        tty.setcbreak(self._descriptor)

    def give_back(self) -> None:
        """What was typed and not read is dropped: it was not meant for the shell."""
        termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._before)

    def wants_to_quit(self) -> bool:
        """Of the keys pressed since; a terminal that is gone wants it too."""
        try:
            keys = os.read(self._descriptor, KEYS_BYTES)
        except OSError:
            return True
        return not keys or not QUIT.isdisjoint(keys)


@contextmanager
def keys(ended: "asyncio.Future[int]") -> Iterator[Keyboard | None]:
    """Until left, `q` ends the future with 0. None where stdin and stdout are not both terminals: then
    keys are for somebody else."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        yield None
        return
    descriptor, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    keyboard = Keyboard(descriptor)

    def pressed() -> None:
        if keyboard.wants_to_quit() and not ended.done():
            ended.set_result(0)

    keyboard.take()
    loop.add_reader(descriptor, pressed)
    try:
        yield keyboard
    finally:
        loop.remove_reader(descriptor)
        keyboard.give_back()


@contextmanager
def signals_end(ended: "asyncio.Future[int]") -> Iterator[None]:
    """Until left, Ctrl-C, SIGTERM and SIGHUP end the future with what a shell would say. To be entered before
    and left after what gives the terminal back, so that a second Ctrl-C does not come in between."""

    def end(number: int) -> None:
        if not ended.done():
            ended.set_result(128 + number)

    with _handled({each: partial(end, each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}):
        yield


@contextmanager
def signals_draw(screen: Screen, keyboard: Keyboard | None) -> Iterator[None]:
    """Until left, the terminal is drawn anew when its size changes, and given back while Ctrl-Z stops the
    process."""

    def stop() -> None:
        screen.suspend()
        if keyboard is not None:
            keyboard.give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        # Here the shell has continued us.
        if keyboard is not None:
            keyboard.take()
        screen.resume()

    with _handled({signal.SIGWINCH: screen.redraw, signal.SIGTSTP: stop}):
        yield


@contextmanager
def _handled(handlers: Mapping[signal.Signals, Callable[[], None]]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
