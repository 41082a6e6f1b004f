"""Entities by exact place and type."""

import pytest

from router_extproc.evaluation.pii import evaluate_pii


def test_place_and_type_must_both_be_right() -> None:
    gold = [[(0, 3, "PERSON"), (5, 9, "GPE")], [(0, 4, "AGE")]]
    found = [[(0, 3, "PERSON"), (5, 8, "GPE")], [(0, 4, "DATE_TIME")]]
    report = evaluate_pii(gold, found)
    for share in (report.precision, report.recall, report.entity_f1):
        assert share == pytest.approx(1 / 3)
    assert report.per_type["PERSON"].f1 == 1.0
    assert (report.per_type["GPE"].entities, report.per_type["GPE"].found, report.per_type["GPE"].right) == (
        1,
        1,
        0,
    )
    assert report.per_type["DATE_TIME"].recall == 0.0


def test_all_entities_count_alike() -> None:
    gold = [[(0, 1, "PERSON"), (2, 3, "PERSON"), (4, 5, "PERSON"), (6, 7, "GPE")]]
    report = evaluate_pii(gold, [[(0, 1, "PERSON"), (2, 3, "PERSON"), (8, 9, "GPE")]])
    assert report.precision == pytest.approx(2 / 3)
    assert report.recall == pytest.approx(1 / 2)
    assert report.entity_f1 == pytest.approx(4 / 7)


def test_clean_rows_that_were_flagged_are_a_share_of_the_clean_rows() -> None:
    report = evaluate_pii([[], [], [(0, 1, "AGE")]], [[(0, 1, "AGE")], [], [(0, 1, "AGE")]])
    assert report.clean_rows == 2
    assert report.clean_rows_flagged == 0.5
    assert report.rows_flagged == pytest.approx(2 / 3)


def test_what_identifies_a_person_is_counted_apart() -> None:
    gold = [[], [], [], [(0, 1, "PERSON")]]
    found = [[(0, 1, "GPE"), (2, 3, "AGE")], [(0, 1, "TITLE"), (2, 3, "PERSON")], [], [(0, 1, "PERSON")]]
    report = evaluate_pii(gold, found)
    assert (report.rows_flagged, report.rows_identified) == (0.75, 0.5)
    assert report.clean_rows_flagged == pytest.approx(2 / 3)
    assert report.clean_rows_identified == pytest.approx(1 / 3)


def test_an_entity_found_twice_counts_once() -> None:
    assert evaluate_pii([[(0, 1, "AGE")]], [[(0, 1, "AGE"), (0, 1, "AGE")]]).precision == 1.0


def test_nothing_there_and_nothing_found_is_zero_everywhere() -> None:
    report = evaluate_pii([[]], [[]])
    assert (report.entity_f1, report.precision, report.recall, report.per_type) == (0.0, 0.0, 0.0, {})


def test_the_totals_come_first_in_json_and_types_have_lines_in_text() -> None:
    report = evaluate_pii([[(0, 1, "AGE")]], [[(0, 1, "AGE")]])
    assert list(report.as_json())[:4] == ["entity_f1", "precision", "recall", "per_type"]
    assert "AGE" in report.as_text()


@pytest.mark.parametrize(("gold", "found"), [([], []), ([[]], [[], []])])
def test_rows_must_match(
    gold: list[list[tuple[int, int, str]]], found: list[list[tuple[int, int, str]]]
) -> None:
    with pytest.raises(ValueError, match="same length"):
        evaluate_pii(gold, found)
