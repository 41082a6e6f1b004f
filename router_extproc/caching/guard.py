"""Do two questions that look alike ask the same thing? What words alone can tell.

Sentence vectors place opposites side by side: "enable X" and "disable X" are nearer than many
paraphrases. This guard compares what vectors blur: numbers, negation, opposites, members of closed
classes, names, the order of words, quoted text, code, what is asked for, and which words are left when all
that the texts share is taken away. It refuses when in doubt, because a wrong hit costs more than a miss.
Some differences are decisive whatever else is said; the others are signs, which count where no verifier reads
both texts.
The encoder and the word lists know English; words of other scripts must be the same. The cost is linear in
the texts.
"""

from collections.abc import Callable
from enum import StrEnum
from itertools import pairwise

from router_extproc.caching.lexicon import (
    CLASSES,
    DENYING,
    FIRM,
    MINOR,
    NARROWING,
    OPPOSITES,
    TELLING,
    meaning,
)
from router_extproc.caching.order import order_differs
from router_extproc.caching.pairing import Pair, negated, side_by_side
from router_extproc.caching.reading import Reading, read


class Difference(StrEnum):
    """What two texts disagree on, for all that is known. The last two are not the guard's: the verifier found
    them to ask something else, or could not see them whole."""

    NUMBER = "number"
    NEGATION = "negation"
    OPPOSITE = "opposite"
    CLASS = "class"
    NAME = "name"
    SCRIPT = "script"
    CODE = "code"
    QUOTE = "quote"
    TENSE = "tense"
    QUESTION = "question"
    CONTENT = "content"
    ORDER = "order"
    VERIFIER = "verifier"
    TOO_LONG = "too_long"


def agree(a: str, b: str, *, firmly: bool = False) -> Difference | None:
    """The first difference found between two texts, or None when they agree on everything compared.
    `firmly`: only differences that are decisive are looked for."""
    pair = side_by_side(read(a), read(b))
    for difference, differs, surely_differs in _CHECKS:
        check = surely_differs if firmly else differs
        if check is not None and check(pair):
            return difference
    return None


def _numbers_differ(pair: Pair) -> bool:
    """The same numbers in another order are the same if each goes with the word it went with."""
    ours, theirs = pair.a.numbers, pair.b.numbers
    return ours != theirs and (sorted(ours) != sorted(theirs) or _counted(pair.a) != _counted(pair.b))


def _counted(reading: Reading) -> list[tuple[str, str, str]]:
    """Each number with its part in the sentence and the word before it."""
    roles = reading.roles
    if not all(map(roles.__contains__, reading.numbers)):
        return []  # a sum
    return sorted(
        (word, before, "" if roles[word] in _JOINING else roles[word])
        for before, word in pairwise(("", *reading.content))
        if word in reading.numbers
    )


_JOINING = frozenset(("and", "or", "between"))


def _negation_differs(pair: Pair) -> bool:
    """A cue more or less, or a word that meets its own negated form ("stable", "unstable")."""
    if pair.implied:
        return False
    if pair.a.negations != pair.b.negations:
        return True
    return negated(pair.odd_a, pair.odd_b) or negated(pair.odd_b, pair.odd_a)


def _opposites_meet(pair: Pair) -> bool:
    odd = pair.odd_b
    return any(not OPPOSITES[word].isdisjoint(odd) for word in pair.odd_a if word in OPPOSITES)


def _classes_differ(pair: Pair) -> bool:
    """Each text has a member of the same class that the other has not."""
    ours = {number for word in pair.odd_a if word in CLASSES for number in CLASSES[word]}
    return bool(ours) and any(not ours.isdisjoint(CLASSES[word]) for word in pair.odd_b if word in CLASSES)


def _names_differ(pair: Pair) -> bool:
    """A name must be in the other text, whatever its case there."""
    return not (pair.a.firm.isdisjoint(pair.only_a) and pair.b.firm.isdisjoint(pair.only_b))


def _scripts_differ(pair: Pair) -> bool:
    return pair.a.foreign != pair.b.foreign


