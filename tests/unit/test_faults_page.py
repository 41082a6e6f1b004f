"""`docs/FAULTS.md` names tests that are there, and every test of a fault stands in it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "FAULTS.md").read_text()
COMPONENTS = ROOT / "tests" / "component"


def named_in(*files: Path) -> set[str]:
    return {name for file in files for name in re.findall(r"^async def (test_\w+)", file.read_text(), re.M)}


NAMED = set(re.findall(r"`(test_\w+)`", PAGE))


def test_every_test_that_is_named_is_there() -> None:
    assert named_in(*COMPONENTS.glob("test_*.py")) >= NAMED


def test_every_test_of_a_fault_is_named() -> None:
    assert named_in(*COMPONENTS.glob("test_faults_*.py")) <= NAMED


def test_every_line_of_a_table_has_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    faults = [line for line in rows if not line.startswith(("| fault ", "| where "))]
    assert len(faults) > 20
    assert all(re.search(r"`test_\w+`[^|]*\|$", line) for line in faults)
