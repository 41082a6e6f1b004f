"""The form of a text as numbers. Each feature takes time linear in the text's length."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec

from router_extproc.routing.words import count_words

_NUMBER = re.compile(r"\d++(?:[.,]\d++)*+")
_URL = re.compile(r"\bhttps?://|\bwww\.", re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]{0,3}(?:```|~~~)", re.MULTILINE)
_LIST_ITEM = re.compile(r"^[ \t]*+(?:[-*+•]|\d{1,3}+[.)])[ \t]++\S", re.MULTILINE)
_MATH = re.compile(
    r"[=+\u00d7\u00f7\u00b1^\u03c0\u2200-\u22ff]|\\(?:frac|sqrt|sum|prod|int|lim|partial|nabla)\b"
)
_UPPER_SHARE_OF = 65_536
"""Characters of which the share of capitals is taken: it is a loop in Python."""


def _lines(text: str) -> float:
    return len(text.splitlines())


def _question_marks(text: str) -> float:
    return text.count("?") + text.count("？") + text.count("؟")  # noqa: RUF001 - the full-width one is meant


def _code_blocks(text: str) -> float:
    """A fence opens a block and the next one closes it; the last may stay open."""
    return (len(_FENCE.findall(text)) + 1) // 2


def _json(text: str) -> float:
    """1 where the text from its first brace or bracket to the last one is JSON, else 0."""
    for opening, closing in ("{}", "[]"):
        start, end = text.find(opening), text.rfind(closing)
        if 0 <= start < end and _is_json(text[start : end + 1]):
            return 1.0
    return 0.0


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        return False
    return True


def _table_rows(text: str) -> float:
    """Lines between two bars, as Markdown writes them."""
    lines = (line.strip() for line in text.splitlines())
    return sum(len(line) > 1 and line[0] == line[-1] == "|" for line in lines)


def _uppercase_share(text: str) -> float:
    """Capitals among the letters that have a capital and a small form, in [0, 1]; 0 without such letters."""
    head = text[:_UPPER_SHARE_OF]
    upper, lower = sum(map(str.isupper, head)), sum(map(str.islower, head))
    return upper / (upper + lower) if upper else 0.0


FEATURES: Mapping[str, Callable[[str], float]] = MappingProxyType(
    {
        "characters": len,
        "words": count_words,
        "lines": _lines,
        "question_marks": _question_marks,
        "numbers": lambda text: len(_NUMBER.findall(text)),
        "urls": lambda text: len(_URL.findall(text)),
        "code_blocks": _code_blocks,
        "list_items": lambda text: len(_LIST_ITEM.findall(text)),
        "json": _json,
        "table_rows": _table_rows,
        "uppercase_share": _uppercase_share,
        "math_symbols": lambda text: len(_MATH.findall(text)),
    }
)
"""By the name that a configuration gives a feature."""