def _code_differs(pair: Pair) -> bool:
    return pair.a.code != pair.b.code


MAX_QUOTES = 4
"""How many quotes are looked for in a text that does not quote them."""


def _quotes_differ(pair: Pair) -> bool:
    """Quotes must be the same. When one text has none, it must have the words."""
    ours, theirs = pair.a.quotes, pair.b.quotes
    if ours == theirs:
        return False
    quotes = ours | theirs
    if (ours and theirs) or len(quotes) > MAX_QUOTES or not all(map(_has_letter, quotes)):
        return True
    other = (pair.b if ours else pair.a).text.casefold()
    return any(quote not in other for quote in quotes)


def _has_letter(quote: str) -> bool:
    return any(map(str.isalpha, quote))


def _tense_differs(pair: Pair) -> bool:
    """One is about what will or should be, the other about what was."""
    if ("did" in pair.odd_a and not _ADVISED.isdisjoint(pair.odd_b)) or (
        "did" in pair.odd_b and not _ADVISED.isdisjoint(pair.odd_a)
    ):
        return True
    if "will" in pair.odd_a:
        return _was(pair.b, pair.a)
    return "will" in pair.odd_b and _was(pair.a, pair.b)


_ADVISED = frozenset(("do", "can", "should"))
_PAST = frozenset(("was", "were", "did", "had"))


def _was(past: Reading, future: Reading) -> bool:
    return not _PAST.isdisjoint(past.vocabulary) or any(
        word.endswith("ed") and word not in future.words for word in past.words
    )


_COMPATIBLE = frozenset(
    frozenset(pair.split("+"))
    for pair in (
        *("what+who", "what+when", "what+where", "what+how", "what+do", "how+do", "whether+do"),
        *("what+how is", "whether+how is", "how+how is", "do+how is"),
        *(
            "what+how much",
            "what+how many",
            "what+how long",
            "what+how far",
            "what+how old",
            "what+how often",
        ),
        *("how+how much", "do+how much", "do+how many", "do+how long", "do+how far", "do+how old"),
    )
)
"""Kinds of question that may be the same one in other words. An added "and why" asks for more of the same."""

_STATING = frozenset("my our i we the there i'm i've im ive".split())
_REASONS = frozenset(map(meaning, "important purpose necessary".split()))


def _why(pair: Pair) -> bool:
    """One asks why, and the other states what is wrong or asks for the importance of it."""
    for one, other in ((pair.a, pair.b), (pair.b, pair.a)):
        if one.kinds == {"why"} and other.kinds == {"do"} and not _STATING.isdisjoint(other.words[:1]):
            return True
        if one.kinds == {"why"} and other.kinds == {"what"} and not _REASONS.isdisjoint(other.vocabulary):
            return True
    return False


_CAN = frozenset(("can", "could", "may", "possibl", "allow"))
_SHOULD = frozenset(("should", "must", "ought", "shall"))


def _questions_differ(pair: Pair) -> bool:
    """Another kind of thing is asked for, or too little else is left to tell."""
    ours, theirs = pair.a.kinds, pair.b.kinds
    if ours != theirs and ours ^ theirs != {"why"} and ours | theirs not in _COMPATIBLE and not _why(pair):
        return True
    if "whether" in ours and "whether" in theirs:
        can_and_should = not _CAN.isdisjoint(pair.odd_a) and not _SHOULD.isdisjoint(pair.odd_b)
        should_and_can = not _SHOULD.isdisjoint(pair.odd_a) and not _CAN.isdisjoint(pair.odd_b)
        if can_and_should or should_and_can:
            return True
    return pair.shared < 2 and not TELLING.isdisjoint(
        (pair.a.light ^ pair.b.light) | pair.only_a | pair.only_b
    )


LONG = 40
"""Words of content from which a text is a document with a question in it, where one word is easily lost."""

MAX_LEFT = 6
"""How many words of content may be left over in all."""

REWORDED = 4
"""How many other words must differ for two texts to count as worded differently throughout."""

_NARROWING_ROLES = frozenset(
    "in for of by than between at from after before during until since against".split()
)
_NARROWING_ENDINGS = ("al", "er", "or", "ist")


