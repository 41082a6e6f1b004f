"""What commands write for a person: text that cannot command the terminal, sizes, times, tables, a count."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TextIO

REDRAW_SECONDS = 0.2
LINE_SECONDS = 5.0
"""Where nobody watches, each report is a line that somebody keeps."""


def printable(text: str, *, lines: bool = False) -> str:
    """`text` with every character that is not printable as its escape: what clients wrote, or servers, must
    not move the cursor, hide itself or set the title. Line ends and tabs stay where `lines`."""
    kept = "\n\t" if lines else ""
    return "".join(
        each if each.isprintable() or each in kept else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


def size(count: int | None) -> str:
    """A number of bytes, of three digits or so; `-` where nobody knows."""
    if count is None:
        return "-"
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def moment(at: float) -> str:
    """Unix seconds as RFC 3339 in UTC, or the number where that has no form."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{at:g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, two spaces apart, without spaces at the ends of lines."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    )


class Count:
    """How many are done, for work of which nobody knows how much there is."""

    def __init__(self, noun: str, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._noun, self._stream, self._clock = noun, stream, clock
        self._redraws = stream.isatty()
        self._interval = REDRAW_SECONDS if self._redraws else LINE_SECONDS
        self._written = clock()
        self._pending = False

    def __call__(self, done: int) -> None:
        now = self._clock()
        if now - self._written < self._interval:
            return
        self._written, self._pending = now, self._redraws
        line = f"  {done} {self._noun}"
        # ECMA-48's erase-in-line: a shorter line leaves nothing of the one before.
        self._stream.write(f"\r{line}\x1b[K" if self._redraws else f"{line}\n")
        self._stream.flush()

    def end(self) -> None:
        """Take the count away; what comes next is the result."""
        if self._pending:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._pending = False
