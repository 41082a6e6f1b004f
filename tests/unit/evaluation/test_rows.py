"""Labelled rows are read, and an error names file and line without quoting the text."""

from pathlib import Path

import pytest

from router_extproc.base.errors import OperatorError
from router_extproc.evaluation.rows import (
    Ask,
    DomainRow,
    GuardRow,
    PairRow,
    PiiRow,
    Put,
    read_domain_rows,
    read_guard_rows,
    read_pair_rows,
    read_pii_rows,
    read_replay_rows,
)


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


def test_pairs_may_have_a_kind_and_a_category(tmp_path: Path) -> None:
    path = _file(tmp_path, '{"a": "x", "b": "y", "same": 0, "kind": "unit", "category": "law", "more": 1}')
    assert read_pair_rows(path) == [PairRow("x", "y", False, "unit", "law")]


def test_a_bad_pair_is_told_the_keys_it_must_have(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r":1: not a JSON object with the keys a, b, same \("):
        read_pair_rows(_file(tmp_path, '{"a": "x", "b": "y"}'))


def test_a_replay_is_puts_and_asks_in_order(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        '{"put": "x", "id": 7, "at": 3}\n{"ask": "y", "expect": "7"}\n\n{"ask": "z", "expect": null}\n',
    )
    assert read_replay_rows(path) == [Put("x", "7"), Ask("y", "7"), Ask("z", None)]


@pytest.mark.parametrize(
    "line",
    [
        '{"put": "secret"}',
        '{"ask": "secret"}',
        '{"put": "secret", "expect": 1}',
        '{"put": "secret", "id": null}',
        '{"put": "secret", "id": 1, "ask": "secret", "expect": null}',
        '{"id": "secret", "expect": null}',
        '["secret"]',
    ],
)
def test_a_row_that_is_neither_is_named_and_not_quoted(tmp_path: Path, line: str) -> None:
    path = _file(tmp_path, '{"put": "a", "id": 1}\n' + line + "\n")
    with pytest.raises(OperatorError) as caught:
        read_replay_rows(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:2: not a JSON object with the keys put and id, or ask and expect")
    assert "secret" not in message


def test_an_id_that_nothing_before_puts_is_an_error_of_its_line(tmp_path: Path) -> None:
    path = _file(tmp_path, '{"ask": "y", "expect": "secret"}\n{"put": "x", "id": "secret"}\n')
    with pytest.raises(
        OperatorError, match=r"rows\.jsonl:1: expects an id that no row before it puts"
    ) as caught:
        read_replay_rows(path)
    assert "secret" not in str(caught.value)


def test_a_replay_that_asks_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="no row with the keys ask and expect"):
        read_replay_rows(_file(tmp_path, '{"put": "x", "id": 1}'))


def test_a_domain_row_may_have_a_kind(tmp_path: Path) -> None:
    path = _file(tmp_path, '{"text": "a", "label": "law", "kind": "question"}')
    assert read_domain_rows(path) == [DomainRow("a", "law", "question")]


@pytest.mark.parametrize("label", ["1", "true"])
def test_an_attack_is_told_by_number_or_boolean(tmp_path: Path, label: str) -> None:
    path = _file(tmp_path, f'{{"text": "x", "label": {label}, "family": "persona", "more": 1}}')
    assert list(read_guard_rows(path)) == [GuardRow("x", True, "persona")]


@pytest.mark.parametrize("row", ['{"text": "secret"}', '{"text": "secret", "label": "perhaps"}', "secret"])
def test_a_bad_guard_row_is_named_and_not_quoted(tmp_path: Path, row: str) -> None:
    path = _file(tmp_path, '{"text": "x", "label": 0}\n' + row)
    with pytest.raises(OperatorError, match=r":2: not a JSON object with the keys text, label \(") as caught:
        list(read_guard_rows(path))
    assert "secret" not in str(caught.value)


def test_pii_spans_count_characters_and_not_bytes(tmp_path: Path) -> None:
    path = _file(tmp_path, '{"text": "😀 Zoë", "spans": [[2, 5, "PERSON"]], "tid": 3}\n')
    assert list(read_pii_rows(path)) == [PiiRow("😀 Zoë", ((2, 5, "PERSON"),))]


@pytest.mark.parametrize("span", [(0, 4), (-1, 2), (2, 2), (3, 1)])
def test_a_span_outside_the_text_is_an_error_of_its_line(tmp_path: Path, span: tuple[int, int]) -> None:
    start, end = span
    path = _file(
        tmp_path, f'{{"text": "", "spans": []}}\n{{"text": "abc", "spans": [[{start}, {end}, "AGE"]]}}'
    )
    with pytest.raises(OperatorError) as caught:
        list(read_pii_rows(path))
    assert str(caught.value).startswith(
        f"{path}:2: there is a span from {start} to {end}, but the text has 3 characters"
    )


@pytest.mark.parametrize("spans", ['[[0, 3, "AGE", 1]]', '[{"start": 0}]', '[["a", 3, "AGE"]]', "3"])
def test_spans_of_another_form_are_named(tmp_path: Path, spans: str) -> None:
    path = _file(tmp_path, f'{{"text": "abc", "spans": {spans}}}')
    with pytest.raises(OperatorError, match=r":1: not a JSON object with the keys text, spans"):
        list(read_pii_rows(path))
