"""The report's tables, from what `eval --json` says."""

from training.tables import abbreviations, confusion, percent, reliability, table, types_found


def test_floats_have_three_digits_and_none_is_empty() -> None:
    assert table(("a", "b"), [(0.12345, None), (7, "x")]).splitlines() == [
        "| a | b |",
        "| --- | --- |",
        "| 0.123 |  |",
        "| 7 | x |",
    ]


def test_rows_of_a_confusion_are_true_and_columns_said() -> None:
    found = {"law": {"law": 3, "other": 1}, "other": {"other": 5}, "math": {}}
    assert confusion(found).splitlines() == [
        "| true \\ said | law | oth |",
        "| --- | --- | --- |",
        "| law | 3 | 1 |",
        "| other |  | 5 |",
    ]


def test_a_label_that_was_only_said_keeps_its_column() -> None:
    assert confusion({"law": {"math": 2}, "math": {}}).splitlines()[0] == "| true \\ said | law | mat |"


def test_subjects_are_told_apart_by_three_letters_or_initials() -> None:
    labels = ["computer science", "philosophy", "physics", "psychology"]
    assert abbreviations(labels) == ["cs", "phi", "phy", "psy"]
    assert abbreviations(["health", "heat"]) == ["health", "heat"]


def test_bins_without_rows_have_no_line() -> None:
    bins: list[dict[str, float | None]] = [
        {"low": 0.0, "high": 0.1, "rows": 0, "confidence": None, "accuracy": None},
        {"low": 0.9, "high": 1.0, "rows": 4, "confidence": 0.95, "accuracy": 0.75},
    ]
    assert reliability(bins).splitlines()[2:] == ["| 0.9 | 1.0 | 4 | 0.950 | 0.750 |"]


def test_types_come_with_the_most_found_first() -> None:
    per_type = {"AGE": {"found": 1}, "GPE": {"found": 3}, "PERSON": {"found": 3}, "TITLE": {"found": 0}}
    assert types_found(per_type) == "GPE 3, PERSON 3, AGE 1"
    assert types_found({}) == ""


def test_shares_are_shown_as_percentages() -> None:
    assert percent(0.0149) == "1.5 %"
