"""Payment cards and bank accounts: forms with check digits.

Cards: ISO/IEC 7812 with the issuer ranges the networks publish, Luhn by python-stdnum. Accounts: ISO 13616
with the structure of each country, by python-stdnum, which reads SWIFT's registry.
"""

import re
from collections.abc import Iterator

from stdnum import iban, luhn

from router_extproc.screening.context import near
from router_extproc.screening.spans import PiiSpan, Source

_CARD = re.compile(
    r"(?=[0-9])(?<![0-9A-Za-z_])(?<![0-9][.,\-])(?:"
    r"[0-9]{12,19}+"
    r"|[0-9]{4}([ \-])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?![0-9])(?:\1[0-9]{1,3}(?![0-9]))?"
    r"|[0-9]{4}([ \-])[0-9]{6}\2[0-9]{4,5}"
    r")(?![0-9A-Za-z_]|[.,][0-9])"
)
_SEPARATOR = str.maketrans("", "", " -")

_COMMON_ISSUER = re.compile(
    r"4(?:[0-9]{15}|[0-9]{18})"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2}|62[0-9]{2})[0-9]{12}"  # Discover, UnionPay
    r"|35[0-9]{14}|(?:2131|1800)[0-9]{11}"  # JCB
    r"|3(?:0[0-59]|[68][0-9])[0-9]{11}"  # Diners Club
)
"""Numbers of an issuer and a length that little else has; one in ten of these passes Luhn by chance. Other
issuers and lengths are articles, messages or orders as well: they are cards where a card is spoken of."""

_CARD_WORDS = re.compile(
    r"\b(?:cards?|cc|ccn|credit|debit|pan|charged?|refund|declined|billing"
    r"|cash machine|atm|visa|master ?card|maestro|amex|american express|diners|jcb|discover"
    r"|rupay|unionpay|karte|kreditkarte|carte|tarjeta|carta|cart[aã]o|kaart)\b",
    re.IGNORECASE,
)

_IBAN = re.compile(r"(?=[A-Za-z]{2}[0-9]{2}[ \-]?[A-Za-z0-9])(?<![A-Za-z0-9])")
_LENGTHS = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE",), 16),
    **dict.fromkeys("DK FI FK FO GL NL SD".split(), 18),
    **dict.fromkeys("MK SI".split(), 19),
    **dict.fromkeys("AT BA EE KZ LT LU MN XK".split(), 20),
    **dict.fromkeys("CH HR LI LV".split(), 21),
    **dict.fromkeys("BG BH CR DE GB GE IE ME RS VA".split(), 22),
    **dict.fromkeys("AE GI IL IQ OM SO TL".split(), 23),
    **dict.fromkeys("AD CZ ES MD PK RO SA SE SK TN VG".split(), 24),
    **dict.fromkeys("LY PT ST".split(), 25),
    **dict.fromkeys("IS TR".split(), 26),
    **dict.fromkeys("BI DJ FR GR IT MC MR SM".split(), 27),
    **dict.fromkeys("AL AZ BY CY DO EG GT HU LB NI PL SV".split(), 28),
    **dict.fromkeys("BR PS QA UA".split(), 29),
    **dict.fromkeys("JO KW MU YE".split(), 30),
    **dict.fromkeys("MT SC".split(), 31),
    **dict.fromkeys(("LC",), 32),
    **dict.fromkeys(("RU",), 33),
}
"""Characters of an account number by country (SWIFT's registry), to know where one ends in a text."""

_BODY = {
    length: re.compile(rf"[A-Za-z]{{2}}[0-9]{{2}}(?:[ \-]?[A-Za-z0-9]){{{length - 4}}}(?![A-Za-z0-9])")
    for length in set(_LENGTHS.values())
}


def find_cards(text: str) -> Iterator[PiiSpan]:
    """Numbers that pass Luhn, in one piece or in the groups printed on cards: those of the large issuers
    anywhere, all others where a card is spoken of."""
    for match in _CARD.finditer(text):
        start, end = match.span()
        if match[1]:
            end = _grouped_end(match[0], start)
        if _is_card(text, start, end):
            yield PiiSpan(start, end, "CREDIT_CARD", 1.0, Source.PATTERN)


def find_accounts(text: str) -> Iterator[PiiSpan]:
    """International bank account numbers, in one piece or in groups, in either case."""
    for match in _IBAN.finditer(text):
        body = _BODY.get(_LENGTHS.get(text[match.start() : match.start() + 2].upper(), 0))
        whole = body.match(text, match.start()) if body else None
        if whole is not None and iban.is_valid(whole[0].upper(), check_country=False):
            yield PiiSpan(*whole.span(), "IBAN_CODE", 1.0, Source.PATTERN)


def _grouped_end(written: str, start: int) -> int:
    """Where four groups of four end: after a fifth group if the number with it is a card, else before it,
    as it may be the card's security code."""
    whole = written.translate(_SEPARATOR)
    return start + (len(written) if len(whole) > 16 and luhn.is_valid(whole) else 19)


def _is_card(text: str, start: int, end: int) -> bool:
    number = text[start:end].translate(_SEPARATOR)
    if not luhn.is_valid(number):
        return False
    if _COMMON_ISSUER.fullmatch(number):
        return True
    return near(text, start, end, _CARD_WORDS, before=48, after=24)
