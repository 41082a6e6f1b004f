"""Personal data that written rules find, and how long they may take: linear in the text's length.

Every pattern is bounded or possessive and starts at the beginning of a run only, so no text makes one
backtrack; what a pattern proposes is checked by a library or by the words around it.
"""

from collections.abc import Callable, Iterator

from router_extproc.screening.accounts import find_accounts, find_cards
from router_extproc.screening.context import plain
from router_extproc.screening.identity import find_licences, find_postal_codes, find_social_security
from router_extproc.screening.network import find_addresses, find_domains, find_emails
from router_extproc.screening.phone import find_phones
from router_extproc.screening.spans import PiiSpan, merge

_FINDERS: dict[str, Callable[[str], Iterator[PiiSpan]]] = {
    "CREDIT_CARD": find_cards,
    "DOMAIN_NAME": find_domains,
    "EMAIL_ADDRESS": find_emails,
    "IBAN_CODE": find_accounts,
    "IP_ADDRESS": find_addresses,
    "PHONE_NUMBER": find_phones,
    "US_DRIVER_LICENSE": find_licences,
    "US_SSN": find_social_security,
    "ZIP_CODE": find_postal_codes,
}

PATTERN_TYPES = frozenset(_FINDERS)
"""The types that written rules know. The others are the token head's alone."""


def find_patterns(text: str, types: frozenset[str]) -> tuple[PiiSpan, ...]:
    """Disjoint spans of `types` in the order of the text; types without a pattern are ignored.

    All patterns run whatever is asked for, so that the number of a card is never taken for a telephone's
    because nobody asked for cards.
    """
    if not types & PATTERN_TYPES:
        return ()
    searched = plain(text)
    found = merge(searched, (span for find in _FINDERS.values() for span in find(searched)))
    return tuple(span for span in found if span.type in types)
