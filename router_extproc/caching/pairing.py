"""Two readings side by side: what each has that the other has not.

Knows which words go together (a word and its other part of speech, one word written as two, a negation and
the verb that says the same), and judges nothing.
"""

from dataclasses import dataclass
from itertools import pairwise

from router_extproc.caching.lexicon import DENYING, OPPOSITES, PREFIXES, UNNEGATED
from router_extproc.caching.reading import Reading
from router_extproc.caching.stem import root


@dataclass(frozen=True, slots=True)
class Pair:
    """Two readings side by side. `only_a` is the content of `a` that `b` has not, in whatever part of
    speech; `odd_a` also has the light and the function words. `shared` counts the content of both."""

    a: Reading
    b: Reading
    only_a: frozenset[str]
    only_b: frozenset[str]
    odd_a: frozenset[str]
    odd_b: frozenset[str]
    shared: int
    implied: bool
    """Whether one text negates in so many words what the other says by its verb: "can't", "fail to"."""


def side_by_side(a: Reading, b: Reading) -> Pair:
    """The pair of two readings. The cost is linear in both."""
    only_a, only_b = a.subjects - b.subjects, b.subjects - a.subjects
    if only_a and only_b:
        roots = {root(each) for each in only_a} & {root(each) for each in only_b}
        only_a = frozenset(each for each in only_a if root(each) not in roots)
        only_b = frozenset(each for each in only_b if root(each) not in roots)
    if only_a and only_b:
        only_a, only_b = _unjoined(only_a, b.content, only_b)
        only_b, only_a = _unjoined(only_b, a.content, only_a)
    odd_a, odd_b = a.vocabulary - b.vocabulary, b.vocabulary - a.vocabulary
    implied = False
    if abs(a.negations - b.negations) == 1:
        cues = _implied(odd_a, odd_b) if a.negations < b.negations else _implied(odd_b, odd_a)
        implied = cues is not None
        if cues:
            only_a, only_b = only_a - cues, only_b - cues
            odd_a, odd_b = odd_a - cues, odd_b - cues
    return Pair(a, b, only_a, only_b, odd_a, odd_b, len(a.subjects) - len(only_a), implied)


def _unjoined(
    ours: frozenset[str], theirs: tuple[str, ...], left: frozenset[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """Without the words that the other text writes as two ("headache", "head ache")."""
    if len(left) < 2:
        return ours, left
    found = {one + other: (one, other) for one, other in pairwise(theirs) if one in left and other in left}
    joined = ours & found.keys()
    return ours - joined, left - {part for word in joined for part in found[word]}


def _implied(plain: frozenset[str], other: frozenset[str]) -> frozenset[str] | None:
    """The words that say in the plain text what the other says with a negation more, if any do."""
    cues = plain & DENYING
    if cues:
        return cues
    opposed = [word for word in plain if not OPPOSITES.get(word, _NOTHING).isdisjoint(other)]
    if len(opposed) == 1:
        return frozenset(opposed) | (OPPOSITES[opposed[0]] & other)
    if not opposed and (negated(plain, other) or negated(other, plain)):
        return _NOTHING
    return None


_NOTHING: frozenset[str] = frozenset()


def negated(plain: frozenset[str], other: frozenset[str]) -> bool:
    """Whether a word of the other text is one of the plain text's with a negating prefix."""
    return any(
        word not in UNNEGATED
        and word.startswith(prefix)
        and len(word) - len(prefix) > 3
        and word[len(prefix) :] in plain
        for word in other
        if len(word) > 4 and word.startswith(PREFIXES)
        for prefix in PREFIXES
    )
