"""Labels that the head does not know."""

from pathlib import Path

import pytest

from router_extproc.app.evaluate import check_labels
from router_extproc.base.errors import OperatorError

FILE = Path("rows.jsonl")
KNOWN = ("law", "math")


def test_known_labels_are_not_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    check_labels(FILE, ["math", "law", "math"], KNOWN)
    assert capsys.readouterr() == ("", "")


def test_a_file_for_another_head_is_refused_by_its_first_label() -> None:
    with pytest.raises(OperatorError) as raised:
        check_labels(FILE, ["Recht", "Mathematik"], KNOWN)
    assert str(raised.value) == (
        "rows.jsonl: label 'Recht' is not one that the domain head knows (law, math); "
        "rename the labels of the file"
    )


def test_unknown_labels_beside_known_ones_are_counted_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    check_labels(FILE, ["math", "Recht", "Sport", "Recht"], KNOWN)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rows.jsonl: label 'Recht' is not one that the domain head knows (law, math); ")
    assert err.endswith("wrong in 3 of 4 rows\n")
