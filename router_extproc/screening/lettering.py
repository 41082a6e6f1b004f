"""Letters that are not what they look like: styled forms, letters of other scripts, marks, unseen characters.

Owns the tables. No character becomes more than one, and a text in ASCII stays as it is. Pure, linear.
"""

import unicodedata
from re import Match, compile

from router_extproc.screening.vocabulary import KNOWN

_UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_MARK = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_UNSEEN_RUN = compile(f"[{_UNSEEN}]+")
_INSIDE_WORD = compile(f"[A-Za-z\u00c0-\u024f\u0370-\u04ff][{_UNSEEN}]++[A-Za-z\u00c0-\u024f\u0370-\u04ff]")
"""Not in other scripts: Persian and the scripts of India need joiners to be written right."""

_SMUGGLED = compile(
    r"(?<![\U0001f3f4\U000e0020-\U000e007e])[\U000e0020-\U000e007e]{4,}"  # tags, but for those of a flag
    r"|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}"  # variation selectors, each a byte
)
_SMALL_CAPITALS = dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnopqrstuvwyz", strict=True))


def _styled() -> dict[int, str]:
    """What NFKC makes one ASCII letter or digit, and the dark squares and circles, which it leaves alone."""
    table = {ord(styled): plain for styled, plain in _SMALL_CAPITALS.items()}
    for first in (0x1F150, 0x1F170):
        table |= {first + place: chr(ord("a") + place) for place in range(26)}
    for first, last in (
        (0x1D2C, 0x1D9F),
        (0x2070, 0x214F),
        (0x2460, 0x24FF),
        (0x2C7C, 0x2C7D),
        (0xFF01, 0xFF5E),
    ):
        table |= _folded(first, last)
    return table | _folded(0x1D400, 0x1D7FF) | _folded(0x1F100, 0x1F149)


def _folded(first: int, last: int) -> dict[int, str]:
    plain = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(first, last + 1)}
    return {code: form for code, form in plain.items() if len(form) == 1 and form.isascii()}


_STYLED = _styled()
_STYLED_RUN = compile(
    "(?=[^\\x00-\\x7f])(?:["
    + "".join(chr(code) for code, form in _STYLED.items() if form.isalpha())
    + "] ?)+"
)
_STYLED_LETTERS = 12
"""Fewer, with no known word among them, are units, footnotes, formulas or Japanese."""

_ALIKE = str.maketrans(
    "аАВеЕЗіІјЈКМНоОрРсСТуУхХѕЅԁһԛԝѡӏгпьгαΑΒεΕΖηΗιΙκΚΜνΝοΟρΡτΤυΥχΧωϲϳօսհոցԛքյɡɑıȷƅƖǃɩ",
    "aABeE3iIjJKMHoOpPcCTyYxXsSdhqwwlrnbraABeEZnHiIkKMvNoOpPtTuYxXwcjouhngqqjgaijbl!i",
)
"""Cyrillic, Greek, Armenian and rare Latin letters, as Latin ones: the frequent part of Unicode's TR 39."""

_WORD = compile(rf"(?<![A-Za-z])[A-Za-z]*+(?=[^\x00-\x7f])[{_MARK}]*+(?:[^\W\d_][{_MARK}]*+)*+")
"""A word in which not all is ASCII, or one in front of such a sign."""
_OTHER_SCRIPT = compile("[\u0370-\u058f]")
"""Greek, Cyrillic, Armenian. Turkish and Vietnamese mix other letters with those of ASCII."""

_PILED = compile(rf"[^\W\d_][{_MARK}]{{4,}}")
_LEAST_ACCENTED = 5
"""Letters of a known word whose accents tell a disguise; shorter ones, French and Swedish have as well."""


def hidden_letters(text: str) -> list[str]:
    """Texts written in characters that are not shown: tags, or variation selectors as the bytes of UTF-8."""
    if text.isascii():
        return []
    return [plain for match in _SMUGGLED.finditer(text) if (plain := _smuggled(match[0])).strip()]


def plain_letters(text: str) -> tuple[str, bool]:
    """The text in plain letters, and whether its own letters hide words. If not, only what is not shown is
    gone, and styled letters are plain."""
    if text.isascii():
        return text, False
    hides = _INSIDE_WORD.search(text) is not None or _hides_styled(text)
    text = _UNSEEN_RUN.sub("", text).translate(_STYLED)
    if text.isascii():
        return text, hides
    if _hides_alike(text):
        return _WORD.sub(_in_latin, text), True
    return text, hides


def _smuggled(run: str) -> str:
    if 0xE0020 <= ord(run[0]) <= 0xE007E:
        return "".join(chr(ord(tag) - 0xE0000) for tag in run)
    codes = (ord(selector) for selector in run)
    raw = bytes(code - 0xFE00 if code < 0xE0100 else code - 0xE0100 + 16 for code in codes)
    return "".join(letter for letter in raw.decode("utf-8", "replace") if letter.isprintable())


def _hides_styled(text: str) -> bool:
    letters = 0
    for run in _STYLED_RUN.finditer(text):
        word = run[0].translate(_STYLED).replace(" ", "").lower()
        letters += len(word) if len(word) > 2 else 0
        if letters >= _STYLED_LETTERS or (len(word) > 3 and word in KNOWN):
            return True
    return False


def _hides_alike(text: str) -> bool:
    """Whether words mix scripts and are Latin words, or English words wear accents."""
    mixed, accented = set[str](), set[str]()
    for match in _WORD.finditer(text):
        word = match[0]
        if len(word) < 3 or word.isascii():
            continue
        plain = _latin(word)
        if not plain.isascii():
            continue
        if any(letter.isascii() for letter in word) and _OTHER_SCRIPT.search(word):
            mixed.add(plain)
        if len(plain) >= _LEAST_ACCENTED and plain.lower() in KNOWN:
            accented.add(plain)
        if len(mixed) > 1 or len(accented) > 1 or any(each.lower() in KNOWN for each in mixed):
            return True
    return _PILED.search(text) is not None


def _latin(word: str) -> str:
    bare = unicodedata.normalize("NFD", word.translate(_ALIKE))
    return "".join(
        letter for letter in bare if not unicodedata.combining(letter) and letter not in "\u0488\u0489"
    )


def _in_latin(match: Match[str]) -> str:
    if match[0].isascii():
        return match[0]
    plain = _latin(match[0])
    return plain if plain.isascii() else match[0]
