import logging
import sys

from router_extproc.page.log import Discreet

TEXT = "what a person wrote"


def record(message: object, *arguments: object, raised: bool = False) -> logging.LogRecord:
    info = sys.exc_info() if raised else None
    return logging.LogRecord("x", logging.ERROR, "file.py", 3, message, arguments, info)


def test_an_exception_is_told_by_its_type_and_place_only() -> None:
    try:
        raise ValueError(TEXT)
    except ValueError as error:
        records = [
            record("failed", raised=True),
            record(f"task {error!r} failed", raised=True),
            record(error, raised=True),
            record("failed: %s", error),
        ]
    for each in records:
        line = Discreet().format(each)
        assert TEXT not in line
        assert "ERROR x: unexpected ValueError" in line
        assert "test_log.py" in line


def test_what_it_was_raised_from_is_not_told_either() -> None:
    try:
        try:
            raise ValueError(TEXT)
        except ValueError as error:
            raise RuntimeError("second") from error
    except RuntimeError:
        line = Discreet().format(record("failed", raised=True))
    assert TEXT not in line
    assert "second" not in line


def test_other_lines_are_as_they_were_meant() -> None:
    assert Discreet().format(record("%s of %d %%", "one", 2)).endswith("ERROR x: one of 2 %")
