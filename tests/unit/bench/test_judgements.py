"""The arithmetic of what judgements cost: rounds, ratios, lengths of texts, tables."""

import time
from collections.abc import Callable

import pytest

from bench import judgements
from bench.judgements import (
    ORDINARY,
    PERSONAL,
    REFERENCE,
    TOKENS,
    Row,
    Subject,
    measured,
    measures,
    table,
    text_of,
)


def burning(seconds: float) -> Callable[[], None]:
    """Uses up so much of the processor."""

    def run() -> None:
        until = time.process_time() + seconds
        while time.process_time() < until:
            continue

    return run


def test_a_ratio_is_of_the_processor_s_time_to_the_first_subject_s() -> None:
    subjects = [Subject("one", burning(0.002)), Subject("three", burning(0.006))]
    first, second = measured(subjects, 16, rounds=5)
    assert (first.subject, first.tokens, first.ratio) == ("one", 16, 1.0)
    assert second.ratio == pytest.approx(3.0, rel=0.1)
    assert first.cpu == pytest.approx(2.0, rel=0.1)
    assert second.wall >= second.cpu * 0.9


def test_every_subject_is_run_in_every_round_and_a_quick_one_many_times() -> None:
    order: list[str] = []
    slow = burning(2 * judgements.SLICE)

    def reference() -> None:
        order.append("slow")
        slow()

    measured([Subject("slow", reference), Subject("quick", lambda: order.append("quick"))], 16, rounds=3)
    changes = [name for place, name in enumerate(order) if place == 0 or order[place - 1] != name]
    assert changes == ["slow", "quick"] * 4
    assert order.count("slow") == 2 + 3
    assert order.count("quick") > 100


def test_what_cannot_be_measured_keeps_its_place_and_says_why() -> None:
    def never() -> None:
        raise AssertionError("run all the same")

    rows = measured([Subject("a", int), Subject("b", never, "too long"), Subject("c", int)], 512, rounds=1)
    assert [row.subject for row in rows] == ["a", "b", "c"]
    assert rows[1] == Row("b", 512, why="too long")
    assert table(rows).splitlines()[2].endswith("too long")
    assert not any("b, 512" in str(each["measure"]) for each in measures(rows))


@pytest.mark.parametrize("words", [ORDINARY, PERSONAL])
@pytest.mark.parametrize("tokens", TOKENS)
def test_a_text_has_exactly_the_tokens_that_are_asked_for(words: list[str], tokens: int) -> None:
    """A word counts as many as it has groups of four characters; two are special."""

    def length(text: str) -> int:
        return 2 + sum(-(-len(word) // 4) for word in text.split())

    assert length(text_of(words, tokens, length)) == tokens


def test_measures_have_a_name_a_value_and_a_unit() -> None:
    found = measures([Row(REFERENCE, 16, wall=2.5, cpu=2.0, ratio=1.0)])
    assert {tuple(each) for each in found} == {("measure", "value", "unit")}
    assert found[0] == {"measure": f"judgements, {REFERENCE}, 16 tokens: p50", "value": 2.5, "unit": "ms"}
    assert [each["unit"] for each in found] == ["ms", "ms", "ratio"]


def test_the_lengths_are_those_that_are_promised() -> None:
    assert TOKENS == (16, 64, 128, 512)
