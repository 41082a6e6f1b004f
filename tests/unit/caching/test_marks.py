"""What was taken back is dead until it is made anew."""

from typing import Any

import pytest

from router_extproc.caching.marks import Kind, Mark, Marks, Selector, pair_of
from tests.support.play import AT, entry

ENTRY = entry("p", id="e", tenant="t1", model="large", category="math", created_at=AT)
COVERING = [
    Selector(Kind.ALL),
    Selector(Kind.TENANT, "t1"),
    Selector(Kind.MODEL, "large"),
    Selector(Kind.CATEGORY, "math"),
    Selector(Kind.ENTRY, "e"),
]
OTHERS = [
    Selector(Kind.ALL, "large"),
    Selector(Kind.TENANT, "large"),
    Selector(Kind.MODEL, "math"),
    Selector(Kind.CATEGORY, ""),
    Selector(Kind.CATEGORY, "mat"),
    Selector(Kind.ENTRY, "t1"),
    Selector(Kind.PAIR, pair_of("q", "e")),
    Selector(Kind.PAIR, ""),
]


def marks(selector: Selector, at: float) -> Marks:
    return Marks.of([Mark(selector, at, at + 3600)])


@pytest.mark.parametrize("selector", COVERING)
def test_a_mark_ends_what_was_created_until_then_and_nothing_later(selector: Selector) -> None:
    assert selector.covers(ENTRY)
    assert marks(selector, AT + 1).revokes(ENTRY)
    assert marks(selector, AT).revokes(ENTRY)
    assert not marks(selector, AT - 0.001).revokes(ENTRY), "made anew after the mark"


@pytest.mark.parametrize("selector", OTHERS)
def test_a_mark_ends_nothing_else(selector: Selector) -> None:
    assert not selector.covers(ENTRY)
    assert not marks(selector, AT + 1).revokes(ENTRY, "another")


@pytest.mark.parametrize(
    ("question", "changes", "blocked"),
    [
        ("q", {}, True),
        ("q2", {}, False),
        ("", {}, False),
        ("q", {"id": "e2"}, False),
        ("e", {"id": "q"}, False),
        # The words of both questions are the same ever after, whatever the answer is.
        ("q", {"created_at": AT + 99}, True),
    ],
)
def test_a_pair_is_one_question_and_one_entry(question: str, changes: dict[str, Any], blocked: bool) -> None:
    made = entry("p", **({"id": "e", "created_at": AT} | changes))
    assert marks(Selector(Kind.PAIR, pair_of("q", "e")), AT).revokes(made, question) is blocked


def test_the_later_of_two_marks_counts() -> None:
    selector = Selector(Kind.MODEL, "large")
    early, late = Mark(selector, AT - 9, AT + 9), Mark(selector, AT, AT + 9)
    for order in ([early, late], [late, early]):
        assert Marks.of(order).revokes(ENTRY)
    assert early.id == late.id != Mark(Selector(Kind.CATEGORY, "large"), AT, AT + 9).id


def test_any_of_several_marks_is_enough() -> None:
    several = [Mark(selector, AT, AT + 9) for selector in (*OTHERS, COVERING[2])]
    assert Marks.of(several).revokes(ENTRY)
    assert not Marks.of(several[:-1]).revokes(ENTRY)


def test_without_marks_everything_stands() -> None:
    assert not Marks().revokes(ENTRY, "q")
    assert Marks() == Marks.of([])
