"""Logs as JSON lines, or as text for people. Prompts, answers and credentials never reach a logger."""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

FIELDS: Final = "fields"
"""Of a record: a mapping whose members stand in the line beside the others, passed as
`extra={FIELDS: ...}`. A name of the line itself is not overwritten."""

LOGGER: Final = "router_extproc"


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
        return json.dumps({**_fields(record), **line} if _fields(record) else line, ensure_ascii=False)


class TextLines(logging.Formatter):
    """One line per record: time, level, logger, message, then the record's fields as NAME=JSON."""

    def format(self, record: logging.LogRecord) -> str:
        more = "".join(
            f" {name}={json.dumps(value, ensure_ascii=False)}" for name, value in _fields(record).items()
        )
        # A line break in a message would be another record to whoever reads lines.
        said = record.getMessage().replace("\n", "\\n")
        line = f"{_time(record)} {record.levelname.lower():7} {record.name}: {said}{more}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure_logging(level: str, file: Path | None = None, form: str = "json") -> None:
    """Send records of `level` and above to `file`, by default to stderr, in `form`: `json` or `text`.
    Libraries are heard from WARNING on. Raises OSError when `file` cannot be opened."""
    handler = logging.FileHandler(file, encoding="utf-8") if file else logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextLines() if form == "text" else JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    set_level(level)
    # It logs a request that it cannot parse with a traceback that quotes it.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


def set_level(level: str) -> None:
    """Write records of `level` and above from now on."""
    logging.getLogger(LOGGER).setLevel(level.upper())


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = getattr(record, FIELDS, {})
    return fields
