"""Other readings of a text whose form hides what it says, for a classifier that was fitted on plain writing.

Owns what counts as a disguise and in which order disguises are taken off; knows nothing of attacks, models
or policies. Ordinary text, code and pictures in base64 included, has no other reading. Pure; the time is
linear in the text. No character goes into two readings, so together they are about as long as the text.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from re import Match, compile

from router_extproc.screening.encoded import decoded
from router_extproc.screening.lettering import hidden_letters, plain_letters
from router_extproc.screening.vocabulary import CODED, KNOWN, REVERSED, ROTATIONS, known_share, parted

SLACK = 64
"""Characters by which all readings of a text together may be longer than it."""

MOST_READINGS = 4
DEPTH = 2
"""How often what was decoded is looked at again: base64 in base64, zero-width characters in base64."""

_ESCAPE = compile(
    r"&#(?:[xX]0{0,5}([0-9a-fA-F]{2})|0{0,5}([0-9]{2,3}))(?:;|(?![0-9a-fA-F]))"
    r"|(?:%|\\x|\\u00|\\u\{|[uU]\+00)([0-9a-fA-F]{2})\}?"
)
_ESCAPED_LETTERS = 4
"""Different letters and digits written as escapes. Formats like `%4d` and `%6f` in a program give fewer."""

_ESCAPED_BLANKS = 3

_SPREAD = compile(
    r"(?<![^\W_])[^\W_](?=([ ._\-*|/,;:~+\u00b7\u2022]))"
    r"(?:(?:\1?[ \t\n]{1,3}\1?|\1)[^\W_](?![^\W_])){5,}+"
)
_BETWEEN = compile(r"[\W_]+")
_SPREAD_KNOWN = 1 / 3

_DIGIT_IN_WORD = compile(r"[0-9@$!|+](?:(?<=[A-Za-z].)(?=[A-Za-z0-9@$!|+])|(?=[A-Za-z]))")
_MIXED = compile(r"[A-Za-z0-9@$!|+]+")
_SHORT_WORDS = frozenset("a i to at is it its as so all too".split())
"""Written in digits alone."""

_LEET = str.maketrans("4@3015$7+89!|", "aaeoissttbgii")
_LEET_L = str.maketrans("1!|", "lll")
_LEET_WORDS, _LEET_LETTERS = 2, 8
"""The least different known words written with digits for letters, and their letters."""

_WORD = compile(r"[A-Za-z]+")
_CODED_WORDS, _CODED_LETTERS = 2, 10
"""The least different known words in cipher in a stretch, and their letters beyond those of other words."""

_CODED_WORDS_NAMED, _CODED_LETTERS_NAMED = 1, 5
_NAMES_CIPHER = compile(
    r"(?i)\b(?:rot-?\s?[0-9]{1,2}|caesar|atbash|cipher|decode|decipher|decrypt|revers|backward)"
)


@dataclass(frozen=True, slots=True)
class _Looked:
    """A text in parts that do not overlap. `plain` is what is left, in which `changed` tells whether anything
    was rewritten; the others were in the places of spaces in it."""

    plain: str
    changed: bool
    decoded: Sequence[str]
    rotated: Sequence[str]
    turned: Sequence[str]


def unveiled(text: str) -> tuple[str, ...]:
    """What `text` says beside what it shows: at most four readings, none blank, together no longer than the
    text and `SLACK`. Empty for ordinary text.

    In order: what is decoded (base64, hex, binary, character codes, morse, unseen characters), what is under
    a rotated alphabet, what is written backwards, and the text itself in plain letters, without the former.
    """
    looked = _look(text)
    inner = [_whole(piece, DEPTH) for piece in looked.decoded]
    parts = [inner, looked.rotated, looked.turned, [looked.plain] if looked.changed else []]
    readings: list[str] = []
    room = len(text) + SLACK
    for part in parts:
        reading = "\n".join(part)[:room]
        room -= len(reading)
        if reading.strip() and reading != text:
            readings.append(reading)
    return tuple(readings[:MOST_READINGS])


def _whole(text: str, depth: int) -> str:
    """What `text` says, its own disguises taken off."""
    looked = _look(text)
    inner = [_whole(piece, depth - 1) if depth > 1 else piece for piece in looked.decoded]
    return "\n".join(part for part in (looked.plain, *inner, *looked.rotated, *looked.turned) if part.strip())


def _look(text: str) -> _Looked:
    hidden = hidden_letters(text)
    plain, changed = plain_letters(text)
    unescaped = _without_escapes(plain)
    left, pieces = decoded(unescaped)
    together = _together(left)
    spelled = _without_digits(together)
    changed = changed or unescaped != plain or together != left or spelled != together
    left, rotated = _deciphered(spelled, range(REVERSED))
    left, turned = _deciphered(left, range(REVERSED, REVERSED + 1))
    return _Looked(left, changed, hidden + pieces, rotated, turned)


def _without_escapes(text: str) -> str:
    """Letters, digits and signs of ASCII for their escapes in HTML, URLs and source code, where these hide
    words: nobody needs to escape a letter."""
    signs = [_unescaped(match) for match in _ESCAPE.finditer(text)]
    letters = {sign for sign in signs if sign.isalnum() and len(sign) == 1}
    if len(letters) < _ESCAPED_LETTERS and signs.count(" ") < _ESCAPED_BLANKS:
        return text
    return _ESCAPE.sub(_unescaped, text)


def _unescaped(match: Match[str]) -> str:
    code = int(match[2]) if match[2] else int(match[1] or match[3], 16)
    return chr(code) if 32 <= code < 127 else match[0]


def _together(text: str) -> str:
    """Words for letters with the same sign between each two."""
    return _SPREAD.sub(_joined, text)


def _joined(match: Match[str]) -> str:
    run, mark = match[0], match[1]
    gaps = _BETWEEN.findall(run)
    gap = {"" if each == mark else " " for each in gaps}
    letters = _BETWEEN.split(run)
    if len(gap) == 1:
        words = ["".join(letters)]
    else:
        ends = zip(letters, ["" if each == mark else " " for each in gaps] + [""], strict=True)
        words = "".join(letter + end for letter, end in ends).split()
    plain = [word.translate(_LEET) for word in words]
    parts = [part for word in plain for part in (parted(word) if word.lower() not in KNOWN else [word])]
    return " ".join(parts) if known_share(parts) >= _SPREAD_KNOWN else run


def _without_digits(text: str) -> str:
    """Letters for the digits and signs that stand for them in words, if known words come out."""
    if len(_DIGIT_IN_WORD.findall(text)) < _LEET_WORDS:
        return text
    words = {
        word
        for match in _MIXED.finditer(text)
        if (word := _spelled(match[0]).lower()) in KNOWN and word != match[0].lower()
    }
    if len(words) < _LEET_WORDS or sum(map(len, words)) < _LEET_LETTERS:
        return text
    return _MIXED.sub(lambda match: _spelled(match[0]), text)


def _spelled(token: str) -> str:
    if token.isalpha():
        return token
    if token.isdigit():
        word = token.translate(_LEET)
        return word if word in _SHORT_WORDS else token
    end = token[len(token.rstrip("!|+")) :]
    body = token.removesuffix(end) if end else token
    if not body or body.isalpha() or not any(map(str.isalpha, body)):
        return token
    with_l = body.translate(_LEET_L).translate(_LEET)
    return (with_l if with_l.lower() in KNOWN else body.translate(_LEET)) + end


def _deciphered(text: str, ciphers: range) -> tuple[str, list[str]]:
    """The text without the stretches that one of `ciphers` makes known words of, and these in plain."""
    coded = set(_WORD.findall(text.lower())) & CODED.keys()
    if len(coded) < _CODED_WORDS_NAMED:
        return text, []
    words = list(_WORD.finditer(text))
    forms = [match[0].lower() for match in words]
    named = _NAMES_CIPHER.search(text) is not None
    least_words = _CODED_WORDS_NAMED if named else _CODED_WORDS
    by_cipher = Counter(
        cipher for form in coded.intersection(forms) for cipher in CODED[form] if cipher in ciphers
    )
    cipher, count = max(by_cipher.items(), key=lambda item: item[1], default=(0, 0))
    if count < least_words:
        return text, []
    least_letters = _CODED_LETTERS_NAMED if named else _CODED_LETTERS
    left, found, at = [], [], 0
    for first, last in _stretches(forms, cipher, least_words, least_letters):
        start, end = words[first].start(), words[last].end()
        stretch = text[start:end]
        found.append(stretch[::-1] if cipher == REVERSED else stretch.translate(ROTATIONS[cipher]))
        left.append(text[at:start])
        at = end
    return " ".join([*left, text[at:]]), found


def _stretches(forms: list[str], cipher: int, least_words: int, least_letters: int) -> list[tuple[int, int]]:
    """The first and last word of each stretch of words in `cipher`: where the letters of known words in
    cipher outweigh those of known words as they are, and a third of those of words known in neither form."""
    found: list[tuple[int, int]] = []
    score, best, first, last = 0.0, 0.0, 0, -1
    for place, form in enumerate([*forms, ""]):
        weight = len(form) * (1.0 if cipher in CODED.get(form, ()) else -1.0 if form in KNOWN else -1 / 3)
        if score <= 0.0:
            score, best, first, last = 0.0, 0.0, place, place - 1
        score += weight
        if score > best:
            best, last = score, place
        if (score <= 0.0 or place == len(forms)) and best >= least_letters:
            first, end = _widened(forms, first, last)
            first = max(first, found[-1][1] + 1) if found else first
            hits = {form for form in forms[first : end + 1] if cipher in CODED.get(form, ())}
            if len(hits) >= least_words and sum(map(len, hits)) >= least_letters:
                found.append((first, end))
    return found


def _widened(forms: list[str], first: int, last: int) -> tuple[int, int]:
    """Words known in no form, at the ends of a stretch, belong to it."""
    while first > 0 and forms[first - 1] not in KNOWN:
        first -= 1
    while last + 1 < len(forms) and forms[last + 1] not in KNOWN:
        last += 1
    return first, last
