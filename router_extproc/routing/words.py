"""Words of a text, and whether a word or phrase occurs in it.

A word is a run of letters, digits and underscores. Scripts that are written without spaces between words
(Chinese, Japanese, Thai, Lao, Khmer, Burmese), and Korean, whose particles are written on to the word, have
no boundaries: there every place is one. Time is linear in the text's length, and no pattern made of what
somebody wrote is ever run.
"""

import re
from collections.abc import Sequence

_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u318f\u31a0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uaa60-\uaa7f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc"
    "\U00020000-\U0003ffff"
)
_MARKS = "\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0966-\u0dff"
"""Accents and vowel signs: to the language's word they belong, to `\\w` some of them do not."""

_LETTERS = rf"[^\W{_SPACELESS}]"
_WORD = re.compile(rf"{_LETTERS}++(?:[{_MARKS}]++{_LETTERS}*+)*+")
_ASCII_WORD = re.compile(r"\w++", re.ASCII)
_ONE = re.compile(rf"{_LETTERS}|[{_MARKS}]")
_SPACELESS_ONE = re.compile(rf"[{_SPACELESS}]")


def words_of(text: str) -> list[str]:
    """The words of the scripts that have boundaries, in order."""
    return (_ASCII_WORD if text.isascii() else _WORD).findall(text)


def count_words(text: str) -> int:
    """Words; each character of a script without boundaries counts as one."""
    return len(words_of(text)) + len(_SPACELESS_ONE.findall(text))


class Vocabulary:
    """A text prepared once for many questions. White space of any length is one space."""

    __slots__ = ("_text", "_words")

    def __init__(self, text: str, *, case_sensitive: bool) -> None:
        self._text = normal(text, case_sensitive=case_sensitive)
        self._words = frozenset(words_of(self._text))

    def has(self, keyword: str, words: Sequence[str]) -> bool:
        """Whether `keyword` occurs as a whole word or phrase; `words` are its own words. It was made normal
        as the text was. A blank one never occurs."""
        if not keyword or not all(word in self._words for word in words):
            return False
        if len(words) == 1 and words[0] == keyword:
            return True
        at = self._text.find(keyword)
        while at >= 0:
            if self._stands_alone(at, at + len(keyword)):
                return True
            at = self._text.find(keyword, at + 1)
        return False

    def _stands_alone(self, start: int, end: int) -> bool:
        """Neither end lies inside a word."""
        return not (self._joins(start) or self._joins(end))

    def _joins(self, place: int) -> bool:
        """Whether the characters on both sides of `place` belong to one word."""
        if place == 0 or place == len(self._text):
            return False
        return bool(_ONE.match(self._text, place - 1) and _ONE.match(self._text, place))


def normal(text: str, *, case_sensitive: bool) -> str:
    """`text` as it is compared: one space between words, and without case unless that counts."""
    return " ".join((text if case_sensitive else text.casefold()).split())