def _content_differs(pair: Pair) -> bool:
    """Words are left over that change the question or narrow it.

    One text's word in place of another's is another question unless the texts are worded differently
    throughout: only then does the nearness of their vectors say that they mean the same all the same.
    So does a word that is just added, if it is none of the minor ones.
    """
    a, b, only_a, only_b = pair.a, pair.b, pair.only_a, pair.only_b
    if max(len(a.content), len(b.content)) > LONG:
        return a.content != b.content
    left = only_a | only_b
    if not left:
        return False
    heavy = frozenset(w for w in left - MINOR if "which" not in (a.roles.get(w), b.roles.get(w)))
    if len(heavy) > MAX_LEFT or not FIRM.isdisjoint(left):
        return True
    reworded = _rewording(pair) >= REWORDED
    if only_a and only_b and len(left) == 2 and (len(heavy) < 2 or reworded) and pair.shared > 1:
        return len(heavy) > 1 and _in_place(pair)
    if only_a and only_b:
        return (bool(heavy) and not (reworded and len(left) > 2 and pair.shared > 1)) or _in_place(pair)
    if not heavy:
        return False
    narrows = _narrows(a if only_a else b, heavy)
    if len(left) == 2 and pair.shared > 1:
        return _rewording(pair) < (REWORDED if narrows else 2)
    if not reworded and "why" not in a.kinds:
        return True
    return len(heavy) > pair.shared or narrows


def _rewording(pair: Pair) -> int:
    """How many words differ beside those that are left over."""
    return len(set(pair.a.words) ^ set(pair.b.words)) - len(pair.only_a) - len(pair.only_b)


def _in_place(pair: Pair) -> bool:
    """A word of one text stands between the same two words as one of the other."""
    return not _places(pair.a.content, pair.only_a).isdisjoint(_places(pair.b.content, pair.only_b))


def _places(content: tuple[str, ...], words: frozenset[str]) -> set[tuple[str, str]]:
    padded = ("", *content, "")
    return {(padded[i - 1], padded[i + 1]) for i in range(1, len(padded) - 1) if padded[i] in words}


def _narrows(reading: Reading, heavy: frozenset[str]) -> bool:
    return not NARROWING.isdisjoint(heavy) or any(
        reading.roles[word] in _NARROWING_ROLES or (len(word) > 5 and word.endswith(_NARROWING_ENDINGS))
        for word in heavy
    )


def _copies_differ(pair: Pair) -> bool:
    """The words left over are a change that somebody made on purpose: a text that is otherwise a copy has
    another word or one more, or a word of a closed class, or one that denies, while little is reworded."""
    if not _content_differs(pair):
        return False
    left = pair.only_a | pair.only_b
    rewording = _rewording(pair)
    return (
        (rewording < 2 and not left <= MINOR)
        or (rewording < REWORDED and not FIRM.isdisjoint(left))
        or not (pair.implied or DENYING.isdisjoint(pair.odd_a ^ pair.odd_b))
    )


_Check = Callable[[Pair], bool]

_CHECKS: tuple[tuple[Difference, _Check, _Check | None], ...] = (
    (Difference.NUMBER, _numbers_differ, _numbers_differ),
    (Difference.OPPOSITE, _opposites_meet, _opposites_meet),
    (Difference.NEGATION, _negation_differs, _negation_differs),
    (Difference.CLASS, _classes_differ, _classes_differ),
    (Difference.SCRIPT, _scripts_differ, _scripts_differ),
    (Difference.CODE, _code_differs, _code_differs),
    (Difference.QUOTE, _quotes_differ, _quotes_differ),
    (Difference.NAME, _names_differ, _names_differ),
    (Difference.TENSE, _tense_differs, _tense_differs),
    (Difference.QUESTION, _questions_differ, None),
    (Difference.ORDER, order_differs, order_differs),
    (Difference.CONTENT, _content_differs, _copies_differ),
)
"""Each difference, what finds it, and what finds it so surely that a verifier is not asked; None where it
always is. What the second finds the first finds too."""
