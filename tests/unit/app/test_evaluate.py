"""Labels that the head does not know, and replays against the store that ships."""

from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.app.evaluate import check_labels, replay, threshold_of
from router_extproc.base.errors import OperatorError
from router_extproc.caching.policy import Mode
from router_extproc.evaluation.curve import measure
from router_extproc.evaluation.judge import EXACT, Judge, Question
from router_extproc.evaluation.rows import Ask, Put
from tests.unit.evaluation.questions import policy, question

FILE = Path("rows.jsonl")
KNOWN = ("law", "math")

BREAD = "How do I bake sourdough bread?"
OTHER = "What is the way to bake sourdough bread?"
TEXTS = (
    *(BREAD, OTHER, "How is sourdough bread baked?", "Please tell me how to make sourdough bread."),
    *("How do I bake 12 loaves of bread?", " ", "yes"),
)


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


def test_a_category_that_takes_exact_matches_only_has_no_threshold_in_reach() -> None:
    rule = policy(0.8, {"law": (Mode.EXACT, 0.9), "math": (Mode.SEMANTIC, 0.95), "other": (Mode.OFF, 0.9)})
    thresholds = [threshold_of(rule, category) for category in ("", "law", "math", "other")]
    assert thresholds == [0.8, inf, 0.95, inf]


async def test_a_replay_answers_from_what_was_put_before() -> None:
    steps: list[tuple[Put | Ask, Question]] = [
        (Ask(BREAD, None), question(BREAD)),
        (Put(BREAD, "1"), question(BREAD)),
        (Ask(BREAD, "1"), question(BREAD)),
        (Ask(OTHER, "1"), question(OTHER, 0.9)),
        (Put(OTHER, "2"), question(OTHER, 0.9)),
        (Ask(OTHER, "2"), question(OTHER, 0.9)),
        (Put(OTHER, "3"), question(OTHER, 0.9)),
        (Ask(OTHER, "3"), question(OTHER, 0.9)),
        (Ask("How is sourdough bread baked?", None), question("How is sourdough bread baked?", 0.25)),
    ]
    verdicts = await replay(steps, Judge(policy()), dimension=2)
    assert [verdict.shipped for verdict in verdicts] == [None, "1", "1", "2", "3", None]
    assert [verdict.bare.similarity == EXACT for verdict in verdicts] == [
        *(False, True, False),
        *(True, True, False),
    ]


async def test_a_blank_text_is_not_answered_and_takes_no_place_among_the_nearest() -> None:
    steps: list[tuple[Put | Ask, Question]] = [
        *((Put(" " * size, "1"), question(" " * size)) for size in range(1, 9)),
        (Put(OTHER, "2"), question(OTHER, 0.9)),
        (Ask(" ", "1"), question(" ")),
        (Ask(BREAD, "2"), question(BREAD)),
    ]
    verdicts = await replay(steps, Judge(policy()), dimension=2)
    assert [verdict.shipped for verdict in verdicts] == [None, "2"]


async def test_the_very_text_answers_however_many_entries_are_as_near() -> None:
    texts = [f"How do I bake bread of kind {letter}?" for letter in "abcdefgh"]
    puts = [(Put(text, text), question(text)) for text in texts]
    asks = [(Ask(text, text), question(text)) for text in texts]
    verdicts = await replay([*puts, *asks], Judge(policy()), dimension=2)
    assert [verdict.shipped for verdict in verdicts] == texts


COSINES = st.sampled_from((0.0, 0.25, 0.5, 0.75, 0.875, 1.0))
STEPS = st.lists(st.tuples(st.booleans(), st.sampled_from(TEXTS), COSINES), min_size=4, max_size=25)


@given(STEPS, COSINES)
async def test_the_point_of_a_threshold_is_what_a_cache_with_it_does(
    drawn: list[tuple[bool, str, float]], threshold: float
) -> None:
    """The curve comes from one pass at no threshold; the shipped figures from the rule at its own."""
    steps: list[tuple[Put | Ask, Question]] = [(Ask(BREAD, None), question(BREAD))]
    for number, (puts, text, cosine) in enumerate(drawn):
        # Against an ask, a put has exactly its cosine.
        held = (Put(text, str(number)), question(text, cosine))
        steps.append(held if puts else (Ask(text, "0"), question(text)))
    expected = [step.expect for step, _ in steps if isinstance(step, Ask)]
    verdicts = await replay(steps, Judge(policy(threshold)), dimension=2)
    report = measure(verdicts, expected, threshold)
    point = next(each for each in report.curve if each.threshold == threshold)
    assert point.guarded == report.shipped
