"""Logs as JSON lines. Prompts, answers and credentials are never passed to a logger."""

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path


class JsonLines(logging.Formatter):
    """One object per record: time (RFC 3339, UTC), level, logger, message, and the traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logging(level: str, file: Path | None = None) -> None:
    """Send records of `level` and above to `file`, by default to stderr. Libraries are heard from WARNING
    on. Raises OSError when `file` cannot be opened."""
    handler = logging.FileHandler(file, encoding="utf-8") if file else logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("router_extproc").setLevel(level.upper())
    # It logs a request that it cannot parse with a traceback that quotes it.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
