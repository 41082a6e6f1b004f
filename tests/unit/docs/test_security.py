"""`docs/SECURITY.md`: every threat names tests, and every test that is named is there."""

import ast
import functools
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "SECURITY.md").read_text(encoding="utf-8")
TEST = re.compile(r"`((?:unit|property|contract|component|e2e)/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")


def rows() -> Sequence[tuple[str, str]]:
    """Each threat, and the cell with its tests."""
    table = PAGE.partition("\n## Threats\n")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")][1:]
    cells = [line.strip("|").split(" | ") for line in lines]
    return [(threat.strip(), shown) for threat, _, shown in cells]


@functools.cache
def names_in(path: Path) -> frozenset[str]:
    """Functions only: a name in a comment is no test."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(
        node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, functions)
    )


@pytest.mark.parametrize(("threat", "shown"), rows(), ids=[threat[:40] for threat, _ in rows()])
def test_every_threat_is_shown_by_tests_that_are_there(threat: str, shown: str) -> None:
    named = TEST.findall(shown)
    assert named, threat
    assert TEST.sub("", shown).strip(" ,|") == ""
    missing = [f"{file}::{name}" for file, name in named if name not in names_in(ROOT / "tests" / file)]
    assert missing == []


WANTED = (
    "forged internal headers", "forged tenant", "poisoning", "filter injection", "SSRF", "log injection",
    "ReDoS", "explodes", "secrets", "rebinding", "CSRF", "ext_proc", "supply chain", "by time",
)  # fmt: skip


@pytest.mark.parametrize("word", WANTED)
def test_the_table_has_what_it_is_for(word: str) -> None:
    assert any(word in threat for threat, _ in rows())
