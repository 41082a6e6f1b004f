"""Do two answers say the same? For measuring the cache by sending some of its hits upstream all the same."""

from router_extproc.base.refusals import Verified
from router_extproc.caching.guard import Difference, agree

SAME = 0.8
DIFFERENT = 0.6
"""Cosines of two answers' vectors. Two answers of one model to one question, drawn at a temperature, lie
above the first; answers to different questions below the second; between them nothing is claimed."""

SHORT = 200
"""Characters. In answers as short as this a number or a "not" is most of what is said."""

_DECISIVE = frozenset({Difference.NUMBER, Difference.NEGATION, Difference.OPPOSITE})


def compare_answers(cached: str, fresh: str, similarity: float) -> Verified:
    """`similarity` is the cosine of the two texts' vectors, in [-1, 1]."""
    if " ".join(cached.split()) == " ".join(fresh.split()):
        return Verified.SAME
    if len(cached) <= SHORT and len(fresh) <= SHORT and agree(cached, fresh) in _DECISIVE:
        return Verified.DIFFERENT
    if similarity >= SAME:
        return Verified.SAME
    return Verified.DIFFERENT if similarity < DIFFERENT else Verified.UNDECIDED
