"""Do two questions that look alike ask the same thing?

Sentence vectors place opposites side by side: "enable X" and "disable X" are nearer than many
paraphrases. This guard compares what vectors blur: numbers, negation, opposites, members of closed
classes, names, quoted text and code. It refuses when in doubt, because a wrong hit costs more than a
miss. Word lists are English; numbers, names, code and quotes are compared in any language. Linear in
the length of the texts.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from router_extproc.caching.lexicon import CLASSES, NEGATIONS, NUMERALS, OPPOSITES, PREFIXES


class Difference(StrEnum):
    """What two texts disagree on."""

    NUMBER = "number"
    NEGATION = "negation"
    OPPOSITE = "opposite"
    CLASS = "class"
    NAME = "name"
    CODE = "code"
    QUOTE = "quote"


def agree(a: str, b: str) -> Difference | None:
    """The first difference found between two texts, or None when they agree on everything compared."""
    one, two = _read(a), _read(b)
    for difference, differs in _CHECKS:
        if differs(one, two):
            return difference
    return None


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the guard sees in a text. Words are case-folded; `names` are those capitalised inside a
    sentence or written in capitals throughout."""

    words: frozenset[str]
    numbers: Counter[str]
    negations: int
    names: frozenset[str]
    code: frozenset[str]
    quotes: frozenset[str]


_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_QUOTED = re.compile(r"`([^`]+)`|\"([^\"]+)\"|\u201c([^\u201d]+)\u201d")
_CODE = re.compile(
    r"(?<!\w)--?[A-Za-z][\w-]*"  # flags
    r"|[\w.~-]*[/\\][\w./\\-]+"  # paths
    r"|\w+_\w+|\b[a-z]+[A-Z]\w*|\w+\(\)"  # identifiers
    r"|\b\w+\.[a-z]\w*\b"  # file and module names
    r"|\b[A-Za-z](?:\+\+|#)|[<>=!]=|[<>]"  # languages and operators of one symbol
)
_SENTENCE_START = re.compile(r"(?:^|[.!?:]\s+|\n\s*)[\"'`(\u201c]*$")


def _read(text: str) -> _Reading:
    words, names = [], set()
    for match in _WORD.finditer(text):
        word = match.group()
        words.append(word.casefold())
        inside = not _SENTENCE_START.search(text[max(0, match.start() - 8) : match.start()])
        if (len(word) > 1 and word.isupper()) or (inside and word[0].isupper() and word != "I"):
            names.add(word.casefold().removesuffix("'s").removesuffix("\u2019s"))
    numbers = Counter(_NUMBER.findall(text))
    numbers.update(NUMERALS[word] for word in words if word in NUMERALS)
    return _Reading(
        words=frozenset(words),
        numbers=numbers,
        negations=sum(w in NEGATIONS or w.endswith(("n't", "n\u2019t")) for w in words),
        names=frozenset(names),
        code=frozenset(_CODE.findall(text)),
        quotes=frozenset("".join(groups).casefold() for groups in _QUOTED.findall(text)),
    )


def _numbers_differ(a: _Reading, b: _Reading) -> bool:
    return a.numbers != b.numbers


def _negation_differs(a: _Reading, b: _Reading) -> bool:
    """A cue more or less, or a word that meets its own negated form ("stable", "unstable")."""
    if a.negations != b.negations:
        return True
    return _negated(a.words - b.words, b.words - a.words) or _negated(b.words - a.words, a.words - b.words)


def _negated(plain: frozenset[str], other: frozenset[str]) -> bool:
    return any(prefix + word in other for word in plain if len(word) > 3 for prefix in PREFIXES)


def _opposites_meet(a: _Reading, b: _Reading) -> bool:
    only_a, only_b = a.words - b.words, b.words - a.words
    return any(not OPPOSITES[word].isdisjoint(only_b) for word in only_a if word in OPPOSITES)


def _classes_differ(a: _Reading, b: _Reading) -> bool:
    return any((a.words & members) != (b.words & members) for members in CLASSES)


def _names_differ(a: _Reading, b: _Reading) -> bool:
    """A name of one text must at least be a word of the other, whatever its case there."""
    return not (a.names <= b.words | b.names and b.names <= a.words | a.names)


def _code_differs(a: _Reading, b: _Reading) -> bool:
    return a.code != b.code


def _quotes_differ(a: _Reading, b: _Reading) -> bool:
    return a.quotes != b.quotes


_CHECKS: tuple[tuple[Difference, Callable[[_Reading, _Reading], bool]], ...] = (
    (Difference.NUMBER, _numbers_differ),
    (Difference.NEGATION, _negation_differs),
    (Difference.OPPOSITE, _opposites_meet),
    (Difference.CLASS, _classes_differ),
    (Difference.NAME, _names_differ),
    (Difference.CODE, _code_differs),
    (Difference.QUOTE, _quotes_differ),
)
