"""Labelled pairs: hits, what the guard holds back, and kinds."""

import json
from collections.abc import Sequence

from router_extproc.caching.guard import Difference
from router_extproc.evaluation.judge import EXACT, Judge
from router_extproc.evaluation.pairs import KindScore, Pair, PairsReport, evaluate_pairs, judge_pair
from tests.unit.evaluation.questions import policy, question

BREAD = "How do I bake sourdough bread?"
OTHER = "What is the way to bake sourdough bread?"


def report_on(pairs: Sequence[Pair], threshold: float = 0.85) -> PairsReport:
    judge = Judge(policy(threshold))
    return evaluate_pairs(pairs, [judge_pair(judge, pair) for pair in pairs], threshold)


def pair(b: str, cosine: float, *, same: bool, kind: str | None = None) -> Pair:
    return Pair(question(BREAD), question(b, cosine), same, kind)


def test_pairs_by_hand() -> None:
    report = report_on(
        [
            pair(OTHER, 0.9, same=True),
            pair("How does one bake the best sourdough bread?", 0.9, same=False),
            pair("How can sourdough be made?", 0.7, same=True),
            pair("How do I bake 3 sourdough breads?", 0.95, same=True),
            pair("How do I bake 5 sourdough breads?", 0.95, same=False),
            pair("How do I bake 7 sourdough breads?", 0.8, same=False),
        ]
    )
    assert (report.cache.n, report.same) == (6, 3)
    assert report.cache.shipped.hit_rate == 2 / 6
    assert (report.cache.shipped.precision, report.cache.shipped.recall) == (0.5, 1 / 3)
    assert report.refused == {Difference.NUMBER: (1, 1)}
    shipped = next(point for point in report.cache.curve if point.threshold == 0.85)
    assert shipped.guarded == report.cache.shipped
    assert shipped.without_guard.hit_rate == 4 / 6


def test_equal_texts_hit_and_longer_ones_than_the_window_do_not() -> None:
    judge = Judge(policy(1.0))
    assert judge_pair(judge, pair(BREAD, 1.0, same=True)).bare.similarity == EXACT
    long = Pair(question(BREAD, truncated=True), question(OTHER), same=True)
    assert judge_pair(judge, long).bare.answer is None


def test_a_blank_question_is_not_answered_and_answers_nothing() -> None:
    judge = Judge(policy())
    for a, b in ((" ", " "), (" ", BREAD), (BREAD, " ")):
        assert judge_pair(judge, Pair(question(a), question(b), same=True)).bare.answer is None


def test_the_guard_compares_the_new_question_with_the_held_one() -> None:
    """Both ways round a difference is found; swapping the pair must not change the vector's side."""
    judge = Judge(policy())
    there = Pair(
        question("Convert miles to kilometres"), question("Convert kilometres to miles", 0.99), False
    )
    assert judge_pair(judge, there).shipped is None
    assert judge_pair(judge, there).bare.answer is not None


def test_kinds_are_counted_at_the_shipped_threshold() -> None:
    report = report_on(
        [
            pair(OTHER, 0.9, same=True, kind="paraphrase"),
            pair("How can sourdough be made?", 0.7, same=True, kind="paraphrase"),
            pair("How does one bake the best sourdough bread?", 0.9, same=False, kind="entity"),
            pair(BREAD, 1.0, same=True),
        ]
    )
    assert report.kinds == {
        "entity": KindScore(n=1, same=0, hits=1, false_hits=1, recall=None),
        "paraphrase": KindScore(n=2, same=2, hits=1, false_hits=0, recall=0.5),
    }
    assert json.loads(json.dumps(report.as_json()))["kinds"]["entity"]["false_hits"] == 1
    assert any(line.split() == ["entity", "1", "0", "1", "1", "-"] for line in report.as_text().splitlines())


def test_json_has_kinds_only_when_there_are_some() -> None:
    document = json.loads(json.dumps(report_on([pair("How do I bake 3 breads?", 0.9, same=True)]).as_json()))
    assert list(document) == [
        *("n", "threshold", "hit_rate", "precision", "recall", "false_hits"),
        *("curve", "same", "refused"),
    ]
    assert document["refused"] == {"number": {"same": 1, "different": 0}}


def test_the_table_says_what_the_guard_held_back() -> None:
    lines = report_on([pair("How do I bake 3 breads?", 0.9, same=False)]).as_text().splitlines()
    assert ["number", "0", "1"] in [line.split() for line in lines]
