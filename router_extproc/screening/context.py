"""A text made easy to search without moving a character, and the words around a place in it.

Both are linear in the text, or bounded by a window, so that no text of a stranger is slow.
"""

import re
import unicodedata

_SIGNS = {
    "\uff0b": "+",
    "\uff20": "@",
    "\uff0e": ".",
    "\uff1a": ":",
    "\uff0f": "/",
    "\uff08": "(",
    "\uff09": ")",
}
_DASHES = "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"
_ODD = re.compile(rf"(?![0-9])\d|[^\S\x00-\x7f]|[{''.join(_SIGNS)}{_DASHES}]")


def plain(text: str) -> str:
    """`text` with what looks like an ASCII digit, sign, dash or space as that. The length stays, so offsets
    into the result are offsets into the text."""
    return text if text.isascii() else _ODD.sub(_as_ascii, text)


def near(text: str, start: int, end: int, words: re.Pattern[str], *, before: int, after: int = 0) -> bool:
    """Whether `words` occurs within `before` characters to the left of [start, end) or `after` to the right.
    A word that the window cuts may match by its rest: `words` begins and ends with boundaries."""
    if words.search(text, max(0, start - before), start):
        return True
    return bool(after) and words.search(text, end, min(len(text), end + after)) is not None


def _as_ascii(match: re.Match[str]) -> str:
    character = match[0]
    if character in _SIGNS:
        return _SIGNS[character]
    if character in _DASHES:
        return "-"
    return str(unicodedata.decimal(character)) if character.isdecimal() else " "
