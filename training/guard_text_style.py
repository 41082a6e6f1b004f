"""How a text is typed: synonyms, case, typing errors, marks, spaces; disguises of attacks and of puzzles.

The same for every label: what is only style must not tell an attack from an innocent text.
"""

import base64
import codecs
from collections.abc import Callable, Mapping, Sequence
from random import Random
from re import Match, compile

SYNONYM = 0.2
"""How often a word that has synonyms is replaced by one, in the texts that are reworded at all."""

REWORDED = 0.5
LONGEST_PROSE_WORD = 24
"""A text with a longer word holds a code; other case or a typing error would change what it says."""

_WORD = compile(r"[a-z]+")
_LEET = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"}
_CYRILLIC = {
    "a": "\u0430",
    "e": "\u0435",
    "o": "\u043e",
    "p": "\u0440",
    "c": "\u0441",
    "x": "\u0445",
    "i": "\u0456",
}
_ZERO_WIDTH = ("\u200b", "\u200c", "\u200d", "\u2060")
_FULL_WIDTH = 0xFEE0
_MORSE = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- "
        "-.-- --..".split(),
        strict=True,
    )
)
_CURLY = str.maketrans({"'": "\u2019", '"': "\u201d"})


def restyle(text: str, synonyms: Mapping[str, Sequence[str]], random: Random) -> str:
    """The text as somebody else would type it. Most stay nearly as they are."""
    if random.random() < REWORDED:
        text = _reworded(text, synonyms, random)
    prose = all(len(word) <= LONGEST_PROSE_WORD for word in text.split())
    draw = random.random()
    if prose and draw < 0.10:
        text = text.lower()
    elif prose and draw < 0.13:
        text = text.upper()
    elif prose and draw < 0.22:
        text = _mistyped(text, random)
    draw = random.random()
    if draw < 0.08:
        text = text.rstrip(".!?")
    elif draw < 0.11:
        text = text + random.choice(("!", "!!", "...", " :)", "?", "\n", " >"))
    elif draw < 0.14:
        text = text.translate(_CURLY)
    elif draw < 0.17:
        text = text.replace(". ", random.choice((".\n", ".  ", ". \n\n", ", ", " - ")))
    return text


def _reworded(text: str, synonyms: Mapping[str, Sequence[str]], random: Random) -> str:
    def other(match: Match[str]) -> str:
        words = synonyms.get(match[0])
        return random.choice(words) if words and random.random() < SYNONYM else match[0]

    return _WORD.sub(other, text)


def _mistyped(text: str, random: Random) -> str:
    """About one typing error per 40 characters: letters swapped, left out, doubled, or a missing space."""
    letters = list(text)
    for _ in range(1 + len(letters) // 40):
        place = random.randrange(len(letters))
        slip = random.randrange(4)
        if slip == 0 and place + 1 < len(letters):
            letters[place], letters[place + 1] = letters[place + 1], letters[place]
        elif slip == 1 and letters[place].isalpha():
            letters[place] = ""
        elif slip == 2 and letters[place].isalpha():
            letters[place] *= 2
        elif letters[place] == " ":
            letters[place] = ""
    return "".join(letters)


def _base64(text: str, random: Random) -> str:
    return base64.b64encode(text.encode()).decode()


def _rot13(text: str, random: Random) -> str:
    return codecs.encode(text, "rot13")


def _hex(text: str, random: Random) -> str:
    return text.encode().hex(random.choice((" ", ":", "-")))


def _reverse(text: str, random: Random) -> str:
    return text[::-1]


def _leet(text: str, random: Random) -> str:
    known = {letter for letter in _LEET if random.random() < 0.8}
    return "".join(_LEET[letter] if letter in known else letter for letter in text.lower())


def _homoglyph(text: str, random: Random) -> str:
    return "".join(_CYRILLIC.get(letter, letter) if random.random() < 0.6 else letter for letter in text)


def _zero_width(text: str, random: Random) -> str:
    mark = random.choice(_ZERO_WIDTH)
    often = random.choice((0.2, 0.5, 1.0))
    return "".join(letter + mark if random.random() < often else letter for letter in text)


def _full_width(text: str, random: Random) -> str:
    return "".join(chr(ord(letter) + _FULL_WIDTH) if "!" <= letter <= "~" else letter for letter in text)


def _morse(text: str, random: Random) -> str:
    words = ("".join(filter(str.isalpha, word)) for word in text.lower().split())
    return " / ".join(" ".join(_MORSE.get(letter, letter) for letter in word) for word in words)


def _between(mark: str) -> Callable[[str, Random], str]:
    def spread(text: str, random: Random) -> str:
        return mark.join(text)

    return spread


DISGUISES: Mapping[str, Callable[[str, Random], str]] = {
    "base64": _base64,
    "rot13": _rot13,
    "hex": _hex,
    "reverse": _reverse,
    "leet": _leet,
    "homoglyph": _homoglyph,
    "zero": _zero_width,
    "fullwidth": _full_width,
    "morse": _morse,
    "spaced": _between(" "),
    "dotted": _between("."),
}
