"""Telephone numbers: groups of digits, judged by phonenumbers, by form, and by the words around them.

phonenumbers' own matcher is not used: it reads a text once for every region, and its patterns backtrack. Here
one scan proposes runs of at most 24 digits and signs, and phonenumbers judges each.
"""

import re
from collections.abc import Iterator

import phonenumbers

from router_extproc.screening.spans import PiiSpan, Source

_RUN = re.compile(
    r"(?=[0-9(+])(?<![\w+$\u20ac\u00a3#%=@/\-](?=[0-9(]))(?<![0-9][.,:])(?<![\w@])"
    r"(?:\+\(?|\(\+?)?[0-9]{1,15}+(?:(?:\) ?-?|[ .\-/]\(|[ .\-/]|\()[0-9]{1,15}+){0,6}+\)?"
    r"(?P<extension> ?(?:x|ext\.? ?|extension )[0-9]{1,6}+)?(?![\w%@]|[.,:/\-][0-9])",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"[0-9]+")
_AMERICAN = re.compile(
    r"(?:(?:\+|00)?1[ .\-]?)?(?:\([2-9][0-9]{2}\) ?-?|[2-9][0-9]{2}[.\-])[0-9]{3}[.\-][0-9]{4}"
)
_WRITTEN_DATE = re.compile(
    r"(?:19|20)[0-9]{2}[ .\-](?:[0-9]{1,2}[ .\-][0-9]{1,2}|(?:19|20)[0-9]{2})"
    r"|[0-9]{1,2}[ .\-][0-9]{1,2}[ .\-](?:19|20)[0-9]{2}.*"
    r"|[0-9]{1,4}/[0-9]{1,2}/[0-9]{2,4}.*"
)
_REGIONS = tuple("US GB DE FR ES IT NL SE PL BR IN AU AT CH BE DK FI HU".split())
_WORDS = re.compile(
    r"\b(?:(?:tele|cell|mobile ?|home ?|work ?)?phones?|tel|telefon|telefono|tel\u00e9fono|t\u00e9l"
    r"|mobile|mob|cell|handy|fax|whats ?app"
    r"|land ?line|hot ?line|sms|voice ?mail|extension|dial(?:led|ed|ling|ing)?|pager"
    r"|(?:call|called|calling|ring|rang|text|texted|reach|phone|contact|message)"
    r"(?: \w{2,16}){0,2} (?:at|on|under)|(?:confirmation|codes?) (?:on|to)|number to (?:reach|call)"
    r"|answering at|messages? (?:to|from)|my registered|(?:my|his|her|their|your) number"
    r"|number is|call(?:s|ed|ing)? from|emergency contact|digits|ph)(?:\b|_)"
    r"|\b(?:desk|office|home|work|direct|cell|signal|ring|call|text|contact|dial)[\"']?"
    r"(?: ?(?:no\.?|number|#|line))?[ :.=\"']{0,4}$",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"^[ ,\-(]{0,3}(?:office|fax|mobile|cell|home|work|desk|direct|phone|landline|tel|mob)\b", re.IGNORECASE
)
_OTHER_NUMBER = re.compile(
    r"\b(?:order|ticket|invoice|reference|case|tracking|account|acct"
    r"|serial|isbn|ssn|card|licen[cs]e|dl|policy|id|zip|code|pin|version|patent)"
    r"(?: ?(?:number|no\.?|#|id))?(?: is)?[ :#]*$",
    re.IGNORECASE,
)
_MEASURE = re.compile(
    r"^ ?(?:dollars|euros?|usd|eur|people|miles|km|kg|years?|points|percent|calls|times|\$|\u20ac)",
    re.IGNORECASE,
)
_FORM, _CONTEXT = 0.9, 0.7


def find_phones(text: str) -> Iterator[PiiSpan]:
    """Numbers with a country code, in North America's form, in a region's own form with its trunk zero, and
    any possible number where a telephone is spoken of."""
    for match in _RUN.finditer(text):
        start, end = match.span()
        if text[start] == "(" and text.find(")", start, end) in (end - 1, -1):
            start += 1
        while text[end - 1] in "( .-" or (text[end - 1] == ")" and not _opened(text, start, end)):
            end -= 1
        score = _score(text, start, end, match["extension"] or "")
        if score:
            yield PiiSpan(start, end, "PHONE_NUMBER", score, Source.PATTERN)


def _opened(text: str, start: int, end: int) -> bool:
    """Whether every bracket that closes in the number opens in it."""
    return text.count(")", start, end) <= text.count("(", start, end)


def _score(text: str, start: int, end: int, extension: str) -> float:
    """In [0, 1]; 0 for what is no telephone number."""
    written = text[start:end].removesuffix(extension)
    digits = "".join(groups := _DIGITS.findall(written))
    if not 7 <= len(digits) <= 15 or _WRITTEN_DATE.fullmatch(written):
        return 0.0
    if written[:2].lstrip("(")[:1] == "+" or (written.startswith("00") and len(digits) >= 10):
        return _international(
            text, start, end, "+" + digits.removeprefix("00") if written[0] != "+" else written
        )
    if _AMERICAN.fullmatch(written):
        return 1.0 if _is_valid(digits, ("US",)) else _FORM
    if _OTHER_NUMBER.search(text, max(0, start - 32), start) or _MEASURE.search(text[end : end + 12]):
        return 0.0
    if _spoken_of(text, start, end):
        return _CONTEXT if _is_possible(digits) else 0.0
    trunk = (
        "/" not in written
        and len(groups) >= 3
        and digits[0] == "0"
        and len(groups[0]) > 1
        and min(map(len, groups)) > 1
    )
    return _CONTEXT if trunk and _is_valid(digits, _REGIONS) else 0.0


def _international(text: str, start: int, end: int, written: str) -> float:
    try:
        number = phonenumbers.parse(written, None)
    except phonenumbers.NumberParseException:
        return 0.0
    if phonenumbers.is_valid_number(number):
        return 1.0
    if not phonenumbers.is_possible_number(number):
        return _CONTEXT if _spoken_of(text, start, end) else 0.0
    return _FORM


def _spoken_of(text: str, start: int, end: int) -> bool:
    line = max(text.rfind("\n\n", max(0, start - 48), start), max(0, start - 48))
    return _WORDS.search(text, line, start) is not None or _AFTER.search(text[end : end + 16]) is not None


def _is_possible(digits: str) -> bool:
    return any(phonenumbers.is_possible_number(number) for number in _read(digits, _REGIONS))


def _is_valid(digits: str, regions: tuple[str, ...]) -> bool:
    return any(phonenumbers.is_valid_number(number) for number in _read(digits, regions))


def _read(digits: str, regions: tuple[str, ...]) -> Iterator[phonenumbers.PhoneNumber]:
    for region in regions:
        try:
            yield phonenumbers.parse(digits, region)
        except phonenumbers.NumberParseException:
            continue
