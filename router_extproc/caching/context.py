"""Whether a turn says enough by itself to be compared by meaning."""

import re

from router_extproc.base.refusals import Uncached
from router_extproc.caching.lexicon import FUNCTION_WORDS

_WORD = re.compile(r"\w+(?:['\u2019]\w+)?")

_REFERRING = frozenset(
    "it its that this these those they them their he him his she above below previous former latter same "
    "again another instead both".split()
)
"""Words that stand for something said before."""

_CONTINUING = frozenset(
    "and or but also then so yes no ok okay sure thanks continue go more further elaborate proceed stop "
    "correct wrong expand shorten rewrite repeat retry redo".split()
)
"""First words of a turn that goes on from the one before."""

REFERS_WITHIN = 25
"""Words. In a longer turn "it" or "that" mostly stands for something in the turn itself."""

FIRST_TURN_WORDS = 1
"""The fewest content words of a first turn: "What is Python?" has one."""

LATER_TURN_WORDS = 4
"""The fewest content words of a later turn."""


def too_little(text: str, *, later: bool) -> Uncached | None:
    """Why `text` is compared word for word only, or None when its meaning can be compared.

    `later`: messages of the user or the assistant precede it. They are the same in every entry of its
    partition, and yet a short or referring turn ("yes", "and in Python?", "make it shorter") means what they
    make it mean, which its vector does not know.
    """
    words = [word.casefold() for word in _WORD.findall(text[:_LOOKED_AT])]
    content = sum(word not in FUNCTION_WORDS and word not in _CONTINUING for word in words)
    if not later:
        return None if content >= FIRST_TURN_WORDS else Uncached.SHORT_TURN
    if content < LATER_TURN_WORDS:
        return Uncached.SHORT_TURN
    if words[0] in _CONTINUING or (len(words) <= REFERS_WITHIN and not _REFERRING.isdisjoint(words)):
        return Uncached.ANAPHORA
    return None


_LOOKED_AT = 2000
"""Characters read: what follows them makes no turn shorter."""
