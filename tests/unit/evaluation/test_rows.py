"""Labelled rows are read, and an error names file and line without quoting the text."""

from pathlib import Path

import pytest

from router_extproc.base.errors import OperatorError
from router_extproc.evaluation.rows import DomainRow, PairRow, read_domain_rows, read_pair_rows


def _file(folder: Path, content: str) -> Path:
    path = folder / "rows.jsonl"
    path.write_text(content, encoding="utf-8")
    return path


def test_domain_rows_ignore_other_keys_and_empty_lines(tmp_path: Path) -> None:
    path = _file(
        tmp_path, '{"text": "a", "label": "law", "options": [1]}\n\n{"text": "b", "label": "math"}\n'
    )
    assert read_domain_rows(path) == [DomainRow("a", "law"), DomainRow("b", "math")]


@pytest.mark.parametrize("same", ["true", "1"])
def test_pairs_are_the_same_by_boolean_or_number(tmp_path: Path, same: str) -> None:
    path = _file(tmp_path, f'{{"a": "x", "b": "y", "same": {same}}}')
    assert read_pair_rows(path) == [PairRow("x", "y", True)]


@pytest.mark.parametrize(
    "line", ["{", '{"text": "secret"}', '{"text": "secret", "label": 3}', '"secret"', '{"same": 2}']
)
def test_a_bad_line_is_named_and_not_quoted(tmp_path: Path, line: str) -> None:
    path = _file(tmp_path, '{"text": "a", "label": "law"}\n' + line + "\n")
    with pytest.raises(OperatorError) as caught:
        read_domain_rows(path)
    assert str(caught.value).startswith(f"{path}:2: not a JSON object with the keys text, label")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_not_text_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"text": "\xff", "label": "law"}\n')
    with pytest.raises(OperatorError, match=r"rows\.jsonl:1: "):
        read_domain_rows(path)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"absent\.jsonl: cannot be read"):
        read_pair_rows(tmp_path / "absent.jsonl")


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="no row"):
        read_pair_rows(_file(tmp_path, "\n"))
