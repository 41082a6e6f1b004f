"""The form of a text as numbers."""

import pytest

from router_extproc.routing.structure import FEATURES

TABLE = "| a | b |\n|---|---|\n| 1 | 2 |\nno row | here"


@pytest.mark.parametrize(
    ("feature", "text", "value"),
    [
        ("characters", "four", 4),
        ("words", "one two  three", 3),
        ("lines", "a\nb\n", 2),
        ("lines", "", 0),
        ("question_marks", "Why? 为什么？ لماذا؟", 3),  # noqa: RUF001 - the full-width one is meant
        ("numbers", "1,000.5 and 42, not x", 2),
        ("urls", "see https://a.example and www.b.example or HTTP://c", 3),
        ("code_blocks", "```py\nx\n```\ntext\n~~~\ny\n~~~", 2),
        ("code_blocks", "```\nopen to the end", 1),
        ("code_blocks", "no `code` block", 0),
        ("list_items", "- a\n* b\n 3. c\n4) d\n-no\ntext - no", 4),
        ("json", 'Sort this: {"a": [1, 2]} please', 1),
        ("json", "[1, 2, 3]", 1),
        ("json", "{not json}", 0),
        ("json", "none at all", 0),
        ("table_rows", TABLE, 3),
        ("uppercase_share", "ABcd", 0.5),
        ("uppercase_share", "1234", 0),
        ("uppercase_share", "ÄÖü1", 2 / 3),
        ("math_symbols", r"∑ x ≥ 2 = \frac{1}{2}", 4),
    ],
)
def test_a_feature_counts_what_its_name_says(feature: str, text: str, value: float) -> None:
    assert FEATURES[feature](text) == pytest.approx(value)


def test_json_nested_too_deeply_is_no_json() -> None:
    assert FEATURES["json"]("[" * 100_000 + "]" * 100_000) == 0
