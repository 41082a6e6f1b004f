"""What the cache would say, by its own rule, and for every threshold at once."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_extproc.caching.entry import Candidate
from router_extproc.caching.guard import Difference
from router_extproc.caching.policy import Consent, Mode, choose
from router_extproc.evaluation.judge import BOUNDS, EXACT, NOTHING, SILENT, Judge, Nearest, Question, Verdict
from tests.unit.evaluation.questions import policy, question

ASKED = "How do I bake sourdough bread?"
HELD = "What is the way to bake sourdough bread?"
NUMBER = "How do I bake 12 loaves of sourdough bread?"

TEXTS = (
    ASKED,
    HELD,
    NUMBER,
    "How do I not bake sourdough bread?",
    "How is sourdough bread baked?",
    "yes",
    " ",
)
COSINES = st.sampled_from((0.0, 0.25, 0.5, 0.75, 0.875, 1.0))
"""Few, so that thresholds are met exactly and entries are equally near."""

QUESTIONS = st.builds(
    question,
    st.one_of(st.sampled_from((ASKED, HELD)), st.sampled_from(TEXTS)),
    COSINES,
    st.sampled_from(("", "math", "law")),
    truncated=st.sampled_from((False, False, False, True)),
)


def verdict(
    judge: Judge, asked: Question, *held: tuple[Question, float], answer: str | None = None
) -> Verdict:
    """Each entry answers `answer`, else with its own text."""
    return judge.verdict(asked, [Candidate(judge.entry(q, answer or q.text), value) for q, value in held])


def test_a_similar_entry_answers_from_the_threshold_on() -> None:
    judge = Judge(policy(0.85))
    assert verdict(judge, question(ASKED), (question(HELD), 0.85)) == Verdict(
        HELD, {}, Nearest(0.85, HELD), Nearest(0.85, HELD)
    )
    assert verdict(judge, question(ASKED), (question(HELD), 0.84)).shipped is None


def test_the_guard_passes_over_a_nearer_entry() -> None:
    found = verdict(Judge(policy()), question(ASKED), (question(NUMBER), 0.97), (question(HELD), 0.9))
    assert found == Verdict(HELD, {Difference.NUMBER: 1}, Nearest(0.9, HELD), Nearest(0.97, NUMBER))


def test_the_very_text_answers_at_any_threshold() -> None:
    found = verdict(Judge(policy(1.0)), question(ASKED), (question(ASKED), 1.0))
    assert found == Verdict(ASKED, {}, Nearest(EXACT, ASKED), Nearest(EXACT, ASKED))


def test_a_text_beyond_the_window_is_compared_word_for_word_on_either_side() -> None:
    judge, long = Judge(policy()), question(HELD, truncated=True)
    assert verdict(judge, question(ASKED), (long, 1.0)) == Verdict(None, {}, NOTHING, NOTHING)
    assert verdict(judge, question(ASKED, truncated=True), (question(HELD), 1.0)) == SILENT
    assert verdict(judge, long, (long, 1.0)).shipped == HELD


def test_a_blank_text_is_never_answered() -> None:
    judge = Judge(policy())
    assert verdict(judge, question(" "), (question(" "), 1.0)) == SILENT
    assert not judge.may_use("\n")


def test_a_cache_that_is_switched_off_is_judged_all_the_same() -> None:
    judge = Judge(replace(policy(), enabled=False))
    assert verdict(judge, question(ASKED), (question(HELD), 0.9)).shipped == HELD


@pytest.mark.parametrize(("asked", "held"), [("law", ""), ("", "law")])
def test_the_stricter_of_two_categories_decides_what_ships_and_no_curve(asked: str, held: str) -> None:
    judge = Judge(policy(0.8, {"law": (Mode.SEMANTIC, 0.95)}))
    found = verdict(judge, question(ASKED, category=asked), (question(HELD, category=held), 0.9))
    assert (found.shipped, found.guarded) == (None, Nearest(0.9, HELD))


@pytest.mark.parametrize("mode", [Mode.EXACT, Mode.OFF])
def test_a_category_without_semantic_hits_has_none_on_either_side(mode: Mode) -> None:
    judge = Judge(policy(0.8, {"law": (mode, 0.8)}))
    for asked, held in (("law", "law"), ("law", ""), ("", "law")):
        found = verdict(judge, question(ASKED, category=asked), (question(HELD, category=held), 0.9))
        assert (found.shipped, found.guarded.answer) == (None, HELD)
    same = verdict(judge, question(ASKED, category="law"), (question(ASKED, category="law"), 1.0))
    assert same.shipped == (ASKED if mode is Mode.EXACT else None)


@given(QUESTIONS, st.lists(st.tuples(QUESTIONS, COSINES), min_size=1, max_size=5), COSINES)
def test_each_threshold_of_the_curve_says_what_the_rule_says_at_it(
    asked: Question, held: list[tuple[Question, float]], threshold: float
) -> None:
    """One pass over all thresholds is worth a run of the rule at each."""
    once = verdict(Judge(policy()), asked, *held)
    assert once.guarded.similarity <= once.bare.similarity
    at = verdict(Judge(policy(threshold)), asked, *held)
    answers = once.guarded.similarity >= threshold
    assert at.shipped == (once.guarded.answer if answers else None)


@given(QUESTIONS, st.tuples(QUESTIONS, COSINES), st.sampled_from(list(Mode)), COSINES)
def test_what_ships_is_what_the_cache_chooses(
    asked: Question, held: tuple[Question, float], mode: Mode, threshold: float
) -> None:
    """Where the router would look by meaning at all."""
    rule = policy(0.85, {"law": (mode, threshold)})
    judge = Judge(rule)
    entry = judge.entry(held[0], "answer")
    found = judge.verdict(asked, [Candidate(entry, held[1])])
    use = judge.use(asked)
    choice = choose(rule, use, asked.category, [Candidate(entry, held[1])], BOUNDS)
    semantic = rule.of(asked.category).mode is Mode.SEMANTIC and not asked.truncated and not use.exact_only
    if semantic or held[0].text == asked.text:
        assert (found.shipped is not None) == (choice.hit is not None and judge.may_use(asked.text))
    else:
        assert found.shipped is None


VERIFYING = replace(policy(), verifier=Consent(0.5, 0.5))
REWORDED = "How is sourdough bread baked?"


def judging(**said: float | None) -> tuple[Judge, list[tuple[str, str]]]:
    """A verifier that says `said` by the held text's first letter, else 0.9; and what it was asked."""
    asked: list[tuple[str, str]] = []

    def same(text: str, other: str) -> float | None:
        asked.append((text, other))
        return said.get(other[0], 0.9)

    return Judge(VERIFYING, same), asked


