"""The same words in another order: a phrase put elsewhere, or parts exchanged?

Knows who does what to whom by prepositions, by passives and by the order of words, in English. A phrase that
has moved as a whole is the same question; two words that have changed places around a third are not.
"""

from itertools import accumulate, pairwise
from types import MappingProxyType

from router_extproc.caching.lexicon import DETERMINERS, NEGATIONS, PHRASE_STARTS, meaning
from router_extproc.caching.pairing import Pair
from router_extproc.caching.reading import Reading
from router_extproc.caching.stem import stem

_DIRECTIONS = frozenset("to from into for by than after before over under against with as".split())
_MUTUAL = frozenset(map(meaning, "take drink eat combine mix pair interact compare compatible".split()))
"""What is done with two things alike, whichever is named first."""
_REVERSALS = (frozenset(("to", "from")), frozenset(("before", "after")))
_ACTOR = frozenset(("by", ""))


def order_differs(pair: Pair) -> bool:
    """The same words with their parts exchanged: who does what to whom, what becomes what."""
    if pair.a.content == pair.b.content and pair.a.roles == pair.b.roles:
        return False
    ours = [word for word in dict.fromkeys(pair.a.content) if word in pair.b.subjects]
    theirs = [word for word in dict.fromkeys(pair.b.content) if word in pair.a.subjects]
    in_a, in_b = pair.a.roles, pair.b.roles
    changed = [(in_a[word], in_b[word]) for word in ours if in_a[word] != in_b[word]]
    if any(frozenset(roles) in _REVERSALS for roles in changed):
        return True
    crossed = {mine for mine, _ in changed} & {other for _, other in changed} & _DIRECTIONS
    if crossed:  # "a to b" against "b to a": "to" went from one word to another
        return crossed != {"with"} or _MUTUAL.isdisjoint(pair.a.subjects | pair.a.light)
    if _permuted(pair.a.words, pair.b.words):
        return True
    alike = not (pair.only_a or pair.only_b) and pair.a.words[:1] == pair.b.words[:1]
    if alike and ours != theirs and any(frozenset(roles) == _SUBJECT for roles in changed):
        return _DO.isdisjoint(pair.a.vocabulary) != _DO.isdisjoint(pair.b.vocabulary)
    if ours == theirs:
        return any(frozenset(roles) == _ACTOR for roles in changed) and _passive(pair.a) != _passive(pair.b)
    return _exchanged(pair, ours, theirs)


_SUBJECT = frozenset(("which", ""))
_DO = frozenset(("do", "does", "did"))
_BE = frozenset("is are was were be been being get gets got".split())


def _passive(reading: Reading) -> bool:
    return not _BE.isdisjoint(reading.vocabulary)


def _exchanged(pair: Pair, ours: list[str], theirs: list[str]) -> bool:
    """Two words stand on the other side of a third, or two neighbours have changed places.

    A phrase that has moved as a whole passes.
    """
    in_a, in_b = pair.a.roles, pair.b.roles
    bare = [word for word in ours if not in_a[word] and not in_b[word]]
    others = [word for word in theirs if not in_a[word] and not in_b[word]]
    first_a, first_b = ours[0], theirs[0]
    leader = not DETERMINERS.isdisjoint(pair.a.words[:1] + pair.b.words[:1])
    if (
        leader
        and first_a != first_b
        and ({in_a[first_b], in_b[first_a]} & {"to", "from"} and not (in_a[first_a] or in_b[first_b]))
    ):
        return True  # who was given it gives it now
    if bare == others or _one_moved(bare, others, pair.a.firm | pair.b.firm):
        return False
    kept = (pair.a.spine_set & pair.b.spine_set) - {w for w in ours if in_a[w] or in_b[w]}
    spine_a, spine_b = ([w for w in reading.spine if w in kept] for reading in (pair.a, pair.b))
    place = {word: number for number, word in enumerate(dict.fromkeys(spine_b))}
    order = [place[word] for word in dict.fromkeys(spine_a)]
    if _turned_round(order):
        return True
    swapped = [i for i in range(len(bare)) if bare[i] != others[i]]
    if len(swapped) == 2 and ("be" in pair.odd_a or "be" in pair.odd_b):
        return False  # what is done to something, and what can be done with it
    return len(swapped) == 2 and not (_beside(pair.a, bare, swapped) or _beside(pair.b, others, swapped))


def _one_moved(ours: list[str], theirs: list[str], firm: frozenset[str]) -> bool:
    """A single word that is no name stands elsewhere, past two others at least."""
    first = next(i for i, (mine, other) in enumerate(zip(ours, theirs, strict=True)) if mine != other)
    return any(
        word not in firm
        and abs(ours.index(word) - theirs.index(word)) > 1
        and [w for w in ours if w != word] == [w for w in theirs if w != word]
        for word in (ours[first], theirs[first])
    )


def _turned_round(order: list[int]) -> bool:
    """Whether three of the numbers, not necessarily neighbours, come in falling order."""
    above = list(accumulate(order, max))
    below = list(accumulate(reversed(order), min))[::-1]
    return any(low < number < high for low, number, high in zip(below, order, above, strict=True))


def _beside(reading: Reading, shared: list[str], places: list[int]) -> bool:
    """Whether the words at two places stand side by side in the text, as in a compound."""
    one, other = (shared[place] for place in places)
    return (one, other) in pairwise(reading.sequence)


_SYMMETRIC = frozenset(("and", "or", "vs", "versus"))
_ONE_PERSON = MappingProxyType({"me": "i", "us": "we", "him": "he", "them": "they"})


def _permuted(ours: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    """The very same words in another order, which is not just a phrase put elsewhere."""
    if len(ours) != len(theirs) or (not _SYMMETRIC.isdisjoint(ours) and NEGATIONS.isdisjoint(ours)):
        return False
    one, other = ([stem(_ONE_PERSON.get(word, word)) for word in words] for words in (ours, theirs))
    if one == other or sorted(one) != sorted(other):
        return False
    if _rotated(one, other):
        return False
    start = next(i for i, (mine, their) in enumerate(zip(one, other, strict=True)) if mine != their)
    end = len(one)
    while one[end - 1] == other[end - 1]:
        end -= 1
    one, other = one[start:end], other[start:end]
    if not _SYMMETRIC.isdisjoint(one):
        one, other = ([w for w in words if w not in DETERMINERS] for words in (one, other))
        return one != _sides_changed(other) and other != _sides_changed(one)
    return {one[0], other[0]}.isdisjoint(PHRASE_STARTS) or not _rotated(one, other)


def _sides_changed(words: list[str]) -> list[str]:
    """What is before the first "and" behind it, and the other way round."""
    place = next((i for i, word in enumerate(words) if word in _SYMMETRIC), 0)
    return [*words[place + 1 :], words[place], *words[:place]]


def _rotated(one: list[str], other: list[str]) -> bool:
    """Whether one is the other with its end put first. Both have as many words; no word has a blank."""
    return f" {' '.join(one)} " in f" {' '.join(other)} {' '.join(other)} "
