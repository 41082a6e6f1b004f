"""What is left out is nowhere in what is fitted on, and what is measured never was."""

from random import Random

import pytest

from router_extproc.base.errors import OperatorError
from router_extproc.evaluation.guard import evaluate_guard
from training.families import (
    ALIKE,
    CASES,
    SETS,
    Fit,
    Group,
    Measured,
    case_families,
    concerning,
    groups,
    render,
    set_aside,
    window,
    without,
)
from training.guard_text import PARTS, GuardRow, read_wording

EVERYTHING = Group(frozenset())
PERSONA = Group(frozenset(["persona"]))
WORDS = "one two three four five six seven eight nine ten eleven twelve".split()


def _row(family: str, place: int, label: int = 1) -> GuardRow:
    """Texts that share no run of five words with each other."""
    return GuardRow(" ".join(f"{word}-{family}-{place}" for word in WORDS), label, family)


ROWS = [_row(family, place) for family in ("persona", "override") for place in range(9)] + [
    _row("ordinary", place, 0) for place in range(9)
]


def test_a_third_of_each_family_of_attacks_is_set_aside_and_no_innocent_row() -> None:
    left, aside = set_aside(ROWS, 100, Random(1))
    assert {family: len(texts) for family, texts in aside.items()} == {"override": 3, "persona": 3}
    assert not {row.text for row in left} & {text for texts in aside.values() for text in texts}
    assert sum(row.label == 0 for row in left) == 9
    assert len(left) == len(ROWS) - 6


def test_what_is_nearly_a_text_set_aside_is_not_fitted_on() -> None:
    twins = [*ROWS, *(GuardRow(row.text + " really", 1, "authority") for row in ROWS[:9])]
    left, aside = set_aside(twins, 100, Random(1))
    for text in aside["persona"]:
        assert text + " really" not in {row.text for row in left}


def test_at_most_so_many_are_set_aside() -> None:
    _, aside = set_aside(ROWS, 2, Random(1))
    assert {len(texts) for texts in aside.values()} == {2}


def test_without_a_family_neither_it_nor_its_copies_elsewhere_are_left() -> None:
    copied = [*ROWS, GuardRow(ROWS[0].text.upper(), 1, "self-reminder")]
    left = without(copied, PERSONA)
    assert {row.family for row in left} == {"override", "ordinary"}
    assert without(copied, EVERYTHING) == copied


def test_every_family_is_left_out_and_those_alike_together() -> None:
    known = ["persona", "persona", *(name for each in ALIKE for name in each)]
    found = [group.families for group in groups(known)]
    assert found.count(frozenset(["persona"])) == 1
    assert found[-2:] == [frozenset(each) for each in ALIKE]
    assert len(found) == len(set(known)) + 2


def test_groups_can_be_named() -> None:
    assert groups(["a", "b", "c"], "a,b+c") == [Group(frozenset("a")), Group(frozenset("bc"))]
    with pytest.raises(OperatorError, match=r"no family 'd'; there are a, b, c"):
        groups(["a", "b", "c"], "a+d")


def test_a_window_is_as_long_as_it_may_be_and_in_one_piece() -> None:
    ids = list(range(100))
    drawn = [window(ids, 10, Random(seed)) for seed in range(50)]
    assert all(part == list(range(part[0], part[0] + 10)) for part in drawn)
    assert 15 <= sum(part[0] == 0 for part in drawn) <= 40
    assert window([1, 2], 10, Random(1)) == [1, 2]


def test_every_name_of_the_tables_is_one_of_the_generators_or_a_public_sets() -> None:
    own = {part.family for part in read_wording(PARTS).families if part.label}
    public = {"in-the-wild", "self-reminder", "bipia"}
    named = CASES.keys() | {name for each in (*ALIKE, *SETS.values()) for name in each}
    assert named <= own | public
    assert case_families(["encoded", "persona"]) == {"encoding": "encoded", "persona": "persona"}


def test_a_set_concerns_the_groups_that_it_is_like() -> None:
    measured = [
        Measured("a", frozenset(["persona"]), ("x",)),
        Measured("b", frozenset(["override", "persona"]), ("y",)),
        Measured("c", frozenset(["override"]), ("z",)),
    ]
    assert [each.name for each in concerning(PERSONA, measured)] == ["a", "b"]
    assert concerning(EVERYTHING, measured) == []


def test_the_report_puts_both_fits_beside_each_other() -> None:
    measured = [Measured("cases: persona", frozenset(["persona"]), ("x", "y"))]
    with_it = evaluate_guard([True, True, False], [0.9, 0.8, 0.1], 0.5)
    without_it = evaluate_guard([True, True, False], [0.9, 0.2, 0.3], 0.5)
    fits = [
        Fit(EVERYTHING, 30, {"cases: persona": with_it}),
        Fit(PERSONA, 20, {"cases: persona": without_it}),
    ]
    text = render(fits, measured, innocent=1, settings="1 epoch")
    assert "| persona | 20 | cases: persona | 2 | 0.500 | 1.000 | 0.500 | 1.000 |" in text
    assert "1 innocent" in text
    assert "(1 epoch)" in text
    alone = render(fits[1:], measured, innocent=1, settings="1 epoch")
    assert "| 0.500 |  | 0.500 |  |" in alone
