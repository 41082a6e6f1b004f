"""Runs of a text that are an encoding of another: base64, hexadecimal, binary, character codes, morse.

What does not decode to writing is left where it is: pictures, hashes, keys, paths. Pure, linear.
"""

import base64
from collections.abc import Callable
from re import Match, Pattern, compile

from router_extproc.screening.vocabulary import known_share

_BASE64 = compile(
    r"(?<![A-Za-z0-9+/_\-])[A-Za-z0-9+/_\-]{12,}+={0,2}+(?:\r?\n[A-Za-z0-9+/_\-]{2,}+={0,2}+(?![^\r\n]))*+"
)
_HEX = compile(
    r"[0-9a-fA-F\\](?<![A-Za-z0-9].)(?:(?<=0)x[0-9a-fA-F]{2}|(?<=\\)x[0-9a-fA-F]{2}|(?<!\\)[0-9a-fA-F])[\s:,\-]{0,2}"
    r"(?:(?:0x|\\x)?[0-9a-fA-F]{2}[\s:,\-]{0,2}){7,}+"
)
_BINARY = compile(r"[01](?<![A-Za-z0-9].)[01]{7}[\s,\-]{0,2}(?:[01]{8}[\s,\-]{0,2}){3,}+")
_DECIMAL = compile(
    r"[0-9](?<![A-Za-z0-9.].)[0-9]{1,2}[\s,\-]{1,2}(?:[0-9]{2,3}[\s,\-]{1,2}){7,}+(?:[0-9]{2,3})?"
)
_MORSE = compile(
    r"(?=[.\-\u00b7\u2022\u2013\u2212_])(?<![^\s\"'(:/|])(?:[.\-\u00b7\u2022\u2013\u2212_]{1,5}(?:\s?[/|]\s?|\s{1,7}|$)){6,}+"
)
_MORSE_SIGNS = str.maketrans("\u00b7\u2022\u2013\u2212_", "..---")
_MORSE_CODE = dict(
    zip(
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- "
        "-.-- --.. ----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.".split(),
        "abcdefghijklmnopqrstuvwxyz0123456789",
        strict=True,
    )
)
_MORSE_WORDS = compile(r"\s*[/|]\s*|\s{3,}|\n")
_LETTERS = compile(r"[^\W\d_]+")
_NOT_HEX = compile(r"0x|[^0-9a-fA-F]+")
_NUMBER = compile(r"[0-9]+")

_LEGIBLE = 0.65
"""The least share of letters and spaces in writing."""

_KNOWN_SHARE = 0.25
"""The least share of letters of known words, where rows of numbers or dots decode to letters by chance."""

_SHORT = 24
"""Fewer bytes may be letters of rare scripts by chance."""

_HEAD = 64
"""Characters of base64 decoded first, so that a picture of megabytes costs nothing. A multiple of four."""


def decoded(text: str) -> tuple[str, list[str]]:
    """The text with a space for each run that encodes writing, and what these runs say."""
    found: list[str] = []
    for runs, decode in _ENCODINGS:
        text = runs.sub(_taking(decode, found), text)
    return text, found


def _taking(decode: Callable[[str], str], found: list[str]) -> Callable[[Match[str]], str]:
    def take(match: Match[str]) -> str:
        plain = decode(match[0])
        if not plain:
            return match[0]
        found.append(plain)
        return " "

    return take


def _from_base64(run: str) -> str:
    whole = _base64_text("".join(run.split()))
    return whole or "\n".join(filter(None, map(_base64_text, run.split()))) if "\n" in run else whole


def _base64_text(run: str) -> str:
    run = run.rstrip("=").replace("-", "+").replace("_", "/")
    if any(byte < 9 or 13 < byte < 32 for byte in _base64_bytes(run[:_HEAD]).replace(b"\0", b"")):
        return ""
    return _writing(_base64_bytes(run))


def _base64_bytes(run: str) -> bytes:
    run = run.replace("=", "")
    run = run[: len(run) - (len(run) % 4 == 1)]
    return base64.b64decode(run + "=" * (-len(run) % 4))


def _from_hex(run: str) -> str:
    digits = _NOT_HEX.sub("", run)
    plain = _writing(bytes.fromhex(digits[: len(digits) // 2 * 2]))
    return plain if plain and (not digits.isdigit() or _says(plain)) else ""


def _from_binary(run: str) -> str:
    return _if_says(bytes(int(octet, 2) for octet in compile("[01]{8}").findall(run)))


def _from_decimal(run: str) -> str:
    codes = [int(number) for number in _NUMBER.findall(run)]
    return _if_says(bytes(codes)) if max(codes) < 128 else ""


def _from_morse(run: str) -> str:
    words = _MORSE_WORDS.split(run.translate(_MORSE_SIGNS))
    plain = " ".join("".join(_MORSE_CODE.get(sign, "") for sign in word.split()) for word in words)
    return plain if _says(plain) else ""


def _if_says(raw: bytes) -> str:
    plain = _writing(raw)
    return plain if _says(plain) else ""


def _writing(raw: bytes) -> str:
    """`raw` as text in UTF-8 or UTF-16, if it is one of mostly letters; else empty."""
    encoding = "utf-16-le" if len(raw) > 1 and not any(raw[1::2]) else "utf-8"
    try:
        plain = raw.decode(encoding)
    except UnicodeDecodeError:
        return ""
    if len(raw) < _SHORT and not plain.replace("\u200b", "").isascii():
        return ""
    letters = sum(letter.isalpha() or letter.isspace() or letter == "\u200b" for letter in plain)
    return (
        plain if len(plain) > 3 and letters >= _LEGIBLE * len(plain) and any(map(str.isalpha, plain)) else ""
    )


def _says(plain: str) -> bool:
    return known_share(_LETTERS.findall(plain)) >= _KNOWN_SHARE


_ENCODINGS: tuple[tuple[Pattern[str], Callable[[str], str]], ...] = (
    (_BINARY, _from_binary),
    (_HEX, _from_hex),
    (_BASE64, _from_base64),
    (_DECIMAL, _from_decimal),
    (_MORSE, _from_morse),
)