def test_the_verifier_is_asked_what_the_router_would_ask_and_once_for_both_verdicts() -> None:
    judge, asked = judging()
    found = verdict(judge, question(ASKED), (question(HELD), 0.9), (question(NUMBER), 0.97))
    assert found == Verdict(HELD, {Difference.NUMBER: 1}, Nearest(0.9, HELD), Nearest(0.97, NUMBER))
    assert asked == [(ASKED, HELD)]


@pytest.mark.parametrize(("said", "kind"), [(0.49, Difference.VERIFIER), (None, Difference.TOO_LONG)])
def test_what_the_verifier_refuses_answers_at_no_threshold(said: float | None, kind: Difference) -> None:
    judge, _ = judging(W=said)
    found = verdict(judge, question(ASKED), (question(HELD), 0.9))
    assert found == Verdict(None, {kind: 1}, NOTHING, Nearest(0.9, HELD))
    after = verdict(judge, question(ASKED), (question(HELD), 0.9), (question(REWORDED), 0.86))
    assert (after.shipped, after.guarded) == (REWORDED, Nearest(0.86, REWORDED))


def test_the_verifier_is_asked_about_nothing_that_no_curve_shows() -> None:
    judge, asked = judging()
    assert verdict(judge, question(ASKED), (question(HELD), 0.49)).guarded is NOTHING
    assert verdict(judge, question(ASKED), (question(ASKED), 1.0)).shipped == ASKED
    assert asked == []


def test_a_policy_with_a_verifier_cannot_be_judged_without_one() -> None:
    with pytest.raises(ValueError, match="cannot be judged"):
        Judge(VERIFYING)
