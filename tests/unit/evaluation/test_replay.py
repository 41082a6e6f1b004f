"""A replay's report on top of the figures."""

import json

from router_extproc.caching.guard import Difference
from router_extproc.evaluation.judge import EXACT, NOTHING, Nearest, Verdict
from router_extproc.evaluation.replay import ReplayReport, evaluate_replay


def report() -> ReplayReport:
    return evaluate_replay(
        [
            Verdict("1", {}, Nearest(EXACT, "1"), Nearest(EXACT, "1")),
            Verdict("2", {Difference.NUMBER: 2}, Nearest(0.9, "2"), Nearest(0.95, "1")),
            Verdict(None, {Difference.NUMBER: 1, Difference.NAME: 1}, NOTHING, Nearest(0.9, "1")),
        ],
        ["1", "1", None],
        0.85,
        puts=7,
    )


def test_asks_are_counted_by_what_they_expected_and_found() -> None:
    found = report()
    assert (found.cache.n, found.puts, found.expected, found.exact) == (3, 7, 2, 1)
    assert found.cache.shipped.false_hits == 1
    assert found.cache.shipped.recall == 0.5
    assert found.refused == {Difference.NUMBER: 3, Difference.NAME: 1}


def test_json_begins_with_the_shipped_figures_and_the_curve() -> None:
    document = json.loads(json.dumps(report().as_json()))
    assert list(document)[:7] == [
        *("n", "threshold", "hit_rate", "precision", "recall", "false_hits"),
        "curve",
    ]
    assert document["refused"] == {"number": 3, "name": 1}


def test_the_table_names_what_was_held_back() -> None:
    text = report().as_text()
    assert text.startswith("puts 7  asks 3  with an answer 2  word for word 1\n")
    assert text.endswith("held back by the guard: number 3  name 1")
