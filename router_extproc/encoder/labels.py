"""What the labels of somebody else's model mean here: types of personal data, and attacks.

A label that nobody can place is an error and never passed over: a guard that does not know what its model
says would let it pass.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from router_extproc.base.errors import ModelError
from router_extproc.screening.spans import PII_TYPES

NOTHING: Final = "O"
"""The label of words that are no personal data, and what a label that shall not count is mapped to."""

REST: Final = "*"
"""In a mapping: every label that nothing else places."""

JAILBREAK, BENIGN = "jailbreak", "benign"

_SCHEME: Final = re.compile(r"([BIESLUM])-(.+)", re.DOTALL)
_BEGINS, _ENDS = frozenset("BSU"), frozenset("ESLU")

_ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        alias: kind
        for kind, aliases in {
            "AGE": "AGE",
            "CREDIT_CARD": "CREDITCARD CREDITCARDNUMBER CARDNUMBER",
            "DATE_TIME": "DATE TIME DATETIME DATEOFBIRTH DOB BIRTHDATE",
            "DOMAIN_NAME": "DOMAINNAME DOMAIN URL",
            "EMAIL_ADDRESS": "EMAIL EMAILADDRESS MAIL",
            "GPE": "GPE LOC LOCATION CITY STATE COUNTRY COUNTY PLACE",
            "IBAN_CODE": "IBAN IBANCODE",
            "IP_ADDRESS": "IP IPADDRESS IPV4 IPV6",
            "NRP": "NRP NORP NATIONALITY",
            "ORGANIZATION": "ORG ORGANIZATION ORGANISATION COMPANY COMPANYNAME",
            "PERSON": "PER PERSON NAME FULLNAME FIRSTNAME MIDDLENAME LASTNAME GIVENNAME SURNAME",
            "PHONE_NUMBER": "PHONE PHONENUMBER TELEPHONE TELEPHONENUM TEL",
            "STREET_ADDRESS": "STREETADDRESS ADDRESS STREET BUILDINGNUM BUILDINGNUMBER",
            "TITLE": "TITLE",
            "US_DRIVER_LICENSE": "USDRIVERLICENSE DRIVERLICENSE DRIVERLICENSENUM",
            "US_SSN": "USSSN SSN SOCIALNUM SOCIALSECURITYNUMBER",
            "ZIP_CODE": "ZIPCODE ZIP POSTCODE POSTALCODE",
        }.items()
        for alias in aliases.split()
    }
)
"""By the letters and digits of a label, in capitals."""

_ATTACKS: Final = frozenset("JAILBREAK INJECTION PROMPTINJECTION ATTACK MALICIOUS UNSAFE".split())
_INNOCENT: Final = frozenset("BENIGN SAFE LEGIT LEGITIMATE INNOCENT NORMAL".split())


@dataclass(frozen=True, slots=True)
class Role:
    """What a token's label says: personal data of `type`, and whether a span begins or ends with it. Of
    labels without a scheme neither is known."""

    type: str
    begins: bool = False
    ends: bool = False


def roles_of(labels: Sequence[str], given: Mapping[str, str]) -> tuple[Role | None, ...]:
    """The role of each of a token classifier's labels, None for no personal data.

    A label is a name of data, alone or after `B-`, `I-`, `E-`, `S-`, `L-`, `U-` or `M-` (BIO, BIOES, BILOU).
    `given` maps labels, whole or without the prefix, to one of PII_TYPES or `O`, and `*` the rest; what is
    not in it goes by the usual names. Raises ModelError, without the folder, for a label that nobody places,
    for a mapping that fits no label, and where no label is data or none is `O`.
    """
    bare = {label: _split(label, labels) for label in labels}
    known = {*labels, *(name for _, name in bare.values()), REST}
    if absent := sorted(given.keys() - known):
        raise ModelError(f"labels: {absent[0]!r} is none of the model's ({', '.join(labels)}); correct it")
    if wrong := sorted(set(given.values()) - PII_TYPES - {NOTHING}):
        raise ModelError(
            f"labels: {wrong[0]!r} is no type of personal data ({', '.join(sorted(PII_TYPES))}) and not "
            f"{NOTHING}, which is none; correct it"
        )
    placed = {label: _placed(label, bare[label][1], given) for label in labels}
    if unknown := sorted({bare[label][1] for label, kind in placed.items() if kind is None}):
        raise ModelError(
            f"labels: nobody knows what {', '.join(unknown)} is; map each to a type of personal data, or to "
            f"{NOTHING} if it shall not count (`{REST}: {NOTHING}` for all that are left)"
        )
    if NOTHING not in placed.values():
        raise ModelError(f"labels: none says that a word is no personal data; map one to {NOTHING}")
    if set(placed.values()) == {NOTHING}:
        raise ModelError("labels: none is personal data; map those that are")
    return tuple(
        None if (kind := placed[label]) in (None, NOTHING) else _role(str(kind), bare[label][0])
        for label in labels
    )


def attacks_of(labels: Iterable[str], given: Mapping[str, str]) -> tuple[bool, ...]:
    """Whether each of a sequence classifier's labels is an attack. `given` maps labels to `jailbreak` or
    `benign`, the others go by the usual names. Raises ModelError, without the folder."""
    names = tuple(labels)
    if absent := sorted(given.keys() - set(names)):
        raise ModelError(f"labels: {absent[0]!r} is none of the model's ({', '.join(names)}); correct it")
    if unknown := [name for name in names if name not in given and _plain(name) not in _ATTACKS | _INNOCENT]:
        raise ModelError(
            f"labels: nobody knows whether {', '.join(unknown)} is an attack; map each to {JAILBREAK} or "
            f"{BENIGN}"
        )
    attacks = tuple(given[name] == JAILBREAK if name in given else _plain(name) in _ATTACKS for name in names)
    if all(attacks) or not any(attacks):
        raise ModelError(
            f"labels: {', '.join(names)} are all one; map some to {JAILBREAK} and the others to {BENIGN}"
        )
    return attacks


def _split(label: str, labels: Sequence[str]) -> tuple[str, str]:
    """The prefix and the rest. Where no label begins with `B-` or `I-` there is no scheme, and `E-MAIL` is a
    name."""
    found = _SCHEME.fullmatch(label)
    if found is None or not any(each.startswith(("B-", "I-")) for each in labels):
        return "", label
    return found[1], found[2]


def _placed(label: str, name: str, given: Mapping[str, str]) -> str | None:
    usual = NOTHING if label == NOTHING else _ALIASES.get(_plain(name))
    return given.get(label) or given.get(name) or usual or given.get(REST)


def _role(kind: str, prefix: str) -> Role:
    return Role(kind, begins=prefix in _BEGINS, ends=prefix in _ENDS)


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).upper()
