"""Logs as JSON lines, or as text for people. Prompts, answers and credentials never reach a logger.

Lines are written by a thread: whoever reads them may be slow or stuck, and a request must not wait for that.
"""

import contextlib
import json
import logging
import queue
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

FIELDS: Final = "fields"
"""Of a record: a mapping whose members stand in the line beside the others, passed as
`extra={FIELDS: ...}`. A name of the line itself is not overwritten."""

LOGGER: Final = "router_extproc"

MAX_WAITING: Final = 10_000
"""Lines, a few kB each at most."""
DRAIN_SECONDS: Final = 2.0
"""At the end, for what waits to be written."""


def escaped(text: str, *, lines: bool = False) -> str:
    """`text` with what is not printable as JSON's escapes, also within a JSON string. A line break would be a
    record of its own to whoever reads lines, an escape sequence a command to who looks at them on a terminal,
    and a lone surrogate has no place in the file's encoding. Line ends and tabs stay where `lines`."""
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(each if each.isprintable() or each in kept else _escape(each) for each in text)


def _escape(character: str) -> str:
    # JSON leaves DEL as it is.
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


class JsonLines(logging.Formatter):
    """One object per record: time (RFC 3339, UTC), level, logger, message, the record's fields, and the
    traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return escaped(json.dumps({**_fields(record), **line}, ensure_ascii=False))


class TextLines(logging.Formatter):
    """One line per record: time, level, logger, message, then the record's fields as NAME=JSON."""

    def format(self, record: logging.LogRecord) -> str:
        more = "".join(
            f" {name}={json.dumps(value, ensure_ascii=False)}" for name, value in _fields(record).items()
        )
        line = escaped(
            f"{_time(record)} {record.levelname.lower():7} {record.name}: {record.getMessage()}{more}"
        )
        if not record.exc_info:
            return line
        return f"{line}\n{escaped(self.formatException(record.exc_info), lines=True)}"


class Behind(logging.Handler):
    """Hands records to `inner` in a thread of its own. Of more than `most` that wait, the newest are left
    out, and so are those that `inner` cannot write (the disk is full); how many is logged as soon as `inner`
    takes lines again. `flush` and `close` wait for `drain_seconds` at most; logging closes every handler when
    the process ends."""

    def __init__(
        self, inner: logging.Handler, most: int = MAX_WAITING, drain_seconds: float = DRAIN_SECONDS
    ) -> None:
        super().__init__()
        self._inner = inner
        self._drain_seconds = drain_seconds
        self._waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(most)
        self._left_out = 0
        self._broken = False
        # By default it prints a traceback to stderr, which is where the disk may be full.
        inner.handleError = self._failed  # type: ignore[method-assign, assignment]
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self._left_out += 1  # under the handler's lock

    def flush(self) -> None:
        waiting = self._waiting
        with waiting.all_tasks_done:
            waiting.all_tasks_done.wait_for(lambda: not waiting.unfinished_tasks, self._drain_seconds)

    def close(self) -> None:
        self.flush()
        # A full queue is one that nobody empties: its thread ends with the process.
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)
            self._thread.join(self._drain_seconds)
        if not self._thread.is_alive():
            self._inner.close()
        super().close()

    def _write(self) -> None:
        while (record := self._waiting.get()) is not None:
            if not self._taken(record):
                self._count(1)
            elif self._left_out:
                gap = self._left_out
                self._count(-gap if self._taken(_gap(gap)) else 0)
            self._waiting.task_done()
        self._waiting.task_done()

    def _taken(self, record: logging.LogRecord) -> bool:
        self._broken = False
        self._inner.handle(record)
        return not self._broken

    def _failed(self, _: logging.LogRecord) -> None:
        self._broken = True

    def _count(self, lines: int) -> None:
        with self.lock or contextlib.nullcontext():
            self._left_out += lines


def _gap(lines: int) -> logging.LogRecord:
    said = "%d lines of the log were left out: nobody took them in time, or they could not be written"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, said, (lines,), None)


def configure_logging(
    level: str, file: Path | None = None, form: str = "json", worker: int | None = None
) -> None:
    """Send records of `level` and above to `file`, by default to stderr, in `form`: `json` or `text`. Each
    names the `worker` that said it, where there is one. Libraries are heard from WARNING on. Raises OSError
    when `file` cannot be opened."""
    handler = logging.FileHandler(file, encoding="utf-8") if file else logging.StreamHandler(sys.stderr)
    if worker is not None:
        handler.addFilter(_Signed(worker))
    handler.setFormatter(TextLines() if form == "text" else JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[Behind(handler)], force=True)
    set_level(level)
    # It logs a request that it cannot parse with a traceback that quotes it.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


class _Signed(logging.Filter):
    """Adds the worker's number to every record."""

    def __init__(self, worker: int) -> None:
        super().__init__()
        self._worker = worker

    def filter(self, record: logging.LogRecord) -> bool:
        setattr(record, FIELDS, {**_fields(record), "worker": self._worker})
        return True


def set_level(level: str) -> None:
    """Write records of `level` and above from now on."""
    logging.getLogger(LOGGER).setLevel(level.upper())


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = getattr(record, FIELDS, {})
    return fields
