"""What the cache's guard sees in a text: its words, numbers, names, code and quotes, and what it asks for.

Knows one text and English; compares nothing. A text is split once, by patterns that are of fixed length or
free of overlap, so that the cost is linear whatever the text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from router_extproc.caching.asked import kinds
from router_extproc.caching.lexicon import (
    DETERMINERS,
    FUNCTION_WORDS,
    LIGHT,
    MULTIPLES,
    NEGATIONS,
    NUMERALS,
    ROLES,
)
from router_extproc.caching.stem import stem
from router_extproc.caching.synonyms import MEANINGS, PARTED, PHRASE_HEADS, PHRASES


@dataclass(frozen=True, slots=True)
class Reading:
    """A text, read. Order is the text's.

    `words` are lower case, numerals and negations among them. `content` are the meanings that carry the
    subject, numbers included; `light` those of words about the asking. `vocabulary` has all of these and
    the function words. `sequence` has the content and the light words, "" for a function word; `spine` is
    the same without the gaps, and `spine_set` its members. `roles` has for each meaning of the content the
    word before its phrase that gives it its part ("to", "by"), "" when there is none. `firm` are names,
    numbers, and words of letters mixed with digits: they have no synonyms. `foreign` are words
    with a letter or a sign outside ASCII. `kinds` is what is asked for: "how", "what", "why", ...,
    "whether" for yes or no, "do" for no question.
    """

    text: str
    words: tuple[str, ...]
    content: tuple[str, ...]
    subjects: frozenset[str]
    light: frozenset[str]
    vocabulary: frozenset[str]
    roles: Mapping[str, str]
    spine: tuple[str, ...]
    spine_set: frozenset[str]
    sequence: tuple[str, ...]
    firm: frozenset[str]
    numbers: tuple[str, ...]
    negations: int
    code: tuple[str, ...]
    quotes: frozenset[str]
    foreign: tuple[str, ...]
    kinds: frozenset[str]


_TYPOGRAPHY = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014\u2026", "''\"\"--.")

_TOKEN = re.compile(
    r"[^\W_]+(?:'[^\W_]+|[.,:](?=\d)[^\W_]+)*"  # a word or a number
    r"|(?<=[\s\d)])[-+*/=^](?=[\s\d(])|[\u00d7\u00f7\u2212%$\u20ac\u00a3]"  # arithmetic, currency
    r"|[.!?\n]"  # the end of a sentence
)
_NUMBER = re.compile(r"(v?)(\d[\d.,:]*)([a-z]*)")
"""A number with the unit or the ordinal's ending at it, and a version's "v" before it."""

_ACRONYMS = MappingProxyType({"US": "usa", "IT": "computing"})
"""Names that are function words when they are written small."""

_SYMBOLS = MappingProxyType({"$": "dollar", "\u20ac": "euro", "\u00a3": "gbp", "%": "percent"})

_QUOTED = re.compile(r"`([^`]+)`|\"([^\"]+)\"")
_CODE_CHARACTERS = frozenset("-/\\_()+#<>=~@.")
_CODE_SIGN = re.compile(
    r"^--?[A-Za-z]"  # a flag
    r"|^[~.]{0,2}/\w|/[^/\s]+/|\\"  # a path
    r"|\w_\w|\(\)"  # an identifier, a call
    r"|\w\w\.[a-z]"  # a file or a module
    r"|[A-Za-z](?:\+\+|#)|[<>=!]=|[<>]"  # C++, C#, an operator
    r"|\w@\w|^[@#]\w"  # an address, a handle
)
"""What makes a word code."""


_INITIALS = re.compile(r"\b[A-Za-z]\.[A-Za-z]\b(?:\.[A-Za-z]\b)?\.?")
"""Two or three letters with points behind them: "U.S.", "p.m."."""


def _joined(match: re.Match[str]) -> str:
    letters = match[0].replace(".", "")
    return letters.upper() if letters == "us" else letters


def read(text: str) -> Reading:
    plain = text if text.isascii() else text.translate(_TYPOGRAPHY)
    scan = _Scan()
    scan.run(_TOKEN.findall(_INITIALS.sub(_joined, plain) if "." in plain else plain))
    return Reading(
        text=plain,
        words=tuple(scan.words),
        content=tuple(scan.content),
        subjects=frozenset(scan.content),
        light=frozenset(scan.light),
        vocabulary=frozenset(scan.vocabulary),
        roles=scan.roles,
        spine=tuple(word for word in scan.sequence if word),
        spine_set=frozenset(scan.sequence),
        sequence=tuple(scan.sequence),
        firm=frozenset(scan.firm),
        numbers=tuple(scan.numbers),
        negations=scan.negations,
        code=_code(plain),
        quotes=_quotes(plain),
        foreign=_foreign(plain),
        kinds=kinds(scan.words),
    )


_SHARES = MappingProxyType({"50": "half", "25": "quarter"})


_KEEPING = frozenset(("keep", "keeps", "keeping", "kept"))
"""With "from" close behind these negate: what is kept from doing does not do."""


def _particle(after: list[str]) -> str | None:
    """What "turn" or "switch" means with the "on" or "off" behind its object."""
    for token in after:
        if token in _SWITCHED:
            return _SWITCHED[token]
        if token in (".", "!", "?", "\n"):
            break
    return None


_SWITCHED = MappingProxyType({"on": "enable", "off": "disable", "into": "convert"})


class _Scan:
    """The state of one pass over a text's tokens."""

    __slots__ = (
        *("words", "content", "light", "vocabulary", "roles", "firm", "numbers", "negations", "sequence"),
        *("_role", "_after_content", "_starts", "_kept"),
    )

    def __init__(self) -> None:
        self.words: list[str] = []
        self.content: list[str] = []
        self.light: set[str] = set()
        self.vocabulary: set[str] = set()
        self.roles: dict[str, str] = {}
        self.sequence: list[str] = []
        self.firm: set[str] = set()
        self.numbers: list[str] = []
        self.negations = 0
        self._role = ""
        self._after_content = False
        self._starts = True
        self._kept = -9

    def run(self, tokens: list[str]) -> None:
        phrase = False
        for place, token in enumerate(tokens):
            if phrase:  # this token went with the one before it
                phrase = False
                continue
            if token.isalpha():
                word = _ACRONYMS.get(token) or token.lower()
            elif "'" in token:
                word = token.lower().removesuffix("'s")
            else:
                self._other(token)
                continue
            whole = None
            if word in PHRASE_HEADS and place + 1 < len(tokens):
                whole = PHRASES.get((word, tokens[place + 1].lower()))
                if whole is not None:
                    self.words.append(word)
                    word, phrase = whole, True
            if whole is None and word in PARTED:
                word = _particle(tokens[place + 1 : place + 5]) or word
            self._word(token, word)
            self._starts = False

    def _word(self, token: str, word: str) -> None:
        self.words.append(word)
        if word in _KEEPING:
            self._kept = len(self.words)
        elif word == "from" and len(self.words) - self._kept < 6:
            self.negations += 1
            self._kept = -9
        if word in FUNCTION_WORDS:
            self.vocabulary.add(word)
            self.sequence.append("")
            if word in ROLES:
                self._role = word if self._gives_role(word) else ""
            elif word not in DETERMINERS:
                self._role = ""
            self._after_content = False
        elif word in NEGATIONS or word.endswith("n't"):
            self.negations += 1
        elif word in NUMERALS and not (word == "second" and self._after_digits()):
            self._number(NUMERALS[word])
        elif word == "fortnight":
            self._number("2")
            self._content(token, "week")
        else:
            self._content(token, word)

    def _after_digits(self) -> bool:
        """So that "10 second" is a time and no ordinal."""
        return len(self.words) > 1 and self.words[-2].isdecimal()

    def _gives_role(self, word: str) -> bool:
        """Not a "to" before a verb, which mostly follows a function word, nor a relative "which"."""
        return self._after_content if word == "to" else word != "which" or len(self.words) < 3

    def _content(self, token: str, word: str) -> None:
        root = stem(word)
        meaning = MEANINGS.get(root, root)
        if meaning in LIGHT:
            self.light.add(meaning)
            self.sequence.append(meaning)
            self.vocabulary.add(meaning)
            if word not in DETERMINERS:
                self._role = ""
            self._after_content = False
            return
        if token[0].isupper() and (not self._starts or (len(token) > 1 and token.isupper())):
            self.firm.add(meaning)
        if not self._role and word.endswith("ed") and root != word:
            self.roles.setdefault(
                meaning, "-ed"
            )  # what is done may stand before or behind what it is done to
        elif word == "before" or word == "after":
            self._role = word
        self._add(meaning)

    def _add(self, meaning: str) -> None:
        if meaning in MULTIPLES and self._counts():
            meaning = self._unit(meaning)
        if not meaning:
            return
        self.content.append(meaning)
        self.sequence.append(meaning)
        self.vocabulary.add(meaning)
        self.roles.setdefault(meaning, self._role)
        self._after_content = True

    def _counts(self) -> bool:
        """Whether a number was the last word of content."""
        return bool(self.numbers and self.content) and self.content[-1] == self.numbers[-1]

    def _unit(self, unit: str) -> str:
        """The unit in which the number just read is smallest, and that number in place of the one read:
        "24 hours" becomes "day", "14 days" "2 weeks", "50 percent" "half"."""
        number = self.numbers[-1]
        while unit in MULTIPLES and number.isdecimal() and len(number) < 9:
            size, larger = MULTIPLES[unit]
            if not size:
                number = _SHARES.get(number, number)
                if number in NUMERALS:
                    unit = ""
                break
            if int(number) % size:
                break
            number, unit = str(int(number) // size), larger
        if number != self.numbers[-1]:
            self._unread()
            if number != "1":
                self._number(number)
        elif number == "1":
            self._unread()
        return unit

    def _unread(self) -> None:
        number = self.numbers.pop()
        self.content.pop()
        del self.sequence[len(self.sequence) - 1 - self.sequence[::-1].index(number) :]
        if number not in self.numbers:
            self.firm.discard(number)
            self.vocabulary.discard(number)
            del self.roles[number]

    def _number(self, number: str) -> None:
        if number == "half" and self.words[-3:-1] == ["and", "a"] and self._counts():
            number = self.numbers[-1] + ".5"
            self._unread()
        self.numbers.append(number)
        self.firm.add(number)
        self._add(number)

    def _other(self, token: str) -> None:
        """A token that is no word: a sentence's end, a sign, a number, letters mixed with digits."""
        first = token[0]
        if first in ".!?\n":
            self._starts = True
            self._role = ""
            return
        self._starts = False
        if token in _SYMBOLS:
            self._add(_SYMBOLS[token])
        elif not first.isalnum():
            self.numbers.append(token)
        else:
            self._alphanumeric(token.lower())

    def _alphanumeric(self, token: str) -> None:
        self.words.append(token)
        match = _NUMBER.fullmatch(token)
        if match is None:
            self.firm.add(token)
            self._add(token)
            return
        version, digits, unit = match.groups()
        if version:
            self._add("version")
        number = digits.replace(",", "").rstrip(".:")
        if unit in ("st", "nd", "rd", "th"):
            self._number(number + ".")
        else:
            self._number(number)
            if unit:
                self._add(MEANINGS.get(unit, unit))


def _code(text: str) -> tuple[str, ...]:
    if _CODE_CHARACTERS.isdisjoint(text.rstrip(".?! ")):
        return ()
    words = (_bare(word) for word in text.split() if not _CODE_CHARACTERS.isdisjoint(word))
    return tuple(dict.fromkeys(word for word in words if _CODE_SIGN.search(word)))


def _quotes(text: str) -> frozenset[str]:
    if '"' not in text and "`" not in text:
        return frozenset()
    return frozenset("".join(groups).casefold().strip() for groups in _QUOTED.findall(text))


def _foreign(text: str) -> tuple[str, ...]:
    """Words with a letter or a sign outside ASCII, which the encoder may not know: it sees every sign it
    does not know as the same one."""
    if text.isascii():
        return ()
    words = map(_bare, text.casefold().split())
    return tuple(word for word in words if not word.isascii())


def _bare(word: str) -> str:
    """A word without the punctuation of the sentence around it. A call keeps its brackets."""
    bare = word.lstrip("\"'`(").rstrip(".,;:!?\"'`")
    return bare if "(" in bare else bare.rstrip(").,;:!?\"'`")
