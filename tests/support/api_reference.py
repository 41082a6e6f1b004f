"""Writes the tables of `docs/API.md` anew: `python -m tests.support.api_reference`."""

from pathlib import Path

from router_extproc.server.api.reference import markdown
from tests.support.api import whole_table

FILE = Path(__file__).parents[2] / "docs" / "API.md"
FIRST = "## status\n"
"""Where what is generated begins; what is above it is written by hand."""


def write(file: Path = FILE) -> None:
    written = file.read_text(encoding="utf-8")
    by_hand = written.partition("\n" + FIRST)[0]
    file.write_text(by_hand + "\n" + markdown(whole_table()), encoding="utf-8")


if __name__ == "__main__":
    write()
