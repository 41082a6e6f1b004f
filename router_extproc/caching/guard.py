"""Do two questions that look alike ask the same thing?

Sentence vectors place opposites side by side: "enable X" and "disable X" are nearer than many
paraphrases. This guard compares what vectors blur: numbers, negation, opposites, members of closed
classes, names, the order of words, quoted text and code. It refuses when in doubt, because a wrong hit
costs more than a miss. The encoder and the word lists know English; words of other scripts must be the
same. Every pattern is of fixed length or free of overlap, so the cost is linear in the texts.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from router_extproc.caching.lexicon import CLASSES, FUNCTION_WORDS, NEGATIONS, NUMERALS, OPPOSITES, PREFIXES


class Difference(StrEnum):
    """What two texts disagree on."""

    NUMBER = "number"
    NEGATION = "negation"
    OPPOSITE = "opposite"
    CLASS = "class"
    NAME = "name"
    SCRIPT = "script"
    CODE = "code"
    QUOTE = "quote"
    ORDER = "order"


def same_question(a: str, b: str) -> bool:
    """Whether an answer to `b` may answer `a`, given that their vectors are near enough."""
    return a == b or agree(a, b) is None


def agree(a: str, b: str) -> Difference | None:
    """The first difference found between two texts, or None when they agree on everything compared."""
    one, two = _read(a), _read(b)
    for difference, differs in _CHECKS:
        if differs(one, two):
            return difference
    return None


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the guard sees in a text, in the text's order. Words are case-folded; `names` are those
    capitalised inside a sentence or written in capitals throughout; `foreign` are those with a letter or
    a sign outside ASCII."""

    words: tuple[str, ...]
    vocabulary: frozenset[str]
    numbers: tuple[str, ...]
    negations: int
    names: frozenset[str]
    foreign: tuple[str, ...]
    code: frozenset[str]
    quotes: frozenset[str]


_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*|[+*/%=^\u00d7\u00f7\u2212]|(?<=[\s\d])-(?=[\s\d])|[^\W\d_]+")
"""Digits, signs of arithmetic, and words, which may be numerals."""

_QUOTED = re.compile(r"`([^`]+)`|\"([^\"]+)\"|\u201c([^\u201c\u201d]+)\u201d")
_CODE_SIGN = re.compile(
    r"^--?[A-Za-z]"  # a flag
    r"|[/\\]|\w_\w|[a-z][A-Z]|\(\)"  # a path, an identifier, a call
    r"|\w\.[a-z]"  # a file or a module
    r"|[A-Za-z](?:\+\+|#)|[<>=!]=|[<>]"  # C++, C#, an operator
)
"""What makes a word code."""

_SENTENCE_START = re.compile(r"(?:^|[.!?:]\s+|\n\s*)[\"'`(\u201c]*$")


def _read(text: str) -> _Reading:
    words, names = [], set()
    for match in _WORD.finditer(text):
        word = match.group()
        words.append(word.casefold())
        inside = not _SENTENCE_START.search(text[max(0, match.start() - 8) : match.start()])
        if (len(word) > 1 and word.isupper()) or (inside and word[0].isupper() and word != "I"):
            names.add(word.casefold().removesuffix("'s").removesuffix("\u2019s"))
    return _Reading(
        words=tuple(words),
        vocabulary=frozenset(words),
        numbers=tuple(_numbers(text)),
        negations=sum(w in NEGATIONS or w.endswith(("n't", "n\u2019t")) for w in words),
        names=frozenset(names),
        foreign=tuple(_foreign(text)),
        code=frozenset(word for word in map(_bare, text.split()) if _CODE_SIGN.search(word)),
        quotes=frozenset("".join(groups).casefold() for groups in _QUOTED.findall(text)),
    )


def _numbers(text: str) -> list[str]:
    """Numbers and signs between them, numerals as digits."""
    found = []
    for token in _NUMBER.findall(text):
        if token[0].isalpha():
            if token.casefold() in NUMERALS:
                found.append(NUMERALS[token.casefold()])
        else:
            found.append(token)
    return found


_TYPOGRAPHY = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014\u2026", "''\"\"--.")


def _foreign(text: str) -> list[str]:
    """Words with a letter or a sign outside ASCII, which the encoder may not know: it sees every sign it
    does not know as the same one."""
    if text.isascii():
        return []
    words = map(_bare, text.translate(_TYPOGRAPHY).casefold().split())
    return [word for word in words if not word.isascii()]


def _bare(word: str) -> str:
    """A word without the punctuation of the sentence around it."""
    return word.rstrip(".,;:!?\"'`)").lstrip("\"'`(")


def _numbers_differ(a: _Reading, b: _Reading) -> bool:
    return a.numbers != b.numbers


def _negation_differs(a: _Reading, b: _Reading) -> bool:
    """A cue more or less, or a word that meets its own negated form ("stable", "unstable")."""
    if a.negations != b.negations:
        return True
    only_a, only_b = a.vocabulary - b.vocabulary, b.vocabulary - a.vocabulary
    return _negated(only_a, only_b) or _negated(only_b, only_a)


def _negated(plain: frozenset[str], other: frozenset[str]) -> bool:
    return any(prefix + word in other for word in plain if len(word) > 3 for prefix in PREFIXES)


def _opposites_meet(a: _Reading, b: _Reading) -> bool:
    only_a, only_b = a.vocabulary - b.vocabulary, b.vocabulary - a.vocabulary
    return any(not OPPOSITES[word].isdisjoint(only_b) for word in only_a if word in OPPOSITES)


def _classes_differ(a: _Reading, b: _Reading) -> bool:
    """Other members, or the same in another order: from miles to kilometres is not back again."""
    return any(_only(a, members) != _only(b, members) for members in CLASSES)


def _only(reading: _Reading, kept: frozenset[str]) -> tuple[str, ...]:
    if reading.vocabulary.isdisjoint(kept):
        return ()
    return tuple(word for word in reading.words if word in kept)


def _names_differ(a: _Reading, b: _Reading) -> bool:
    """A name of one text must at least be a word of the other, whatever its case there, and in order."""
    names = a.names | b.names
    if not (a.names <= b.vocabulary | b.names and b.names <= a.vocabulary | a.names):
        return True
    return _only(a, names) != _only(b, names)


def _scripts_differ(a: _Reading, b: _Reading) -> bool:
    return a.foreign != b.foreign


def _code_differs(a: _Reading, b: _Reading) -> bool:
    return a.code != b.code


def _quotes_differ(a: _Reading, b: _Reading) -> bool:
    return a.quotes != b.quotes


def _order_differs(a: _Reading, b: _Reading) -> bool:
    """The same content words in another order: who does what to whom has changed places."""
    one = [word for word in a.words if word not in FUNCTION_WORDS]
    two = [word for word in b.words if word not in FUNCTION_WORDS]
    return one != two and sorted(one) == sorted(two)


_CHECKS: tuple[tuple[Difference, Callable[[_Reading, _Reading], bool]], ...] = (
    (Difference.NUMBER, _numbers_differ),
    (Difference.NEGATION, _negation_differs),
    (Difference.OPPOSITE, _opposites_meet),
    (Difference.CLASS, _classes_differ),
    (Difference.NAME, _names_differ),
    (Difference.SCRIPT, _scripts_differ),
    (Difference.CODE, _code_differs),
    (Difference.QUOTE, _quotes_differ),
    (Difference.ORDER, _order_differs),
)
