"""United States social security numbers and driver licences, and postal codes.

Their forms alone are ambiguous. A social security number with dashes stands for itself (areas, groups and
serials by python-stdnum's rules); everything else is one only where words around it say so.
"""

import itertools
import re
from collections.abc import Iterator

from stdnum.us import ssn

from router_extproc.screening.context import near
from router_extproc.screening.spans import PiiSpan, Source

_SCORE_BY_CONTEXT = 0.6
_SCORE_OF_LICENCE = 0.8
"""More than a telephone number has by its context: some licences are written like one."""

_SSN = re.compile(r"(?=[0-9])(?<![\w.\-+])([0-9]{3})([ \-]?)([0-9]{2})\2([0-9]{4})(?![\w]|-[0-9])")
_SSN_WORDS = re.compile(
    r"\b(?:ssn|ss ?#|social[ _]sec(?:urity)?|soc ?sec|social(?=:| is| number| no)|tax ?payer id|tin)(?:\b|_)",
    re.IGNORECASE,
)

_LICENCE_WORDS = re.compile(
    r"\b(?:driv(?:er|ing)(?:'s|s'|s|\u2019s)?[ _]?(?:licen[cs]e|permit)|dl(?= ?(?:#|no\b|num|:))"
    r"|licen[cs]e ?(?=#|no\.? |num|id\b))",
    re.IGNORECASE,
)
_LICENCE = re.compile(
    r"(?<![\w/.\-$])(?=[A-Za-z]?[ \-]?[A-Za-z*]{0,8}[0-9])[A-Za-z0-9*]{1,15}+"
    r"(?:[ \-](?=[0-9])[0-9]{1,8}+){0,4}+(?![\w]|[/.:][0-9])"
)
_LICENCE_FORMS = re.compile(
    r"[0-9]{5,14}[A-Z]?"
    r"|[A-Z][0-9]{4,14}[A-Z]?"
    r"|[A-Z]{2}[0-9]{4,8}[A-Z]?"
    r"|[A-Z]{3}[0-9]{6}"
    r"|[0-9]{2}[A-Z]{3}[0-9]{5}"
    r"|[0-9]{3}[A-Z]{2}[0-9]{4}"
    r"|[A-Z][0-9][A-Z][0-9][A-Z]"
    r"|[A-Z]{2,7}\*{0,5}[0-9]{3}[A-Z0-9]{2}"
)
"""The forms of the states and districts, without spaces and dashes, widened where a newer form differs from
an older one by its length."""
_LICENCE_REACH = 56
"""Characters after the words in which the number must begin: `number on file with the DMV is ...`."""

_STATES = frozenset(
    "AL AK AZ AR CA CO CT DC DE FL GA HI IA ID IL IN KS KY LA MA MD ME MI MN MO MS MT NC ND NE NH NJ NM NV NY"
    " OH OK OR PA PR RI SC SD TN TX UT VA VT WA WI WV WY AB BC MB NB NL NS ON PE QC SK".split()
)
_AFTER_STATE = re.compile(
    r"[A-Z]{2}(?: |[ \t]{0,8}\n[ \t]{0,16})(?P<code>[0-9]{5}(?:-[0-9]{4})?|[A-Z][0-9][A-Z] ?[0-9][A-Z][0-9])"
    r"(?=[ \t]{0,8}(?:\n|\Z)|[.,;]?(?: |\Z))"
)
_BEFORE_STATE = re.compile(r"(?:[a-z\u00df-\u00ff] |[A-Z]{3} |\n[ \t]{0,16})\Z")
"""What a state or province follows where no comma parts it from the town; with one, the code is the end of an
address."""

_CODE = (
    r"(?P<code>[0-9]{5}-[0-9]{3,4}|[0-9]{3} [0-9]{2}|[0-9]{2}-[0-9]{3}|[0-9]{3}-[0-9]{4}|[0-9]{4} ?[A-Z]{2}"
    r"|[A-Z][0-9][A-Z] ?[0-9][A-Z][0-9]|[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2}"
    r"|[A-Z]{1,2}-[0-9]{4,5}|[0-9]{3,6})"
    r"(?![\w]|[.,/:\-][0-9])"
)
_NAMED_CODE = re.compile(
    rf"\b(?:zip|postal|post|pin)[ _\-]?codes?\b(?!s? of)[^0-9\n.?!]{{0,24}}?(?<![\w]){_CODE}", re.IGNORECASE
)
_LABELLED_CODE = re.compile(
    rf"\b(?:zip|plz|cap)\b[\"']?[ \t]*(?:for the \w{{2,12}}|is|=|:|#)?[ \t]*[\"']?{_CODE}",
    re.IGNORECASE,
)


def find_social_security(text: str) -> Iterator[PiiSpan]:
    """Nine digits that may be issued: with dashes anywhere, with spaces or in one piece by context."""
    for match in _SSN.finditer(text):
        if not ssn.is_valid("-".join(match.group(1, 3, 4))):
            continue
        if match[2] == "-" or near(text, *match.span(), _SSN_WORDS, before=_label_reach(text, match.start())):
            yield PiiSpan(*match.span(), "US_SSN", 1.0, Source.PATTERN)


def find_licences(text: str) -> Iterator[PiiSpan]:
    """The first number in a state's form after the words for a driver licence, on the same line."""
    lower = text.lower()
    if "licen" not in lower and "permit" not in lower and "dl" not in lower:
        return
    for words in _LICENCE_WORDS.finditer(text):
        line = text.find("\n", words.end(), words.end() + _LICENCE_REACH)
        begin, stop = words.end(), line if line >= 0 else words.end() + _LICENCE_REACH
        for match in _LICENCE.finditer(text, begin, min(len(text), stop + 24)):
            number = re.sub(r"[ \-]", "", match[0]).upper()
            if (
                match.start() < stop
                and sum(map(str.isdigit, number)) >= 2
                and _LICENCE_FORMS.fullmatch(number)
            ):
                yield PiiSpan(*match.span(), "US_DRIVER_LICENSE", _SCORE_OF_LICENCE, Source.PATTERN)
                break


def _label_reach(text: str, start: int) -> int:
    """How far before `start` a label may stand: its own line, or the line above if nothing is before it."""
    line = text.rfind("\n", max(0, start - 48), start)
    if line >= 0 and not text[line:start].strip():
        line = text.rfind("\n", max(0, start - 48), line)
    return min(48, start - max(0, line))


def find_postal_codes(text: str) -> Iterator[PiiSpan]:
    """Codes right after the words for one, or after a state. The scores are low: within an
    address the address wins."""
    lower = text.lower()
    if "code" in lower or "zip" in lower or "plz" in lower or "cap" in lower:
        for match in itertools.chain(_NAMED_CODE.finditer(text), _LABELLED_CODE.finditer(text)):
            yield PiiSpan(*match.span("code"), "ZIP_CODE", _SCORE_BY_CONTEXT, Source.PATTERN)
    for match in _AFTER_STATE.finditer(text):
        start = match.start()
        if match[0][:2] in _STATES and _BEFORE_STATE.search(text[max(0, start - 20) : start]):
            yield PiiSpan(*match.span("code"), "ZIP_CODE", _SCORE_BY_CONTEXT, Source.PATTERN)
