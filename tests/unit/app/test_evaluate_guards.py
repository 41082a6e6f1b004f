"""Guards measured on files, by what a screen says that each test writes down."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from router_extproc.app.evaluate_guards import check_types, evaluate_guards, measure_guard, measure_pii
from router_extproc.base.errors import OperatorError
from router_extproc.evaluation.rows import PiiRow
from router_extproc.screening.reading import Screened
from router_extproc.screening.spans import PiiSpan, Source

FILE = Path("rows.jsonl")


def _file(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _screen(text: str) -> Screened:
    """A text is as much of an attack as its first character says; an @ is an address of any score."""
    at = text.find("@")
    spans = (PiiSpan(at, at + 1, "EMAIL_ADDRESS", int(text[0]) / 10, Source.HEAD),) if at >= 0 else ()
    return Screened(int(text[0]) / 10, spans, read=1, skipped=len(text) > 9)


def test_rows_keep_their_label_and_family(tmp_path: Path) -> None:
    rows = [
        {"text": "9 a", "label": 1, "family": "persona"},
        {"text": "2 b", "label": 1},
        {"text": "5 c", "label": 0, "family": "tricky"},
        {"text": "1 a long one", "label": 0},
    ]
    report = measure_guard(_file(tmp_path, rows), 4, _screen, 0.5)
    assert (report.n, report.attacks, report.auc, report.skipped) == (4, 2, 0.75, 1)
    assert (report.shipped.recall, report.shipped.false_positive_rate) == (0.5, 0.5)
    assert report.families["persona"].recall == 1.0
    assert report.families["tricky"].false_positive_rate == 1.0


def test_a_router_without_a_guard_is_told(tmp_path: Path) -> None:
    path = _file(tmp_path, [{"text": "9", "label": 1}])
    with pytest.raises(OperatorError, match=r"rows\.jsonl: nothing here looks for attacks"):
        measure_guard(path, 1, lambda text: Screened(), 0.5)


def test_spans_below_the_threshold_do_not_count(tmp_path: Path) -> None:
    rows = [{"text": f"{score} @", "spans": [[2, 3, "EMAIL_ADDRESS"]]} for score in (4, 5, 6)]
    report = measure_pii(_file(tmp_path, rows), 3, _screen, 0.5)
    assert report.recall == pytest.approx(2 / 3)
    assert report.precision == 1.0


def test_known_types_are_counted_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    assert check_types(FILE, [PiiRow("abc", ((0, 1, "AGE"),)), PiiRow("abc", ())]) == 2
    assert capsys.readouterr() == ("", "")


def test_a_file_of_other_types_is_refused() -> None:
    with pytest.raises(
        OperatorError, match=r"rows\.jsonl: 'PER' is no type .*; rename the types of the file$"
    ):
        check_types(FILE, [PiiRow("abc", ((0, 1, "PER"), (1, 2, "LOC")))])


def test_other_types_beside_known_ones_are_counted_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    check_types(FILE, [PiiRow("abc", ((0, 1, "AGE"), (1, 2, "LOC"), (1, 3, "LOC")))])
    assert capsys.readouterr().err.endswith("missed, 2 of 3 spans\n")


def test_a_pipe_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="not a regular file"):
        evaluate_guards(Path("config/router.yaml"), "guard", tmp_path, as_json=True)
