import json
import logging
import sys
import threading
from pathlib import Path

import pytest

from router_extproc.telemetry.log import (
    FIELDS,
    LOGGER,
    Behind,
    JsonLines,
    TextLines,
    configure_logging,
    set_level,
)


def a_record(message: str, **fields: object) -> logging.LogRecord:
    record = logging.LogRecord("router_extproc.x", logging.WARNING, "x.py", 1, message, None, None)
    record.created = 1_700_000_000.5
    if fields:
        setattr(record, FIELDS, fields)
    return record


def test_a_json_line_has_the_record_s_fields_beside_its_own() -> None:
    line = JsonLines().format(a_record("said\nmore", model="größe", level="forged"))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.500+00:00",
        "level": "warning",
        "logger": "router_extproc.x",
        "message": "said\nmore",
        "model": "größe",
    }


def test_a_text_line_is_one_line() -> None:
    assert TextLines().format(a_record("said\nmore", model="m", score=[1])) == (
        '2023-11-14T22:13:20.500+00:00 warning router_extproc.x: said\\nmore model="m" score=[1]'
    )


@pytest.mark.parametrize("formatter", [JsonLines(), TextLines()])
def test_a_traceback_is_kept(formatter: logging.Formatter) -> None:
    try:
        raise ValueError("why")
    except ValueError:
        record = a_record("broke")
        record.exc_info = sys.exc_info()
    assert "ValueError: why" in formatter.format(record)


@pytest.mark.parametrize(("form", "begins"), [("json", "{"), ("text", "20")])
def test_the_form_and_the_level_are_as_configured_and_the_level_can_change(
    form: str, begins: str, tmp_path: Path
) -> None:
    root, own = logging.getLogger(), logging.getLogger(LOGGER)
    before = root.handlers[:], root.level, own.level, logging.getLogger("aiohttp.server").level
    root.handlers.clear()  # `force` would close pytest's
    file = tmp_path / "log"
    try:
        configure_logging("warning", file, form)
        own.info("too little")
        set_level("info")
        own.info("heard")
        logging.getLogger("library").info("not heard")
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:], root_level, own_level, aiohttp_level = before
        root.setLevel(root_level)
        own.setLevel(own_level)
        logging.getLogger("aiohttp.server").setLevel(aiohttp_level)
    [line] = file.read_text().splitlines()
    assert line.startswith(begins)
    assert "heard" in line


class Stuck(logging.Handler):
    """Takes nothing until `free`: a pipe that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.asked = threading.Event()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.asked.set()
        assert self.free.wait(10)
        self.lines.append(record.getMessage())


def test_whoever_logs_does_not_wait_for_a_reader_that_is_stuck() -> None:
    inner = Stuck()
    handler = Behind(inner, most=3)
    handler.handle(a_record("first"))
    assert inner.asked.wait(10)
    for number in range(10):
        handler.handle(a_record(f"more {number}"))
    assert inner.lines == []
    inner.free.set()
    handler.close()
    gap = "7 lines of the log were left out: nobody took them in time, or they could not be written"
    assert inner.lines == ["first", gap, "more 0", "more 1", "more 2"]


class FullDisk(logging.Handler):
    """Writes nothing while it is full."""

    def __init__(self) -> None:
        super().__init__()
        self.full = True
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if self.full:
            self.handleError(record)
        else:
            self.lines.append(record.getMessage())


def test_lines_that_cannot_be_written_are_counted_and_told_once_there_is_room(
    capsys: pytest.CaptureFixture[str],
) -> None:
    inner = FullDisk()
    handler = Behind(inner)
    for number in range(3):
        handler.handle(a_record(f"lost {number}"))
    handler.flush()
    inner.full = False
    handler.handle(a_record("kept"))
    handler.close()
    gap = "3 lines of the log were left out: nobody took them in time, or they could not be written"
    assert inner.lines == ["kept", gap]
    assert capsys.readouterr().err == ""


def test_the_end_does_not_wait_for_a_reader_that_is_stuck() -> None:
    inner = Stuck()
    handler = Behind(inner, most=1, drain_seconds=0.05)
    handler.handle(a_record("first"))
    assert inner.asked.wait(10)
    handler.handle(a_record("second"))
    handler.close()
    assert inner.lines == []
    inner.free.set()


HOSTILE = "a\r\nb\x1b[2J\x9b31m\u2028c\u202ed\x7f\x00\ud800é"


@pytest.mark.parametrize("form", [JsonLines(), TextLines()])
def test_nothing_that_was_said_forges_a_line_or_commands_a_terminal(form: logging.Formatter) -> None:
    line = form.format(a_record(f"said {HOSTILE}", model=HOSTILE))
    assert line.isprintable()
    assert line.count("é") == 2
    line.encode("utf-8")


def test_what_was_escaped_in_json_is_read_as_it_was() -> None:
    record = logging.makeLogRecord({"name": "x", "msg": HOSTILE})
    assert json.loads(JsonLines().format(record))["message"] == HOSTILE


def test_a_traceback_keeps_its_lines_and_loses_its_commands() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        record = logging.makeLogRecord({"name": "x", "msg": "m", "exc_info": sys.exc_info()})
    text = TextLines().format(record)
    assert "Traceback" in text.splitlines()[1]
    assert all(line.isprintable() for line in text.split("\n"))
