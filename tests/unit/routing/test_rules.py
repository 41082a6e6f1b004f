"""AND, OR and NOT over evidence."""

from router_extproc.routing.rules import Condition, Leaf, Outcome, Tree, evaluate, leaves
from router_extproc.routing.signals import Evidence, Key

YES, MAYBE, NO = Leaf("keyword", "yes"), Leaf("keyword", "maybe"), Leaf("keyword", "no")
EVIDENCE: dict[Key, Evidence] = {
    ("keyword", "yes"): Evidence(True, 0.9),
    ("keyword", "maybe"): Evidence(True, 0.5),
    ("keyword", "no"): Evidence(False, 0.4),
}


def outcome(condition: Condition) -> Outcome:
    return evaluate(condition, EVIDENCE.__getitem__)


def test_and_needs_all_and_has_their_mean_confidence() -> None:
    both = outcome(Tree("AND", (YES, MAYBE)))
    assert (both.matched, both.confidence) == (True, 0.7)
    assert (outcome(Tree("AND", (YES, NO))).matched, outcome(Tree("AND", (YES, NO))).confidence) == (False, 0)


def test_or_needs_one_and_has_the_highest_confidence() -> None:
    one = outcome(Tree("OR", (NO, MAYBE, YES)))
    assert (one.matched, one.confidence) == (True, 0.9)
    assert not outcome(Tree("OR", (NO, NO))).matched


def test_not_is_sure() -> None:
    assert (outcome(Tree("NOT", (NO,))).matched, outcome(Tree("NOT", (NO,))).confidence) == (True, 1.0)
    assert (outcome(Tree("NOT", (YES,))).matched, outcome(Tree("NOT", (YES,))).confidence) == (False, 0.0)


def test_an_and_without_conditions_always_holds_and_is_the_least_sure() -> None:
    assert outcome(Tree("AND")) == Outcome("AND", "", True, 0.0)


def test_evidence_that_did_not_match_adds_no_confidence() -> None:
    assert outcome(NO).confidence == 0.0


def test_trees_nest_and_the_outcome_has_every_part() -> None:
    tree = Tree("AND", (Tree("NOT", (NO,)), Tree("OR", (YES, NO))))
    found = outcome(tree)
    assert (found.matched, found.confidence) == (True, 0.95)
    assert [part.rule for part in found.conditions] == ["NOT", "OR"]
    assert [part.name for part in found.conditions[1].conditions] == ["yes", "no"]
    assert list(leaves(tree)) == [("keyword", "no"), ("keyword", "yes"), ("keyword", "no")]
